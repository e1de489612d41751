"""Classifiers of a benchmark that were trained already, so that an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.files import read_json, write_json

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
            document = read_json(self._path)
            if document["key"] == self._key:
                self._rows = {name: kept for name, kept in document["rows"].items() if _is_sound(kept)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
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


def _is_sound(kept: Any) -> bool:
    """Whether an entry has the form that `FinishedRows.add` gives it."""
    figures = ("train_per_class", "repeat", "accuracy", "balanced_accuracy", "time_s")
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("row"), dict)
        and kept["row"].keys() == {"arm", *figures, "recall_per_class"}
        and all(isinstance(kept["row"][name], int | float) for name in figures)
        and isinstance(kept["row"]["recall_per_class"], list)
        and isinstance(kept.get("predicted"), list)
        and all(type(each) is int for each in kept["predicted"])
    )
