"""Image folders: one folder a class, optionally below `train/` and `test/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from augmentgan.data.images import TEST, TRAIN
from augmentgan.errors import DataError

_SPLIT_NAMES = {"train": TRAIN, "training": TRAIN, "val": TRAIN, "valid": TRAIN, "validation": TRAIN, "test": TEST}
_LITTER = {"desktop.ini", "thumbs.db", "metadata.jsonl"}


@dataclass(frozen=True)
class FolderScan:
    """The files of a class-per-folder tree, not yet opened.

    Attributes:
        class_names: in label order.
        files, labels, split: one entry a file; split is None where the tree has no train/ and test/.
        n_ignored: dot files and system litter that were passed over.
        loose: files that lie beside the class folders and belong to none.
    """

    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    split: tuple[int, ...] | None
    n_ignored: int
    loose: tuple[Path, ...]


def scan_folder(root: Path) -> FolderScan:
    """List the candidate files of every class; nothing is opened.

    Raises:
        DataError: no class folders, or links that lead out of the tree.
    """
    parts, loose = _parts(root)
    names = sorted({folder.name for _, folders in parts for folder in folders})
    files: list[Path] = []
    labels: list[int] = []
    split: list[int] = []
    n_ignored = 0
    inside = root.resolve()
    for which, folders in parts:
        for folder in folders:
            for file in _files_below(folder):
                if file.name.startswith(".") or file.name.lower() in _LITTER:
                    n_ignored += 1
                    continue
                if file.is_symlink() and not _leads_inside(file, inside):
                    raise DataError(f"file {str(file)!r} is a link that leaves the folder; copy the image instead")
                files.append(file)
                labels.append(names.index(folder.name))
                split.append(which)
    has_split = len({which for which, _ in parts}) == 2
    return FolderScan(
        tuple(names), tuple(files), tuple(labels), tuple(split) if has_split else None, n_ignored, tuple(loose)
    )


def _leads_inside(link: Path, folder: Path) -> bool:
    try:
        return link.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a loop of links; which error it is depends on Python's version
        return True  # it leads nowhere, and opening it will say so


def _parts(root: Path) -> tuple[list[tuple[int, list[Path]]], list[Path]]:
    """(split, class folders) of each part of the tree, and the loose files of its root."""
    folders, loose = _entries(root)
    by_name = {folder.name.lower(): folder for folder in folders}
    if "test" in by_name and "train" in by_name and all(name in _SPLIT_NAMES for name in by_name):
        parts = [(_SPLIT_NAMES[name], _entries(folder)[0]) for name, folder in by_name.items()]
        if any(classes for _, classes in parts):
            return parts, loose
    if not folders:
        found = f"{len(loose)} loose files" if loose else "nothing"
        raise DataError(
            f"folder {str(root)!r} holds {found} and no class folders; put each class in a folder of its own"
        )
    return [(TRAIN, folders)], loose


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be read ({error.strerror}); check its permissions") from error
    visible = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    folders = [entry for entry in visible if entry.is_dir() and not entry.is_symlink()]
    return folders, [entry for entry in visible if not entry.is_dir()]


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        yield from (Path(parent) / name for name in sorted(files))
