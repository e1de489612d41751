"""A set of many classes out of few: digits and clothing as they are, turned by quarters, and inverted, each a class of its own.

    python benchmarks/many_classes.py mnist.h5 fashion_mnist.h5 hundred.h5 --kinds 5 --per-class 150

The set of 40 classes has `--kinds 2 --per-class 300`. Both are for benchmarks/ablation.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import augmentgan as ag
from augmentgan.data.images import TRAIN

KINDS = ("0", "90", "180", "270", "inverted")


def main() -> None:
    """Write the set; every kind has training images of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", type=int, default=len(KINDS), choices=range(1, len(KINDS) + 1))
    parser.add_argument("--per-class", type=int, default=150)
    wish = parser.parse_args()

    images, names = [], []
    for path in wish.sets:
        data = ag.load(path, size_px=28, channels=1).part(TRAIN)
        for number, kind in enumerate(KINDS[: wish.kinds]):
            for label, name in enumerate(data.class_names):
                rows = np.flatnonzero(data.labels == label)[number * wish.per_class :][: wish.per_class]
                part = data.images[rows]
                images.append(255 - part if kind == "inverted" else np.rot90(part, number, axes=(1, 2)))
                names.append(f"{path.stem} {name} {kind}")
    labels = np.repeat(np.arange(len(names)), [len(part) for part in images])
    ag.save(ag.LabelledImages(np.concatenate(images), labels, tuple(names)), wish.out)


if __name__ == "__main__":
    main()
