"""Image folders: one folder a class, optionally below `train/` and `test/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from augmentgan.data.file_list import SPLIT_WORDS, FileList, refuse_leaving
from augmentgan.data.hints import no_data_set
from augmentgan.data.images import TRAIN
from augmentgan.errors import DataError

_LITTER = {"desktop.ini", "thumbs.db", "metadata.jsonl"}


def scan_folder(root: Path) -> FileList:
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
                if file.is_symlink():
                    refuse_leaving(file, inside)
                files.append(file)
                labels.append(names.index(folder.name))
                split.append(which)
    has_split = len({which for which, _ in parts}) == 2
    return FileList(
        root,
        tuple(names),
        tuple(files),
        tuple(labels),
        split=tuple(split) if has_split else None,
        n_ignored=n_ignored,
        loose=tuple(loose),
    )


def split_folders(root: Path) -> dict[str, Path]:
    """The parts of a tree by their names in lower case, where it has `train/` and `test/` and nothing else on top.

    Raises:
        DataError: the folder cannot be read.
    """
    folders, _ = _entries(root)
    by_name = {folder.name.lower(): folder for folder in folders}
    return by_name if {"train", "test"} <= set(by_name) <= set(SPLIT_WORDS) else {}


def _parts(root: Path) -> tuple[list[tuple[int, list[Path]]], list[Path]]:
    """(split, class folders) of each part of the tree, and the loose files of its root."""
    folders, loose = _entries(root)
    parts = [(SPLIT_WORDS[name], _entries(folder)[0]) for name, folder in split_folders(root).items()]
    if any(classes for _, classes in parts):
        return parts, loose
    if not folders:
        raise no_data_set(root)
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
