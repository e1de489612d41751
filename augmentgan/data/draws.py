"""Training draws of a benchmark: how many images of each class, and which; nested, so that 20 lie within 50 within 100."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.images import LabelledImages
from augmentgan.data.split import Rows, draw_counts, split_rows
from augmentgan.errors import DataError

_RARE_KEY = 0x7A11
_FEWEST = 2
"""Images of the rarest class: one to learn from while the other validates."""


@dataclass(frozen=True)
class Imbalance:
    """How training images are spread over the classes.

    Attributes:
        kind: "step": half of the classes have all, the other half a `ratio`-th; "long-tail": geometric from all down to a
            `ratio`-th (Cui et al. 2019, arXiv 1901.05555).
        ratio: images of the largest class over those of the smallest.
    """

    kind: Literal["step", "long-tail"]
    ratio: float

    def counts(self, per_class: int, n_classes: int, seed: int) -> NDArray[np.int64]:
        """Images a class (n_classes,), the rarest perhaps none; which classes are rare is drawn by seed."""
        place = np.arange(n_classes) / max(1, n_classes - 1)
        share = np.where(place > 0.5, 1 / self.ratio, 1.0) if self.kind == "step" else self.ratio**-place
        counts = np.round(per_class * share).astype(np.int64)
        drawn: NDArray[np.int64] = np.random.default_rng([seed, _RARE_KEY]).permutation(counts)
        return drawn

    def __str__(self) -> str:
        return f"{self.kind}:{self.ratio:g}:1"


def parse_imbalance(text: str) -> Imbalance:
    """`50:1` or `step:50:1`, or `long-tail:100:1`.

    Raises:
        DataError: anything else.
    """
    kind, _, ratio = text.rpartition(":")[0].rpartition(":")
    kind = kind or "step"
    try:
        number = float(ratio) if text.endswith(":1") else 0.0
    except ValueError:
        number = 0.0
    if kind not in ("step", "long-tail") or not 1 < number < float("inf"):
        raise DataError(f"--imbalance {text!r} is not of the form 50:1, step:50:1 or long-tail:100:1")
    return Imbalance("long-tail" if kind == "long-tail" else "step", number)


def draw_training(
    labels: NDArray[np.int64], rows: Rows, n_classes: int, per_class: int | None, imbalance: Imbalance | None, seed: int
) -> Rows:
    """Some of the training rows: `per_class` of each class, or all of them, thinned out by `imbalance`.

    A class that has fewer gives all it has.

    Raises:
        DataError: no class has `per_class` images, or one has too few for the imbalance.
    """
    have = np.bincount(labels[rows], minlength=n_classes)
    if per_class is not None and per_class > have.max():
        raise DataError(
            f"--train-per-class {per_class}: the largest class has {have.max()} training images; ask for fewer"
        )
    if imbalance is None:
        return rows if per_class is None else draw_counts(labels, rows, np.full(n_classes, per_class), seed)
    smallest = int(have[have > 0].min())  # any class may be drawn to be a common one
    level = smallest if per_class is None else per_class
    counts = imbalance.counts(level, n_classes, seed)
    if level > smallest or counts.min() < _FEWEST:
        why = (
            f"the smallest class has {smallest} training images"
            if level > smallest
            else f"the rarest would keep {counts.min()}, and {_FEWEST} are needed"
        )
        raise DataError(f"--imbalance {imbalance} of {level} images a class: {why}; {_within(imbalance, smallest)}")
    return draw_counts(labels, rows, counts, seed)


def _within(imbalance: Imbalance, smallest: int) -> str:
    """What to ask for where the smallest class has so many training images."""
    if round(smallest / imbalance.ratio) >= _FEWEST:
        least = min(smallest, math.ceil(_FEWEST * imbalance.ratio))
        return f"use --train-per-class {least}" + (f" to {smallest}" if smallest > least else "")
    if smallest >= 2 * _FEWEST:
        ratio = smallest // _FEWEST
        return f"use --imbalance {imbalance.kind}:{ratio}:1 or less, with --train-per-class {smallest} or none"
    return "leave it out, or give more images"


@dataclass(frozen=True)
class Draw:
    """A training draw and the test images that go with it.

    Attributes:
        repeat: number of the repeat.
        per_class: the size asked for; None is all of the training part.
        train, test: rows of the data.
        n_dropped: training rows left out because a test image is (nearly) the same or of their group.
    """

    repeat: int
    per_class: int | None
    train: Rows
    test: Rows
    n_dropped: int

    @property
    def name(self) -> str:
        """Such as 20-r0."""
        return f"{'all' if self.per_class is None else self.per_class}-r{self.repeat}"


def draws_of(
    data: LabelledImages,
    sizes: Sequence[int | None],
    repeats: int,
    *,
    test_fraction: float,
    imbalance: Imbalance | None = None,
    seed: int = 0,
) -> Iterator[Draw]:
    """All draws, repeat after repeat, the sizes of a repeat nested.

    Raises:
        DataError: the data cannot be split, or cannot give a size.
    """
    fixed = None if not data.is_split else split_rows(data, test_fraction=test_fraction, seed=seed)
    for repeat in range(repeats):
        split = fixed or split_rows(data, test_fraction=test_fraction, seed=seed + repeat)
        if not len(split.test):
            raise DataError("the benchmark needs real test images; leave data.test_fraction above 0, or give --test")
        for size in sizes:
            train = draw_training(data.labels, split.train, data.n_classes, size, imbalance, seed + repeat)
            yield Draw(repeat, size, train, split.test, len(split.dropped))
