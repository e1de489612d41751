"""`load`: whatever people have, as square images of one size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.decode import DEEP_MODES, Probe, Resize, decode, image_warnings_suppressed, probe, resize_array
from augmentgan.data.file_list import FileList
from augmentgan.data.images import TEST, LabelledImages
from augmentgan.data.sources import read_source
from augmentgan.errors import DataError, did_you_mean
from augmentgan.recipe import DataFacts, Recipe, automatic_size

_THREADS = 4
_DARK = 63
"""Brightest grey level of 255 up to which 16-bit images are said to be dark: 14 bits or fewer were used."""
_OBLONG = 1.3
"""Ratio of the longer to the shorter side beyond which the centre crop is told of; photographs of 4:3 lose a quarter."""


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
        path: a class-per-folder tree, a folder with metadata.jsonl or MNIST's IDX files, or a file: HDF5, .npz, IDX or a
            CSV of path,label.
        size_px: side of the result; by default near the native size (`recipe.automatic_size`).
        channels: 1 or 3; by default 1 where every image is grey.
        resize: what happens to images that are not square.
        skip_bad: leave bad files out instead of refusing the set.
        on_notice: called with a line about anything left out, or used in a way that people may not expect.

    Returns:
        Images of shape (n, size_px, size_px, channels).

    Raises:
        DataError: nothing there, or something that cannot be used; or an unusable size or number of channels.
    """
    check_size(size_px)
    if channels not in (None, 1, 3):
        raise DataError(f"channels {channels}: give 1 (grey) or 3 (RGB), or leave it out")
    if resize not in get_args(Resize):
        raise DataError(f"resize {resize!r} is not known; {did_you_mean(str(resize), get_args(Resize))}")
    tell = on_notice or (lambda line: None)
    _, source = read_source(Path(path), tell)
    if isinstance(source, LabelledImages):
        if line := crop_notice([source.images.shape[1:3]], resize):
            tell(line)
        data = working_size(source, size_px, channels, resize)
    else:
        data = _load_files(source, size_px, channels, resize, skip_bad, tell)
    refuse_zeros_and_ones(data)
    return data


def refuse_zeros_and_ones(data: LabelledImages) -> None:
    """Refuse images that were meant to go from 0 to 1: of 255 levels those are black.

    Raises:
        DataError: both values occur, and no other.
    """
    if len(data) and data.images.max() == 1 and data.images.min() == 0:
        raise DataError(
            "images hold only the values 0 and 1, of 255, and would be learned as black; multiply them by 255"
        )


def check_size(size_px: int | None) -> None:
    """Check a wish about the side of images, where there is one.

    Raises:
        DataError: below 1, or not a whole number.
    """
    if size_px is not None and (not isinstance(size_px, int | np.integer) or size_px < 1):
        raise DataError(f"size_px {size_px}: give a whole number from 1")


def load_for(
    recipe: Recipe,
    path: str | Path,
    *,
    skip_bad: bool = False,
    on_notice: Callable[[str], None] | None = None,
    like: LabelledImages | None = None,
) -> LabelledImages:
    """The images at `path` as the recipe wants them, or of the size of `like`; see `load`."""
    size_px, channels = recipe.data.given_size_px, recipe.data.given_channels
    if like is not None:
        size_px, channels = like.images.shape[1], like.channels
    return load(
        path, size_px=size_px, channels=channels, resize=recipe.data.resize, skip_bad=skip_bad, on_notice=on_notice
    )


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


def facts(train: LabelledImages) -> DataFacts:
    """What a recipe needs to know of the images to learn from."""
    counts = train.counts[train.counts > 0]
    imbalance = float(counts.max() / counts.min())
    return DataFacts(train.images.shape[1], 1 if train.channels == 1 else 3, len(train), train.n_classes, imbalance)


def probe_all(files: tuple[Path, ...]) -> tuple[list[Probe | None], dict[Path, str]]:
    """The header of every file, and the reason for each that has none."""
    bad: dict[Path, str] = {}

    def one(file: Path) -> Probe | None:
        try:
            return probe(file)
        except DataError as error:
            bad[file] = str(error)
            return None

    with image_warnings_suppressed(), ThreadPoolExecutor(_THREADS) as pool:
        probes = list(pool.map(one, files))
    return probes, bad


@dataclass(frozen=True)
class ReadFiles:
    """A list of image files, read.

    Attributes:
        probes: the header of each file; None for a bad one.
        bad: the reason for each file that cannot be used.
        files: the file behind each image.
        data: the images; None where there is none, or where reading stopped at a bad file.
        dark: a line about 16-bit images that use a small part of their range; None where there are none.
        cropped: `crop_notice`.
    """

    probes: list[Probe | None]
    bad: dict[Path, str]
    files: tuple[Path, ...]
    data: LabelledImages | None
    dark: str | None = None
    cropped: str | None = None


