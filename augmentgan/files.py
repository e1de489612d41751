"""Writing files so that each appears whole or not at all.

Everything that augmentgan writes goes through `whole_file` or `whole_folder`: the content is made beside its
final place, flushed to the disk and renamed. A crash leaves the earlier state untouched.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augmentgan.errors import OutputError


def refuse_existing(path: Path, *, overwrite: bool, mend: str = "--overwrite replaces it") -> None:
    """Raise `OutputError` when `path` exists and may not be replaced.

    An empty folder counts as free: people make one before they start.

    Raises:
        OutputError: `path` exists, is not an empty folder, and `overwrite` is false.
    """
    if overwrite or not os.path.lexists(path):
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    raise OutputError(f"output {str(path)!r} exists already; {mend}, --out names another place")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place when the block succeeds.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    part = Path(name)
    try:
        yield part
        _flush_to_disk(part)
        part.chmod(0o666 & ~_umask())  # mkstemp makes private files; results are ordinary ones
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`; rename it into place when the block succeeds.

    With `overwrite`, what was at `path` is removed only after the new folder is complete.

    Raises:
        OutputError: `path` exists and `overwrite` is false, or the place cannot be written.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        part.chmod(0o777 & ~_umask())
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    try:
        yield part
        if os.path.lexists(path):
            _remove(path)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write `value` as JSON, whole or not at all; NaN is refused, for it is not JSON."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
