"""The drawings: what they show, and that it can be told apart without colour."""

from tests_support import made_up_report

from augmentgan.evaluate.arms import IMBALANCED_ARMS
from augmentgan.report.plots import plot_learning_curve


def curves(document):
    """The line and the bars of each arm of a learning curve."""
    containers = plot_learning_curve(document).axes[0].containers
    return {each.get_label(): (each[0], each[2][0]) for each in containers}


def test_arms_of_uneven_sets_can_be_told_apart_without_colour():
    document = made_up_report(IMBALANCED_ARMS, (20, 50), imbalanced=True).to_json()
    drawn = {arm: (line.get_linestyle(), line.get_marker()) for arm, (line, _) in curves(document).items()}
    assert set(drawn) == {*IMBALANCED_ARMS} - {"synthetic"}
    assert len(set(drawn.values())) == len(drawn)
