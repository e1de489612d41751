"""What the page says of a benchmark: strings and drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from augmentgan.evaluate.arms import BASELINES, MEANINGS, Arm
from augmentgan.evaluate.results import BenchmarkReport, Comparison, images_a_class
from augmentgan.evaluate.scores import METRICS
from augmentgan.report.plots import as_svg, plot_arms, plot_learning_curve, plot_recall

OVER_OWN = "over the same without samples"


def benchmark_content(report: BenchmarkReport, *, from_scratch: bool) -> dict[str, Any]:
    """Tables and drawings of a benchmark, size by size, and how it was made.

    Raises:
        LookupError, TypeError, ValueError, AttributeError, OverflowError: the protocol lacks something, or has it in another form.
    """
    protocol, sizes = report.protocol, report.train_per_class
    columns = difference_columns(protocol)
    return {
        "verdict": report.verdict,
        "repeats": int(protocol["repeats"]),
        "generators": int(protocol["generators"]) if from_scratch else 1,
        "how": [*_how(protocol, from_scratch=from_scratch), *_mixing(protocol), _intervals(protocol)],
        "equivalents": equivalent_lines(report),
        "sizes": [_at_size(report.at(size)) for size in sizes],
        "columns": list(columns),
        "who_is_who": _who_is_who(columns),
        "words": _words(protocol["arms"]),
        "figures": [name.replace("_", " ") for name in METRICS],
        "curve": _drawn(plot_learning_curve(report, narrow=True)) if len(sizes) > 1 else None,
    }


def _at_size(report: BenchmarkReport) -> dict[str, Any]:
    found = {(each.arm, each.baseline, each.metric): each for each in report.comparisons}
    columns, summaries = difference_columns(report.protocol), [report.summary(metric) for metric in METRICS]
    rows = [
        {
            "arm": arm,
            "figures": ["{:.1f} \u00b1 {:.1f}".format(*(100 * each for each in summary[arm])) for summary in summaries],
            "over": [_difference(found.get((arm, of.get(arm, ""), "balanced_accuracy"))) for of in columns.values()],
            "minority": [_difference(found.get((arm, of.get(arm, ""), "minority_recall"))) for of in columns.values()],
        }
        for arm in report.protocol["arms"]
    ]
    pair = (report.verdict.baseline, report.verdict.arm)
    before, after = (report.mean_recall(arm) for arm in pair)
    changed = plot_recall(report.class_names, before, after, pair, narrow=True) if pair[0] != pair[1] else None
    return {
        "a_class": images_a_class(report.protocol, report.train_per_class[0]),
        "rows": rows,
        "differences": [
            (title, compared)
            for title, cells in (("balanced accuracy", "over"), ("minority recall", "minority"))
            if (compared := [(row["arm"], row[cells]) for row in rows if any(row[cells])])
        ],
        "arms_plot": _drawn(plot_arms(report, narrow=True)),
        "recall_plot": None if changed is None else _drawn(changed),
    }


def difference_columns(protocol: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The columns of differences that a table has room for, what matters most first: over which arm each shows each arm.

    Over `real` and `real+classic`, which everything is compared with, and where these are not what arms with samples have to beat, as on
    uneven sets, before them over the arm that differs in the samples alone.
    """
    arms = protocol["arms"]
    columns = {f"over {name}": dict.fromkeys(arms, name) for name in BASELINES if name in arms}
    rivals = {arm: Arm(arm).without_synthetic(imbalanced=protocol["imbalanced"]) for arm in arms}
    own = {arm: rival.name for arm, rival in rivals.items() if rival is not None and rival.name in arms}
    return columns if set(own.values()) <= {*BASELINES} else {OVER_OWN: own, **columns}


def _who_is_who(columns: dict[str, dict[str, str]]) -> str | None:
    """What "the same without samples" is, arm by arm, where a column is over it."""
    of_rival: dict[str, list[str]] = {}
    for arm, rival in columns.get(OVER_OWN, {}).items():
        of_rival.setdefault(rival, []).append(arm)
    named = (f"{rival} for {' and '.join(arms)}" for rival, arms in of_rival.items())
    return f"The same without samples is {', '.join(named)}" if of_rival else None


def _words(arms: list[str]) -> list[tuple[str, str]]:
    """The words of the arms' names, and what they mean."""
    used = {word for arm in arms for word in Arm(arm).words}
    return [(word, meaning) for word, meaning in MEANINGS.items() if word in used]


