"""How many fresh real images the copy test takes for copies, and how many copies it finds, by size of class.

    python benchmarks/copy_threshold.py DATA.h5 [DATA.h5 ...] [--sizes 200 50 10 4 3] [--draws 10]

Classes take the sizes in turn; a quarter as many images, but one at least, are held out as a test part. Fresh images are others of the
class. A copy is a training image blended with a quarter of another of its class, as an interpolating generator would make it. Beside the
product's thresholds, which follow the size of a class, stands one threshold for all, from the same held-out images.
Writes benchmarks/results/copy-threshold.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _environment
import numpy as np
from numpy.typing import NDArray

import augmentgan as ag
from augmentgan.evaluate.copies import CopyJudge, copy_threshold

FRESH, BLENDS = 150, 30


def main() -> None:
    """Draw, judge, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 50, 10, 4, 3])
    parser.add_argument("--draws", type=int, default=10)
    wish = parser.parse_args()

    rows = []
    for path in wish.data:
        data = _environment.load(path, ag.Recipe())
        shares = [of_draw(data, wish.sizes, seed) for seed in range(wish.draws)]
        for size in wish.sizes:
            row: dict[str, object] = {"data": path.name, "images_of_class": size}
            for name in shares[0][size]:
                values = [share[size][name] for share in shares]
                row[name] = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}
            print(row, flush=True)
            rows.append(row)
    document = {**_environment.describe(), "draws": wish.draws, "rows": rows}
    _environment.write("copy-threshold", document)


def of_draw(data: ag.LabelledImages, sizes: list[int], seed: int) -> dict[int, dict[str, float]]:
    """Shares called copies, for each size of class."""
    random = np.random.default_rng(seed)
    size_of = np.array([sizes[label % len(sizes)] for label in range(data.n_classes)])
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for label, size in enumerate(size_of.tolist()):
        own = random.permutation(np.flatnonzero(data.labels == label))
        held_out = size + max(1, size // 4)
        for part, rows in zip(parts, np.split(own[: held_out + FRESH], [size, held_out]), strict=True):
            part.append(rows)
    train, test, fresh = (data.subset(np.concatenate(rows)) for rows in parts)
    judge = CopyJudge(train, test)
    held_out_ratios = judge.ratios(test.images, test.labels)
    one = copy_threshold(held_out_ratios[~np.isnan(held_out_ratios)])
    blends = blended(train, random)
    found = {}
    for size in sizes:
        found[size] = {
            f"{what}_{which}": float(called[size_of[images.labels] == size].mean())
            for what, images in (("fresh", fresh), ("blends", blends))
            for which, called in (
                ("by_size", judge.copies(images.images, images.labels)),
                ("one_for_all", judge.ratios(images.images, images.labels) < (one or 0)),
            )
        }
    return found


def blended(train: ag.LabelledImages, random: np.random.Generator) -> ag.LabelledImages:
    """Three quarters of a training image and a quarter of another one of its class."""
    pairs = np.concatenate(
        [
            np.stack([random.choice(np.flatnonzero(train.labels == label), 2, replace=False) for _ in range(BLENDS)])
            for label in range(train.n_classes)
        ]
    )
    mostly, other = (train.images[column].astype(np.float64) for column in pairs.T)
    return ag.LabelledImages(
        (0.75 * mostly + 0.25 * other).astype(np.uint8), train.labels[pairs[:, 0]], train.class_names
    )


if __name__ == "__main__":
    main()
