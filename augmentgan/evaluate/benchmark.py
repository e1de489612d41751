"""The benchmark: does a classifier get better on real held-out images?

All arms take the same number of optimiser steps from the same initial weights, and are tested on the same real images,
which neither the generator nor any choice has seen. The verdict may be "no evidence" or "hurts".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import recall_score

import augmentgan
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.evaluate.classifier import predict, train_classifier
from augmentgan.evaluate.finished import FinishedRows
from augmentgan.evaluate.mixing import ARMS, Arm
from augmentgan.evaluate.statistics import Difference, paired_difference
from augmentgan.files import write_json
from augmentgan.gan.device import resolve_device
from augmentgan.gan.run import Run, model_fingerprint

BENCHMARK_FILE = "benchmark.json"
Outcome = Literal["helps", "no evidence", "hurts"]


@dataclass(frozen=True)
class BenchmarkRow:
    """One classifier: its arm, its seed, and how it did on the test images.

    Attributes:
        arm: its name.
        train_per_class: real training images a class (the median).
        repeat: number of the classifier seed.
        accuracy, balanced_accuracy: shares between 0 and 1.
        recall_per_class: in label order; None for a class without test images.
        time_s: training and testing.
    """

    arm: str
    train_per_class: int
    repeat: int
    accuracy: float
    balanced_accuracy: float
    recall_per_class: list[float | None]
    time_s: float


@dataclass(frozen=True)
class Comparison:
    """An arm against a baseline, paired by seed and by test image."""

    arm: str
    baseline: str
    train_per_class: int
    metric: str
    mean_difference: float
    ci95: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Verdict:
    """The answer in words, and as one of three."""

    text: str
    outcome: Outcome
    arm: str
    baseline: str


@dataclass(frozen=True)
class BenchmarkReport:
    """Everything that a benchmark found; `to_json` gives benchmark.json."""

    protocol: dict[str, Any]
    runs: list[BenchmarkRow]
    comparisons: list[Comparison]
    verdict: Verdict
    class_names: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The document of benchmark.json."""
        return asdict(self)

    def summary(self, metric: str = "balanced_accuracy") -> dict[str, tuple[float, float]]:
        """Mean and standard deviation over the repeats of each arm."""
        found = {}
        for arm in self.protocol["arms"]:
            values = [getattr(row, metric) for row in self.runs if row.arm == arm]
            found[arm] = (float(np.mean(values)), float(np.std(values, ddof=1)))
        return found

    def mean_recall(self, arm: str) -> list[float]:
        """Recall of each class, averaged over the repeats of an arm; NaN for a class without test images."""
        recalls = [row.recall_per_class for row in self.runs if row.arm == arm]
        return [float(value) for value in np.array(recalls, dtype=np.float64).mean(axis=0)]

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame (needs the `pandas` extra)."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.runs])


