"""Image folders: one folder a class, optionally below or above `train/` and `test/`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from augmentgan.data.file_list import SPLIT_WORDS, FileList, marks, parts_in_paths, refuse_leaving, validation_notices
from augmentgan.data.hints import no_classes_in_parts, no_data_set, one_class_folder, unreadable
from augmentgan.errors import DataError
from augmentgan.files import is_os_junk

_PART_WORDS = {*SPLIT_WORDS, "dev", "eval", "holdout"}
_LITTER_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir"}


def scan_folder(root: Path) -> FileList:
    """List the candidate files of every class; nothing is opened.

    Raises:
        DataError: no class folders, links that lead out of the tree, or a folder that cannot be read.
    """
    on_top, loose, linked = _parts(root)
    names = sorted({folder.name for _, folders in on_top for folder in folders})
    if len(names) == 1:
        raise one_class_folder(root, next(folder for _, folders in on_top for folder in folders))
    files: list[Path] = []
    labels: list[int] = []
    parts: list[str] = []
    below: list[tuple[str, ...]] = []
    n_ignored = 0
    inside = root.resolve()
    for part, folders in on_top:
        for folder in folders:
            label = names.index(folder.name)
            for file, is_link in _files_below(folder):
                if _is_passed_over_file(file.name):
                    n_ignored += 1
                    continue
                if is_link and file.is_dir():
                    linked.append(file)
                    continue
                if is_link:
                    refuse_leaving(file, inside)
                files.append(file)
                labels.append(label)
                parts += [] if part is None else [part]
                below.append(file.relative_to(folder).parts[:-1])
    parts = parts or parts_in_paths(below, [names[label] for label in labels])
    return FileList(
        root,
        tuple(names),
        tuple(files),
        tuple(labels),
        split=marks(parts),
        n_ignored=n_ignored + len(linked),
        loose=tuple(loose),
        linked=tuple(linked),
        notices=validation_notices(Counter(parts)),
    )


def split_folders(root: Path) -> dict[str, Path]:
    """The parts of a tree by their names in lower case, where it has `train/` and another part and nothing else on top.

    Raises:
        DataError: the folder cannot be read; something that is no part lies beside `train/` with its classes and another part; two parts
            differ in upper and lower case alone; or the parts have names that are not known, such as `seg_train/` and
            `seg_test/`, and would be learned as classes.
    """
    folders = _entries(root)[0]
    _refuse_unknown_parts(root, folders)
    by_name: dict[str, Path] = {}
    for folder in folders:
        other = by_name.setdefault(folder.name.lower(), folder)
        if other is not folder and folder.name.lower() in SPLIT_WORDS:
            raise DataError(
                f"folder {str(root)!r} holds {other.name!r} and {folder.name!r}; put all of that part in one"
            )
    parts = {name: folder for name, folder in by_name.items() if name in SPLIT_WORDS}
    if len(parts) < 2 or not {"train", "training"} & set(parts):
        return {}
    odd = sorted(set(by_name) - set(parts))
    if not odd:
        return parts
    if any(_entries(parts[name])[0] for name in ("train", "training") if name in parts):
        raise DataError(
            f"folder {str(root)!r} holds {', '.join(sorted(parts))} and beside them {by_name[odd[0]].name!r}, which is not a part "
            "of a set; move it elsewhere"
        )
    return {}  # classes that happen to be called so


def _refuse_unknown_parts(root: Path, folders: list[Path]) -> None:
    words = [set(re.findall(r"[a-z]+", folder.name.lower())) for folder in folders]
    called_so = len(folders) > 1 and all(each & _PART_WORDS for each in words)
    known = all(folder.name.lower() in SPLIT_WORDS for folder in folders)
    if called_so and not known and any(_entries(folder)[0] for folder in folders):
        names = ", ".join(repr(folder.name) for folder in folders)
        raise DataError(f"folder {str(root)!r} holds {names}: parts of a set, it seems; call them train and test")


def _parts(root: Path) -> tuple[list[tuple[str | None, list[Path]]], list[Path], list[Path]]:
    """(name, class folders) of each part of the tree, None where it has none; the loose files and the links to folders beside them."""
    folders, loose, linked = _entries(root)
    split = split_folders(root)
    below = [(name, _entries(folder)) for name, folder in split.items()]
    if below and not any(entries[0] for _, entries in below):
        raise no_classes_in_parts(root, [folder.name for folder in split.values()])
    wrapped = [entries[0][0] for _, entries in below if len(entries[0]) == 1]
    if below and len(wrapped) == len(below) and len({folder.name for folder in wrapped}) > 1:
        raise one_class_folder(wrapped[0].parent, wrapped[0])
    if below:
        for _, (_, files, links) in below:
            loose, linked = loose + files, linked + links
        return [(name, entries[0]) for name, entries in below], loose, linked
    if not folders:
        raise no_data_set(root, linked)
    return [(None, folders)], loose, linked


def _entries(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Folders, files and links to folders, without what is hidden."""
    try:
        entries = sorted(folder.iterdir())
        visible = [entry for entry in entries if not _is_passed_over(entry.name)]
        folders = [entry for entry in visible if entry.is_dir()]
        linked = [folder for folder in folders if folder.is_symlink()]
        real = [folder for folder in folders if not folder.is_symlink()]
        return real, [entry for entry in visible if not entry.is_dir()], linked
    except OSError as error:
        raise unreadable(folder, error) from error


def _is_passed_over_file(name: str) -> bool:
    return name.startswith(".") or is_os_junk(name) or name.lower() == "metadata.jsonl"


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER_FOLDERS


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
            raise unreadable(parent, error) from error
        yield from (
            (parent / entry.name, entry.is_symlink()) for entry in entries if not entry.is_dir(follow_symlinks=False)
        )
        waiting += [parent / name for name in reversed(below) if not _is_passed_over(name)]
