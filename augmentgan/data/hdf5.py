"""HDF5, in and out: the schema of docs/file-formats.md."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from augmentgan.data.arrays import check_expansion, check_images, check_labels, numbered_classes
from augmentgan.data.columns import COLUMNS, GROUP, SPLIT, dimensions_of, kinds_of
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError, one_line
from augmentgan.files import atomic_file, parse_json, refuse_existing

_CHUNK_BYTES = 512 * 1024
"""At most, but for a single row: a chunk that HDF5 cannot hold in its cache of 1 MiB is written anew with every few rows."""
_COLUMN_ROWS = 8192
_CHUNKS_AT_ONCE = 4
"""Growing and writing every column costs about the same for few rows as for many."""


def read_hdf5(path: Path, class_names: Sequence[str] | None = None) -> LabelledImages:
    """Read `images`, `labels` and what else the schema knows, at native size.

    A child process does the reading (`hdf5_child`): what a hostile file does to the HDF5 library, it does not do to us.

    Args:
        path: the file.
        class_names: in label order, where they are known from elsewhere; the file's own are passed over then.

    Raises:
        DataError: not HDF5, or content that is not the schema's.
    """
    if not path.is_file():  # a pipe would be waited for without end
        raise DataError(
            f"file {str(path)!r} {'is not a regular file' if path.exists() else 'does not exist'}; name an HDF5 file"
        )
    # what runs is this interpreter with our own file, and nothing from the working folder (-P); the path is an argument
    child_file = str(Path(__file__).with_name("hdf5_child.py"))
    command = [sys.executable, "-P", child_file, os.path.abspath(path), "images", "labels", *COLUMNS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603
        try:
            return _received(child, path, class_names)
        finally:
            child.kill()  # where we refused what it announced, it need not go on


def _received(child: subprocess.Popen[bytes], path: Path, class_names: Sequence[str] | None) -> LabelledImages:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.endswith(b"\n"):
        raise _unreadable(child, path)
    header = json.loads(line)
    columns: dict[str, dict[str, Any]] = header["columns"]
    _refuse_misplaced(header, path)
    images, labels = (_needed(columns, name, header["found"], path) for name in ("images", "labels"))
    shape = _shape(images)
    check_images(f"{str(path)!r}: images", _dtype(images), shape, images["stored_bytes"])
    check_labels(f"{str(path)!r}: labels", _dtype(labels), _shape(labels), shape[0])
    for name, column in columns.items():
        if not column["stored_here"]:
            raise _elsewhere(path, name)
        if name not in ("images", "labels"):
            _check_column(name, column, shape[0], path)
        if not column["plain"]:
            raise DataError(f"{str(path)!r}: {name} has dtype {column['dtype']}; store numbers of at most 64 bits")
        check_expansion(
            f"{str(path)!r}: {name}", math.prod(_shape(column)) * _dtype(column).itemsize, column["stored_bytes"]
        )
    try:
        # in the order in which the child sends them
        values = {name: _receive(child, path, columns[name]) for name in columns}
        pixels, label_values = values.pop("images"), values.pop("labels").reshape(-1).astype(np.int64)
        names = _class_names(header["class_names"], path) if class_names is None else tuple(class_names)
        if names is None:
            label_values, names = numbered_classes(label_values)
        return LabelledImages(
            images=pixels[..., None] if pixels.ndim == 3 else pixels,
            labels=label_values,
            class_names=names,
            split=_whole(values.pop(SPLIT, None)),
            group=_whole(values.pop(GROUP, None)),
            extra=values,
        )
    except MemoryError as error:
        gib = math.prod(shape) / 2**30
        raise DataError(f"{str(path)!r}: there is no memory for {gib:.1f} GiB of images; store fewer") from error
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{str(path)!r}: {error}") from error


def _refuse_misplaced(header: Mapping[str, Any], path: Path) -> None:
    """Refuse datasets that would be passed over although somebody counts on them."""
    for name in header["misplaced"]:
        if name == "class_names":
            if header["class_names"] is None:
                raise DataError(
                    f"{str(path)!r}: class_names is a dataset; store a JSON list as the file's attribute of that name"
                )
        elif "images" in header["columns"]:
            raise DataError(
                f"{str(path)!r} has 'images' and also {name!r}; store all in images and labels, and mark parts in split (0 train, 1 test)"
            )


def _needed(columns: Mapping[str, dict[str, Any]], name: str, found: Sequence[str], path: Path) -> dict[str, Any]:
    if name not in columns:
        listed = ", ".join(repr(each)[1:-1] for each in found) or "nothing"
        raise DataError(f"{str(path)!r} has no dataset {name!r} (found: {listed}); add it")
    if not columns[name]["stored_here"]:
        raise _elsewhere(path, name)
    return columns[name]


def _elsewhere(path: Path, name: str) -> DataError:
    return DataError(f"{str(path)!r}: {name!r} is not a dataset stored in this file; links elsewhere are not followed")


def _unreadable(child: subprocess.Popen[bytes], path: Path) -> DataError:
    """What the child's end says; it may have been ended by its limits, or by the HDF5 library."""
    assert child.stderr is not None
    said = child.stderr.read().decode(errors="replace").strip()
    reason = one_line(said) if child.wait() == 1 and said else "it is damaged"
    return DataError(f"file {str(path)!r} is not a readable HDF5 file ({reason}); check that it is complete")


