"""Does DiffAugment leak? Whether shifts, blanked squares and changed colours show up in samples of finished runs.

    python benchmarks/leaks.py NAME RUN [RUN ...]

Each figure is given for the training images, for samples, and for the training images as the discriminator saw them, which is what
a complete leak would look like. Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _environment
import numpy as np
import torch
from numpy.typing import NDArray

import augmentgan as ag
from augmentgan.gan import augment
from augmentgan.gan.networks import to_uint8, to_unit

PER_CLASS = 200
NEAR_GREY, FULL = 8, 0.9
"""A pixel is blank within so many levels of mid-grey; a square counts where so much of it is blank."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("runs", type=Path, nargs="+")
    wish = parser.parse_args()
    rows = []
    for folder in wish.runs:
        run = ag.Run(folder, "cpu")
        side_px = round(run.recipe.augment.cutout * run.recipe.data.size_px)
        shown = {"training images": run.train, "samples": run.generate(PER_CLASS), "augmented": augmented(run)}
        for kind, data in shown.items():
            rows.append(
                {
                    "run": folder.name,
                    "augment": run.recipe.augment.model_dump(),
                    "updates": run.recipe.training.updates,
                    "images": kind,
                    "shift_px": spread(centres(data.images), data.labels),
                    "brightness_levels": spread(data.images.mean(axis=(1, 2, 3))[:, None], data.labels),
                    "blank_squares": float(blank_squares(data.images, side_px).mean()),
                    "n": len(data),
                }
            )
            print(rows[-1], flush=True)
    _environment.write(wish.name, {**_environment.describe(), "rows": rows})


def augmented(run: ag.Run) -> ag.LabelledImages:
    """Training images, repeated to about as many as there are samples, through the discriminator's augmentation."""
    torch.manual_seed(0)
    train = run.train
    repeated = train.subset(np.tile(np.arange(len(train)), max(1, PER_CLASS * train.n_classes // len(train))))
    drawn = augment.draw(run.recipe.augment, len(repeated), run.recipe.data.size_px, torch.device("cpu"))
    images = to_uint8(augment.apply(drawn, to_unit(torch.from_numpy(repeated.images)))).numpy()
    return ag.LabelledImages(images, repeated.labels, train.class_names)


def centres(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Centre of what differs from the border's level, (n, 2) in pixels."""
    grey = images.mean(axis=3)
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    mass = np.abs(grey - np.median(border, axis=1)[:, None, None]) + 1e-6
    place = np.arange(grey.shape[1])
    total = mass.sum(axis=(1, 2))
    return np.stack([(mass.sum(axis=2) @ place) / total, (mass.sum(axis=1) @ place) / total], axis=1)


def spread(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Standard deviation inside a class, averaged over columns and over the classes with two images or more."""
    of_class = [values[labels == label] for label in np.unique(labels)]
    return float(np.mean([each.std(axis=0, ddof=1).mean() for each in of_class if len(each) > 1]))


def blank_squares(images: NDArray[np.uint8], side_px: int) -> NDArray[np.bool_]:
    """Which images (n,) hold a square of that side, nearly all of it mid-grey."""
    blank = (np.abs(images.astype(np.float64) - 127.5) <= NEAR_GREY).all(axis=3)
    sums = np.pad(blank.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))  # summed-area table
    k = side_px
    inside = sums[:, k:, k:] - sums[:, :-k, k:] - sums[:, k:, :-k] + sums[:, :-k, :-k]
    return np.asarray(inside.max(axis=(1, 2)) >= FULL * k * k, dtype=np.bool_)


if __name__ == "__main__":
    main()