def equivalent_lines(report: BenchmarkReport) -> list[str]:
    """As if you had so many more real images: a line a size, of the verdict's pair of arms."""
    lines = []
    for each in report.equivalents:
        if (each.arm, each.baseline) != (report.verdict.arm, report.verdict.baseline) or each.as_if is None:
            continue
        size = each.train_per_class
        low, high = ("beyond the sizes measured" if end is None else f"{end:.0f}" for end in each.ends)
        lines.append(
            f"As if you had {abs(round(each.as_if - size))} {'more' if each.as_if >= size else 'fewer'} real images a class: {each.arm} with {size} does as well as "
            f"{each.baseline} with {each.as_if:.0f} ({low} to {high} for the ends of the difference's interval; the curve's own "
            "luck is not in it)"
        )
    return lines


def sizes_of_draws(protocol: dict[str, Any]) -> list[int | str] | None:
    """The sizes of the training draws as their generators' folders have them, "all" among them; None where they are not told."""
    sizes = [each["recipe"]["data"]["train_per_class"] for each in protocol.get("by_size") or []]
    return sizes or None


def _how(protocol: dict[str, Any], *, from_scratch: bool) -> list[str]:
    """What was drawn, held out and trained: sentences without their full stops."""
    sizes, budget = protocol["sizes"], protocol["budget"]
    repeats = f"One generator, {protocol['repeats']} classifier seeds"
    if from_scratch:
        same = ", ".join(map(str, protocol.get("same_training_images", [])))
        repeats = (
            f"{protocol['repeats']} repeats at each size, every one with a training draw, a generator, samples and classifiers of its own"
            + (f" (but (nearly) the same training images in all, with {same} a class)" if same else "")
            + f"; split: {protocol['split']}; training images that a test image (nearly) equals, or whose group a test image shares, were left "
            f"out: {protocol['dropped']}"
        )
    tuned = (
        "Weight decay, classical augmentation (none allowed), mirror images and share of synthetic images (zero allowed) were chosen on "
        "validation images out of the training part"
        + (", the share with generators that never saw them" if protocol.get("cross_fit") else "")
    )
    return [
        repeats,
        f"{sizes['test']} real test images that neither the generator nor any choice has seen; {sizes['synthetic']} synthetic images",
        f"Every arm: classifier {protocol['classifier']}, {budget['steps']} optimiser steps of {budget['batch_images']} images, the same initial "
        "weights for the same repeat",
        tuned if protocol["tuned"] else "Nothing was tuned",
    ]


def _intervals(protocol: dict[str, Any]) -> str:
    return f"Intervals: {protocol['interval']}. {protocol['multiplicity']}"


def _mixing(protocol: dict[str, Any]) -> list[str]:
    """How classical augmentation and samples enter training: a line each, or one a size where sizes differ."""
    sizes = protocol.get("by_size") or [{"mixing": protocol["mixing"]}]
    return [
        *_by_size("Classical augmentation", sizes, _classical),
        *_by_size("Arms with synthetic images", sizes, _samples),
    ]


def _by_size(what: str, sizes: list[dict[str, Any]], words: Callable[[dict[str, Any]], str | None]) -> list[str]:
    found = [(each.get("train_per_class"), words(each["mixing"])) for each in sizes]
    if len({line for _, line in found}) == 1:
        return [f"{what}: {line}" for _, line in found[:1] if line]
    return [f"{what}, {size} real ones a class: {line}" for size, line in found if line]


def _classical(mixing: dict[str, Any]) -> str | None:
    until = mixing.get("classic_until")  # earlier benchmarks do not say it
    return None if until is None else _until(until, "images as they are")


def _samples(mixing: dict[str, Any]) -> str:
    return (
        f"at most {100 * mixing['share']:.0f} % of a batch is synthetic, {_until(mixing['until'], 'real images alone')}"
    )


def _until(part: float, then: str) -> str:
    return "to the end" if part >= 1 else f"for the first {100 * part:.0f} % of the steps, then {then}"


def _difference(each: Comparison | None) -> str:
    if each is None:
        return ""
    low, high = each.ci95
    return f"{100 * each.mean_difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _drawn(figure: Figure) -> Markup:
    return Markup(as_svg(figure))  # noqa: S704 - our own drawing
