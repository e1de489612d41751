"""Any wish about class counts becomes one explicit {label: n} before sampling.

The vocabulary is imbalanced-learn's `sampling_strategy`: a number wanted for a class counts its real images too.
"""

from __future__ import annotations

import csv
import operator
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from augmentgan.errors import DataError, did_you_mean

MOST_OF_A_CLASS = 10**9
"""Samples of one class; a thousand times as many would take years."""
_DIGITS = 100
"""Of a number, at most: from some thousand on Python reads none."""


def exactly(per_class: int, class_names: Sequence[str], classes: Sequence[str] | None = None) -> dict[int, int]:
    """The same number of samples for every class, or for those named.

    Raises:
        DataError: no whole number, one below 1, or an unknown class.
    """
    if not isinstance(per_class, int | np.integer):
        raise DataError(f"--per-class {per_class!r} is not a whole number")
    if not 1 <= per_class <= MOST_OF_A_CLASS:
        raise DataError(f"--per-class {per_class} is out of range; give 1 to {MOST_OF_A_CLASS:,}")
    return dict.fromkeys(labels_of(classes, class_names), operator.index(per_class))


def checked_counts(counts: Mapping[int, int], class_names: Sequence[str]) -> dict[int, int]:
    """A {label: n} in plain ints, whatever whole numbers it was given in.

    Raises:
        DataError: a label that is no class, or a number below 0.
    """
    plain = {operator.index(label): operator.index(n) for label, n in counts.items()}
    if not set(plain) <= set(range(len(class_names))):
        raise DataError(f"labels {list(plain)!r:.60} are not all of the run's {len(class_names)}; see Run.counts")
    for label, n in plain.items():
        if not 0 <= n <= MOST_OF_A_CLASS:
            raise DataError(f"class {class_names[label]!r}: {n} samples are asked for; give 0 to {MOST_OF_A_CLASS:,}")
    return plain


_LEVELLING = ("max", "auto", "all", "not majority", "minority", "not minority")


def filling(
    wish: str, counts: NDArray[np.int64], class_names: Sequence[str], classes: Sequence[str] | None = None
) -> dict[int, int]:
    """What each class lacks.

    Args:
        wish: "max" (level with the largest class), "N" (level at N), or "CLASS=N,CLASS=N". imbalanced-learn's words are known too:
            "auto", "not majority" and "all" are "max"; "minority" and "not minority" level the smallest class alone, or all others.
        counts: real training images a class.
        class_names: in label order.
        classes: only these classes, where given.

    Raises:
        DataError: a wish in another form, below what a class has, for an unknown class, or for nothing at all.
    """
    labels = labels_of(classes, class_names)
    if _is_number(wish):
        wanted = {label: max(0, int(wish) - int(counts[label])) for label in labels}
    elif wish in _LEVELLING:
        smallest = int(counts.argmin())
        if wish == "minority" and smallest not in labels:
            raise DataError(
                f"--fill minority fills {class_names[smallest]!r}, the smallest class, which --classes leaves out; name it too"
            )
        left_out = {"minority": {*labels} - {smallest}, "not minority": {smallest}}.get(wish, set())
        wanted = {label: int(counts.max() - counts[label]) for label in labels if label not in left_out}
    else:
        wanted = {}
        for part in separated(wish) or [wish]:
            name, equals, number = part.rpartition("=")
            if not equals or not _is_number(number):
                raise DataError(f"--fill {wish!r:.60} is not max, a number, or CLASS=N,CLASS=N")
            (label,) = labels_of([name], class_names)
            if label not in labels:
                raise DataError(f"--fill {wish} names class {name!r}, which --classes leaves out; name it in both")
            if label in wanted:
                raise DataError(f"--fill {wish} names class {name!r} twice; give one number")
            if int(number) < counts[label]:
                raise DataError(f"--fill {name}={number}: the class has {counts[label]} images already; ask for more")
            wanted[label] = int(number) - int(counts[label])
    wanted = {label: n for label, n in wanted.items() if n}
    for label, n in wanted.items():
        if n > MOST_OF_A_CLASS:
            raise DataError(
                f"--fill {wish}: class {class_names[label]!r} would get {n} samples; ask for {MOST_OF_A_CLASS:,} at most"
            )
    if not wanted:
        raise DataError(f"--fill {wish}: every class has as many images already; ask for more, or use --per-class N")
    return wanted


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


def separated(text: str) -> list[str]:
    """What stands between commas; in double quotes, as in a CSV file, a comma is a part of a name."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [part.strip() for row in rows for part in row if part.strip()]


def labels_of(classes: Sequence[str] | None, class_names: Sequence[str]) -> list[int]:
    """Labels of the named classes, in label order; all where none are named.

    Raises:
        DataError: an unknown class, or a list without any.
    """
    if classes is None:
        return list(range(len(class_names)))
    classes = [classes] if isinstance(classes, str) else classes
    if not classes:
        raise DataError(f"--classes names no class; known: {', '.join(class_names[:10])}")
    for name in classes:
        if name not in class_names:
            hint = did_you_mean(name, class_names)
            if any("," in known for known in class_names):
                hint += "; a name with a comma stands in double quotes"
            raise DataError(f"class {name!r} is not known; {hint}")
    return sorted({list(class_names).index(name) for name in classes})
