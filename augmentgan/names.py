"""Names inside the folders that augmentgan writes, for the rooms that write them and those that read them (docs/file-formats.md)."""

from __future__ import annotations

import os
from pathlib import Path

RUN_FILE, SPLIT_FILE, DATA_FILE, EVENTS_FILE = "run.json", "split.json", "data.h5", "events.jsonl"
TENSORS_FILE, NUMBERS_FILE = "checkpoint.safetensors", "checkpoint.json"
SHEETS_FOLDER, TENSORBOARD_FOLDER = "samples", "tensorboard"
EVALUATE_FILE, NEAREST_FILE = "evaluate.json", "nearest.png"
BENCHMARK_FILE, BENCHMARK_PLOT_FILE, PARTS_FOLDER = "benchmark.json", "benchmark.png", "benchmark.parts"
PAGE_FILE, ONNX_FILE = "report.html", "generator.onnx"

PROTOCOL_FILE, FITS_FOLDER = "protocol.json", "fits"
"""Of a benchmark from scratch, beside its `BENCHMARK_FILE`, `BENCHMARK_PLOT_FILE`, `PARTS_FOLDER` and `PAGE_FILE`."""

LOCK_FILE = ".lock"

OF_A_RUN = (
    *(SPLIT_FILE, DATA_FILE, EVENTS_FILE, TENSORS_FILE, NUMBERS_FILE, SHEETS_FOLDER, TENSORBOARD_FOLDER),
    *(EVALUATE_FILE, NEAREST_FILE, BENCHMARK_FILE, BENCHMARK_PLOT_FILE, PARTS_FOLDER, PAGE_FILE, ONNX_FILE),
)
"""What `fit` writes beside run.json, and other commands about its generator. Sets that were generated are no part of the run."""

OF_A_BENCHMARK = (FITS_FOLDER, PARTS_FOLDER, BENCHMARK_FILE, BENCHMARK_PLOT_FILE, PAGE_FILE)
"""What a benchmark from scratch and the page about it leave beside protocol.json."""


def sheet_of(run_folder: Path, updates: int) -> Path:
    """The sample sheet of a run that was made after so many updates."""
    return run_folder / SHEETS_FOLDER / f"{updates:06d}.png"


def sheets_of(run_folder: Path) -> list[Path]:
    """The sample sheets that are there, in the order of training: from a million updates on their names do not sort."""
    files = [file for file in (run_folder / SHEETS_FOLDER).glob("*.png") if file.stem.isdecimal()]
    return sorted(files, key=lambda file: int(file.stem))


def run_folders(under: Path) -> list[Path]:
    """The run folders below `under`, by name; the generators that a benchmark from scratch makes for itself are not among them.

    Links to folders are looked at where they stand directly in `under`, and not followed deeper: they may form a loop.
    """
    found = {path.parent for path in under.glob(f"*/{RUN_FILE}")}
    for folder, inside, files in os.walk(under):
        if Path(folder) == under:
            continue
        if RUN_FILE in files:
            found.add(Path(folder))
        if RUN_FILE in files or PROTOCOL_FILE in files:
            inside.clear()
    return sorted(found)
