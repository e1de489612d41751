"""`generate --filter`: more samples are made than wanted, teachers score them, and each class keeps its better part.

A class's bar is the score that a stated share of its first samples misses. It depends on the run alone, so sample k is kept or
refused whatever else is asked for, and a set can still be written in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.columns import SCORE, WEIGHT
from augmentgan.errors import DataError
from augmentgan.evaluate.teachers import Teachers
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import sample_batches

LEVELS = {"light": 0.25, "strong": 0.5}
"""Share of a class's samples that each level refuses."""

TRIAL_SAMPLES = 256
"""Samples a class that set its bar."""


class SampleFilter:
    """Scores samples by the probability that teachers give the class that was asked for, and refuses those below the bar.

    Args:
        run: where samples come from; its training images taught the teachers.
        level: one of `LEVELS`.
        teachers: classifiers of the run's real training images.

    Attributes:
        rule: what decides, in words.
        columns: `score` float32, higher is better.
        bars: (k,) the lowest score of each class that is kept.

    Raises:
        DataError: an unknown level.
    """

    def __init__(self, run: Run, level: str, teachers: Teachers) -> None:
        if level not in LEVELS:
            raise DataError(f"--filter {level!r} is not known; use off, {' or '.join(LEVELS)}")
        self._teachers = teachers
        self.columns: Mapping[str, np.dtype[Any]] = {SCORE: np.dtype(np.float32)}
        n_classes = len(run.class_names)
        self.bars = np.zeros(n_classes, dtype=np.float32)
        for label in range(n_classes):
            batches = sample_batches(run.generator, {label: TRIAL_SAMPLES}, run.seed)
            scores = np.concatenate([self.scores(batch.images, batch.labels) for batch in batches])
            self.bars[label] = np.quantile(scores, LEVELS[level])
        self.rule = f"filter {level}, {teachers.rule}, bars {self.bars.tolist()}"

    def scores(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores (n,) of images (n, h, w, c) that were asked to be of `labels`."""
        return self._teachers(images, labels)[WEIGHT]

    def refuses(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which samples (n,) lie below their class's bar."""
        below: NDArray[np.bool_] = self.scores(images, labels) < self.bars[labels]
        return below

    def __call__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """The `score` column of some samples."""
        return {SCORE: self.scores(images, labels)}
