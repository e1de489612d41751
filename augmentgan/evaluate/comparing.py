"""From rows to an answer: comparisons with their correction, equivalents in real images, the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from augmentgan.evaluate.arms import BASELINES, Arm
from augmentgan.evaluate.results import ArmInterval, BenchmarkRow, Comparison, Equivalent, Outcome, Verdict
from augmentgan.evaluate.statistics import Correctness, accuracy_with_interval, holm, paired_difference

ByArm = Mapping[tuple[str, int], Sequence[tuple[BenchmarkRow, Correctness]]]
"""(arm, train_per_class) to its repeats in order."""

HEADLINES = (
    "real+classic+synthetic",
    "real+classic+fill",
    "real+synthetic",
    "real+fill",
)
"""Arms that the verdict is about, the first that was run against its rival without synthetic images; where none of them was, the first such
arm that was asked for. Where all classes have the same share of samples, nothing about being a sample tells the class; where only rare ones are
filled up, it does."""


def _baselines_of(arms: Sequence[Arm], *, imbalanced: bool) -> list[tuple[str, str]]:
    """The pairs (arm, baseline) that are compared: everything over real and real+classic, and each over its own rivals."""
    names = [arm.name for arm in arms]
    pairs: list[tuple[str, str]] = [(name, baseline) for baseline in BASELINES for name in names if baseline in names]
    for arm in arms:
        pairs += [(arm.name, rival.name) for rival in arm.rivals(imbalanced=imbalanced) if rival.name in names]
    return [(arm, baseline) for arm, baseline in dict.fromkeys(pairs) if arm != baseline]


def compare(
    measured: ByArm,
    arms: Sequence[Arm],
    sizes: Sequence[int],
    *,
    imbalanced: bool,
    shared_training: Mapping[int, float] | None = None,
) -> list[Comparison]:
    """Every pair at every size in every metric; p values are adjusted for the pairs and sizes within a metric.

    Args:
        measured: every arm's repeats.
        arms: to compare.
        sizes: at which.
        imbalanced: whether rivals draw classes evenly.
        shared_training: by size, the luck that repeats have in common (`statistics.training_overlap_correlation`); none where left out.
    """
    found: list[Comparison] = []
    for metric in ("accuracy", "balanced_accuracy", *(["minority_recall"] if imbalanced else [])):
        family = []
        for size in sizes:
            for arm, baseline in _baselines_of(arms, imbalanced=imbalanced):
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
                    shared_training=(shared_training or {}).get(size, 0.0),
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


def intervals(
    measured: ByArm, arms: Sequence[Arm], sizes: Sequence[int], shared_training: Mapping[int, float] | None = None
) -> list[ArmInterval]:
    """Balanced accuracy of every arm at every size, by itself; `shared_training` as in `compare`."""
    found = []
    for size in sizes:
        for arm in arms:
            own = accuracy_with_interval(
                [each for _, each in measured[arm.name, size]],
                balanced=True,
                shared_training=(shared_training or {}).get(size, 0.0),
            )
            found.append(ArmInterval(arm.name, size, "balanced_accuracy", own.mean, (own.low, own.high)))
    return found


def equivalents(
    rows: Sequence[BenchmarkRow], comparisons: Sequence[Comparison], sizes: Sequence[int]
) -> list[Equivalent]:
    """Where the baseline's learning curve (balanced accuracy over the logarithm of the size) reaches an arm; needs two sizes."""
    if len(sizes) < 2:
        return []
    found = []
    for each in comparisons:
        if each.metric != "balanced_accuracy" or not Arm(each.arm).uses_synthetic:
            continue
        curve = np.array(
            [
                np.mean(
                    [row.balanced_accuracy for row in rows if (row.arm, row.train_per_class) == (each.baseline, size)]
                )
                for size in sizes
            ]
        )
        start = list(sizes).index(each.train_per_class)
        as_if, low, high = (
            _size_at(curve, sizes, start, change) for change in (each.mean_difference, each.ci95[0], each.ci95[1])
        )
        found.append(Equivalent(each.arm, each.baseline, each.train_per_class, as_if, (low, high)))
    return found


def _size_at(curve: NDArray[np.float64], sizes: Sequence[int], start: int, change: float) -> float | None:
    """The size nearest to that of `start` at which a curve, straight between its points, is higher or lower by `change`.

    A gain is looked for among larger sizes and a loss among smaller ones, for a curve may dip by chance; None where it is not reached.
    """
    if change == 0:
        return float(sizes[start])
    level = curve[start] + change
    for k in range(start, len(curve) - 1) if change > 0 else range(start - 1, -1, -1):
        low, high = curve[k], curve[k + 1]
        if low - 1e-12 <= level <= high + 1e-12:
            part = 0.0 if high == low else min(1.0, max(0.0, (level - low) / (high - low)))
            return math.exp(math.log(sizes[k]) + part * (math.log(sizes[k + 1]) - math.log(sizes[k])))
    return None


