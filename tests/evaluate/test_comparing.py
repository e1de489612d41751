"""The verdict says which of three things the differences show, over the right rival and for all that was asked."""

from types import SimpleNamespace

import numpy as np
import pytest

from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.comparing import compare, equivalents, intervals, verdict_of
from augmentgan.evaluate.results import BenchmarkRow, Comparison
from augmentgan.evaluate.statistics import Correctness


@pytest.mark.parametrize(
    ("interval", "outcome"), [((0.01, 0.05), "helps"), ((-0.02, 0.03), "no evidence"), ((-0.05, -0.01), "hurts")]
)
def test_verdicts(interval, outcome):
    mean = sum(interval) / 2
    rows = [Comparison("real+classic+synthetic", "real+classic", 20, "balanced_accuracy", mean, interval, 5)]
    verdict = verdict_of(rows)
    assert verdict.outcome == outcome
    assert verdict.baseline == "real+classic"
    assert f"{100 * mean:+.1f} points" in verdict.text


def test_without_a_pair_of_arms_there_is_no_evidence():
    assert verdict_of([]).outcome == "no evidence"


def compared(size, mean, p_value, arm="real+classic+synthetic", baseline="real+classic"):
    return Comparison(arm, baseline, size, "balanced_accuracy", mean, (mean - 0.01, mean + 0.01), 5, p_value)


def test_verdicts_over_several_sizes_are_corrected_and_harm_prevails():
    lucky = [compared(20, 0.02, 0.03), compared(50, 0.0, 0.9), compared(100, 0.0, 0.8)]
    assert verdict_of(lucky).outcome == "no evidence"  # one of three at 0.03 is luck
    helps = verdict_of([compared(20, 0.03, 0.001), compared(50, 0.0, 0.9)])
    assert (helps.outcome, helps.train_per_class) == ("helps", 20)
    hurts = verdict_of([compared(20, 0.03, 0.001), compared(50, -0.03, 0.001)])
    assert (hurts.outcome, hurts.train_per_class) == ("hurts", 50)


def test_where_a_set_is_imbalanced_the_rival_oversamples():
    rows = [
        compared(200, 0.05, 0.001, baseline="real+classic"),
        compared(200, -0.05, 0.001, baseline="real+oversampling+classic"),
    ]
    verdict = verdict_of(rows, imbalanced=True)
    assert (verdict.outcome, verdict.baseline) == ("hurts", "real+oversampling+classic")
    assert verdict_of(rows[:1], imbalanced=True).baseline == "real"  # nothing else takes the rival's place


@pytest.mark.parametrize("sizes", [[20], [20, 50]])
@pytest.mark.parametrize(
    ("imbalanced", "rival", "simpler"),
    [
        (True, "real+oversampling+classic", "real+classic"),
        (True, "real+oversampling+classic", "real"),
        (False, "real+classic", "real"),
    ],
)
def test_it_helps_only_above_simpler_rivals_too(sizes, imbalanced, rival, simpler):
    """An even draw may be worse than none, and so may classical augmentation: a gain over what itself lost more is no gain."""
    over_rival = [compared(size, 0.05, 0.001, baseline=rival) for size in sizes]
    assert verdict_of(over_rival, imbalanced=imbalanced).outcome == "helps"
    for change, p_value, outcome in (
        (0.03, 0.001, "helps"),
        (0.001, 0.8, "no evidence"),
        (-0.03, 0.001, "no evidence"),
    ):
        over_simpler = [compared(size, change, p_value, baseline=simpler) for size in sizes]
        verdict = verdict_of(over_rival + over_simpler, imbalanced=imbalanced)
        assert (verdict.outcome, verdict.baseline) == (outcome, rival)
        assert f"over {simpler} {100 * change:+.1f} points" in verdict.text
        if outcome == "no evidence" and len(sizes) == 1:
            assert verdict.text.endswith(f"it is not surely above {simpler}.")


@pytest.mark.parametrize(
    ("imbalanced", "baselines"),
    [(True, ("real+oversampling+classic", "real+classic")), (False, ("real+classic", "real"))],
)
def test_above_each_rival_at_another_size_is_above_all_at_none(imbalanced, baselines):
    rows = [
        compared(size, 0.05 if size == better_at else 0.0, 0.001 if size == better_at else 0.9, baseline=baseline)
        for baseline, better_at in zip(baselines, (20, 50), strict=True)
        for size in (20, 50)
    ]
    assert verdict_of(rows, imbalanced=imbalanced).outcome == "no evidence"


