"""Plots, as matplotlib figures that know no global state; readable without colour.

`narrow` ones are made for a page that is also read on a phone: panels stand one below the other, and all of it fits the screen.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from augmentgan.errors import printable
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.files import atomic_file

_DARK, _MIDDLE, _LIGHT = "#1b4965", "#777777", "#bbbbbb"
_WIDTH, _NARROW_WIDTH = 9.0, 5.0
"""Inches."""

_LONGEST_NAME = 30
"""Letters of a class name in a plot; more would leave no room for it."""

_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "D", "^", "x", "v", "P", "*", "<")
"""Lines and markers tell the arms apart without colour: four and nine have no common factor, so that their pairs come again after 36 arms."""


def plot_arms(report: BenchmarkReport, *, narrow: bool = False) -> Figure:
    """Balanced accuracy of every classifier of every arm, and each arm's difference with its paired interval.

    Args:
        report: of one size.
        narrow: for a phone.
    """
    arms = report.protocol["arms"]
    baseline = _shown_baseline(report.verdict.baseline, arms)
    figure, (left, right) = _panels(2, (0.3 if narrow else 0.5) * len(arms) + (1.0 if narrow else 1.6), narrow)
    places = np.arange(len(arms))[::-1]
    found = {
        each.arm: each
        for each in report.comparisons
        if each.baseline == baseline and each.metric == "balanced_accuracy"
    }
    for place, arm in zip(places, arms, strict=True):
        values = [100 * row.balanced_accuracy for row in report.runs if row.arm == arm]
        left.plot(values, np.full(len(values), place), "o", color=_LIGHT, markersize=5)
        left.plot([np.mean(values)], [place], "|", color=_DARK, markersize=18, markeredgewidth=2.5)
        if arm in found:
            low, high = (100 * bound for bound in found[arm].ci95)
            right.plot([low, high], [place, place], "-", color=_DARK, linewidth=2)
            right.plot([100 * found[arm].mean_difference], [place], "o", color=_DARK)
    left.set_xlabel("balanced accuracy, %\n(dots: classifiers, bar: mean)")
    right.axvline(0, color=_MIDDLE, linestyle="--", linewidth=1)
    right.set_xlabel(f"points over {baseline}\n(line: 95 % interval)")
    for axes in (left, right):
        axes.set_yticks(places, arms if narrow or axes is left else [""] * len(arms))
        axes.set_ylim(-0.6, len(arms) - 0.4)
        _plain(axes)
    return figure


def _shown_baseline(of_verdict: str, arms: Sequence[str]) -> str:
    """The arm that the picture shows differences over: the verdict's baseline, and where that is `real` the classical one, if it was run."""
    return "real+classic" if of_verdict == "real" and "real+classic" in arms else of_verdict


def plot_benchmark(report: BenchmarkReport) -> Figure:
    """The learning curve where there are several sizes, otherwise the arms."""
    return plot_arms(report) if len(report.train_per_class) == 1 else plot_learning_curve(report)


def bars_of(report: BenchmarkReport) -> dict[tuple[str, int], tuple[float, float, float]]:
    """Mean balanced accuracy and the ends of its 95 % interval, by arm and size."""
    return {
        (each.arm, each.train_per_class): (each.mean, *each.ci95)
        for each in report.intervals
        if each.metric == "balanced_accuracy"
    }


