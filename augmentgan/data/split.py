"""Train and test, once, before any learning; groups, identical and nearly identical images never straddle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.duplicates import near_duplicates
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to test on.

    Attributes:
        train, test: sorted rows.
        dropped: training rows left out because the data's own test part holds (nearly) the same image, or its group.
        source: "data" where the set brought its split, otherwise "drawn".
    """

    train: Rows
    test: Rows
    dropped: Rows
    source: Literal["data", "drawn"]


def split_rows(data: LabelledImages, *, test_fraction: float, seed: int, as_marked: bool = False) -> Split:
    """Split a set, honouring its own split and groups; a split that marks every row for training is none.

    Where there is no split, every class gives about `test_fraction` of its images, at least one, and keeps at least
    one; much more than that only where every group of it is larger. (scikit-learn's StratifiedGroupKFold does not promise
    a rare class its test image.)

    Args:
        data: the set.
        test_fraction: share of every class to test on, where there is no split.
        seed: of the draw.
        as_marked: take the marks of the set as they are: those of a run, whose split was settled when it was made.

    Raises:
        DataError: fewer than two classes, or a class with too few different images to learn from and to test on.
    """
    if as_marked and data.split is not None:
        train, test = (np.flatnonzero(data.split == which) for which in (TRAIN, TEST))
        return _with_all_classes(data, Split(train, test, np.arange(0), "data"))
    _check_classes(data)
    if test_fraction == 0 and not data.is_split:
        return Split(np.arange(len(data)), np.arange(0), np.arange(0), "drawn")
    units = _units(data)
    if data.split is not None and data.is_split:
        test = np.flatnonzero(data.split == TEST)
        straddles = np.isin(units, units[test]) & (data.split == TRAIN)
        train = np.flatnonzero((data.split == TRAIN) & ~straddles)
        split = Split(train, test, np.flatnonzero(straddles), "data")
    else:
        in_test = _draw(data, units, test_fraction, seed)
        split = Split(np.flatnonzero(~in_test), np.flatnonzero(in_test), np.arange(0), "drawn")
    return _with_all_classes(data, split)


def _with_all_classes(data: LabelledImages, split: Split) -> Split:
    """The split, if every class has something to learn from."""
    if not len(split.train) and not len(split.dropped):
        raise DataError(
            "every image is marked as a test image, and none is left to learn from; mark some for training, or none"
        )
    left = np.bincount(data.labels[split.train], minlength=data.n_classes)
    for label in np.flatnonzero(left < 1):
        name, dropped = data.class_names[label], int((data.labels[split.dropped] == label).sum())
        if dropped:
            raise DataError(
                f"class {name!r}: all of its {dropped} training images are, or nearly are, test images too, or of their groups; "
                "test on other images"
            )
        raise DataError(f"class {name!r} has no training image left after the split; add images")
    return split


def draw_per_class(labels: NDArray[np.int64], rows: Rows, per_class: int, seed: int) -> Rows:
    """`per_class` of `rows` from each class, by seed; draws are nested (20 within 50 within 100)."""
    return draw_counts(labels, rows, np.full(int(labels.max()) + 1, per_class), seed)


def draw_counts(labels: NDArray[np.int64], rows: Rows, counts: NDArray[np.int64], seed: int) -> Rows:
    """`counts[label]` of `rows` from each class, all of them where a class has fewer; nested as in `draw_per_class`."""
    chosen = []
    for label in np.unique(labels[rows]):
        mine = rows[labels[rows] == label]
        order = np.random.default_rng([seed, int(label)]).permutation(len(mine))
        chosen.append(mine[order[: counts[label]]])
    return np.sort(np.concatenate(chosen))


def join_test(train: LabelledImages, test: LabelledImages) -> LabelledImages:
    """One set out of two, split as given; labels follow the class names of `train`.

    `train`'s own test part is dropped; of a `test` that has a split, its test part alone is used. Equal group numbers mean the same group in both sets.

    A class may be without test images.

    Raises:
        DataError: the test set has a class that the training set has not.
    """
    unknown = sorted(set(test.class_names) - set(train.class_names))
    if unknown:
        known = ", ".join(train.class_names[:5])
        raise DataError(
            f"the test set has classes that the training set lacks: {', '.join(unknown[:5])} (it has {known}"
            f"{', ...' if train.n_classes > 5 else ''}); rename them or leave them out"
        )
    lookup = np.array([train.class_names.index(name) for name in test.class_names])
    train = train.part(TRAIN)
    if test.is_split:
        test = test.part(TEST)
    return LabelledImages(
        np.concatenate([train.images, test.images]),
        np.concatenate([train.labels, lookup[test.labels]]),
        train.class_names,
        np.repeat(np.array([TRAIN, TEST]), [len(train), len(test)]),
        _joined_groups(train, test),
    )


def _joined_groups(train: LabelledImages, test: LabelledImages) -> Rows | None:
    """Groups of both sets (n_train + n_test,); rows of a set without groups are each a group of its own."""
    known = [each.group for each in (train, test) if each.group is not None]
    if not known:
        return None
    numbers = np.unique(np.concatenate(known), return_inverse=True)[1]
    if len(known) == 2:
        return numbers
    alone = numbers.max(initial=-1) + 1 + np.arange(len(train) + len(test) - len(numbers))
    return np.concatenate([alone, numbers] if train.group is None else [numbers, alone])


