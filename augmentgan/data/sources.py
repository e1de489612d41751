"""Which kind of data set a path is, and the reader for it; every kind ends as whole arrays or as a list of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from augmentgan.data.file_list import FileList
from augmentgan.data.folder import scan_folder
from augmentgan.data.hdf5 import read_hdf5
from augmentgan.data.hints import no_data_set, no_such_data
from augmentgan.data.idx import is_idx, read_idx
from augmentgan.data.images import LabelledImages
from augmentgan.data.npz import read_npz
from augmentgan.data.tables import TABLE_SUFFIXES, metadata_files, scan_imagefolder, scan_table
from augmentgan.errors import DataError
from augmentgan.files import is_run

Kind = Literal["folder", "imagefolder", "table", "hdf5", "npz", "idx"]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def kind_of(path: Path) -> Kind:
    """What a path holds, by its first bytes, its name and the names in it.

    Raises:
        DataError: nothing there, nothing that can be opened, or no known kind.
    """
    try:
        if not path.exists():
            raise no_such_data(path)
        if path.is_dir():
            return _kind_of_folder(path)
        if not path.is_file():  # opening a pipe waits for ever
            raise DataError(f"data {str(path)!r} is not a regular file; give a folder or a file")
        with path.open("rb") as file:
            start = file.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise DataError(f"data {str(path)!r} cannot be opened ({error.strerror}); check its permissions") from error
    suffix = path.suffix.lower()
    if start == _HDF5_MAGIC or suffix in (".h5", ".hdf5"):
        return "hdf5"
    if suffix == ".npz":
        return "npz"
    if suffix in TABLE_SUFFIXES:
        return "table"
    if is_idx(path):
        return "idx"
    raise no_data_set(path)


def _kind_of_folder(path: Path) -> Kind:
    if is_run(path):
        raise no_data_set(path)
    if metadata_files(path):
        return "imagefolder"
    return "idx" if is_idx(path) else "folder"


def read_source(
    path: Path, on_notice: Callable[[str], None] = lambda line: None
) -> tuple[Kind, LabelledImages | FileList]:
    """A data set at native size, or where it is made of image files, the list of them.

    Args:
        path: the file or folder.
        on_notice: called with a line about what people may not expect of arrays; a list of files has such lines itself.

    Raises:
        DataError: nothing there, no known kind, or something that cannot be used.
    """
    kind = kind_of(path)
    match kind:
        case "hdf5":
            return kind, read_hdf5(path)
        case "npz":
            return kind, read_npz(path, on_notice)
        case "idx":
            return kind, read_idx(path)
        case "table":
            return kind, scan_table(path)
        case "imagefolder":
            return kind, scan_imagefolder(path)
        case "folder":
            return kind, scan_folder(path)
