"""`load`: whatever people have, as square images of one size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.decode import Probe, Resize, decode, probe, resize_array
from augmentgan.data.folder import FolderScan, scan_folder
from augmentgan.data.hdf5 import read_hdf5
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.recipe import DataFacts, automatic_size

_THREADS = 4
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def load(
    path: str | Path,
    *,
    size_px: int | None = None,
    channels: int | None = None,
    resize: Resize = "crop",
    skip_bad: bool = False,
    on_notice: Callable[[str], None] | None = None,
) -> LabelledImages:
    """Read a labelled image set and bring it to the working size.

    Args:
        path: a class-per-folder tree, or an HDF5 file.
        size_px: side of the result; by default near the native size (`recipe.automatic_size`).
        channels: 1 or 3; by default 1 where every image is grey.
        resize: what happens to images that are not square.
        skip_bad: leave bad files out instead of refusing the set.
        on_notice: called with a line about anything left out.

    Returns:
        Images of shape (n, size_px, size_px, channels).

    Raises:
        DataError: nothing there, or something that cannot be used.
    """
    path = existing(path)
    tell = on_notice or (lambda line: None)
    if path.is_dir():
        return _load_folder(path, size_px, channels, resize, skip_bad, tell)
    if is_hdf5(path):
        return working_size(read_hdf5(path), size_px, channels, resize)
    raise unknown_kind(path)


def existing(path: str | Path) -> Path:
    """The path, if there is something.

    Raises:
        DataError: there is nothing.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"data {str(path)!r} does not exist; give a folder with one folder a class, or an HDF5 file")
    return path


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, by its first bytes or its name.

    Raises:
        DataError: the file cannot be opened.
    """
    if path.is_dir():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise DataError(f"file {str(path)!r} cannot be opened ({error.strerror}); check its permissions") from error
    return start == _HDF5_MAGIC or path.suffix.lower() in (".h5", ".hdf5")


def unknown_kind(path: Path) -> DataError:
    """The error for a file of no known kind."""
    return DataError(f"data {str(path)!r} is neither a folder with one folder a class nor an HDF5 file; convert it")


def working_size(
    data: LabelledImages, size_px: int | None = None, channels: int | None = None, resize: Resize = "crop"
) -> LabelledImages:
    """The set at a square size; the same object where nothing changes."""
    _, height, width, native_channels = data.images.shape
    size_px = size_px or automatic_size(min(height, width))
    channels = channels or (1 if native_channels == 1 or _all_grey(data.images) else 3)
    if (height, width, native_channels) == (size_px, size_px, channels):
        return data
    images = np.empty((len(data), size_px, size_px, channels), dtype=np.uint8)
    for row, image in enumerate(data.images):
        images[row] = resize_array(image, size_px, channels, resize)
    return LabelledImages(images, data.labels, data.class_names, data.split, data.group, data.extra)


def facts(data: LabelledImages, n_images: int | None = None) -> DataFacts:
    """What a recipe needs to know of a set that was loaded."""
    return DataFacts(data.images.shape[1], 1 if data.channels == 1 else 3, n_images or len(data), data.n_classes)


def probe_all(files: tuple[Path, ...]) -> tuple[list[Probe | None], dict[Path, str]]:
    """The header of every file, and the reason for each that has none."""
    bad: dict[Path, str] = {}

    def one(file: Path) -> Probe | None:
        try:
            return probe(file)
        except DataError as error:
            bad[file] = str(error)
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        probes = list(pool.map(one, files))
    return probes, bad


@dataclass(frozen=True)
class FolderImages:
    """A class-per-folder tree, read.

    Attributes:
        scan: its files.
        probes: the header of each file; None for a bad one.
        bad: the reason for each file that cannot be used.
        files: the file behind each image.
        data: the images; None where there is none, or where reading stopped at a bad file.
    """

    scan: FolderScan
    probes: list[Probe | None]
    bad: dict[Path, str]
    files: tuple[Path, ...]
    data: LabelledImages | None


def read_folder(
    root: Path, size_px: int | None, channels: int | None, resize: Resize, *, stop_at_bad: bool
) -> FolderImages:
    """Read every image of a tree, noting the bad ones; with `stop_at_bad`, decode nothing when a header is bad.

    Raises:
        DataError: no class folders.
    """
    scan = scan_folder(root)
    probes, bad = probe_all(scan.files)
    good = [found for found in probes if found is not None]
    if not good or (bad and stop_at_bad):
        return FolderImages(scan, probes, bad, (), None)
    side = size_px or automatic_size(int(np.median([min(found.width, found.height) for found in good])))
    wanted = channels or max(found.channels for found in good)

    def one(file: Path) -> NDArray[np.uint8] | None:
        if file in bad:
            return None
        try:
            return decode(file, side, wanted, resize)
        except DataError as error:
            bad[file] = str(error)
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        decoded = list(pool.map(one, scan.files))
    keep = [row for row, image in enumerate(decoded) if image is not None]
    if not keep:
        return FolderImages(scan, probes, bad, (), None)
    images = np.stack([image for image in decoded if image is not None])
    if channels is None and wanted == 3 and _all_grey(images):
        images = np.ascontiguousarray(images[..., :1])
    data = LabelledImages(
        images,
        np.array(scan.labels, dtype=np.int64)[keep],
        scan.class_names,
        None if scan.split is None else np.array(scan.split, dtype=np.int64)[keep],
    )
    return FolderImages(scan, probes, bad, tuple(scan.files[row] for row in keep), data)


def refusal(found: FolderImages, root: Path) -> DataError | None:
    """Why a tree is refused where bad files are not left out; None where it is not."""
    if not found.scan.files or len(found.bad) == len(found.scan.files):
        n = len(found.scan.files)
        return DataError(f"folder {str(root)!r} holds {n} files and no image; put images in its class folders")
    if not found.bad:
        return None
    first = next(file for file in found.scan.files if file in found.bad)
    more = f" ({len(found.bad)} bad files in all)" if len(found.bad) > 1 else ""
    return DataError(f"{found.bad[first]}{more}, or leave bad files out with --skip-bad")


def _load_folder(
    root: Path, size_px: int | None, channels: int | None, resize: Resize, skip_bad: bool, tell: Callable[[str], None]
) -> LabelledImages:
    found = read_folder(root, size_px, channels, resize, stop_at_bad=not skip_bad)
    problem = refusal(found, root)
    if problem is not None and (found.data is None or not skip_bad):
        raise problem
    assert found.data is not None
    if found.bad:
        first = next(file for file in found.scan.files if file in found.bad)
        tell(f"{len(found.bad)} bad files left out; the first: {found.bad[first]}")
    if found.scan.loose:
        tell(f"{len(found.scan.loose)} files beside the class folders ignored; the first: {found.scan.loose[0].name!r}")
    return found.data


def _all_grey(images: NDArray[np.uint8]) -> bool:
    return bool((images[..., :1] == images).all())
