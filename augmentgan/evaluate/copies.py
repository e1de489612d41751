"""Copies of training images among samples, told by how near held-out real images come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from augmentgan.data.images import LabelledImages
from augmentgan.gan.diversity import PixelDistances, distinct_images

COPY_CHANCE = 0.01
"""How often a fresh real image would be taken for a copy."""

ENOUGH_HELD_OUT = 10
"""Held-out images that a threshold for copies rests on."""

_NEXT = 5
"""Training images after the nearest one with which its distance is compared."""
_MOST_SIZES = 20
"""Sizes with a threshold of their own; in a set of hundreds of classes others share that of the next smaller size."""
_PAIRS = 1 << 23
"""Distances that are held at once, some 28 bytes each: all those of a large set's classes would be many gigabytes."""


class CopyJudge:
    """Tells near copies of training images from honest samples, by the distance at which held-out real images lie.

    Few training images leave more to chance: of two honest images the nearest may well be several times as far as the next.
    So a class with m different ones is judged as held-out images are beside m training images of their own class, drawn at random from those of
    classes that have at least as many.

    Attributes:
        thresholds: for each class, the copy ratio (`copy_ratios`) below which an image counts as a copy; NaN where a
            class cannot be judged.
    """

    def __init__(self, train: LabelledImages, test: LabelledImages) -> None:
        # a repeated image would be its own second neighbour, and then no sample would look like a copy
        different = {
            label: distinct_images(train.images[train.labels == label])
            for label in np.flatnonzero(train.counts).tolist()
        }
        self._n_train = np.array([len(different.get(label, ())) for label in range(train.n_classes)])
        self._distances = {label: PixelDistances(images) for label, images in different.items()}
        self.thresholds = self._thresholds(test)

    @property
    def threshold(self) -> float | None:
        """That of the class with most training images; None where fewer than ten held-out images leave nothing to compare with."""
        largest = float(self.thresholds[self._n_train.argmax()])
        return None if np.isnan(largest) else largest

    @property
    def rule(self) -> str:
        """What counts as a copy, in words that change when the answers do."""
        return f"copy ratio below {self.thresholds.tolist()!r}"

    def knows(self, label: int) -> bool:
        """Whether a class can be judged: it has two training images, for a ratio of two distances, and there is a threshold."""
        return not np.isnan(self.thresholds[label])

    def ratios(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Copy ratios (n,), each within its class; NaN where a class cannot be judged."""
        ratios = np.full(len(images), np.nan)
        for label in np.unique(labels).tolist():
            if self._n_train[label] > 1:
                mine = labels == label
                ratios[mine] = np.concatenate([copy_ratios(roots) for roots in self._roots(label, images[mine])])
        return ratios

    def copies(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which images (n,) are near copies; none where there is nothing to judge by."""
        return np.asarray(self.ratios(images, labels) < self.thresholds[labels], dtype=np.bool_)

    def _roots(self, label: int, images: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
        """Distances to the training images of a class, of some rows of the images at a time."""
        n = max(1, _PAIRS // int(self._n_train[label]))
        for start in range(0, len(images), n):
            yield self._distances[label](images[start : start + n]).double().sqrt_().numpy()

    def _thresholds(self, test: LabelledImages) -> NDArray[np.float64]:
        every = np.unique(self._n_train[self._n_train > 1])
        spread = np.linspace(0, max(0, len(every) - 1), min(len(every), _MOST_SIZES)).round().astype(np.int64)
        sizes = every[spread].tolist()
        ratios: dict[int, list[NDArray[np.float64]]] = {size: [] for size in sizes}
        others: dict[int, list[NDArray[np.float64]]] = {size: [] for size in sizes}
        for label in np.flatnonzero(test.counts).tolist():
            n_train = int(self._n_train[label])
            if n_train < 2:
                continue
            # a stream for each size, so that what is drawn does not depend on how rows are parted
            randoms = {size: np.random.default_rng([label, size]) for size in sizes}
            for roots in self._roots(label, test.images[test.labels == label]):
                for size in sizes:
                    known = ratios if n_train >= size else others
                    known[size].append(copy_ratios(_some_columns(roots, size, randoms[size])))
        found = [_threshold(ratios[size], others[size]) for size in sizes]
        return np.array([found[bisect_right(sizes, n) - 1] if n > 1 else np.nan for n in self._n_train.tolist()])


def _threshold(ratios: list[NDArray[np.float64]], others: list[NDArray[np.float64]]) -> float:
    """From held-out images of classes that are large enough; of all classes where those are too few; NaN where all are."""
    enough = sum(map(len, ratios)) >= ENOUGH_HELD_OUT
    every = ratios if enough else ratios + others
    threshold = copy_threshold(np.concatenate(every)) if every else None
    return np.nan if threshold is None else threshold


def _some_columns(roots: NDArray[np.float64], n: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Other n columns for each row, or all where there are no more."""
    if roots.shape[1] <= n:
        return roots
    columns = random.random(roots.shape, dtype=np.float32).argpartition(n - 1, axis=1)[:, :n]
    return np.take_along_axis(roots, columns, axis=1)


def copy_threshold(ratios: NDArray[np.float64]) -> float | None:
    """The copy ratio (`copy_ratios`) below which an image counts as a copy of a training image.

    Held-out real images are no copies, so their ratios say how low an honest image comes. Their logits are close to
    normal; the threshold is the prediction bound that a fresh real image falls below with probability `COPY_CHANCE`; Student's t
    makes it hold for few images.

    Args:
        ratios: (n,) of held-out real images.

    Returns:
        A number in (0, 1); None for fewer than `ENOUGH_HELD_OUT` images, which leave nothing to say.
    """
    n = len(ratios)
    if n < ENOUGH_HELD_OUT:
        return None
    logits = special.logit(ratios.clip(1e-6, 1 - 1e-4))
    bound = logits.mean() + stats.t.ppf(COPY_CHANCE, n - 1) * logits.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(special.expit(bound))


def copy_ratios(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much nearer an image lies to one training image than to the next ones: about 0 for a copy, at most 1.

    The distance to the nearest over the mean distance to the `_NEXT` after it (after Carlini et al. 2023, arXiv 2301.13188,
    section 3). A plain distance would call every thin stroke and every smooth image a copy.

    Args:
        distances: (n, m) from images to the training images of their class, m at least 2.

    Returns:
        (n,) ratios.
    """
    last = min(_NEXT, distances.shape[1] - 1)
    nearest = np.sort(np.partition(distances, last, axis=1)[:, : last + 1], axis=1)
    ratios: NDArray[np.float64] = nearest[:, 0] / np.maximum(nearest[:, 1:].mean(axis=1), 1e-12)
    return ratios
