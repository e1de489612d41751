"""Columns that may stand beside images and labels in a file (docs/file-formats.md): the one list of their names and types."""

from __future__ import annotations

from typing import Any

import numpy as np

SPLIT, GROUP = "split", "group"
SAMPLE_INDEX, SCORE, NEAREST_REAL = "sample_index", "score", "nearest_real"
WEIGHT, SOFT_LABELS = "weight", "soft_labels"
"""How much a sample counts (n,), and what teachers see in it (n, k)."""

WHOLE_NUMBERS = (SPLIT, GROUP, SAMPLE_INDEX)
COLUMNS = (*WHOLE_NUMBERS, SCORE, NEAREST_REAL, WEIGHT, SOFT_LABELS)
OF_SAMPLES: dict[str, np.dtype[Any]] = {
    SAMPLE_INDEX: np.dtype(np.int64),
    SCORE: np.dtype(np.float32),
    NEAREST_REAL: np.dtype(np.float32),
}
"""What every synthetic set has."""


def kinds_of(name: str) -> str:
    """The kinds of dtype, numpy's letters, that a column may have."""
    return "iu" if name in WHOLE_NUMBERS else "iuf"


def dimensions_of(name: str) -> int:
    """1, or 2 where a row holds a number for each class."""
    return 2 if name == SOFT_LABELS else 1
