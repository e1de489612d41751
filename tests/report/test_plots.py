"""The drawings: what they show, and that it can be told apart without colour."""

from dataclasses import replace

import pytest
from tests_support import made_up_report

from augmentgan.evaluate.arms import IMBALANCED_ARMS
from augmentgan.evaluate.results import ArmInterval
from augmentgan.report.plots import as_svg, bars_of, plot_learning_curve, plot_recall


def curves(report):
    """The line and the bars of each arm of a learning curve."""
    containers = plot_learning_curve(report).axes[0].containers
    return {each.get_label(): (each[0], each[2][0]) for each in containers}


def test_arms_of_uneven_sets_can_be_told_apart_without_colour():
    report = made_up_report(IMBALANCED_ARMS, (20, 50), imbalanced=True)
    drawn = {arm: (line.get_linestyle(), line.get_marker()) for arm, (line, _) in curves(report).items()}
    assert set(drawn) == {*IMBALANCED_ARMS} - {"synthetic"}
    assert len(set(drawn.values())) == len(drawn)


def test_bars_are_the_intervals_of_the_report():
    intervals = [
        ArmInterval(arm, size, metric, 0.5, (0.3 + place / 10, 0.6))
        for metric, arms in (("balanced_accuracy", ["real", "real+classic"]), ("accuracy", ["real"]))
        for place, arm in enumerate(arms)
        for size in (20, 50)
    ]
    report = replace(made_up_report(["real", "real+classic"], (20, 50)), intervals=intervals)
    assert bars_of(report)["real+classic", 50] == (0.5, 0.4, 0.6)
    drawn = curves(report)
    for arm, low in (("real", 30), ("real+classic", 40)):
        line, bars = drawn[arm]
        assert line.get_ydata() == pytest.approx([50, 50])
        assert [each[:, 1] for each in bars.get_segments()] == [pytest.approx([low, 60])] * 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("narrow", [False, True])
def test_long_class_names_leave_room_for_the_plot(narrow):
    figure = plot_recall(["cat", "x" * 120], [0.5, 0.5], [0.6, 0.7], ("before", "after"), narrow=narrow)
    as_svg(figure)
    (axes,) = figure.axes
    assert axes.get_position().width > 0.4
    assert {label.get_text() for label in axes.get_yticklabels()} == {"cat", "x" * 29 + "\u2026"}
