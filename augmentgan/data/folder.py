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
        DataError: no class folders, links that lead out of the tree, or a folder that cannot be read.
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
            label = names.index(folder.name)
            for file, is_link in _files_below(folder):
                if file.name.startswith(".") or file.name.lower() in _LITTER or (is_link and file.is_dir()):
                    n_ignored += 1
                    continue
                if is_link:
                    refuse_leaving(file, inside)
                files.append(file)
                labels.append(label)
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
        visible = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
        folders = [entry for entry in visible if entry.is_dir() and not entry.is_symlink()]
        return folders, [entry for entry in visible if not entry.is_dir()]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _files_below(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Every file and whether it is a link, folder by folder in order; links to folders are given as the links they are.

    Without recursion: a tree may be deeper than Python's stack.

    Raises:
        DataError: a folder that cannot be read; its images would be missing and nobody would know.
    """
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
            below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise _unreadable(parent, error) from error
        yield from (
            (parent / entry.name, entry.is_symlink()) for entry in entries if not entry.is_dir(follow_symlinks=False)
        )
        waiting += [parent / name for name in reversed(below) if not name.startswith((".", "__MACOSX"))]


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(f"folder {str(folder)!r} cannot be read ({error.strerror}); check its permissions")
