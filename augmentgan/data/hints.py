"""What to say of something that is no data set: what was looked for, and what it seems to be instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from augmentgan.data.file_list import IMAGE_SUFFIXES
from augmentgan.errors import DataError
from augmentgan.files import is_run

LOOKED_FOR_IN_A_FOLDER = (
    "one folder a class, train/ and test/ above such folders, metadata.jsonl or .csv with file_name and label, or MNIST's "
    "IDX files"
)
_FILES = (".h5", ".hdf5", ".npz", ".csv", ".tsv", ".jsonl")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth")


def no_such_data(path: Path) -> DataError:
    """The error for a path where nothing is."""
    return DataError(
        f"data {str(path)!r} does not exist; give a folder with one folder a class, or an HDF5, .npz, .csv or IDX file"
    )


def no_data_set(path: Path, linked: Sequence[Path] = ()) -> DataError:
    """The error for a file or folder that no reader takes; `linked` are links in it to folders, which are not followed."""
    if path.is_dir():
        return _folder(path, linked)
    hint_for = {
        IMAGE_SUFFIXES: "it is one image: give the folder that holds the class folders",
        _ARCHIVES: "it is an archive: unpack it and give the folder",
        _PICKLES: "nothing is ever unpickled: save images and labels with numpy.savez",
        (".npy",): "it is one array without labels: save images and labels with numpy.savez",
    }
    suffix = path.suffix.lower()
    hint = next((each for suffixes, each in hint_for.items() if suffix in suffixes), "convert it to one of these")
    return DataError(
        f"data {str(path)!r} is neither a folder nor a file of a known kind; looked for HDF5 (.h5, .hdf5), .npz, "
        f"a table of path,label (.csv, .tsv, .jsonl) and IDX (train-images-idx3-ubyte[.gz]); {hint}"
    )


def no_classes_in_parts(root: Path, parts: Sequence[str]) -> DataError:
    """The error for a tree whose parts hold images and no class folders: as classes they would be learned."""
    return DataError(
        f"folder {str(root)!r} holds {', '.join(sorted(parts))} without class folders in them; "
        f"{_named_table(root) or 'put each class in a folder of its own below them'}"
    )


def one_class_folder(root: Path, folder: Path) -> DataError:
    """The error for a folder with a single class folder, which is mostly a wrapper round the data set."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        return unreadable(folder, error)
    wraps = any(entry.is_dir() or entry.suffix.lower() in _FILES or "-idx" in entry.name for entry in entries)
    hint = _named_table(root) or (
        f"did you mean {str(folder)!r}?" if wraps else "put each class in a folder of its own, two classes at least"
    )
    return DataError(f"folder {str(root)!r} holds one class folder, {folder.name!r}; {hint}")


def unreadable(folder: Path, error: OSError) -> DataError:
    """The error for a folder that cannot be listed."""
    return DataError(f"folder {str(folder)!r} cannot be read ({error.strerror}); check its permissions")


def _named_table(folder: Path) -> str | None:
    """A question about a file beside the folders that looks like the data set itself."""
    known = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in _FILES and entry.is_file())
    return f"did you mean {str(known[0])!r}?" if known else None


def _folder(path: Path, linked: Sequence[Path]) -> DataError:
    if is_run(path):
        return DataError(f"folder {str(path)!r} is a run, not a data set; augmentgan fit --from-run {path} repeats it")
    loose = [entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir()]
    found = f"{len(loose)} loose files" if loose else "nothing"
    hint = _named_table(path) or "put each class in a folder of its own"
    if linked:
        hint = f"{linked[0].name!r} is a link to a folder, and those are not followed: copy the images"
    return DataError(
        f"folder {str(path)!r} holds {found} and no class folders; looked for {LOOKED_FOR_IN_A_FOLDER}; {hint}"
    )
