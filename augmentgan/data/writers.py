"""Both ways to write a synthetic set, behind one door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from numpy.typing import DTypeLike

from augmentgan.data.hdf5 import Hdf5Writer
from augmentgan.data.image_folder import FolderWriter

Format = Literal["hdf5", "folder"]


def open_writer(
    path: Path,
    format: Format,
    *,
    shape: tuple[int, int, int],
    class_names: Sequence[str],
    attributes: Mapping[str, str | int | float],
    columns: Mapping[str, DTypeLike],
    overwrite: bool = False,
    scratch: Path | None = None,
) -> Hdf5Writer | FolderWriter:
    """A writer to use in a `with` block; what it writes appears whole when the block ends, or not at all.

    `scratch` is an existing folder on the same disk where the output is prepared; beside `path` where left out.

    Raises:
        OutputError: the output exists or cannot be written.
    """
    if format == "folder":
        return FolderWriter(path, class_names=class_names, attributes=attributes, overwrite=overwrite, scratch=scratch)
    return Hdf5Writer(
        path,
        shape=shape,
        class_names=class_names,
        attributes=attributes,
        columns=columns,
        overwrite=overwrite,
        scratch=scratch,
    )


def how_to_load(path: Path, format: Format) -> str:
    """Python that loads what was written, without augmentgan."""
    if format == "folder":
        return f"torchvision.datasets.ImageFolder({str(path)!r})"
    return f"h5py.File({str(path)!r})['images'][:], ['labels'][:]"
