"""What to say of something that is no data set: what was looked for, and what it seems to be instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from augmentgan.errors import DataError

LOOKED_FOR_IN_A_FOLDER = (
    "one folder a class, train/ and test/ above such folders, metadata.jsonl or .csv with file_name and label, or MNIST's "
    "IDX files"
)
_FILES = (".h5", ".hdf5", ".npz", ".csv", ".tsv")
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
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
    mends = {
        _IMAGES: "it is one image: give the folder that holds the class folders",
        _ARCHIVES: "it is an archive: unpack it and give the folder",
        _PICKLES: "nothing is ever unpickled: save images and labels with numpy.savez",
        (".npy",): "it is one array without labels: save images and labels with numpy.savez",
    }
    suffix = path.suffix.lower()
    mend = next((each for suffixes, each in mends.items() if suffix in suffixes), "convert it to one of these")
    return DataError(
        f"data {str(path)!r} is neither a folder nor a file of a known kind; looked for HDF5 (.h5, .hdf5), .npz, "
        f"a table of path,label (.csv, .tsv, .jsonl) and IDX (train-images-idx3-ubyte[.gz]); {mend}"
    )


def _folder(path: Path, linked: Sequence[Path]) -> DataError:
    if (path / "run.json").exists():
        return DataError(f"folder {str(path)!r} is a run, not a data set; augmentgan fit --from-run {path} repeats it")
    loose = sorted(entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir())
    found = f"{len(loose)} loose files" if loose else "nothing"
    known = [file for file in loose if file.suffix.lower() in _FILES]
    mend = f"did you mean {str(known[0])!r}?" if known else "put each class in a folder of its own"
    if linked:
        mend = f"{linked[0].name!r} is a link to a folder, and those are not followed: copy the images"
    return DataError(
        f"folder {str(path)!r} holds {found} and no class folders; looked for {LOOKED_FOR_IN_A_FOLDER}; {mend}"
    )
