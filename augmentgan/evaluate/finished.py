"""Classifiers of a benchmark that were trained already, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.files import write_json

if TYPE_CHECKING:
    from augmentgan.evaluate.benchmark import BenchmarkRow

PARTIAL_FILE = "benchmark.partial.json"


class FinishedRows:
    """Rows and predictions, kept in the run folder until the benchmark is whole.

    Args:
        folder: the run folder.
        key: everything that the rows depend on; what was kept under another key is of no use and is passed over.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self._path = folder / PARTIAL_FILE
        self._key = json.loads(json.dumps(key))
        self._rows: dict[str, dict[str, Any]] = {}
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["key"] == self._key:
                self._rows = dict(document["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing kept, or nothing that can be used: the classifiers are trained again

    def get(self, arm: str, repeat: int) -> tuple[dict[str, Any], NDArray[np.int64]] | None:
        """The row's fields and its predictions (n,), if that classifier is finished."""
        kept = self._rows.get(f"{arm} {repeat}")
        return None if kept is None else (kept["row"], np.array(kept["predicted"], dtype=np.int64))

    def add(self, row: BenchmarkRow, predicted: NDArray[np.int64]) -> None:
        """Keep a finished classifier."""
        self._rows[f"{row.arm} {row.repeat}"] = {"row": asdict(row), "predicted": predicted.tolist()}
        write_json(self._path, {"key": self._key, "rows": self._rows}, indent=None)

    def clear(self) -> None:
        """Remove what was kept: the benchmark is whole."""
        self._path.unlink(missing_ok=True)
