"""`load`: whatever people have, as square images of one size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    path = Path(path)
    tell = on_notice or (lambda line: None)
    if not path.exists():
        raise DataError(f"data {str(path)!r} does not exist; give a folder with one folder a class, or an HDF5 file")
    if path.is_dir():
        return _load_folder(path, size_px, channels, resize, skip_bad, tell)
    with path.open("rb") as file:
        start = file.read(8)
    if start == _HDF5_MAGIC or path.suffix.lower() in (".h5", ".hdf5"):
        return working_size(read_hdf5(path), size_px, channels, resize)
    raise DataError(f"data {str(path)!r} is neither a folder with one folder a class nor an HDF5 file")


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


def _load_folder(
    root: Path, size_px: int | None, channels: int | None, resize: Resize, skip_bad: bool, tell: Callable[[str], None]
) -> LabelledImages:
    scan = scan_folder(root)
    probes, bad = probe_all(scan.files)
    if bad and not skip_bad:
        raise _refusal(scan, bad)
    good = [found for found in probes if found is not None]
    if not good:
        raise DataError(
            f"folder {str(root)!r} holds {len(scan.files)} files and no image; put images in its class folders"
        )
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
    if bad and not skip_bad:
        raise _refusal(scan, bad)
    keep = [row for row, image in enumerate(decoded) if image is not None]
    images = np.stack([image for image in decoded if image is not None])
    if channels is None and wanted == 3 and _all_grey(images):
        images = np.ascontiguousarray(images[..., :1])
    if bad:
        first = next(file for file in scan.files if file in bad)
        tell(f"{len(bad)} bad files left out; the first: {bad[first]}")
    if scan.loose:
        tell(f"{len(scan.loose)} files beside the class folders ignored; the first: {scan.loose[0].name!r}")
    return LabelledImages(
        images,
        np.array(scan.labels, dtype=np.int64)[keep],
        scan.class_names,
        None if scan.split is None else np.array(scan.split, dtype=np.int64)[keep],
    )


def _refusal(scan: FolderScan, bad: dict[Path, str]) -> DataError:
    first = next(file for file in scan.files if file in bad)
    more = f" ({len(bad)} bad files in all)" if len(bad) > 1 else ""
    return DataError(f"{bad[first]}{more}, or leave bad files out with --skip-bad")


def _all_grey(images: NDArray[np.uint8]) -> bool:
    return bool((images[..., :1] == images).all())