def plot_learning_curve(report: BenchmarkReport, *, narrow: bool = False) -> Figure:
    """Balanced accuracy of each arm with real images over the real images a class, with 95 % intervals of the mean."""
    # samples alone are so far below that they flatten the others
    arms = [arm for arm in report.protocol["arms"] if not Arm(arm).only_synthetic]
    sizes, bars = report.train_per_class, bars_of(report)
    figure, (axes,) = _panels(1, 3.8 if narrow else 4.2, narrow)
    for k, arm in enumerate(arms):
        means, low, high = 100 * np.array([bars[arm, size] for size in sizes], dtype=np.float64).T
        reach = [means - low, high - means]
        places = np.array(sizes) * 1.03 ** (
            k - (len(arms) - 1) / 2
        )  # side by side, so that intervals can be told apart
        axes.errorbar(
            places,
            means,
            reach,
            linestyle=_LINES[k % len(_LINES)],
            marker=_MARKERS[k % len(_MARKERS)],
            color=(_DARK, _MIDDLE)[k // 5 % 2],
            capsize=3,
            linewidth=1.5,
            label=arm,
        )
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("real training images a class  (bars: 95 % intervals)")
    axes.set_ylabel("balanced accuracy, %")
    if len(arms) > 5:  # too many to find room among the curves
        if narrow:
            figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
        else:
            figure.legend(loc="outside right center", frameon=False, fontsize="small")
    else:
        axes.legend(frameon=False, fontsize="small")
    _plain(axes)
    return figure


def plot_recall(
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    titles: tuple[str, str],
    *,
    narrow: bool = False,
) -> Figure:
    """Recall a class before (circle) and after (diamond), in label order, at most 40 classes that changed most."""
    order = sorted(np.argsort(-np.abs(np.nan_to_num(np.subtract(after, before))))[:40].tolist(), reverse=True)
    figure, (axes,) = _panels(1, (0.25 if narrow else 0.3) * len(order) + 1.2, narrow)
    for place, label in enumerate(order):
        pair = [100 * before[label], 100 * after[label]]
        axes.plot(pair, [place, place], "-", color=_LIGHT, linewidth=2, zorder=1)
        axes.plot(pair[:1], [place], "o", color="white", markeredgecolor=_DARK, markersize=7)
        axes.plot(pair[1:], [place], "D", color=_DARK, markersize=6)
    axes.set_yticks(range(len(order)), [_label(names[label]) for label in order])
    gap = "\n" if narrow else "  "
    axes.set_xlabel(f"recall, %{gap}(circle: {titles[0]},{gap if narrow else ' '}diamond: {titles[1]})")
    _plain(axes)
    return figure


def plot_training(events: Sequence[dict[str, Any]]) -> Figure:
    """Losses, D(x) and D(G(z)) with the 0.5 of the theory, and the quality figures, over the updates."""
    figure, (losses, probabilities, quality) = _panels(3, 1.9, narrow=True)
    _curves(losses, events, {"loss_d": "loss of D", "loss_g": "loss of G"})
    _curves(probabilities, events, {"d_real": "D(x)", "d_fake": "D(G(z))"})
    probabilities.axhline(0.5, color=_MIDDLE, linestyle=":", linewidth=1)
    probabilities.set_ylim(0, 1)
    _curves(
        quality,
        [event for event in events if "div" in event],
        {"div": "div (1: as varied)", "near": "near (0: copies)"},
    )
    quality.set_ylim(bottom=0)
    for axes in (losses, probabilities, quality):
        axes.set_xlabel("updates")
        _plain(axes)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_file(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a class name that the font lacks letters of
        figure.savefig(part, format="png", dpi=120)


def as_svg(figure: Figure) -> str:
    """The figure as an <svg> element, the same bytes every time."""
    buffer = io.StringIO()
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "augmentgan", "svg.fonttype": "path"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _panels(n: int, height: float, narrow: bool) -> tuple[Figure, NDArray[Any]]:
    """A figure with so many panels of that height in inches: side by side, or one below the other."""
    if not narrow:
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        return figure, figure.subplots(1, n, squeeze=False)[0]
    figure = Figure(figsize=(_NARROW_WIDTH, n * height), layout="constrained")
    panels = figure.subplots(n, 1, squeeze=False)[:, 0]
    for axes in panels:
        axes.tick_params(labelsize="small")
    return figure, panels


def _label(name: str) -> str:
    """A class name that matplotlib takes for text and not for mathematics, and that leaves room for the plot."""
    shown = printable(name)
    if len(shown) > _LONGEST_NAME:
        shown = shown[: _LONGEST_NAME - 1] + "\u2026"
    return shown.replace("$", r"\$")


def _curves(axes: Axes, events: Sequence[dict[str, Any]], names: dict[str, str]) -> None:
    for (key, name), style in zip(names.items(), ("-", "--"), strict=True):
        rows = [event for event in events if event.get(key) is not None]
        color = _DARK if style == "-" else _MIDDLE
        axes.plot([row["updates"] for row in rows], [row[key] for row in rows], style, color=color, label=name)
    axes.legend(frameon=False, fontsize="small")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
