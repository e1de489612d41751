"""The one value that flows through the product: images with labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.errors import DataError

TRAIN, TEST = 0, 1
"""Values of `LabelledImages.split`."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Labelled images in memory; bad data is refused when it is made.

    Attributes:
        images: uint8, shape (n, h, w, c), c = 1 (grey) or 3 (RGB).
        labels: int64, shape (n,), each in [0, len(class_names)).
        class_names: one distinct, non-empty name a class, in label order.
        split: optional int64 (n,), 0 train and 1 test: the source's own split.
        group: optional int64 (n,); rows of one group never straddle a split (one patient, one object).
        extra: further columns, each with n rows (a synthetic set keeps its provenance here).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    split: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images, labels, names = self.images, self.labels, self.class_names
        if images.dtype != np.uint8:
            raise DataError(f"images have dtype {images.dtype}; uint8 (0 to 255) is needed")
        if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
            raise DataError(f"images have shape {images.shape}; (n, h, w, c) with c = 1 or 3 is needed")
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
            raise DataError(
                f"labels have dtype {labels.dtype} and shape {labels.shape}; "
                f"integers of shape ({len(images)},) are needed, one an image"
            )
        if len(set(names)) != len(names) or not all(names):
            raise DataError(f"class names {list(names)[:5]} must be distinct and not empty")
        for name in names:
            if any("\ud800" <= each <= "\udfff" for each in name):
                raise DataError(f"class name {name!r} is not text (it is not UTF-8); rename the class")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(names):
            bad = int(labels.min()) if labels.min() < 0 else int(labels.max())
            raise DataError(f"label {bad} is out of range; {len(names)} class names allow 0 to {len(names) - 1}")
        for name, column, hint in (
            ("split", self.split, ""),
            ("group", self.group, "; number the groups (numpy.unique with return_inverse)"),
        ):
            if column is not None:
                object.__setattr__(self, name, _whole_numbers(name, column, hint))
        columns = {"split": self.split, "group": self.group, **self.extra}
        for name, column in columns.items():
            if column is not None and len(column) != len(images):
                raise DataError(f"{name} has {len(column)} rows; {len(images)} are needed, one an image")
        if self.split is not None and not np.isin(self.split, (TRAIN, TEST)).all():
            raise DataError(f"split has values {np.unique(self.split)[:5].tolist()}; 0 (train) and 1 (test) are known")
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "class_names", tuple(names))  # a list would have another fingerprint

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_classes(self) -> int:
        """Number of classes, those without images included."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return int(self.images.shape[3])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Images a class, shape (n_classes,)."""
        return np.bincount(self.labels, minlength=self.n_classes).astype(np.int64)

    def subset(self, rows: Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]) -> LabelledImages:
        """The given rows, in the given order (a copy), with all their columns."""
        index = np.asarray(rows)
        if index.dtype != np.bool_:
            index = index.astype(np.int64)
        return LabelledImages(
            images=self.images[index],
            labels=self.labels[index],
            class_names=self.class_names,
            split=None if self.split is None else self.split[index],
            group=None if self.group is None else self.group[index],
            extra={name: column[index] for name, column in self.extra.items()},
        )

    @property
    def is_split(self) -> bool:
        """Whether the set brings a split: rows of which some are for testing."""
        return self.split is not None and bool((self.split == TEST).any())

    def part(self, which: int) -> LabelledImages:
        """The rows of one part of the split, `TRAIN` or `TEST`; without a split everything is `TRAIN`."""
        if self.split is None:
            return self if which == TRAIN else self.subset([])
        return self.subset(np.flatnonzero(self.split == which))

    def counts_of(self, which: int) -> NDArray[np.int64]:
        """Images a class of one part of the split, shape (n_classes,)."""
        if self.split is None:
            return self.counts if which == TRAIN else np.zeros(self.n_classes, dtype=np.int64)
        return np.bincount(self.labels[self.split == which], minlength=self.n_classes).astype(np.int64)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over shape, pixels, labels, class names, split and group."""
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        for column in (self.images, self.labels, self.split, self.group):
            digest.update(b"none" if column is None else np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def _whole_numbers(name: str, column: NDArray[Any], hint: str) -> NDArray[np.int64]:
    """A column (n,) as int64, as a file gives it back: another type would be another fingerprint."""
    values = np.asarray(column)
    if values.dtype.kind not in "iub" or values.ndim != 1:
        raise DataError(
            f"{name} has dtype {values.dtype} and shape {values.shape}; whole numbers (n,) are needed{hint}"
        )
    return values.astype(np.int64, copy=False)
