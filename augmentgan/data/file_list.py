"""Image files with their labels, not yet opened: what a folder or a table comes down to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from augmentgan.data.images import TEST, TRAIN
from augmentgan.errors import DataError

SPLIT_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": TRAIN,
    "valid": TRAIN,
    "validation": TRAIN,
    "test": TEST,
    "testing": TEST,
}
"""Names of the parts of a set. A validation part counts as training data, for our own choices never use it."""

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".tga"),
)
"""What names of image files end in (`decode.FORMATS`). Files that are named are opened whatever their names; these are looked for."""


@dataclass(frozen=True)
class FileList:
    """The files of a set, not yet opened.

    Attributes:
        root: the folder that the files lie in.
        class_names: in label order.
        files, labels: one entry a file.
        split: one entry a file, 0 train and 1 test; None where the source has no split.
        group: one number a file; None where the source has no groups.
        n_ignored: dot files, system litter and links to folders that were passed over.
        loose: files that lie beside the set and belong to no class.
        linked: links to folders, in place of class folders or inside of them, which are not followed; counted in `n_ignored` too.
        notices: lines about what people may not expect.
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    split: tuple[int, ...] | None = None
    group: tuple[int, ...] | None = None
    n_ignored: int = 0
    loose: tuple[Path, ...] = ()
    linked: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()


def marks(words: Iterable[str]) -> tuple[int, ...] | None:
    """The split of files whose parts are given by words of `SPLIT_WORDS`; None where none is for testing."""
    split = tuple(SPLIT_WORDS[word] for word in words)
    return split if TEST in split else None


def validation_notices(n_images: Mapping[str, int]) -> tuple[str, ...]:
    """A line where a set has a validation part and no test part, which people may take for held out.

    Args:
        n_images: of each part, by words of `SPLIT_WORDS`.
    """
    if TEST in map(SPLIT_WORDS.get, n_images):
        return ()
    return tuple(
        f"part {word!r} ({n} images) is used as 'train' is, for no part is called test; call it test to hold it out"
        for word, n in n_images.items()
        if n and word not in ("train", "training")
    )


def parts_in_paths(folders: Iterable[Sequence[str]], labels: Iterable[str]) -> list[str]:
    """The part of the set that each file's path names, as `train/1.png` and `test/2.png` do.

    Args:
        folders: names of the folders above each file, from the top.
        labels: one a file; folders of these names are classes, whatever they are called.

    Returns:
        Words of `SPLIT_WORDS`, one a file, of the highest level at which every path has one and two parts occur, one of them for
        training; empty where there is none.
    """
    labels = [label.lower() for label in labels]
    for names in zip(*folders, strict=False):
        words = [name.lower() for name in names]
        parts = {SPLIT_WORDS.get(word) for word in words}
        if None not in parts and TRAIN in parts and len({*words}) > 1 and words != labels:
            return words
    return []


def refuse_leaving(file: Path, inside: Path) -> None:
    """Refuse a file that leads out of the resolved folder `inside`, by a link or by its name.

    Raises:
        DataError: it does.
    """
    try:
        stays = file.resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # a loop of links; which error it is depends on Python's version
        return  # it leads nowhere, and opening it will say so
    if not stays:
        how = "is a link that leaves" if file.is_symlink() else "lies outside"
        raise DataError(f"file {str(file)!r} {how} the folder; copy the image into it")
