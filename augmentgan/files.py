"""Writing files so that each appears whole or not at all, and reading JSON that anybody may have written.

Everything that augmentgan writes, but for a TensorBoard log and the lines of events.jsonl (`append_line`), goes through `atomic_file` or `atomic_folder`: the content is made beside its
final place, flushed to the disk and renamed. A crash leaves the earlier state untouched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augmentgan.errors import OutputError, one_line
from augmentgan.names import DATA_FILE, RUN_FILE

_LITTER = {"desktop.ini", "thumbs.db", "ehthumbs.db", "icon\r"}
_HINT = "--overwrite replaces it, --out names another place"
_FLUSHING_THREADS = 8  # a disk takes many small flushes at once better than one after another


def refuse_existing(path: Path, *, overwrite: bool, file: bool = False, hint: str | None = None) -> None:
    """Raise `OutputError` when `path` exists and may not be replaced.

    An empty folder counts as free: people make one before they start.

    Args:
        path: where something is to be written.
        overwrite: whether what is there may be replaced.
        file: whether a file is to be written, which cannot take a folder's place.
        hint: what the user can do; with --overwrite and --out where left out.

    Raises:
        OutputError: `path` exists, is not an empty folder, and `overwrite` is false; it is a device; it has no name, such as "." and ".."; or the place cannot be looked at.
    """
    if path.name in ("", ".."):
        raise OutputError(f"output {str(path)!r} has no name of its own; give one, such as {str(path / 'synthetic')!r}")
    with os_errors_as_output_error(path):
        if file and path.is_dir():
            raise OutputError(f"output {str(path)!r} is a folder; name a file")
        if is_special(path):
            raise OutputError(f"output {str(path)!r} is neither a file nor a folder; name another --out")
        if overwrite or not os.path.lexists(path):
            return
        if path.is_dir() and not any(path.iterdir()):
            return
    raise OutputError(f"output {str(path)!r} exists already; {hint or _HINT}")


def is_os_junk(name: str) -> bool:
    """Whether file managers leave files of this name where somebody has looked."""
    return name.lower() in _LITTER or name == ".DS_Store"


def check_replaceable(
    folder: Path, is_ours: Callable[[Path], bool], what: str, known: Collection[str] | None = None
) -> None:
    """Raise `OutputError` where there is something that is not of the kind to be written, which even `--overwrite` must not remove.

    Asked before `refuse_existing`, which would recommend it. An --out given by mistake must not cost anybody their pictures or a run.

    Args:
        folder: where something is to be written.
        is_ours: whether a folder with something in it is of that kind.
        what: what is said of others, such as "is not a run folder".
        known: names that such a folder has, where `--overwrite` replaces it as a whole; what else somebody put there would be lost.

    Raises:
        OutputError: there is a file, or a folder that is neither empty nor ours, or has more in it than is known.
    """
    with os_errors_as_output_error(folder):
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
        if folder.is_dir() and is_ours(folder):
            names = {entry.name for entry in folder.iterdir()} - {*known} if known is not None else set()
            others = {name for name in names if not is_os_junk(name)}
            if not others:
                return
            what = f"also holds {min(others)!r}, which would be lost"
    raise OutputError(f"output {str(folder)!r} {what}, so --overwrite leaves it alone; name another place")


@contextmanager
def atomic_file(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """Give a temporary path; flush it and rename it to `path` when the block succeeds.

    Args:
        path: the final place.
        scratch: an existing folder on the same disk for the temporary file; beside `path` where left out.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    path = Path(path)
    with os_errors_as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path, scratch)
        part.touch(exist_ok=False)
        mode = stat.S_IMODE(part.stat().st_mode)
        try:
            yield part
            part.chmod(mode)  # safetensors puts a file of its own there, which nobody else may read
            _flush(part)
            os.replace(part, path)
            _flush(path.parent)
        finally:
            _unlink(part)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False, scratch: Path | None = None) -> Iterator[Path]:
    """Give a temporary folder; flush all of it and rename it to `path` when the block succeeds.

    With `overwrite`, what was at `path` is removed only after the new folder is in its place; `recover_folder` brings it
    back where a crash came between.

    Args:
        path: the final place.
        overwrite: whether what is there may be replaced.
        scratch: an existing folder on the same disk for the temporary one; beside `path` where left out.

    Raises:
        OutputError: `path` exists and `overwrite` is false, or the place cannot be written.
    """
    path = Path(path)
    recover_folder(path)
    refuse_existing(path, overwrite=overwrite)
    with os_errors_as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path, scratch)
        part.mkdir()
        try:
            yield part
            _flush_tree(part)
            if os.path.lexists(path):
                os.replace(path, _aside(path))
            os.replace(part, path)
            _flush(path.parent)
            remove(_aside(path))
        finally:
            shutil.rmtree(part, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Bring back what a crash in the middle of a replacement left aside, and remove it where it was replaced."""
    if not os.path.lexists(_aside(path)):
        return
    with os_errors_as_output_error(path):
        if os.path.lexists(path):
            remove(_aside(path))
        else:
            os.replace(_aside(path), path)


@contextmanager
def os_errors_as_output_error(path: Path) -> Iterator[None]:
    """A full disk, a folder that vanished or may not be written: one `OutputError` that names `path`.

    Raises:
        OutputError: the block met an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {str(path)!r}: {error.strerror or one_line(error)}; "
            "check the disk's free space and the folder's permissions"
        ) from error


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write `value` as JSON, whole or not at all; NaN is refused, for it is not JSON."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


def parse_json(text: str) -> Any:
    """The value of a JSON text that may be hostile.

    Raises:
        ValueError: not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file that may be hostile.

    Raises:
        OSError: the file cannot be read, or is a pipe or a device, which would be waited for or never end.
        ValueError: not UTF-8, not JSON, or nested too deeply to be read.
    """
    if is_special(path):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return parse_json(path.read_text(encoding="utf-8"))


def is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder, itself or by a link."""
    return path.exists() and not (path.is_file() or path.is_dir())


def has_key(path: Path, key: str) -> bool:
    """Whether a file is a JSON object with that key; False where it cannot be read."""
    try:
        document = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and key in document


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run. Other programs call files run.json, too; a damaged one of ours lies beside the images that it names."""
    return has_key(folder / RUN_FILE, "data_fingerprint") or (
        (folder / RUN_FILE).is_file() and (folder / DATA_FILE).is_file()
    )


def append_line(path: Path, line: str) -> None:
    """Add a line to a log and flush it to the disk; the one kind of file that grows in place.

    Raises:
        OutputError: it cannot be written.
    """
    with os_errors_as_output_error(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _unlink(part: Path) -> None:
    with contextlib.suppress(OSError):  # its folder has vanished or gone read-only: what went wrong was said already
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and writes their entries with the rename
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(folder: Path) -> None:
    entries = [Path(parent) / name for parent, folders, files in os.walk(folder) for name in (*files, *folders)]
    with ThreadPoolExecutor(_FLUSHING_THREADS) as pool:
        for _ in pool.map(_flush, [*entries, folder]):
            pass


def _part_of(path: Path, scratch: Path | None) -> Path:
    """A name that is free. tempfile's own would be private, and making it public would mean changing the umask of every thread."""
    return (scratch or path.parent) / f".{path.name}.{secrets.token_hex(4)}.part"
