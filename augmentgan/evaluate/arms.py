"""The arms of a benchmark. An arm's name is its definition: words joined by "+", each with one meaning (`MEANINGS`).

Where all classes have the same number of training images, "real" and "real+oversampling" are the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augmentgan.errors import DataError

ARMS = ("real", "real+classic", "real+synthetic", "real+classic+synthetic", "synthetic")
"""What is run where nothing else is asked for."""

BASELINES = ("real", "real+classic")
"""What every arm is compared with, where they were run."""

IMBALANCED_ARMS = (
    "real",
    "real+oversampling",
    "real+class-weights",
    "real+classic",
    "real+oversampling+classic",
    "real+fill",
    "real+classic+fill",
    "real+synthetic",
    "real+classic+synthetic",
    "synthetic",
)
"""The same for imbalanced sets: the arms above, and every arm with synthetic images has a rival that draws classes as evenly without them."""

IMBALANCED_FROM = 1.5
"""A set counts as imbalanced where its largest class has at least this many times the images of its smallest."""

MEANINGS = {
    "real": "the real training images, each equally often",
    "oversampling": "classes drawn evenly: the images of a rare class come up more often",
    "class-weights": "images drawn as they are, the loss of a rare class weighs more",
    "classic": "classical augmentation, for a part of the steps or all of them",
    "mixup": "pairs of images blended",
    "cutmix": "a part of an image replaced by another's",
    "synthetic": "part of a batch is synthetic, for a part of the steps or all of them, classes drawn evenly; alone: nothing but synthetic images",
    "fill": "synthetic images only for what a class lacks to be as large as the largest, classes drawn evenly",
}
"""What each word of an arm's name means, in the order in which they stand; see `augmentation` and `mixing` for how it is done."""

WORDS = tuple(MEANINGS)


@dataclass(frozen=True)
class Arm:
    """An arm, read from its name.

    Raises:
        DataError: a word that is not known, in the wrong place, or that contradicts another.
    """

    name: str

    def __post_init__(self) -> None:
        words = self.words
        unknown = [word for word in words if word not in WORDS]
        if unknown:
            raise DataError(f"arm {self.name!r} is not known ({unknown[0]!r}); words: {', '.join(WORDS)}, joined by +")
        in_order = list(words) == sorted(set(words), key=WORDS.index)
        if not in_order or (words[0] != "real" and words != ("synthetic",)):
            raise DataError(f"arm {self.name!r}: words come once each, in the order {'+'.join(WORDS)}, real first")
        # samples come with classes drawn evenly, whose losses weights would make uneven again
        for pair in (
            ("synthetic", "fill"),
            ("mixup", "cutmix"),
            ("oversampling", "class-weights"),
            ("class-weights", "synthetic"),
            ("class-weights", "fill"),
        ):
            if set(pair) <= set(words):
                raise DataError(f"arm {self.name!r}: {' and '.join(pair)} exclude each other; name two arms")

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the name."""
        return tuple(self.name.split("+"))

    @property
    def classic(self) -> bool:
        """Whether images may go through classical augmentation, which tuning can do without."""
        return "classic" in self.words

    @property
    def uses_synthetic(self) -> bool:
        """Whether the arm sees any synthetic image."""
        return bool({"synthetic", "fill"} & set(self.words))

    @property
    def only_synthetic(self) -> bool:
        """Whether the arm sees no real image."""
        return self.words == ("synthetic",)

    @property
    def even_classes(self) -> bool:
        """Whether classes are drawn evenly."""
        return "oversampling" in self.words or self.uses_synthetic

    def without_synthetic(self, *, imbalanced: bool) -> Arm | None:
        """The rival that differs in the synthetic images alone; None for an arm of synthetic images alone.

        Where classes are nearly even (`IMBALANCED_FROM`) the rival draws images as they are, though the arm draws classes evenly.
        """
        if not self.uses_synthetic or self.only_synthetic:
            return None
        words = self.without("synthetic").without("fill").words
        return _arm_of({*words, "oversampling"} if imbalanced else words)

    def rivals(self, *, imbalanced: bool) -> list[Arm]:
        """The arms without samples that it is to beat: the one that differs in the samples alone, then the same without oversampling."""
        own = (self.without_synthetic(imbalanced=each) for each in (imbalanced, False))
        return list(dict.fromkeys(each for each in own if each is not None))

    def without(self, word: str) -> Arm:
        """The same arm without one of its words, or itself where it has no such word."""
        return _arm_of(each for each in self.words if each != word)


def _arm_of(words: Iterable[str]) -> Arm:
    return Arm("+".join(sorted(words, key=WORDS.index)))


def is_imbalanced(counts: NDArray[np.int64]) -> bool:
    """Whether training images a class (k,) differ so much that arms are compared with rivals that oversample."""
    present = counts[counts > 0]
    return bool(present.max() >= IMBALANCED_FROM * present.min())


def has_even_classes(counts: NDArray[np.int64]) -> bool:
    """Whether all classes that have training images (k,) have equally many: then oversampling is no change at all."""
    present = counts[counts > 0]
    return bool(present.max() == present.min())


def minority_classes(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels of the classes with fewer than half of the largest class's images."""
    return np.flatnonzero((counts > 0) & (2 * counts < counts.max()))


def chosen_arms(asked: Sequence[str] | None, *, imbalanced: bool) -> list[Arm]:
    """The arms to run: "real" first, and before an arm with synthetic images its rivals, unless they were asked for anyway.

    So what an arm is compared with, and its verdict (`comparing.verdict_of`), do not depend on which others are run.

    Raises:
        DataError: an arm that is not known.
    """
    names = (IMBALANCED_ARMS if imbalanced else ARMS) if asked is None else asked
    chosen = []
    for arm in map(Arm, dict.fromkeys(["real", *names])):
        chosen += [rival for rival in arm.rivals(imbalanced=imbalanced) if rival.name not in names]
        chosen.append(arm)
    return list(dict.fromkeys(chosen))
