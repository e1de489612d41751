"""The folder of a benchmark from scratch: whose it is, who may write in it, and the generators in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from augmentgan.errors import RunError
from augmentgan.files import (
    check_replaceable,
    has_key,
    os_errors_as_output_error,
    read_json,
    refuse_existing,
    remove,
    write_json,
)
from augmentgan.gan.run import Run
from augmentgan.gan.run_folder import is_free, locked
from augmentgan.names import FITS_FOLDER, OF_A_BENCHMARK, PROTOCOL_FILE


@contextlib.contextmanager
def claimed(out: Path, key: dict[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Mark the folder as this benchmark's, or check that it is, and keep other processes from writing into it.

    More repeats, sizes and arms may always be added. The lock is that of one process, which writes for its workers and for other ranks.

    Args:
        out: the folder; made if need be.
        key: everything that all of it depends on.
        overwrite: remove a former benchmark's files, and only those.

    Raises:
        OutputError: `out` holds something that is no benchmark, or cannot be written.
        RunError: it holds another benchmark, or another process is at work in it.
    """
    if not out.exists():
        refuse_existing(out, overwrite=False)  # a place that has no name, or a link that leads nowhere
    with os_errors_as_output_error(out):
        if not is_free(out, PROTOCOL_FILE) and (overwrite or not (out / PROTOCOL_FILE).exists()):
            check_replaceable(out, lambda folder: has_key(folder / PROTOCOL_FILE, "recipe"), "holds no benchmark")
    with locked(out, "benchmark"):
        _mark(out, json.loads(json.dumps(key)), overwrite=overwrite)
        yield


def first_fit(folder: Path, sizes: Sequence[int | str] | None = None, device: str = "auto") -> Run:
    """The first generator of a benchmark from scratch.

    Args:
        folder: the benchmark's.
        sizes: images a class, or "all", of the draws that count; every draw does where left out.
        device: where its networks lie.

    Raises:
        RunError: the folder holds no such benchmark, or no generator yet.
    """
    if not (folder / PROTOCOL_FILE).exists():
        raise RunError(f"{str(folder)!r} holds no run and no benchmark; make one with augmentgan fit or benchmark DATA")
    fits = sorted(
        (folder / FITS_FOLDER).glob("*-r*/run.json"), key=lambda path: (len(path.parent.name), path.parent.name)
    )
    if sizes is not None:
        fits = [path for path in fits if path.parent.name.partition("-r")[0] in map(str, sizes)]
    if not fits:
        raise RunError(
            f"benchmark {str(folder)!r} has no generator yet; run augmentgan benchmark DATA again, with an arm that has synthetic images"
        )
    return Run(fits[0].parent, device)


def _mark(out: Path, key: dict[str, Any], *, overwrite: bool) -> None:
    path = out / PROTOCOL_FILE
    if overwrite:
        for name in OF_A_BENCHMARK:
            remove(out / name)
    if overwrite or not path.exists():
        write_json(path, key)  # last and at once: until then the folder is still known for a benchmark's
        return
    try:
        before = read_json(path)
        changed = [name for name in key if before.get(name) != key[name]]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{str(path)!r} cannot be used ({error}); name another --out") from error
    if changed:
        raise RunError(
            f"{str(out)!r} holds a benchmark with another {changed[0]}; name another --out, or start anew with --overwrite"
        )
