"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from augmentgan.errors import AugmentGANError
from augmentgan.names import LOCK_FILE


@contextlib.contextmanager
def only_process(folder: Path, busy: AugmentGANError) -> Iterator[None]:
    """Keep other processes that ask the same out of an existing folder; the lock ends with the process, also when it is killed.

    Args:
        folder: where the lock's file lies, and stays.
        busy: what is raised where another process is in there.

    Raises:
        OSError: the lock's file cannot be made.
    """
    lock = filelock.FileLock(folder / LOCK_FILE, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise busy from error
    try:
        yield
    finally:
        lock.release()
