"""A program of its own: opens an HDF5 file and streams what it holds to standard output. `hdf5.py` runs it.

A damaged file can send the HDF5 library into an endless loop, a segmentation fault or an allocation without bounds (our
fuzzing found all three). Here that ends a child that has limits, and its end is an error message; in our own process it
would be a hang or a crash. Nothing is judged here but what may be followed: a line of JSON says what there is, then
come the bytes of each plain column.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

MISPLACED = ("class_names", "test_images", "val_images", "train_images")
OPENING_CPU_S, BYTES_PER_CPU_S = 30, 10_000_000
MAX_MEMORY_BYTES = 8 * 2**30
_BLOCK_BYTES = 32 * 2**20


def main(path: str, names: list[str]) -> None:
    """Write the header and the columns of these names of `path` to standard output."""
    _limit(OPENING_CPU_S)
    import h5py

    out = sys.stdout.buffer
    with h5py.File(path, "r") as file:
        columns = {name: _described(file, name) for name in names if name in file}
        header = {
            "found": list(file)[:6],
            "columns": columns,
            "class_names": _text(file, "class_names"),
            "misplaced": [name for name in MISPLACED if name in file],
        }
        out.write(json.dumps(header).encode() + b"\n")
        out.flush()
        for name, column in columns.items():
            if column["plain"]:
                _stream(file[name], out)
    out.flush()


def _described(file: Any, name: str) -> dict[str, Any]:
    import h5py

    stored_here = isinstance(file.get(name, getlink=True), h5py.HardLink)
    dataset = file[name] if stored_here else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        return {"stored_here": False, "plain": False}
    kind, itemsize = dataset.dtype.kind, dataset.dtype.itemsize
    return {
        "stored_here": True,
        "plain": kind in "iuf" and itemsize <= 8 and dataset.shape is not None,
        "dtype": f"{kind}{itemsize}" if kind in "iuf" else str(dataset.dtype)[:40],
        "shape": None if dataset.shape is None else list(dataset.shape),
        # many chunks of an index may lie at one place, so that a dataset says to be larger than its file
        "stored_bytes": min(dataset.id.get_storage_size(), os.path.getsize(file.filename)),
    }


def _text(file: Any, name: str) -> str | None:
    if name not in file.attrs:
        return None
    value = file.attrs[name]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _stream(dataset: Any, out: Any) -> None:
    """Rows in native byte order, block by block, so that a large set is never here as a whole."""
    if dataset.size == 0:
        return
    row_bytes = max(1, dataset.size // dataset.shape[0] * dataset.dtype.itemsize)
    rows = max(1, _BLOCK_BYTES // row_bytes)
    if dataset.chunks:  # whole chunks: none is unpacked twice
        rows = max(dataset.chunks[0], rows // dataset.chunks[0] * dataset.chunks[0])
    _limit(OPENING_CPU_S + dataset.size * dataset.dtype.itemsize // BYTES_PER_CPU_S)
    native = dataset.dtype.newbyteorder("=")
    for start in range(0, dataset.shape[0], rows):
        out.write(dataset[start : start + rows].astype(native, copy=False).tobytes())


def _limit(cpu_s: int) -> None:
    """Bounds on processor time from now on, and on memory; where the system has none, there are none."""
    try:
        import resource
        import time
    except ImportError:  # Windows
        return
    until = int(time.process_time()) + 1 + cpu_s
    for kind, value in ((resource.RLIMIT_CPU, until), (resource.RLIMIT_AS, MAX_MEMORY_BYTES)):
        hard = resource.getrlimit(kind)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS has no bound on memory, and says so by an error
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except BrokenPipeError:  # refused: nobody reads on
        sys.stderr.close()
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split())[:120])
        sys.exit(1)
