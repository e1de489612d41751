"""What every reader of whole arrays (HDF5, npz, IDX) checks before it believes what a file declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.images import TEST, LabelledImages
from augmentgan.errors import DataError

MAX_BYTES = 16 * 2**30
"""Images that declare more than this are refused before anything is read."""

MAX_EXPANSION = 250
"""Compressed images that declare more than this times what is stored are refused, above `_HARMLESS_BYTES`: deflate reaches
1000 on zeros, and pictures do not come near."""

_HARMLESS_BYTES = 64 * 2**20
_READ_BYTES = 2**20


def check_images(where: str, dtype: np.dtype[Any], shape: tuple[int, ...], stored_bytes: int) -> None:
    """Refuse images that are not uint8 (n, h, w[, c]), too large, or a decompression bomb.

    Args:
        where: file and array, as an error names them.
        dtype: as declared.
        shape: as declared.
        stored_bytes: what they take in the file.

    Raises:
        DataError: one of these.
    """
    if dtype != np.uint8:
        raise DataError(f"{where} have dtype {dtype}; store uint8 from 0 to 255")
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        raise DataError(f"{where} have shape {shape}; (n, h, w, c) with c = 1 or 3 is needed")
    check_expansion(where, int(np.prod(shape, dtype=object)), stored_bytes)


def check_expansion(where: str, declared_bytes: int, stored_bytes: int) -> None:
    """Refuse what does not fit into memory, or looks like a decompression bomb.

    Raises:
        DataError: more than `MAX_BYTES` is declared, or much more than can have been stored.
    """
    if declared_bytes > MAX_BYTES:
        raise DataError(f"{where} declare {declared_bytes:,} bytes, over {MAX_BYTES // 2**30} GiB; store fewer")
    if declared_bytes > max(_HARMLESS_BYTES, MAX_EXPANSION * stored_bytes):
        raise DataError(
            f"{where} declare {declared_bytes:,} bytes but {stored_bytes:,} are stored, which looks like a decompression "
            "bomb; store them uncompressed if they are real"
        )


def check_labels(where: str, dtype: np.dtype[Any], shape: tuple[int, ...], n: int) -> None:
    """Refuse labels that are not one integer an image; (n, 1) counts as (n,).

    Raises:
        DataError: another dtype or shape.
    """
    if not np.issubdtype(dtype, np.integer) or shape not in ((n,), (n, 1)):
        raise DataError(f"{where} have dtype {dtype} and shape {shape}; store whole numbers of shape ({n},)")


def read_exactly(stream: IO[bytes], n_bytes: int, where: str) -> NDArray[np.uint8]:
    """Read a stream that must end after `n_bytes`.

    Raises:
        DataError: it ends earlier or goes on.
    """
    content, done = np.empty(n_bytes, dtype=np.uint8), 0
    while done < n_bytes:
        part = stream.read(min(_READ_BYTES, n_bytes - done))
        if not part:
            raise DataError(f"{where} end after {done:,} of the {n_bytes:,} bytes they declare; copy the file again")
        content[done : done + len(part)] = np.frombuffer(part, dtype=np.uint8)
        done += len(part)
    if stream.read(1):
        raise DataError(f"{where} go on after the {n_bytes:,} bytes they declare; copy the file again")
    return content


def numbered_classes(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels without names: each number that occurs is a class and its own name, in order.

    Returns:
        Labels (n,) from 0 without gaps, and the names.

    Raises:
        DataError: a negative label.
    """
    if len(labels) and labels.min() < 0:
        raise DataError(f"label {int(labels.min())} is out of range; number the classes from 0")
    numbers, dense = np.unique(labels, return_inverse=True)
    return dense.reshape(-1).astype(np.int64), tuple(str(number) for number in numbers.tolist())


def joined_parts(parts: Sequence[tuple[int, NDArray[np.uint8], NDArray[Any]]], where: str) -> LabelledImages:
    """One set out of (split, images, labels) parts, which are the split unless all are for training.

    Raises:
        DataError: parts of different image sizes, or unusable labels.
    """
    sizes = [images.shape[1:] for _, images, _ in parts]
    if len(set(sizes)) > 1:
        raise DataError(f"{where}: the parts hold images of different shapes {sorted(set(sizes))}; make them alike")
    images = np.concatenate([images for _, images, _ in parts]) if len(parts) > 1 else parts[0][1]
    labels = np.concatenate([labels.reshape(-1).astype(np.int64) for _, _, labels in parts])
    marks = np.repeat([which for which, _, _ in parts], [len(images) for _, images, _ in parts]).astype(np.int64)
    try:
        dense, names = numbered_classes(labels)
        return LabelledImages(
            images if images.ndim == 4 else images[..., None],
            dense,
            names,
            split=marks if TEST in marks else None,
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
