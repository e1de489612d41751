"""benchmark.json: writing it, and the part of it that the benchmark of a run and the one from scratch share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.offered import samples_offered
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.files import os_errors_as_output_error, remove, write_json
from augmentgan.names import BENCHMARK_FILE, BENCHMARK_PLOT_FILE
from augmentgan.sections import ResolvedBenchmarkSection


def keep_result(folder: Path, report: BenchmarkReport) -> None:
    """Write benchmark.json; a plot of an earlier result, which the command line drew, goes.

    Raises:
        OutputError: it cannot be written.
    """
    with os_errors_as_output_error(folder / BENCHMARK_PLOT_FILE):
        remove(folder / BENCHMARK_PLOT_FILE)
    write_json(folder / BENCHMARK_FILE, report.to_json())


def median_size(counts: NDArray[np.int64]) -> int:
    """The size that rows are filed under where none was asked for: images of the median class, of those that have any."""
    return int(np.median(counts[counts > 0]))


def shared_protocol(
    section: ResolvedBenchmarkSection,
    arms: Sequence[Arm],
    counts: dict[int, NDArray[np.int64]],
    data: LabelledImages,
    n_test: int,
    *,
    imbalanced: bool,
) -> dict[str, Any]:
    """The part of `protocol` that both ways share.

    Args:
        section: the benchmark's settings.
        arms: that were trained.
        counts: training images of each class, by the size that rows are filed under.
        data: images of the size and the classes that samples have.
        n_test: how many images were tested on.
        imbalanced: whether arms had to beat oversampling.
    """
    return {
        "arms": [arm.name for arm in arms],
        "repeats": section.repeats,
        "budget": {
            "steps": section.steps,
            "batch_images": section.batch_images,
            "learning_rate": section.learning_rate,
        },
        "mixing": mixing_of(section),
        "tuned": section.tune,
        "cross_fit": section.tune and section.cross_fit,
        "classifier": section.classifier,
        "multiplicity": "ci95 is of each comparison by itself; p_holm is adjusted for all pairs and sizes in its metric (Holm 1979)",
        "sizes": {
            "train": [int(each.sum()) for each in counts.values()],
            "test": n_test,
            "synthetic": samples_offered(section, data) * data.n_classes,
            "train_per_class": list(counts),
            "counts": [each.tolist() for each in counts.values()],
        },
        "imbalanced": imbalanced,
    }


def mixing_of(section: ResolvedBenchmarkSection) -> dict[str, Any]:
    """How samples and classical augmentation enter training."""
    return {
        "share": section.synthetic_share,
        "until": section.synthetic_until,
        "classic_until": section.classic_until,
        "teachers": section.teachers,
        "teachers_keep": section.teachers_keep,
        "soft_labels": section.soft_labels,
        "separate_statistics": section.separate_statistics,
    }