def verdict_of(comparisons: Sequence[Comparison], *, imbalanced: bool = False) -> Verdict:
    """The verdict on adding synthetic images, by balanced accuracy: over the same arm without them (`Arm.without_synthetic`).

    One comparison was fixed beforehand, so one size needs no correction; over several sizes their p values are adjusted (Holm).
    "hurts" at any size is the verdict whatever happens at the others.

    The rival need not be better than something simpler: classical augmentation may be worse than none, and drawing classes evenly worse
    than drawing images as they are. So "helps" asks for more: the arm must be above these simpler rivals too (`arms.chosen_arms` runs them). At a
    size all must hold, which needs no correction (an intersection-union test, Berger 1982); over several sizes the largest of their p
    values is adjusted.
    """
    chosen, simpler = _headline(comparisons, imbalanced=imbalanced)
    if not chosen:
        return Verdict(
            "No arm with synthetic images was compared with the same arm without.", "no evidence", "real", "real"
        )
    several = len(chosen) > 1
    outcomes = outcomes_by_size(comparisons, imbalanced=imbalanced)
    worse, better = (
        [each for each in chosen if outcomes[each.train_per_class] == outcome] for outcome in ("hurts", "helps")
    )
    arm, baseline, at = chosen[0].arm, chosen[0].baseline, chosen[0].train_per_class
    surely = ", ".join(str(each.train_per_class) for each in worse or better)
    note = f" (surely so at {surely} a class, Holm)" if several else ""
    change = _points(chosen, with_size=several)
    if worse:
        text = f"Hurts: synthetic images change balanced accuracy by {change} against {baseline}{note}. Do not use them for this classifier."
        return Verdict(text, "hurts", arm, baseline, worse[0].train_per_class)
    points = " points of balanced accuracy"
    change = _points(chosen, points, with_size=several)
    beside = "".join(f", and over {each[0].baseline} {_points(each, points, with_size=several)}" for each in simpler)
    if better:
        text = f"Helps: synthetic images add {change} over {baseline}{beside}{note}."
        return Verdict(text, "helps", arm, baseline, better[0].train_per_class)
    if several:
        what = "all of them" if simpler else "it"
        why = f"at no size is it surely above {what} (adjusted for the number of sizes, Holm)"
    else:
        open_ = [
            each.baseline
            for each in (chosen[0], *(each for family in simpler for each in family))
            if _side(each, None) <= 0
        ]
        why = f"it is not surely above {' or '.join(open_)}"
    text = f"No evidence: the change over {baseline} is {change}{beside}; {why}."
    return Verdict(text, "no evidence", arm, baseline, at)


def outcomes_by_size(comparisons: Sequence[Comparison], *, imbalanced: bool = False) -> dict[int, Outcome]:
    """What `verdict_of` finds at each size."""
    chosen, simpler = _headline(comparisons, imbalanced=imbalanced)
    several = len(chosen) > 1
    of_rival = holm([each.p_value for each in chosen])
    of_all = holm([max(of.p_value for of in _at(each, chosen, *simpler)) for each in chosen])
    found: dict[int, Outcome] = {}
    for each, p, p_of_all in zip(chosen, of_rival, of_all, strict=True):
        harms = _side(each, p if several else None) < 0
        helps = all(_side(of, p_of_all if several else None) > 0 for of in _at(each, chosen, *simpler))
        found[each.train_per_class] = "hurts" if harms else "helps" if helps else "no evidence"
    return found


def _headline(
    comparisons: Sequence[Comparison], *, imbalanced: bool
) -> tuple[list[Comparison], list[list[Comparison]]]:
    """What the verdict is about, size by size: over the arm's rival, and over each simpler rival that is another one and was run."""

    def over(arm: str, baseline: Arm) -> list[Comparison]:
        wanted = (arm, baseline.name, "balanced_accuracy")
        return [each for each in comparisons if (each.arm, each.baseline, each.metric) == wanted]

    for name in dict.fromkeys([*HEADLINES, *(each.arm for each in comparisons)]):
        rivals = Arm(name).rivals(imbalanced=imbalanced)
        if rivals and (found := over(name, rivals[0])):
            simpler = [over(name, each) for each in dict.fromkeys([*rivals[1:], Arm("real")]) if each != rivals[0]]
            return found, [each for each in simpler if each]
    return [], []


def _at(each: Comparison, *families: Sequence[Comparison]) -> list[Comparison]:
    """Those at the size of one."""
    return [other for family in families for other in family if other.train_per_class == each.train_per_class]


def _side(each: Comparison, p_adjusted: float | None) -> int:
    """On which side of zero a difference surely is: by its adjusted p value, or by its interval; 0 where that is open."""
    low, high = each.ci95
    sure = not low <= 0 <= high if p_adjusted is None else p_adjusted < 0.05
    return (1 if each.mean_difference > 0 else -1) if sure and each.mean_difference else 0


def _points(comparisons: Sequence[Comparison], unit: str = " points", *, with_size: bool) -> str:
    """Each difference with its interval, such as +1.0 points (95 % interval -0.5 to +2.5)."""
    words = []
    for each in comparisons:
        low, high = each.ci95
        size = f" with {each.train_per_class} a class" if with_size else ""
        words.append(
            f"{100 * each.mean_difference:+.1f}{unit}{size} (95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
        )
    return "; ".join(words)
