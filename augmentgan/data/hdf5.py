"""HDF5, in and out: the schema of docs/file-formats.md."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from augmentgan.data.arrays import check_images, check_labels, numbered_classes
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError, OutputError
from augmentgan.files import refuse_existing, whole_file

EXTRA_COLUMNS = ("sample_index", "score", "nearest_real")
_CHUNK_BYTES = 512 * 1024
_CHILD_SECONDS = 10


def read_hdf5(path: Path) -> LabelledImages:
    """Read `images`, `labels` and what else the schema knows, at native size.

    Raises:
        DataError: not HDF5, or content that is not the schema's.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"file {str(path)!r} is not a readable HDF5 file; check that it is complete") from error
    with file:
        try:
            return _read(file, path)
        except DataError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise DataError(f"HDF5 file {str(path)!r} cannot be read ({reason}); check that it is complete") from error


def _read(file: Any, path: Path) -> LabelledImages:
    images = _dataset(file, "images", path)
    labels = _dataset(file, "labels", path)
    shape = images.shape
    check_images(f"{str(path)!r}: images", images.dtype, shape, images.id.get_storage_size())
    check_labels(f"{str(path)!r}: labels", labels.dtype, labels.shape, shape[0])
    label_values = labels[:].reshape(-1).astype(np.int64)
    names = _class_names(path)
    columns = {name: _column(file, name, shape[0], path) for name in ("split", "group", *EXTRA_COLUMNS) if name in file}
    pixels = images[:]
    try:
        if names is None:
            label_values, names = numbered_classes(label_values)
        return LabelledImages(
            images=pixels[..., None] if pixels.ndim == 3 else pixels,
            labels=label_values,
            class_names=names,
            split=columns.pop("split", None),
            group=columns.pop("group", None),
            extra=columns,
        )
    except DataError as error:
        raise DataError(f"{str(path)!r}: {error}") from error


def _dataset(file: Any, name: str, path: Path) -> Any:
    import h5py

    if name not in file:
        raise DataError(
            f"{str(path)!r} has no dataset {name!r} (found: {', '.join(list(file)[:6]) or 'nothing'}); add it"
        )
    link = file.get(name, getlink=True)
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise DataError(
            f"{str(path)!r}: {name!r} is not a dataset stored in this file; links elsewhere are not followed"
        )
    return dataset


def _column(file: Any, name: str, n: int, path: Path) -> NDArray[Any]:
    dataset = _dataset(file, name, path)
    if dataset.dtype.kind not in "iuf" or dataset.shape != (n,):
        raise DataError(
            f"{str(path)!r}: {name} has dtype {dataset.dtype} and shape {dataset.shape}; {n} numbers are needed"
        )
    values: NDArray[Any] = dataset[:]
    return values.astype(np.int64) if name in ("split", "group") else values


def _class_names(path: Path) -> tuple[str, ...] | None:
    raw = _text_attribute(path, "class_names")
    if raw is None:
        return None
    try:
        names = json.loads(raw)
    except (TypeError, ValueError) as error:
        raise DataError(f"{str(path)!r}: attribute class_names is not JSON; store a JSON list of strings") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{str(path)!r}: attribute class_names is {raw!r:.60}; store a JSON list of strings")
    return tuple(names)


def _text_attribute(path: Path, name: str) -> str | None:
    """A text attribute, or None where the file has none; read by a child process.

    Text of variable length lies in HDF5's global heap, and a damaged heap sends the C library into an endless loop or a
    segmentation fault (our fuzzing found both). A child's end is an error message; our own would be a crash.
    """
    code = (
        "import signal, sys\n"
        # should we be killed while we wait, the child still ends
        f"getattr(signal, 'alarm', lambda seconds: None)({_CHILD_SECONDS})\n"
        "import h5py\n"
        "with h5py.File(sys.argv[1], 'r') as file:\n"
        "    if sys.argv[2] not in file.attrs: sys.exit(0)\n"
        "    value = file.attrs[sys.argv[2]]\n"
        "text = value if isinstance(value, bytes) else str(value).encode()\n"
        "sys.stdout.buffer.write(b'=' + text)"
    )
    try:
        # what runs is this interpreter with our own text, and nothing from the working folder (-P); the path is an argument
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", code, os.path.abspath(path), name],
            capture_output=True,
            timeout=_CHILD_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise DataError(f"{str(path)!r}: attribute {name} is damaged; write the file again") from error
    return done.stdout[1:].decode(errors="replace") if done.stdout else None


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
        refuse_existing(path, overwrite=overwrite)
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(f"output {str(path)!r} is a folder; name a file such as synthetic.h5")
        self._path, self._shape, self._class_names = path, shape, tuple(class_names)
        self._attributes, self._columns, self._scratch = attributes, columns, scratch
        self._n = 0

    def __enter__(self) -> Hdf5Writer:
        import h5py

        with contextlib.ExitStack() as stack:
            part = stack.enter_context(whole_file(self._path, self._scratch))
            stack.enter_context(_hdf5_errors_explained())
            self._file = stack.enter_context(h5py.File(part, "w"))
            rows = max(1, _CHUNK_BYTES // int(np.prod(self._shape)))
            self._create("images", np.uint8, self._shape, (rows, *self._shape))
            self._create("labels", np.int64, (), (8192,))
            for name, dtype in self._columns.items():
                self._create(name, dtype, (), (8192,))
            self._file.attrs["class_names"] = json.dumps(list(self._class_names))
            for key, value in self._attributes.items():
                self._file.attrs[key] = value
            self._stack = stack.pop_all()
        return self

    def append(self, images: NDArray[np.uint8], labels: NDArray[np.int64], **columns: NDArray[Any]) -> None:
        """Add rows; `columns` are those named at the start."""
        stop = self._n + len(images)
        for name, values in {"images": images, "labels": labels, **columns}.items():
            dataset = self._file[name]
            dataset.resize(stop, axis=0)
            dataset[self._n : stop] = values
        self._n = stop

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _create(self, name: str, dtype: DTypeLike, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
        self._file.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=chunks,
            dtype=dtype,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            track_times=False,
        )


@contextlib.contextmanager
def _hdf5_errors_explained() -> Iterator[None]:
    """HDF5 reports a full disk as a `RuntimeError` at times; to us it is an `OSError` like any other."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(" ".join(str(error).split())[:120]) from error


def write_hdf5(
    path: Path, data: LabelledImages, attributes: Mapping[str, str | int | float] | None = None, overwrite: bool = False
) -> None:
    """Write a whole set, with split, group and its further columns."""
    columns = {"split": data.split, "group": data.group, **data.extra}
    given = {name: values for name, values in columns.items() if values is not None}
    with Hdf5Writer(
        path,
        shape=(data.images.shape[1], data.images.shape[2], data.images.shape[3]),
        class_names=data.class_names,
        attributes=attributes or {},
        columns={name: values.dtype for name, values in given.items()},
        overwrite=overwrite,
    ) as writer:
        writer.append(data.images, data.labels, **given)
