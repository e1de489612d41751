"""The interval covers what it says it covers, also at five seeds and on a small test set."""

import numpy as np
import pytest

from augmentgan.evaluate.statistics import paired_difference


def two_arms(random, n_seeds, labels, effect):
    """Right or wrong, with effects of image, of seed, and of both arms' own luck."""
    difficulty = random.normal(1.0, 1.0, len(labels))
    arms = []
    for lift in (effect, 0.0):
        taste = random.normal(0, 0.3, len(labels))  # what this kind of training likes
        seed = random.normal(0, 0.2, (n_seeds, 1))
        noise = random.normal(0, 0.5, (n_seeds, len(labels)))
        arms.append(difficulty + taste + seed + noise + lift > 0)
    return arms


@pytest.mark.parametrize("balanced", [False, True])
def test_where_there_is_no_effect_the_interval_holds_zero_nineteen_times_in_twenty(balanced):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [60, 40, 20, 8])
    covered = 0
    for _ in range(600):
        treated, baseline = two_arms(random, 5, labels, effect=0.0)
        found = paired_difference(treated, baseline, labels, balanced=balanced)
        covered += found.low <= 0 <= found.high
    assert 0.925 <= covered / 600 <= 0.985  # 95 %, give or take three standard errors


def test_a_real_effect_is_found():
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    for _ in range(20):
        found = paired_difference(*two_arms(random, 5, labels, effect=1.0), labels, balanced=True)
        assert found.low > 0


def test_the_mean_is_the_difference_of_the_accuracies():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 10])
    treated, baseline = random.random((5, 40)) < 0.9, random.random((5, 40)) < 0.7
    plain = paired_difference(treated, baseline, labels, balanced=False).mean
    assert plain == pytest.approx(treated.mean() - baseline.mean())
    recalls = [[arm[:, labels == label].mean() for label in (0, 1)] for arm in (treated, baseline)]
    balanced = paired_difference(treated, baseline, labels, balanced=True).mean
    assert balanced == pytest.approx(np.mean(recalls[0]) - np.mean(recalls[1]))


def test_one_lucky_image_is_no_evidence():
    """Every seed agrees, but all of the gain is one test image."""
    labels = np.arange(20) % 2
    baseline = np.ones((5, 20), bool)
    baseline[:, 0] = False
    found = paired_difference(np.ones((5, 20), bool), baseline, labels, balanced=True)
    assert found.mean == pytest.approx(0.05)
    assert found.low < 0


def test_identical_arms():
    right = np.random.default_rng(0).random((5, 40)) < 0.8
    found = paired_difference(right, right, np.arange(40) % 2, balanced=True)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_a_class_with_a_single_test_image_widens_the_interval():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 40, 1])
    with_rare = paired_difference(*two_arms(random, 5, labels, 0.0), labels, balanced=True)
    assert with_rare.high - with_rare.low > 0.3
