"""What `fit` settles before it learns: split, training images, recipe."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.data.load import facts, refuse_zeros_and_ones, working_size
from augmentgan.data.split import Split, draw_per_class, identical_images, split_rows, under_several_labels
from augmentgan.errors import DataError
from augmentgan.recipe import Recipe, ResolvedRecipe

FEW_IMAGES = 10
"""A class with fewer training images is told of: its samples can hold little that those images do not show."""


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before learning starts.

    Attributes:
        recipe: resolved.
        split: rows of the data as given.
        data: the rows in use, at working size, with `split` set.
        fingerprint: of the data in use.
        seed: of the split, the weights and every draw.
    """

    recipe: ResolvedRecipe
    split: Split
    data: LabelledImages
    fingerprint: str
    seed: int

    @property
    def scarce(self) -> dict[str, int]:
        """Classes with fewer than `FEW_IMAGES` training images, and how many they have."""
        return self._smaller_than(FEW_IMAGES)

    @property
    def short(self) -> dict[str, int]:
        """Classes that have not as many training images as were asked for, and how many they have; all of them are used."""
        wanted = self.recipe.data.train_per_class
        return {} if wanted == "all" else self._smaller_than(wanted)

    @property
    def n_contradictory(self) -> int:
        """Training images whose very pixels are in the training part under another label too."""
        train = self.data.part(TRAIN)
        return int(under_several_labels(identical_images(train), train.labels).sum())

    def to_json(self) -> dict[str, Any]:
        """For `fit --dry-run --json`; counts are by class name."""
        counts = {
            name: dict(zip(self.data.class_names, self.data.counts_of(part).tolist(), strict=True))
            for name, part in (("train_counts", TRAIN), ("test_counts", TEST))
        }
        return {
            "recipe": self.recipe.model_dump(),
            "seed": self.seed,
            "data_fingerprint": self.fingerprint,
            **counts,
            "n_dropped": len(self.split.dropped),
            "n_contradictory": self.n_contradictory,
            "scarce": self.scarce,
        }

    def _smaller_than(self, least: int) -> dict[str, int]:
        counts = self.data.part(TRAIN).counts.tolist()
        return {name: n for name, n in zip(self.data.class_names, counts, strict=True) if n < least}


def checked_seed(seed: int, repeats: int = 1) -> int:
    """The seed as an int, whatever whole number it was given as, where it is one.

    Args:
        seed: of the first repeat; those after it count on.
        repeats: how many there are.

    Raises:
        DataError: not a whole number, below 0, or beyond 63 bits, if only for the last repeat.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number <= 2**63 - repeats:
        most = "in 63 bits" if repeats == 1 else f"of 2**63 - {repeats} at most, for {repeats} repeats count on from it"
        raise DataError(f"seed {seed}: give 0 or more, a whole number {most}")
    return number


def plan_fit(data: LabelledImages, recipe: Recipe | None = None, seed: int = 0, *, as_marked: bool = False) -> Plan:
    """Split the data (see `split_rows`), draw the training images and settle the recipe; nothing is learned or written.

    Raises:
        DataError, RecipeError: the data or the recipe cannot be used.
    """
    recipe, seed = recipe or Recipe(), checked_seed(seed)
    refuse_zeros_and_ones(data)
    # first, for images that are nearly the same at the working size must not lie on both sides
    data = working_size(data, recipe.data.given_size_px, recipe.data.given_channels, recipe.data.resize)
    split = split_rows(data, test_fraction=recipe.data.test_fraction, seed=seed, as_marked=as_marked)
    if recipe.data.train_per_class != "all":
        split = replace(split, train=draw_per_class(data.labels, split.train, recipe.data.train_per_class, seed))
    used = np.concatenate([split.train, split.test])
    marks = np.repeat(np.array([TRAIN, TEST]), [len(split.train), len(split.test)])
    images = replace(data.subset(used), split=marks)
    resolved = recipe.resolve(facts(images.part(TRAIN)))
    return Plan(resolved, split, images, images.fingerprint(), seed)