def _receive(child: subprocess.Popen[bytes], path: Path, column: Mapping[str, Any]) -> NDArray[Any]:
    values: NDArray[Any] = np.empty(column["shape"], dtype=column["dtype"])
    if values.size:
        assert child.stdout is not None
        left = memoryview(values.data).cast("B")
        while left:
            n = child.stdout.readinto(left)  # type: ignore[attr-defined]
            if not n:
                raise _unreadable(child, path)
            left = left[n:]
    return values


def _whole(values: NDArray[Any] | None) -> NDArray[np.int64] | None:
    return None if values is None else values.astype(np.int64)


def _check_column(name: str, column: Mapping[str, Any], n: int, path: Path) -> None:
    kinds = kinds_of(name)
    fits = column["shape"] is not None and len(column["shape"]) == dimensions_of(name) and column["shape"][0] == n
    if not fits or column["dtype"][0] not in kinds:
        noun = "whole numbers" if kinds == "iu" else "numbers"
        raise DataError(
            f"{str(path)!r}: {name} has dtype {_dtype(column)} and shape {_shape(column)}; {n} {noun} are needed"
        )


def _shape(column: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(column["shape"] or ())


def _dtype(column: Mapping[str, Any]) -> np.dtype[Any]:
    """The dtype; object for all that are not plain numbers."""
    return np.dtype(column["dtype"] if column["plain"] else object)


def _class_names(raw: str | None, path: Path) -> tuple[str, ...] | None:
    if raw is None:
        return None
    try:
        names = parse_json(raw)
    except ValueError as error:
        raise DataError(f"{str(path)!r}: attribute class_names is not JSON; store a JSON list of strings") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{str(path)!r}: attribute class_names is {raw!r:.60}; store a JSON list of strings")
    return tuple(names)


class Hdf5Writer:
    """Streams images into an HDF5 file that appears whole when the block ends, or not at all.

    Args:
        path: the file.
        shape: (h, w, c) of an image.
        class_names: in label order.
        attributes: file attributes beside `class_names`.
        columns: dtype of each further column.
        overwrite: whether an existing file may be replaced.
        scratch: where the file is prepared; beside `path` where left out.

    Raises:
        OutputError: the file exists, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, int, int],
        class_names: Sequence[str],
        attributes: Mapping[str, str | int | float],
        columns: Mapping[str, DTypeLike],
        overwrite: bool = False,
        scratch: Path | None = None,
    ) -> None:
        refuse_existing(path, overwrite=overwrite, file=True)
        self._path, self._shape, self._class_names = path, shape, tuple(class_names)
        self._attributes, self._columns, self._scratch = attributes, columns, scratch
        self._chunk_rows = max(1, _CHUNK_BYTES // int(np.prod(shape)))
        self._waiting: list[dict[str, NDArray[Any]]] = []
        self._n = 0

    def __enter__(self) -> Hdf5Writer:
        import h5py

        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_file(self._path, self._scratch))
            self._disk = stack.enter_context(_DeferredErrorFile(part, "w+b"))
            stack.callback(self._disk.check)  # after HDF5 has closed, before the file is taken for whole
            self._file = stack.enter_context(h5py.File(self._disk, "w"))
            for name, dtype in {"labels": np.int64, **self._columns}.items():
                base, shape = np.dtype(dtype).subdtype or (np.dtype(dtype), ())
                rows = max(1, min(_COLUMN_ROWS, _CHUNK_BYTES // np.dtype(dtype).itemsize))
                self._create(name, base, shape, rows, "gzip")
            self._file.attrs["class_names"] = json.dumps(list(self._class_names))
            for key, value in self._attributes.items():
                self._file.attrs[key] = value
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def append(self, images: NDArray[np.uint8], labels: NDArray[np.int64], **columns: NDArray[Any]) -> None:
        """Add rows; `columns` are those named at the start. They reach the file when a few chunks of them have come together."""
        self._waiting.append({"images": images, "labels": labels, **columns})
        if sum(len(rows["labels"]) for rows in self._waiting) >= _CHUNKS_AT_ONCE * self._chunk_rows:
            self._write_waiting()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_waiting()

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if "images" not in self._file:
            first = waiting[0]["images"] if waiting else np.empty((0, *self._shape), np.uint8)
            compression = "gzip" if _gzip_pays(first[: self._chunk_rows]) else None
            self._create("images", np.uint8, self._shape, self._chunk_rows, compression)
        if not waiting:
            return
        start, stop = self._n, self._n + sum(len(rows["labels"]) for rows in waiting)
        for name in waiting[0]:
            parts = [rows[name] for rows in waiting]
            dataset = self._file[name]
            dataset.resize(stop, axis=0)
            dataset[start:stop] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._n = stop
        self._disk.check()

    def _create(self, name: str, dtype: DTypeLike, shape: tuple[int, ...], rows: int, compression: str | None) -> None:
        self._file.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(rows, *shape),
            dtype=dtype,
            compression=compression,
            compression_opts=1 if compression else None,
            shuffle=np.dtype(dtype).itemsize > 1,
            track_times=False,
        )


class _DeferredErrorFile(io.FileIO):
    """A file that keeps a failure to itself until it is asked.

    The HDF5 library calls it, and may crash when a full disk, or Ctrl-C in the middle of a write, stops it.
    """

    failure: BaseException | None = None

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        n = len(left)
        try:
            while left and self.failure is None:
                left = left[super().write(left) :]
        except BaseException as error:
            self.failure = error
        return n

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except BaseException as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.failure is not None:
            raise self.failure


def _gzip_pays(images: NDArray[np.uint8]) -> bool:
    """Whether gzip makes a third of these images: the less it leaves the quicker it is, and of photos it leaves most."""
    plain = images.tobytes()
    return len(zlib.compress(plain, 1)) < len(plain) / 3


def write_hdf5(
    path: Path, data: LabelledImages, attributes: Mapping[str, str | int | float] | None = None, overwrite: bool = False
) -> None:
    """Write a whole set, with split, group and its further columns.

    Raises:
        DataError: a further column that the schema does not know, which nothing could read again.
        OutputError: the file exists, or cannot be written.
    """
    for name, values in data.extra.items():
        fits = name in COLUMNS and values.dtype.kind in kinds_of(name) and values.ndim == dimensions_of(name)
        if not fits:
            raise DataError(
                f"column {name!r} with dtype {values.dtype} and shape {values.shape} has no place in the file; "
                f"leave it out, or use one of {', '.join(COLUMNS)}"
            )
    columns = {SPLIT: data.split, GROUP: data.group, **data.extra}
    given = {name: values for name, values in columns.items() if values is not None}
    with Hdf5Writer(
        path,
        shape=(data.images.shape[1], data.images.shape[2], data.images.shape[3]),
        class_names=data.class_names,
        attributes=attributes or {},
        columns={name: np.dtype((values.dtype, values.shape[1:])) for name, values in given.items()},
        overwrite=overwrite,
    ) as writer:
        writer.append(data.images, data.labels, **given)
