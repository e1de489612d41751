"""From rows to an answer: comparisons with their correction, equivalents in real images, the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.results import BenchmarkRow, Comparison, Equivalent, Verdict
from augmentgan.evaluate.statistics import Outcomes, holm, paired_difference

Measured = Mapping[tuple[str, int], Sequence[tuple[BenchmarkRow, Outcomes]]]
"""(arm, train_per_class) to its repeats in order."""

HEADLINES = (
    "real+classic+synthetic",
    "real+classic+fill",
    "real+synthetic",
    "real+fill",
)
"""Arms that the verdict may be about, the first that was run against its rival without synthetic images. Where all classes have the same
share of samples, nothing about being a sample tells the class; where only rare ones are filled up, it does."""


def baselines_of(arms: Sequence[Arm], *, imbalanced: bool) -> list[tuple[str, str]]:
    """The pairs (arm, baseline) that are compared: everything over real and real+classic, and each over its own rival."""
    names = [arm.name for arm in arms]
    pairs: list[tuple[str, str]] = [
        (name, baseline) for baseline in ("real", "real+classic") for name in names if baseline in names
    ]
    for arm in arms:
        rival = arm.without_synthetic(imbalanced=imbalanced)
        if rival and rival.name in names:
            pairs.append((arm.name, rival.name))
    return [(arm, baseline) for arm, baseline in dict.fromkeys(pairs) if arm != baseline]


def compare(measured: Measured, arms: Sequence[Arm], sizes: Sequence[int], *, imbalanced: bool) -> list[Comparison]:
    """Every pair at every size in every metric; p values are adjusted for the pairs and sizes within a metric."""
    found: list[Comparison] = []
    for metric in ("accuracy", "balanced_accuracy", *(["minority_recall"] if imbalanced else [])):
        family = []
        for size in sizes:
            for arm, baseline in baselines_of(arms, imbalanced=imbalanced):
                treated, against = measured[arm, size], measured[baseline, size]
                minority = [np.array(row.minority, dtype=np.int64) for row, _ in treated]
                if metric == "minority_recall" and not all(
                    len(np.intersect1d(classes, each.labels))
                    for classes, (_, each) in zip(minority, treated, strict=True)
                ):
                    continue
                difference = paired_difference(
                    [each for _, each in treated],
                    [each for _, each in against],
                    balanced=metric != "accuracy",
                    classes=minority if metric == "minority_recall" else None,
                )
                interval = (difference.low, difference.high)
                family.append(
                    Comparison(arm, baseline, size, metric, difference.mean, interval, len(treated), difference.p_value)
                )
        # A over B and B over A are one question
        pairs = [(each.train_per_class, frozenset((each.arm, each.baseline))) for each in family]
        p_values = {pair: each.p_value for pair, each in zip(pairs, family, strict=True)}
        adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
        found += [replace(each, p_holm=adjusted[pair]) for pair, each in zip(pairs, family, strict=True)]
    return found


def equivalents(
    rows: Sequence[BenchmarkRow], comparisons: Sequence[Comparison], sizes: Sequence[int]
) -> list[Equivalent]:
    """Where the baseline's learning curve (balanced accuracy over the logarithm of the size) reaches an arm; needs two sizes."""
    if len(sizes) < 2:
        return []
    found = []
    for each in comparisons:
        if each.metric != "balanced_accuracy" or ("synthetic" not in each.arm and "fill" not in each.arm):
            continue
        curve = np.array(
            [
                np.mean(
                    [row.balanced_accuracy for row in rows if (row.arm, row.train_per_class) == (each.baseline, size)]
                )
                for size in sizes
            ]
        )
        start = curve[list(sizes).index(each.train_per_class)]
        as_if, low, high = (
            _size_at(curve, sizes, start + change) for change in (each.mean_difference, each.ci95[0], each.ci95[1])
        )
        found.append(Equivalent(each.arm, each.baseline, each.train_per_class, as_if, (low, high)))
    return found


def _size_at(curve: NDArray[np.float64], sizes: Sequence[int], level: float) -> float | None:
    """The size at which a curve, straight between its points, first reaches a level; None outside of it."""
    if level < curve[0] - 1e-12:
        return None
    for k in range(len(curve) - 1):
        low, high = curve[k], curve[k + 1]
        if low - 1e-12 <= level <= high:
            part = 0.0 if high == low else max(0.0, (level - low) / (high - low))
            return math.exp(math.log(sizes[k]) + part * (math.log(sizes[k + 1]) - math.log(sizes[k])))
    return None


def judge(comparisons: Sequence[Comparison], *, imbalanced: bool = False) -> Verdict:
    """The verdict on adding synthetic images, over the strongest rival that was run, by balanced accuracy.

    One comparison was fixed beforehand, so one size needs no correction; over several sizes their p values are adjusted (Holm).
    "hurts" at any size is the verdict whatever happens at the others.
    """
    chosen = _headline(comparisons, imbalanced=imbalanced)
    if not chosen:
        return Verdict(
            "No arm with synthetic images was compared with the same arm without.", "no evidence", "real", "real"
        )
    adjusted = holm([each.p_value for each in chosen])
    sizes = len(chosen) > 1
    lines = [_points(each, with_size=sizes) for each in chosen]
    sure = [
        each
        for each, p in zip(chosen, adjusted, strict=True)
        if (p < 0.05 if sizes else not each.ci95[0] <= 0 <= each.ci95[1])
    ]
    worse = [each for each in sure if each.mean_difference < 0]
    better = [each for each in sure if each.mean_difference > 0]
    arm, baseline, at = chosen[0].arm, chosen[0].baseline, chosen[0].train_per_class
    note = (
        f" (surely so at {', '.join(str(each.train_per_class) for each in worse or better)} a class, Holm)"
        if sizes
        else ""
    )
    if worse:
        text = f"Hurts: synthetic images cost {'; '.join(lines)} against {baseline}{note}. Do not use them for this classifier."
        return Verdict(text, "hurts", arm, baseline, worse[0].train_per_class)
    if better:
        text = f"Helps: synthetic images add {'; '.join(lines)} over {baseline}{note}."
        return Verdict(text, "helps", arm, baseline, better[0].train_per_class)
    zero = (
        "the intervals, adjusted for their number (Holm), do not exclude zero"
        if sizes
        else "the interval contains zero"
    )
    return Verdict(
        f"No evidence: the change over {baseline} is {'; '.join(lines)}; {zero}.", "no evidence", arm, baseline, at
    )


def _headline(comparisons: Sequence[Comparison], *, imbalanced: bool) -> list[Comparison]:
    for name in HEADLINES:
        rival = Arm(name).without_synthetic(imbalanced=imbalanced)
        assert rival is not None
        for baseline in (rival.name, rival.name.replace("+oversampling", "")):
            found = [
                each
                for each in comparisons
                if (each.arm, each.baseline, each.metric) == (name, baseline, "balanced_accuracy")
            ]
            if found:
                return found
    return []


def _points(each: Comparison, *, with_size: bool) -> str:
    low, high = each.ci95
    size = f" with {each.train_per_class} a class" if with_size else ""
    return f"{100 * each.mean_difference:+.1f} points of balanced accuracy{size} (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