def read_files(
    listed: FileList, size_px: int | None, channels: int | None, resize: Resize, *, stop_at_bad: bool
) -> ReadFiles:
    """Read every image of a list, noting the bad ones; with `stop_at_bad`, decode nothing when a header is bad."""
    probes, bad = probe_all(listed.files)
    good = [found for found in probes if found is not None]
    if not good or (bad and stop_at_bad):
        return ReadFiles(probes, bad, (), None)
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

    with image_warnings_suppressed(), ThreadPoolExecutor(_THREADS) as pool:
        decoded = list(pool.map(one, listed.files))
    keep = [row for row, image in enumerate(decoded) if image is not None]
    if not keep:
        return ReadFiles(probes, bad, (), None)
    images = np.stack([image for image in decoded if image is not None])
    if channels is None and wanted == 3 and _all_grey(images):
        images = np.ascontiguousarray(images[..., :1])
    data = LabelledImages(
        images,
        np.array(listed.labels, dtype=np.int64)[keep],
        listed.class_names,
        split=None if listed.split is None else np.array(listed.split, dtype=np.int64)[keep],
        group=None if listed.group is None else np.array(listed.group, dtype=np.int64)[keep],
    )
    deep = [found is not None and found.mode in DEEP_MODES for found in (probes[row] for row in keep)]
    cropped = crop_notice([(found.height, found.width) for found in good], resize)
    return ReadFiles(probes, bad, tuple(listed.files[row] for row in keep), data, _darkness(images[deep]), cropped)


def crop_notice(sizes: Sequence[tuple[int, ...]], resize: Resize) -> str | None:
    """A line about what the centre crop costs images of these sizes (height, width); None where that is little or nothing."""
    ratio = float(np.median([max(size) / min(size) for size in sizes]))
    if resize != "crop" or ratio <= _OBLONG:
        return None
    lost = 100 * (1 - 1 / ratio)
    return f"centre crop cuts away {lost:.0f} % of the median image; --set data.resize=pad or stretch keeps all"


def _darkness(deep: NDArray[np.uint8]) -> str | None:
    """A line about images of 16 bits whose levels end far below the top, as those of 12-bit cameras do."""
    brightest = int(deep.max(initial=0))
    if not len(deep) or brightest > _DARK:
        return None
    return (
        f"{len(deep)} 16-bit images reach grey level {brightest} of 255 only, once divided by 257: nearly black; "
        "stretch them to the whole range (one factor for all)"
    )


def refusal(listed: FileList, found: ReadFiles) -> DataError | None:
    """Why a list of files is refused where bad ones are not left out; None where it is not."""
    if not listed.files or len(found.bad) == len(listed.files):
        first = f" ({found.bad[listed.files[0]]})" if listed.files else ""
        return DataError(
            f"folder {str(listed.root)!r} holds {len(listed.files)} files and no image that can be read{first}"
            + ("" if first else "; put images in its class folders")
        )
    if not found.bad:
        return None
    first_bad = next(file for file in listed.files if file in found.bad)
    more = f" ({len(found.bad)} bad files in all)" if len(found.bad) > 1 else ""
    return DataError(f"{found.bad[first_bad]}{more}, or leave bad files out with --skip-bad")


def lost_test_part(listed: FileList, found: ReadFiles) -> DataError | None:
    """Why leaving bad files out does not help: no test image would be left, and others would be drawn in their place; None where it does."""
    if TEST not in (listed.split or ()) or found.data is None or found.data.is_split:
        return None
    return DataError(
        f"folder {str(listed.root)!r}: all of its test images are bad files; repair some, or remove the test part"
    )


def link_notice(listed: FileList) -> str | None:
    """A line about links to folders, whose images are not there for us; None where there are none."""
    if not listed.linked:
        return None
    links = "1 link" if len(listed.linked) == 1 else f"{len(listed.linked)} links"
    first = os.path.relpath(listed.linked[0], listed.root)
    return f"{links} to folders not followed; the first: {first!r}"


def _load_files(
    listed: FileList,
    size_px: int | None,
    channels: int | None,
    resize: Resize,
    skip_bad: bool,
    tell: Callable[[str], None],
) -> LabelledImages:
    found = read_files(listed, size_px, channels, resize, stop_at_bad=not skip_bad)
    problem = refusal(listed, found)
    if problem is not None and (found.data is None or not skip_bad):
        raise problem
    assert found.data is not None
    if found.bad:
        first = next(file for file in listed.files if file in found.bad)
        tell(f"{len(found.bad)} bad files left out; the first: {found.bad[first]}")
        if lost := lost_test_part(listed, found):
            raise lost
    for line in listed.notices:
        tell(line)
    for told in (found.dark, found.cropped):
        if told:
            tell(told)
    if listed.loose:
        tell(f"{len(listed.loose)} files that belong to no class ignored; the first: {listed.loose[0].name!r}")
    if links := link_notice(listed):
        tell(links)
    return found.data


def _all_grey(images: NDArray[np.uint8]) -> bool:
    return bool((images[..., :1] == images).all())