@pytest.mark.parametrize("sizes", [[20], [20, 50]])
def test_harm_is_told_as_a_change(sizes):
    text = verdict_of([compared(size, -0.03, 0.001) for size in sizes]).text
    assert text.startswith("Hurts: synthetic images change balanced accuracy by -3.0 points")
    assert "cost" not in text


def test_as_if_you_had_more_real_images():
    def row(size, value):
        return BenchmarkRow("real", size, 0, value, value, value, value, 0.0, [], [], {}, 0.0)

    rows = [row(20, 0.8), row(40, 0.9), row(80, 0.95)]
    asked = [
        Comparison("real+synthetic", "real", size, "balanced_accuracy", mean, interval, 5)
        for size, mean, interval in ((20, 0.1, (0.05, 0.3)), (80, 0.02, (0.0, 0.04)), (20, -0.1, (-0.2, 0.0)))
    ]
    first, beyond, worse = equivalents(rows, asked, [20, 40, 80])
    assert first.as_if == pytest.approx(40)
    assert first.ends[0] == pytest.approx(20 * 2**0.5)  # half way up, on a logarithmic scale
    assert first.ends[1] is None
    assert beyond.as_if is None
    assert worse.as_if is None
    assert worse.ends == (None, pytest.approx(20))
    assert equivalents(rows, asked, [20]) == []


def test_a_curve_that_dips_is_read_from_the_arm_s_own_size():
    def row(size, value):
        return BenchmarkRow("real", size, 0, value, value, value, value, 0.0, [], [], {}, 0.0)

    def at(size, mean):
        return Comparison("real+synthetic", "real", size, "balanced_accuracy", mean, (mean, mean), 5)

    sizes = [20, 50, 100, 200]
    rows = [row(size, value) for size, value in zip(sizes, (0.7, 0.9, 0.89, 0.95), strict=True)]
    found = [
        each.as_if
        for each in equivalents(
            rows, [at(100, 0.005), at(100, 0.03), at(100, -0.01), at(50, -0.3), at(50, 0.0), at(200, 0.0)], sizes
        )
    ]
    assert 100 < found[0] < found[1] == pytest.approx(100 * 2**0.5)
    assert found[2] == pytest.approx(50 * (20 / 50) ** 0.1)
    assert found[3] is None
    assert found[4:] == [50, 200]  # no change is its own size, before a dip and at the end


def test_other_arms_with_samples_are_judged_where_they_alone_were_asked_for():
    mixup = compared(20, -0.3, 0.001, arm="real+mixup+synthetic", baseline="real+mixup")
    cutmix = compared(20, 0.3, 0.001, arm="real+cutmix+synthetic", baseline="real+cutmix")
    verdict = verdict_of([compared(20, 0.2, 0.001, arm="real+mixup", baseline="real"), mixup, cutmix])
    assert (verdict.outcome, verdict.arm, verdict.baseline) == ("hurts", "real+mixup+synthetic", "real+mixup")
    assert verdict_of([mixup, cutmix, compared(20, 0.03, 0.001)]).arm == "real+classic+synthetic"
    alone = [compared(20, 0.2, 0.001, arm=arm, baseline="real") for arm in ("synthetic", "real+classic")]
    assert verdict_of(alone).outcome == "no evidence"


def strong_effects(size, minority):
    """Three arms, each right far more often than the one before, in five repeats; `minority` are the rare classes."""
    random, labels = np.random.default_rng(size), np.arange(120) % 3
    row = SimpleNamespace(minority=minority)
    return {
        (arm, size): [(row, Correctness(random.random(120) < often, labels, np.arange(120))) for _ in range(5)]
        for arm, often in (("real", 0.5), ("real+classic", 0.7), ("real+classic+synthetic", 0.85))
    }


