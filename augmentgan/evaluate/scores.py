"""What a classifier's predictions are worth: accuracy in several senses, and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, recall_score

METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "worst_recall", "ece")
"""The figures of a row that are one number, the one that verdicts are about first."""

_BINS = 15
"""Bins of confidence in the calibration error."""


def score(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    """The figures of a row: those of `METRICS`, and `recall_per_class`.

    Args:
        probabilities: (n, k).
        labels: (n,) true classes.
    """
    predicted, present = probabilities.argmax(axis=1), np.unique(labels)
    classes = np.arange(probabilities.shape[1])
    recall = recall_score(labels, predicted, labels=classes, average=None, zero_division=0)
    f1 = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "worst_recall": float(recall[present].min()),
        "ece": calibration_error(probabilities, labels),
        "recall_per_class": [float(value) if label in present else None for label, value in enumerate(recall)],
    }


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Expected calibration error: |confidence - accuracy| over equal bins of confidence (Guo et al. 2017, arXiv 1706.04599).

    Args:
        probabilities: (n, k).
        labels: (n,).
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))
