"""Both ways to write a set, behind one door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from numpy.typing import DTypeLike

from augmentgan.data.columns import GROUP
from augmentgan.data.folder_writer import FolderWriter, check_folder, refuse_folder, write_attributes
from augmentgan.data.hdf5 import Hdf5Writer, write_hdf5
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.errors import OutputError, did_you_mean
from augmentgan.files import atomic_folder, refuse_existing

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
    labels: Iterable[int] | None = None,
) -> Hdf5Writer | FolderWriter:
    """A writer to use in a `with` block; what it writes appears whole when the block ends, or not at all.

    `scratch` is an existing folder on the same disk where the output is prepared; beside `path` where left out. `labels` are those of the
    classes that will have images; all where left out.

    Raises:
        OutputError: the output exists or cannot be written.
    """
    if _checked(format) == "folder":
        return FolderWriter(
            path, class_names=class_names, attributes=attributes, overwrite=overwrite, scratch=scratch, labels=labels
        )
    return Hdf5Writer(
        path,
        shape=shape,
        class_names=class_names,
        attributes=attributes,
        columns=columns,
        overwrite=overwrite,
        scratch=scratch,
    )


def refuse_place(
    path: Path, format: Format, *, overwrite: bool, synthetic: bool = True, hint: str | None = None
) -> None:
    """Refuse a place where no set may be written, without touching it: known before the work begins.

    Args:
        path: the file or folder.
        format: of the set.
        overwrite: whether an earlier set there may be replaced.
        synthetic: whether it is one of samples, which in a folder takes no other's place.
        hint: what the user can do, see `refuse_existing`.

    Raises:
        OutputError: what is there may not be replaced.
    """
    if _checked(format) == "folder":
        refuse_folder(path, overwrite=overwrite, synthetic=synthetic, hint=hint)
    else:
        _refuse_other_formats(path)
        refuse_existing(path, overwrite=overwrite, file=True, hint=hint)


def save(
    data: LabelledImages,
    path: str | Path,
    format: Format | None = None,
    *,
    attributes: Mapping[str, str | int | float] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a set, for `load` and other libraries; `load` gives images at its working size, and of a folder no further columns.

    Args:
        data: with its split, which becomes `train/` and `test/` in a folder. Further columns are those of docs/file-formats.md.
        path: the file or folder.
        format: by default "hdf5" for a name that ends in .h5 or .hdf5, otherwise "folder".
        attributes: provenance, kept beside the images.
        overwrite: whether what is there may be replaced.

    Raises:
        DataError: a further column that HDF5 files of ours do not have.
        OutputError: the output exists, cannot be written, or a class name cannot be a folder's.
    """
    path, attributes = Path(path), attributes or {}
    if (format_for(path) if format is None else _checked(format)) == "hdf5":
        write_hdf5(path, data, attributes, overwrite=overwrite)
        return
    if not data.is_split:
        _save_folder(data, path, attributes, overwrite)
        return
    check_folder(path, data.class_names, attributes, overwrite=overwrite)
    with atomic_folder(path, overwrite=overwrite) as part:
        write_attributes(part, data.class_names, attributes)
        for name, which in (("train", TRAIN), ("test", TEST)):
            _save_folder(data.part(which), part / name, attributes, overwrite=False)


def _save_folder(
    data: LabelledImages, path: Path, attributes: Mapping[str, str | int | float], overwrite: bool
) -> None:
    columns = data.extra if data.group is None else {GROUP: data.group, **data.extra}
    with FolderWriter(path, class_names=data.class_names, attributes=attributes, overwrite=overwrite) as writer:
        writer.append(data.images, data.labels, **columns)


def _checked(format: Format) -> Format:
    """The format, if it is one.

    Raises:
        OutputError: it is not.
    """
    if format not in get_args(Format):
        raise OutputError(f"format {format!r} is not known; {did_you_mean(str(format), get_args(Format))}")
    return format


_OTHER_FORMATS = (".npz", ".npy", ".csv", ".tsv", ".json", ".jsonl", ".zip", ".tar", ".gz", ".pkl", ".pt", ".png")


def format_for(path: Path) -> Format:
    """The format that a name asks for.

    Raises:
        OutputError: the name is that of a file that is never written.
    """
    _refuse_other_formats(path)
    return "hdf5" if path.suffix.lower() in (".h5", ".hdf5") else "folder"


def _refuse_other_formats(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in _OTHER_FORMATS:
        name = path.with_suffix(".h5").name
        raise OutputError(
            f"output {str(path)!r}: {suffix} is not written; use {name!r}, or a name without it for a folder"
        )


def how_to_load(path: Path, format: Format) -> str:
    """Python that loads what was written, without augmentgan."""
    if format == "folder":
        return f"torchvision.datasets.ImageFolder({str(path)!r})"
    return f"h5py.File({str(path)!r})['images'][:], ['labels'][:]"
