"""NumPy's .npz: `images` and `labels`, MedMNIST's `train_images`, ..., or Keras's `x_train`, ...; never a pickle.

numpy's own loader is not used, for it allocates what a header declares before it looks at what is there.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from augmentgan.data.arrays import check_expansion, check_images, check_labels, joined_parts, read_exactly
from augmentgan.data.file_list import SPLIT_WORDS, validation_notices
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError, one_line

_LAYOUTS: tuple[tuple[tuple[str, str, str], ...], ...] = (
    (("images", "labels", "train"),),
    (
        ("train_images", "train_labels", "train"),
        ("val_images", "val_labels", "val"),
        ("test_images", "test_labels", "test"),
    ),
    (("x_train", "y_train", "train"), ("x_val", "y_val", "val"), ("x_test", "y_test", "test")),
)
_KNOWN = {name for layout in _LAYOUTS for *columns, _ in layout for name in columns}


def read_npz(path: Path, on_notice: Callable[[str], None] = lambda line: None) -> LabelledImages:
    """Read a set from an .npz file, at native size.

    `class_names`, `split` and `group` are optional beside `images` and `labels`.

    Args:
        path: the file.
        on_notice: called with a line about a validation part that counts as training data.

    Raises:
        DataError: not an .npz file, or arrays that are missing, pickled, damaged or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path, on_notice)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever a broken file brings them to
        reason = one_line(error)
        raise DataError(f"npz file {str(path)!r} cannot be read ({reason}); check that it is complete") from error


def _read(archive: zipfile.ZipFile, path: Path, tell: Callable[[str], None]) -> LabelledImages:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    layout = next((each for each in _LAYOUTS if any(images in names for images, _, _ in each)), None)
    if layout is None:
        found = ", ".join(repr(name) for name in names[:6]) or "nothing"  # a name may hold anything
        raise DataError(
            f"{str(path)!r} has neither 'images' nor 'train_images' nor 'x_train' (found: {found}); "
            "store images and labels"
        )
    mixed = sorted(_KNOWN.intersection(names) - {name for *columns, _ in layout for name in columns})
    if mixed:
        raise DataError(
            f"{str(path)!r} has {layout[0][0]!r} and also {mixed[0]!r}, which belong to different layouts; "
            "call all parts train_images, train_labels, test_images, test_labels"
        )
    parts, n_images = [], {}
    for images_name, labels_name, part in layout:
        which = SPLIT_WORDS[part]
        if images_name not in names:
            continue
        if labels_name not in names:
            raise DataError(f"{str(path)!r} has {images_name!r} but no {labels_name!r}; store one label an image")
        images = _array(archive, images_name, path)
        parts.append((which, images, _array(archive, labels_name, path, n=len(images))))
        n_images[part] = len(images)
    data = joined_parts(parts, repr(str(path)))
    split, group = (_column(archive, name, data, path) if name in names else None for name in ("split", "group"))
    for line in validation_notices(n_images) if split is None else ():
        tell(line)
    class_names = _array(archive, "class_names", path) if "class_names" in names else None
    try:
        data = replace(data, split=data.split if split is None else split, group=group)
        return data if class_names is None else _named(data, parts, class_names)
    except DataError as error:
        raise DataError(f"{str(path)!r}: {error}") from error


def _column(archive: zipfile.ZipFile, name: str, data: LabelledImages, path: Path) -> NDArray[np.int64]:
    return _array(archive, name, path, n=len(data)).reshape(-1).astype(np.int64)


def _named(data: LabelledImages, parts: list[tuple[int, Any, Any]], raw: NDArray[Any]) -> LabelledImages:
    """The set under given names, which the labels as stored count from 0."""
    names = tuple(name.decode() if isinstance(name, bytes) else name for name in raw.tolist())
    for name in names:
        name.encode()  # half of a surrogate pair cannot be written anywhere
    labels = np.concatenate([labels.reshape(-1).astype(np.int64) for _, _, labels in parts])
    return replace(data, labels=labels, class_names=names)


def _array(archive: zipfile.ZipFile, name: str, path: Path, n: int | None = None) -> NDArray[Any]:
    """One array: images, `class_names`, or, with `n`, a column of n integers."""
    where = f"{str(path)!r}: {name}"
    entry = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where} are compressed in an unusual way; write the file with numpy.savez_compressed")
    stored_bytes = min(entry.compress_size, path.stat().st_size)
    check_expansion(where, entry.file_size, stored_bytes)
    with archive.open(entry) as stream:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote are no concern of the user's
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise DataError(f"{where} are stored in npy version {version}; write the file with numpy.savez")
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, by_columns, dtype = read_header(stream)
        if dtype.hasobject:
            raise DataError(
                f"{where} hold Python objects, which would have to be unpickled; store plain numbers or text"
            )
        if any(side < 0 for side in shape):
            raise DataError(f"{where} declare shape {shape}; check the file")
        if n is not None:
            check_labels(where, dtype, shape, n)
        elif name == "class_names":
            if dtype.kind not in "US" or len(shape) != 1:
                raise DataError(f"{where} have dtype {dtype} and shape {shape}; store a list of texts")
        else:
            check_images(where, dtype, shape, stored_bytes)
        n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if n_bytes != entry.file_size - stream.tell():
            raise DataError(
                f"{where} declare shape {shape}, {n_bytes:,} bytes, but hold {entry.file_size - stream.tell():,}; "
                "write the file again"
            )
        content = read_exactly(stream, n_bytes, where).view(dtype)
    return content.reshape(shape, order="F" if by_columns else "C")
