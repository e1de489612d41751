"""Rows of a set that is being written, kept beside the output until it is whole, so that a killed command goes on.

An HDF5 file whose writer was killed cannot be relied on, so the output itself is never continued: it is written anew from
the kept rows, which cost no generator any time, and then from new ones.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from augmentgan.errors import DataError, OutputError
from augmentgan.files import atomic_file, os_errors_as_output_error, read_json, remove, write_json
from augmentgan.locks import only_process
from augmentgan.names import LOCK_FILE

PIECE_ROWS = 1024
"""Rows that a killed command may lose; an interrupted one loses none."""

Rows = dict[str, NDArray[Any]]
"""Columns by name, each with one row an image."""

_KEY_FILE = "key.json"


class Spool:
    """Finished rows in pieces of `PIECE_ROWS`, each a file of its own; made by `open_spool`.

    Attributes:
        folder: where the pieces lie, and where the output may be prepared.
    """

    def __init__(self, folder: Path, template: Rows) -> None:
        self.folder = folder
        self._template = template
        self._n_pieces = 0
        self._waiting: list[Rows] = []

    def kept(self) -> Iterator[Rows]:
        """What an earlier command finished, piece by piece; to be read before anything is added."""
        for path in self._pieces():
            piece = self._read(path)
            if piece is None or path.name != _piece_name(self._n_pieces):
                break
            self._n_pieces += 1
            yield piece
        for path in self._pieces()[self._n_pieces :]:
            remove(path)

    def add(self, rows: Rows) -> None:
        """Keep finished rows."""
        self._waiting.append(rows)
        if sum(len(waiting["labels"]) for waiting in self._waiting) >= PIECE_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is still waiting for its piece to fill.

        Raises:
            OutputError: it cannot be written.
        """
        if not self._waiting:
            return
        columns = {name: np.concatenate([rows[name] for rows in self._waiting]) for name in self._template}
        with atomic_file(self.folder / _piece_name(self._n_pieces)) as part:
            part.write_bytes(safetensors.numpy.save(columns))
        self._n_pieces += 1
        self._waiting = []

    def _pieces(self) -> list[Path]:
        return sorted(self.folder.glob("rows-*.safetensors"))

    def _read(self, path: Path) -> Rows | None:
        """A piece, or None where it is not what `flush` writes."""
        try:
            rows = safetensors.numpy.load_file(path)
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
        fits = rows.keys() == self._template.keys() and all(
            rows[name].dtype == like.dtype and rows[name].shape[1:] == like.shape[1:] and rows[name].ndim == like.ndim
            for name, like in self._template.items()
        )
        if not fits or len({len(column) for column in rows.values()}) != 1:
            return None
        return {name: rows[name] for name in self._template}  # in the order of the columns, not of the file


@contextlib.contextmanager
def open_spool(out: Path, key: Mapping[str, Any], template: Rows) -> Iterator[Spool]:
    """The spool of an output; removed when the block succeeds, kept with all its rows when it is interrupted.

    Args:
        out: the output that is being written.
        key: everything that the rows depend on; what was kept under another key is thrown away.
        template: a column of each name without rows.

    Raises:
        OutputError: the place cannot be written, or another process is at work there.
    """
    folder = out.with_name(f".{out.name}.partial")
    if folder.is_symlink():
        raise OutputError(f"{str(folder)!r} is a link, and rows are not kept through links; remove it")
    with os_errors_as_output_error(out):
        folder.mkdir(parents=True, exist_ok=True)
    busy = OutputError(f"output {str(out)!r} is being written by another process; wait for it or name another --out")
    try:
        with contextlib.ExitStack() as stack:
            with os_errors_as_output_error(out):
                stack.enter_context(only_process(folder, busy))
            # while it is ours: afterwards it may be another process's
            stack.callback(_remove_empty, folder)
            _prepare(folder, key)
            spool = Spool(folder, template)
            try:
                yield spool
            except DataError:  # the same command would end the same way
                _clear(folder)
                raise
            except BaseException:
                with contextlib.suppress(OutputError):  # a full disk is what brought us here, perhaps
                    spool.flush()
                if not any(folder.glob("rows-*.safetensors")):
                    _clear(folder)
                raise
            _clear(folder)
    finally:
        if os.name == "nt":  # which removes no file that is open, as that of a lock is
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove the folder of a spool that keeps nothing."""
    if not (folder / _KEY_FILE).exists():
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink(missing_ok=True)
            folder.rmdir()


def _prepare(folder: Path, key: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(dict(key)))  # as it will be read back
    with contextlib.suppress(OSError, ValueError):
        if read_json(folder / _KEY_FILE) == plain:
            for litter in folder.glob(".*.part"):  # an output that a killed process was preparing
                remove(litter)
            return
    _clear(folder)
    write_json(folder / _KEY_FILE, plain)


def _clear(folder: Path) -> None:
    """Remove what is ours, and only that."""
    for path in [*folder.glob("rows-*.safetensors"), *folder.glob(".*.part"), folder / _KEY_FILE]:
        remove(path)


def _piece_name(number: int) -> str:
    return f"rows-{number:06d}.safetensors"