def identical_images(data: LabelledImages) -> Rows:
    """A number for each row (n,); rows with the same pixels share it."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in data.images]
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], dtype=np.int64)


def under_several_labels(numbers: Rows, labels: Rows) -> NDArray[np.bool_]:
    """Whether an image is there under another label too (n,); `numbers` are those of `identical_images`."""
    with_label = np.unique(np.stack([numbers, labels]), axis=1)
    return np.asarray(np.bincount(with_label[0])[numbers] > 1)


def _check_classes(data: LabelledImages) -> None:
    counts = data.counts
    if (counts > 0).sum() < 2:
        n = int((counts > 0).sum())
        raise DataError(
            f"the data has {n} {'class' if n == 1 else 'classes'} with images; at least 2 are needed: give each class a folder or a label of its own"
        )
    for label, count in enumerate(counts):
        if count < 2:
            noun = "image" if count == 1 else "images"
            raise DataError(
                f"class {data.class_names[label]!r} has {count} {noun}; at least 2 are needed: add some or remove it"
            )


def connected_rows(data: LabelledImages, near: Rows | None = None) -> Rows:
    """A number for each row; rows joined by the same pixels, nearly the same, or a group, also in a chain, share it.

    Args:
        data: the set.
        near: (p, 2) pairs of rows that are nearly the same; sought where left out, in a set with a split between its parts
            only: there alone they can do harm.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(data)
    columns = [identical_images(data)]
    if data.group is not None:
        columns.append(columns[0].max(initial=0) + 1 + np.unique(data.group, return_inverse=True)[1])
    rows = np.tile(np.arange(n), len(columns))
    joined = n + np.concatenate(columns)
    pairs = _near_pairs(data) if near is None else near
    rows, joined = np.concatenate([rows, pairs[:, 0]]), np.concatenate([joined, pairs[:, 1]])
    size = n + int(np.concatenate(columns).max(initial=0)) + 1
    graph = coo_array((np.ones(len(rows)), (rows, joined)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:n], dtype=np.int64)


def _near_pairs(data: LabelledImages) -> Rows:
    """Pairs (p, 2) that join the rows that are nearly the same; not all of them, for look-alikes have a pair for every two."""
    parts = [] if data.split is None else [np.flatnonzero(data.split == which) for which in (TRAIN, TEST)]
    if not parts or not all(len(part) for part in parts):
        parts = [np.arange(len(data))] * 2
        found = near_duplicates(data.images)
    else:
        found = near_duplicates(data.images[parts[0]], data.images[parts[1]])
    joining = np.empty((0, 2), dtype=np.int64)
    for pairs in found:
        more = np.stack([parts[0][pairs[:, 0]], parts[1][pairs[:, 1]]], axis=1)
        joining = _spanning(np.concatenate([joining, more]), data.labels)
    return joining


def _spanning(pairs: Rows, labels: Rows) -> Rows:
    """Some of the pairs, which join the same rows: a spanning forest for every two labels, so that they still do without the pairs of some labels."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    n = len(labels)
    if len(pairs) <= n:
        return pairs
    of_labels = np.sort(labels[pairs], axis=1)
    nodes, ends = np.unique((of_labels[:, :1] * n + of_labels[:, 1:]) * n + pairs, return_inverse=True)
    ends = ends.reshape(pairs.shape)
    graph = coo_array((np.ones(len(pairs)), (ends[:, 0], ends[:, 1])), shape=(len(nodes), len(nodes)))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    return np.stack([nodes[tree.row] % n, nodes[tree.col] % n], axis=1)


def _units(data: LabelledImages) -> Rows:
    """`connected_rows`, without the near pairs of a class that would have nothing to split with them."""
    pairs = _near_pairs(data)
    while True:
        units = connected_rows(data, pairs)
        stuck = [label for label in np.unique(data.labels) if len(np.unique(units[data.labels == label])) < 2]
        touching = np.isin(data.labels[pairs], stuck).any(axis=1)
        if not touching.any():
            return units
        pairs = pairs[~touching]


def _draw(data: LabelledImages, units: Rows, test_fraction: float, seed: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    in_test = np.zeros(len(data), dtype=bool)
    wanted = np.maximum(1, np.round(test_fraction * data.counts)).astype(int)
    for label in np.argsort(data.counts, kind="stable"):  # rare classes first, while there is a choice
        mine = data.labels == label
        candidates = np.unique(units[mine & ~in_test])
        if len(np.unique(units[mine])) < 2:
            raise DataError(
                f"class {data.class_names[label]!r} has only one distinct image or group; "
                "at least 2 are needed, one to learn from and one to test on"
            )
        order = random.permutation(candidates)
        for unit in order:
            have = np.bincount(data.labels[in_test], minlength=data.n_classes)
            if have[label] >= wanted[label]:
                break
            members = units == unit
            gains = np.bincount(data.labels[members], minlength=data.n_classes)
            # of every class that the group has images of: it must not fill up a common class for a rare one's sake
            fits = (have + gains <= wanted)[gains > 0].all()
            if fits and not _empties(data, in_test, members):
                in_test |= members
        have_mine = int((mine & in_test).sum())
        lacking = int(wanted[label]) - have_mine
        if lacking <= have_mine:
            continue
        # less than half of what is wanted, and all that is left is too large: the smallest is taken where that comes nearer,
        # and in any case where there would be nothing
        sizes = dict(zip(*np.unique(units[mine], return_counts=True), strict=True))
        for unit in sorted(order, key=lambda each: (sizes[each], int((units == each).sum()))):
            if (mine & in_test & (units == unit)).any() or _empties(data, in_test, units == unit):
                continue
            if not have_mine or sizes[unit] < 2 * lacking:
                in_test |= units == unit
            break
    return in_test


def _empties(data: LabelledImages, in_test: NDArray[np.bool_], members: NDArray[np.bool_]) -> bool:
    """Whether a class would have nothing left to learn from, were these rows to join the test part."""
    left = ~in_test & ~members
    return any(not ((data.labels == label) & left).any() for label in np.unique(data.labels[members]))
