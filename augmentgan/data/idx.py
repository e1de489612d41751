"""IDX, the format of MNIST's own files (LeCun, Cortes & Burges): a pair of images and labels, plain or gzipped."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.arrays import check_images, check_labels, joined_parts, read_exactly
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.errors import DataError, one_line

_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)?-?(?P<what>images|labels)[-.]idx(?P<axes>\d)-ubyte(?P<gz>\.gz)?"
)
_PARTS = {"train": TRAIN, None: TRAIN, "t10k": TEST, "test": TEST}
_GZIP_MAGIC, _UBYTE = b"\x1f\x8b", 8


def is_idx(path: Path) -> bool:
    """Whether a path is an IDX file, by its name, or a folder that holds some."""
    if path.is_dir():
        return any(_named(file) for file in path.iterdir())
    return _named(path) is not None


def read_idx(path: Path) -> LabelledImages:
    """Read a set of IDX files, at native size; the numbers are the class names.

    Args:
        path: a folder with `train-images-idx3-ubyte` and its like, where `t10k-` or `test-` marks the test part, or one
            of the files, which stands for itself and its partner.

    Raises:
        DataError: a file without its partner, files of more than one set, or content that is not what the header says.
    """
    if not path.is_dir():
        return joined_parts([(TRAIN, *_read_pair(path))], repr(str(path)))
    found: dict[str, dict[int, Path]] = {}
    for file in sorted(path.iterdir(), reverse=True):  # the plain file comes after, and instead of, its gzipped copy
        name = _named(file)
        if name is not None and name["what"] == "images":
            found.setdefault(name["set"], {})[_PARTS[name["part"]]] = file
    if len(found) != 1:
        sets = ", ".join(repr(next(iter(parts.values())).name) for parts in list(found.values())[:4])
        raise DataError(
            f"folder {str(path)!r} holds "
            + (
                f"IDX files of {len(found)} sets ({sets}); name one of the files"
                if found
                else "IDX labels without images"
            )
        )
    (parts,) = found.values()
    return joined_parts([(which, *_read_pair(file)) for which, file in sorted(parts.items())], repr(str(path)))


def _named(file: Path) -> re.Match[str] | None:
    """The parts of an IDX file's name; archives on the web hold folders of such names, too."""
    name = _NAME.fullmatch(file.name)
    return None if name is None or file.is_dir() else name


def _read_pair(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    name = _named(file)
    assert name is not None
    start = file.name[: name.start("what")]
    images, labels = (_partner(file.parent, start, what) for what in ("images", "labels"))
    if images is None or labels is None:
        missing = "labels" if labels is None else "images"
        axes = 1 if labels is None else 3
        raise DataError(
            f"IDX file {str(file)!r} has no partner {start}{missing}-idx{axes}-ubyte[.gz]; put both into one folder"
        )
    pixels = _read_file(images, n=None)
    return pixels, _read_file(labels, n=len(pixels))


def _partner(folder: Path, start: str, what: str) -> Path | None:
    files: Iterable[Path] = sorted(folder.iterdir())  # the plain file comes before its gzipped copy
    for file in files:
        name = _named(file)
        if name is not None and name["what"] == what and file.name[: name.start("what")] == start:
            return file
    return None


def _read_file(path: Path, n: int | None) -> NDArray[np.uint8]:
    """The content of a file: images, or with `n` that many labels."""
    if not path.is_file():  # a pipe would be waited for without end
        raise DataError(f"IDX file {str(path)!r} is not a regular file; copy it again")
    where = f"IDX file {str(path)!r}: its {'images' if n is None else 'labels'}"
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                return _read_stream(raw, where, path.stat().st_size, n)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read_stream(stream, where, path.stat().st_size, n)
    except (OSError, EOFError, zlib.error) as error:  # gzip's own errors are OSErrors
        reason = one_line(error)
        raise DataError(f"IDX file {str(path)!r} cannot be read ({reason}); copy it again") from error


def _read_stream(stream: IO[bytes] | Any, where: str, stored_bytes: int, n: int | None) -> NDArray[np.uint8]:
    start = stream.read(4)
    n_axes = start[3] if len(start) == 4 else 0
    if start[:3] != bytes([0, 0, _UBYTE]) or n_axes not in (1, 3, 4):
        raise DataError(
            f"{where} start with {start.hex() or 'nothing'}, which is not an IDX header of unsigned bytes; copy it again"
        )
    sides = stream.read(4 * n_axes)
    if len(sides) < 4 * n_axes:
        raise DataError(f"{where} end within the header; copy the file again")
    shape = tuple(int(side) for side in np.frombuffer(sides, dtype=">u4"))
    if n is None:
        check_images(where, np.dtype(np.uint8), shape, stored_bytes)
    else:
        check_labels(where, np.dtype(np.uint8), shape, n)
    return read_exactly(stream, int(np.prod(shape, dtype=object)), where).reshape(shape)
