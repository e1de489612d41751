"""What a benchmark finds: a row a classifier, comparisons of arms, a verdict; the document of benchmark.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from augmentgan.extras import require_extra

Outcome = Literal["helps", "no evidence", "hurts"]


def images_a_class(protocol: Mapping[str, Any], train_per_class: int) -> str:
    """Real training images a class in words, of the first draw of a size: "20", or "3 to 167" where classes differ."""
    sizes = protocol["sizes"]
    counts = [n for n in sizes["counts"][sizes["train_per_class"].index(train_per_class)] if n]
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


@dataclass(frozen=True)
class BenchmarkRow:
    """One classifier: its arm, its repeat, and how it did on the test images.

    Attributes:
        arm: its name.
        train_per_class: real training images a class: the size that was asked for, or the median.
        repeat: number of the repeat.
        accuracy, balanced_accuracy, macro_f1: shares between 0 and 1.
        worst_recall: recall of the class that fares worst.
        ece: expected calibration error, 0 is best.
        recall_per_class: in label order; None for a class without test images.
        minority: labels of the classes with fewer than half of the largest class's training images.
        setting: what the arm was trained with, tuned on validation images: weight_decay, strength, share, flips. What plays no part in
            it is 0, such as the share of an arm without samples.
        time_s: training and testing.
    """

    arm: str
    train_per_class: int
    repeat: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    worst_recall: float
    ece: float
    recall_per_class: list[float | None]
    minority: list[int]
    setting: dict[str, float | bool]
    time_s: float


@dataclass(frozen=True)
class Comparison:
    """An arm against a baseline, paired by repeat and by test image.

    Attributes:
        arm, baseline: names.
        train_per_class: size, as in the rows.
        metric: accuracy, balanced_accuracy, or minority_recall (mean over minority classes).
        mean_difference: over the repeats.
        ci95: 95 % interval of this comparison by itself.
        n: repeats.
        p_value: of no difference, by itself.
        p_holm: the same, adjusted for the number of pairs and sizes in this metric (Holm 1979).
    """

    arm: str
    baseline: str
    train_per_class: int
    metric: str
    mean_difference: float
    ci95: tuple[float, float]
    n: int
    p_value: float = 1.0
    p_holm: float = 1.0


@dataclass(frozen=True)
class ArmInterval:
    """An arm by itself: where its mean lies over all training draws, classifiers and test images. Not for comparing arms, which are paired.

    Attributes:
        arm: its name.
        train_per_class: size, as in the rows.
        metric: balanced_accuracy.
        mean: over the repeats.
        ci95: 95 % interval, from the repeats and the test images that they share.
    """

    arm: str
    train_per_class: int
    metric: str
    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Equivalent:
    """How many real images a class the baseline would need to do as well as an arm: the horizontal way between two curves.

    Attributes:
        arm, baseline: names.
        train_per_class: real images a class that the arm had.
        as_if: real images a class at which the baseline's curve reaches the arm; None outside the sizes that were measured.
        ends: the same for the ends of the difference's interval; None where an end lies outside. The curve is taken as it was measured:
            its own luck is not in them, so they hold the truth less often than the difference's interval does.
    """

    arm: str
    baseline: str
    train_per_class: int
    as_if: float | None
    ends: tuple[float | None, float | None]


@dataclass(frozen=True)
class Verdict:
    """The answer in words, and as one of three.

    Attributes:
        text: a sentence or two, with figures.
        outcome: "helps", "no evidence" or "hurts".
        arm, baseline: the pair that it is about.
        train_per_class: size that it is about, as in the rows; 0 where nothing could be compared.
    """

    text: str
    outcome: Outcome
    arm: str
    baseline: str
    train_per_class: int = 0


@dataclass(frozen=True)
class BenchmarkReport:
    """Everything that a benchmark found; `to_json` gives benchmark.json, which `from_json` reads.

    Attributes:
        protocol: how it was measured: arms, repeats, budget, sizes and more (docs/file-formats.md).
        runs: a row an arm, size and repeat.
        comparisons: paired differences, an arm over a baseline at a size in a metric.
        verdict: the answer.
        class_names: in label order.
        equivalents: as how many real images samples counted, where a curve allows reading it off.
        intervals: every arm by itself.
    """

    protocol: dict[str, Any]
    runs: list[BenchmarkRow]
    comparisons: list[Comparison]
    verdict: Verdict
    class_names: list[str] = field(default_factory=list)
    equivalents: list[Equivalent] = field(default_factory=list)
    intervals: list[ArmInterval] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The document of benchmark.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> BenchmarkReport:
        """The report whose document this is.

        Raises:
            ValueError: it is not what `to_json` gives, lacks an arm's rows, or its verdict is of arms that were not run. What the protocol says beside the
                arms is not looked at.
        """
        report = TypeAdapter(cls).validate_python(document)
        arms = report.protocol.get("arms")
        if not isinstance(arms, list) or not arms or not all(isinstance(arm, str) for arm in arms):
            raise ValueError("no arms were run")
        if not {report.verdict.arm, report.verdict.baseline} <= {*arms}:
            raise ValueError("the verdict is of arms that were not run")
        n_rows = Counter((row.arm, row.train_per_class) for row in report.runs)
        if not report.runs or any(n_rows[arm, size] < 2 for arm in arms for size in report.train_per_class):
            raise ValueError("an arm has fewer than two repeats")
        if any(len(row.recall_per_class) != len(report.class_names) for row in report.runs):
            raise ValueError("recalls and class names are not equally many")
        return report

    @property
    def train_per_class(self) -> list[int]:
        """The sizes, smallest first."""
        return sorted({row.train_per_class for row in self.runs})

    def at(self, train_per_class: int) -> BenchmarkReport:
        """The same with the rows and comparisons of one size."""
        return replace(
            self,
            runs=[row for row in self.runs if row.train_per_class == train_per_class],
            comparisons=[each for each in self.comparisons if each.train_per_class == train_per_class],
        )

    def summary(
        self, metric: str = "balanced_accuracy", train_per_class: int | None = None
    ) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation over the repeats of each arm.

        Args:
            metric: one of accuracy, balanced_accuracy, macro_f1, worst_recall and ece, all in 0 to 1.
            train_per_class: the size; the smallest where left out.
        """
        size = self.train_per_class[0] if train_per_class is None else train_per_class
        found = {}
        for arm in self.protocol["arms"]:
            values = [getattr(row, metric) for row in self.runs if row.arm == arm and row.train_per_class == size]
            found[arm] = (float(np.mean(values)), float(np.std(values, ddof=1)))
        return found

    def mean_recall(self, arm: str, train_per_class: int | None = None) -> list[float]:
        """Recall (0 to 1) of each class, averaged over the repeats of an arm, in label order; NaN for a class without test images.

        Args:
            arm: its name.
            train_per_class: the size; the smallest where left out.
        """
        size = self.train_per_class[0] if train_per_class is None else train_per_class
        recalls = [row.recall_per_class for row in self.runs if row.arm == arm and row.train_per_class == size]
        return [float(value) for value in np.array(recalls, dtype=np.float64).mean(axis=0)]

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            ExtraError: the `pandas` extra is not installed.
        """
        require_extra("pandas", ["pandas"], "to_frame()")
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.runs])