def run_benchmark(
    run: Run,
    *,
    repeats: int | None = None,
    arms: Sequence[str] = ARMS,
    device: str = "auto",
    seed: int = 0,
    on_row: Callable[[BenchmarkRow], object] | None = None,
) -> BenchmarkReport:
    """Benchmark a run's generator on its held-out real images, and write benchmark.json into its folder.

    An interrupted benchmark goes on where it stopped: classifiers that were finished are not trained again.

    Args:
        run: a run with test images.
        repeats: classifier seeds an arm; the recipe's where left out.
        arms: which arms to train; "real" is always among them.
        device: where to train classifiers.
        seed: first classifier seed.
        on_row: called with each finished classifier.

    Raises:
        DataError: no test images, an unknown arm, or fewer than two repeats.
    """
    section, steps = run.recipe.benchmark, run.recipe.benchmark.steps
    n_repeats = section.repeats if repeats is None else repeats
    if n_repeats < 2:
        raise DataError(f"--repeats {n_repeats}: an interval needs at least 2")
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise DataError(f"arm {unknown[0]!r} is not known; known: {', '.join(ARMS)}")
    chosen = [arm for arm in ARMS if arm in arms or arm == "real"]
    train, test = run.train, run.test
    if not len(test):
        raise DataError(
            f"run {str(run.folder)!r} held no test images out; fit again with --test-fraction 0.2 or --test"
        )
    where = resolve_device(device)
    synthetic = run.generate(section.synthetic_per_class)
    per_class = int(np.median(train.counts))
    rows: list[BenchmarkRow] = []
    correct: dict[str, list[NDArray[np.bool_]]] = {arm: [] for arm in chosen}
    finished = FinishedRows(
        run.folder,
        {
            "model": model_fingerprint(run.generator),
            "data": run.info["data_fingerprint"],
            "section": section.model_dump(),
            "seed": seed,
            "device": where.type,
            "version": augmentgan.__version__,
        },
    )
    for repeat in range(n_repeats):
        for name in chosen:
            kept = finished.get(name, repeat)
            if kept is None:
                started = time.perf_counter()
                network = train_classifier(Arm(name), train, synthetic, section, steps, seed + repeat, where)
                predicted = predict(network, test).numpy()
                time_s = round(time.perf_counter() - started, 3)
                row = _row(name, per_class, repeat, predicted, test, time_s)
                finished.add(row, predicted)
            else:
                row, predicted = BenchmarkRow(**kept[0]), kept[1]
            correct[name].append(predicted == test.labels)
            rows.append(row)
            if on_row:
                on_row(row)
    right = {name: np.stack(each) for name, each in correct.items()}
    comparisons = _compare(right, test.labels, chosen, per_class)
    report = BenchmarkReport(
        protocol={
            "arms": chosen,
            "repeats": n_repeats,
            "budget": {"steps": steps, "batch_images": section.batch_images, "learning_rate": section.learning_rate},
            "mixing": {"share": section.synthetic_share, "until": section.synthetic_until},
            "classifier": "small-cnn",
            "sizes": {
                "train": len(train),
                "test": len(test),
                "synthetic": len(synthetic),
                "train_per_class": train.counts.tolist(),
            },
            "seed": seed,
            "run": str(run.folder),
            "interval": "paired by classifier seed and test image; one generator, so its own spread is not in it",
        },
        runs=rows,
        comparisons=comparisons,
        verdict=judge(comparisons),
        class_names=list(run.class_names),
    )
    write_json(run.folder / BENCHMARK_FILE, report.to_json())
    finished.clear()
    return report


def _row(
    arm: str, per_class: int, repeat: int, predicted: NDArray[np.int64], test: LabelledImages, time_s: float
) -> BenchmarkRow:
    present = np.unique(test.labels)
    recall = recall_score(test.labels, predicted, labels=np.arange(test.n_classes), average=None, zero_division=0)
    return BenchmarkRow(
        arm=arm,
        train_per_class=per_class,
        repeat=repeat,
        accuracy=float((predicted == test.labels).mean()),
        balanced_accuracy=float(recall[present].mean()),
        recall_per_class=[float(value) if label in present else None for label, value in enumerate(recall)],
        time_s=time_s,
    )


def judge(comparisons: Sequence[Comparison]) -> Verdict:
    """The verdict on adding synthetic images, over the strongest baseline that was run, by balanced accuracy."""
    found = {(each.arm, each.baseline): each for each in comparisons if each.metric == "balanced_accuracy"}
    for arm, baseline in (("real+classic+synthetic", "real+classic"), ("real+synthetic", "real")):
        if (arm, baseline) in found:
            chosen = found[arm, baseline]
            break
    else:
        return Verdict(
            "No arm with synthetic images was compared with the same arm without.", "no evidence", "real", "real"
        )
    low, high = chosen.ci95
    points = f"{100 * chosen.mean_difference:+.1f} points of balanced accuracy (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
    if low > 0:
        return Verdict(f"Helps: synthetic images add {points} over {baseline}.", "helps", arm, baseline)
    if high < 0:
        text = f"Hurts: synthetic images cost {points} against {baseline}. Do not use them for this classifier."
        return Verdict(text, "hurts", arm, baseline)
    text = f"No evidence: the change over {baseline} is {points}; the interval contains zero."
    return Verdict(text, "no evidence", arm, baseline)


def _compare(
    right: dict[str, NDArray[np.bool_]], labels: NDArray[np.int64], arms: Sequence[str], per_class: int
) -> list[Comparison]:
    comparisons = []
    for baseline in ("real", "real+classic"):
        for arm in arms:
            if arm == baseline or baseline not in right:
                continue
            for metric, balanced in (("accuracy", False), ("balanced_accuracy", True)):
                found: Difference = paired_difference(right[arm], right[baseline], labels, balanced=balanced)
                interval = (found.low, found.high)
                n = len(right[arm])
                comparisons.append(Comparison(arm, baseline, per_class, metric, found.mean, interval, n))
    return comparisons