def test_a_difference_is_the_arm_less_its_baseline_weighed_as_its_metric_says():
    """Skills differ from class to class, so that no weighing gives what another does."""
    random, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [60, 30, 10])
    skills = {"real": (0.9, 0.5, 0.1), "real+classic": (0.5, 0.9, 0.4), "real+classic+synthetic": (0.6, 0.6, 0.9)}
    right = {arm: random.random((5, 100)) < np.array(often)[labels] for arm, often in skills.items()}
    row = SimpleNamespace(minority=[2])
    measured = {(arm, 30): [(row, Correctness(each, labels, np.arange(100))) for each in right[arm]] for arm in right}
    recalls = {arm: np.stack([right[arm][:, labels == k].mean(axis=1) for k in range(3)], axis=1) for arm in right}
    figures = {
        "accuracy": {arm: right[arm].mean(axis=1) for arm in right},
        "balanced_accuracy": {arm: recalls[arm].mean(axis=1) for arm in right},
        "minority_recall": {arm: recalls[arm][:, 2] for arm in right},
    }
    found = compare(measured, [Arm(arm) for arm in right], [30], imbalanced=True)
    for metric, of_arm in figures.items():
        pairs = [(each.arm, each.baseline) for each in found if each.metric == metric]
        assert sorted(pairs) == sorted(
            (arm, baseline) for baseline in ("real", "real+classic") for arm in right if arm != baseline
        )
        for each in (each for each in found if each.metric == metric):
            gain = np.mean(of_arm[each.arm] - of_arm[each.baseline])
            assert each.mean_difference == pytest.approx(gain)
            assert each.ci95[0] < each.mean_difference < each.ci95[1]


@pytest.mark.parametrize("rare", [[2], []])
def test_p_values_are_adjusted_for_all_pairs_and_sizes_of_a_metric(rare):
    """Where a size has no rare classes, their recall is compared at the other one alone, and is adjusted for that."""
    measured = strong_effects(20, rare) | strong_effects(50, [1, 2])
    arms = [Arm(arm) for arm, size in measured if size == 20]
    found = compare(measured, arms, [20, 50], imbalanced=True)
    for metric, sizes in (
        ("accuracy", [20, 50]),
        ("balanced_accuracy", [20, 50]),
        ("minority_recall", [20, 50] if rare else [50]),
    ):
        family = [each for each in found if each.metric == metric]
        assert len(family) == 4 * len(sizes)  # both over real, both others over real+classic
        assert {each.train_per_class for each in family} == {*sizes}
        questions = {(each.train_per_class, frozenset((each.arm, each.baseline))): each for each in family}
        least, *_ = ordered = sorted(questions.values(), key=lambda each: each.p_value)
        n = len(questions)
        assert n == 3 * len(sizes)
        assert 0 < n * least.p_value < 1  # cut off at 1, every number of questions would look alike
        assert least.p_holm == pytest.approx(n * least.p_value, rel=1e-9)
        so_far = np.maximum.accumulate([(n - rank) * each.p_value for rank, each in enumerate(ordered)])
        assert [each.p_holm for each in ordered] == pytest.approx(so_far.clip(max=1), rel=1e-9)
        for each in family:  # both ways alike
            other = questions[each.train_per_class, frozenset((each.arm, each.baseline))]
            assert (each.p_value, each.p_holm) == pytest.approx((other.p_value, other.p_holm), rel=1e-6)


@pytest.mark.parametrize("size", [15, 8])
def test_an_interval_is_wider_where_repeats_share_training_images(size):
    random, labels = np.random.default_rng(0), np.arange(60) % 3
    measured = {
        (arm, 15): [
            (SimpleNamespace(minority=[]), Correctness(random.random(60) < often, labels, np.arange(60)))
            for often in (0.5, 0.7, 0.9)
        ]
        for arm in ("real", "real+classic")
    }
    arms = [Arm(name) for name, _ in measured]
    luck = {size: 0.4}
    pairs = [
        *zip(
            *(compare(measured, arms, [15], imbalanced=False, shared_training=each) for each in (luck, None)),
            strict=True,
        ),
        *zip(*(intervals(measured, arms, [15], each) for each in (luck, None)), strict=True),
    ]
    assert len(pairs) == 2 * 2 + 2  # two metrics, both directions of one pair; two arms
    for wide, narrow in pairs:
        assert (wide.ci95[0] < narrow.ci95[0]) == (size == 15)
        assert wide.ci95[0] <= narrow.ci95[0]
