"""The interval covers what it says it covers, also at five seeds and on a small test set."""

import numpy as np
import pytest
from scipy.stats import norm, t

from augmentgan.evaluate.scores import calibration_error
from augmentgan.evaluate.statistics import (
    Correctness,
    accuracy_with_interval,
    holm,
    paired_difference,
    training_overlap_correlation,
)


def two_arms(random, n_seeds, labels, effect, luck=0.2):
    """Right or wrong, with effects of image, of seed (of that spread), and of both arms' own luck."""
    difficulty = random.normal(1.0, 1.0, len(labels))
    arms = []
    for lift in (effect, 0.0):
        taste = random.normal(0, 0.3, len(labels))  # what this kind of training likes
        seed = random.normal(0, luck, (n_seeds, 1))
        noise = random.normal(0, 0.5, (n_seeds, len(labels)))
        arms.append(difficulty + taste + seed + noise + lift > 0)
    return arms


def outcomes(right, labels):
    """A row a repeat, all on the same test images."""
    return [Correctness(row, labels, np.arange(len(labels))) for row in right]


def difference(treated, baseline, labels, balanced=True):
    return paired_difference(outcomes(treated, labels), outcomes(baseline, labels), balanced=balanced)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("n_repeats", "luck"), [(2, 0.4), (3, 0.4), (5, 0.2)])
def test_where_there_is_no_effect_the_interval_holds_zero_nineteen_times_in_twenty(n_repeats, luck, balanced):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [60, 40, 20, 8])
    covered, p_values = 0, []
    for _ in range(500):
        found = difference(*two_arms(random, n_repeats, labels, effect=0.0, luck=luck), labels, balanced)
        covered += found.low <= 0 <= found.high
        p_values.append(found.p_value)
    assert 0.92 <= covered / 500 <= 0.985  # 95 %, give or take three standard errors
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(1 - covered / 500)


@pytest.mark.parametrize(("n_repeats", "below_001"), [(2, 0.0163), (3, 0.0149), (5, 0.0113)])
def test_p_values_are_as_small_as_they_say_by_chance(n_repeats, below_001):
    """Not at 0.05 alone: of m comparisons the first is judged at 0.05 / m."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [60, 40, 20, 8])
    arms = (two_arms(random, n_repeats, labels, effect=0.0, luck=0.4) for _ in range(3000))
    p_values = np.array([difference(*pair, labels, balanced=False).p_value for pair in arms])
    # quantiles are an approximation: `below_001` is what benchmarks/false_alarms.py counts, in other draws
    for level, least, most in ((0.01, 0.01, below_001), (0.2, 0.17, 0.205), (0.5, 0.46, 0.51)):
        low, high = (share + sign * 4 * (share * (1 - share) / 3000) ** 0.5 for share, sign in ((least, -1), (most, 1)))
        assert low <= np.mean(p_values < level) <= high  # four standard errors


@pytest.mark.parametrize("n_repeats", [2, 3, 5])
def test_the_interval_of_an_arm_by_itself_knows_the_luck_of_the_test_images(n_repeats):
    """A plain t over the repeats, which share the images, covers four times in five at five repeats."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [60, 40, 20, 8])
    truth = norm.cdf(1 / (1 + 0.3**2 + 0.2**2 + 0.5**2) ** 0.5)
    found = [
        accuracy_with_interval(outcomes(two_arms(random, n_repeats, labels, 0.0)[0], labels), balanced=True)
        for _ in range(400)
    ]
    assert np.mean([each.mean for each in found]) == pytest.approx(truth, abs=0.01)
    assert 0.915 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.99


def test_the_interval_of_an_arm_stays_between_none_and_all_and_knows_that_all_may_be_luck():
    labels = np.arange(20) % 2
    for right in (False, True):
        found = accuracy_with_interval(outcomes(np.full((5, 20), right), labels), balanced=True)
        assert found.mean == right
        assert 0 <= found.low < found.high <= 1


def nearest_mean(x, y, test):
    means = np.stack([x[y == k].mean(axis=0) for k in range(4)])
    return ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)


def nearest_neighbour(x, y, test):
    return y[((test[:, None] - x[None]) ** 2).sum(axis=2).argmin(axis=1)]


def redrawn(random, n, drawn, repeats=5):
    """Two classifiers on new splits of one small set: a fifth tests, `drawn` rows (or all others) train."""
    labels = np.arange(n) % 4
    centres = np.random.default_rng(99).normal(0, 1.0, (4, 6))
    points = random.normal(0, 1.2, (n, 6)) + centres[labels]
    arms = ([], [])
    for _ in range(repeats):
        order = random.permutation(n)
        test, train = order[: n // 5], order[n // 5 :][:drawn]
        for arm, classify in zip(arms, (nearest_mean, nearest_neighbour), strict=True):
            right = classify(points[train], labels[train], points[test]) == labels[test]
            arm.append(Correctness(right, labels[test], test))
    return arms


@pytest.mark.parametrize("drawn", [40, None])
def test_new_splits_of_one_set_are_not_taken_for_independent(drawn):
    """The truth is the mean over many sets; a plain paired t covers it about 90 % of the time where all train."""
    random = np.random.default_rng(1)
    found = [paired_difference(*redrawn(random, 200, drawn), balanced=False) for _ in range(400)]
    truth = np.mean([each.mean for each in found])  # its standard error is a twentieth of an interval
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert 0.92 <= covered <= 1


def from_one_part(random, pool, drawn, n_test, repeats=5):
    """Two classifiers on draws out of one training part, judged on the same test images."""
    labels = np.arange(4 * pool) % 4
    centres = np.random.default_rng(99).normal(0, 1.0, (4, 6))
    points = random.normal(0, 1.2, (len(labels), 6)) + centres[labels]
    test_labels = np.arange(n_test) % 4
    test = random.normal(0, 1.2, (n_test, 6)) + centres[test_labels]
    arms, draws = ([], []), []
    for _ in range(repeats):
        train = np.concatenate([random.permutation(np.flatnonzero(labels == k))[:drawn] for k in range(4)])
        draws.append(train)
        for arm, classify in zip(arms, (nearest_mean, nearest_neighbour), strict=True):
            right = classify(points[train], labels[train], test) == test_labels
            arm.append(Correctness(right, test_labels, np.arange(n_test)))
    return paired_difference(*arms, balanced=True, shared_training=training_overlap_correlation(draws, labels))


@pytest.mark.parametrize(("pool", "drawn"), [(25, 20), (60, 40), (400, 20)])
def test_draws_with_images_in_common_are_not_taken_for_independent(pool, drawn):
    """The truth is the mean over many training parts. As if they were independent, 20 of 25 cover it 86 % of the time."""
    random = np.random.default_rng(2)
    found = [from_one_part(random, pool, drawn, 500) for _ in range(200)]
    truth = np.mean([each.mean for each in found])
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.904  # 95 %, less three standard errors


def test_training_overlap_correlation():
    labels = np.repeat([0, 1], 50)
    one = np.array([0, 1, 2, 3, 50, 51])
    other = np.array([2, 3, 4, 5, 6, 7, 8, 9, 10, 60, 61])
    assert training_overlap_correlation([one, one], labels) == pytest.approx(1)
    assert training_overlap_correlation([one, other], labels) == pytest.approx((2 / 36**0.5 + 0) / 2)
    assert training_overlap_correlation([one, other, one], labels) == pytest.approx((2 * 2 / 36**0.5 / 2 + 1) / 3)
    random = np.random.default_rng(0)
    whole = np.arange(4000)
    draws = [random.choice(whole, 1000, replace=False) for _ in range(5)]
    assert training_overlap_correlation(draws, np.zeros(4000, dtype=np.int64)) == pytest.approx(
        0.25, abs=0.01
    )  # the drawn share of the part


def test_disjoint_test_images_give_the_plain_paired_t():
    from scipy import stats

    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    right = random.random((2, 5, 40)) < 0.8
    treated, baseline = (
        [Correctness(row, labels, np.arange(40) + 40 * r) for r, row in enumerate(arm)] for arm in right
    )
    found = paired_difference(treated, baseline, balanced=False)
    by_repeat = right[0].mean(axis=1) - right[1].mean(axis=1)
    plain = stats.t.interval(0.95, 4, by_repeat.mean(), stats.sem(by_repeat))
    assert found.mean == pytest.approx(by_repeat.mean())
    # the same variance; Satterthwaite may count more degrees of freedom than the repeats alone, never fewer
    assert found.high - found.low <= plain[1] - plain[0] + 1e-9
    assert found.high - found.low >= 0.7 * (plain[1] - plain[0])


def by_hand(values, rho, level=0.05):
    """Half the interval of a mean over (repeats, images) of one class, all repeats on the same images, from the module's docstring."""
    n_repeats, n = values.shape
    covariance = np.cov(values)
    assumed = 0.25 / (n + 1)
    of_repeats = values.mean(axis=1).var(ddof=1) * (1 / n_repeats + rho / (1 - rho))
    shared = (covariance[~np.eye(n_repeats, dtype=bool)].mean() + assumed) / n
    of_images = (values.mean(axis=0).var(ddof=1) + assumed) / n
    parts = {"both": of_repeats + shared, "repeats": of_repeats, "images": of_images}
    variance = max(parts.values())
    satterthwaite = variance**2 / (of_repeats**2 / (n_repeats - 1) + of_images**2 / (n - 1))
    share, its_own = of_repeats / variance, 1 / (n_repeats - 1)
    freedoms = (max(satterthwaite, n_repeats - 1), n_repeats - 1, n - 1)
    quantile = np.dot([1 - its_own, its_own * share, its_own * (1 - share)], t.isf(level / 2, freedoms))
    return quantile * variance**0.5, max(parts, key=parts.get)


@pytest.mark.parametrize("rho", [0.0, 0.25, 0.7])
@pytest.mark.parametrize(("n_repeats", "spread"), [(2, 0.015), (3, 0.05), (5, 0.05)])
@pytest.mark.parametrize("largest", ["both", "repeats", "images"])
def test_an_interval_worked_out_by_hand(n_repeats, spread, largest, rho):
    """Whichever of the three estimates of the variance is the largest, and whatever luck the repeats have in common."""
    random, n = np.random.default_rng(n_repeats), 96
    often = 0.5 + spread * np.linspace(-1, 1, n_repeats)[:, None]
    if largest == "both":  # an image is easy or hard in every repeat
        right = random.permutation(n) < often * n
    elif largest == "repeats":  # easy in some and hard in others
        right = (np.arange(n) + n * np.arange(n_repeats)[:, None] // n_repeats) % n < often * n
    else:  # all repeats are as good
        right = random.permuted(np.tile(np.arange(n) < n // 2, (n_repeats, 1)), axis=1)
    reach, found = by_hand(right.astype(float), rho)
    assert found == largest
    assert reach < min(right.mean(), 1 - right.mean())  # an interval that was cut off would show nothing of it
    labels = np.zeros(n, dtype=np.int64)
    arm, never = outcomes(right, labels), outcomes(np.zeros_like(right), labels)
    for whole in (
        accuracy_with_interval(arm, balanced=False, shared_training=rho),
        paired_difference(arm, never, balanced=False, shared_training=rho),
    ):
        assert whole.mean == pytest.approx(right.mean())
        assert whole.high - whole.mean == pytest.approx(reach)
        assert whole.mean - whole.low == pytest.approx(reach)
        if largest == "images":  # so sure that it is only bounded
            assert 0 <= whole.p_value < 1e-9
        else:  # the level whose interval just reaches zero
            assert whole.p_value > 1e-9
            assert by_hand(right.astype(float), rho, whole.p_value)[0] == pytest.approx(right.mean())


def test_an_image_alone_in_its_class_varies_like_the_others_and_costs_no_degree_of_freedom():
    labels = np.array([0] * 10 + [1])
    gains = np.array([1, -1] * 5)
    treated, baseline = np.append(gains > 0, True), np.append(gains < 0, False)
    found = difference(np.tile(treated, (5, 1)), np.tile(baseline, (5, 1)), labels)
    of_ten, spread = 0.25 * (gains.var(ddof=1) + 0.25 / 11) / 10, gains.var(ddof=1)
    variance = of_ten + 0.25 * spread
    freedoms = (9 * (variance / of_ten) ** 2, 9)
    reach = np.dot([0.75, 0.25], t.ppf(0.975, freedoms)) * variance**0.5
    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - reach)


@pytest.mark.parametrize("n", [2, 10, 200])
def test_where_every_image_is_alone_in_its_class_only_their_number_makes_sure(n):
    """No spread can be estimated: each difference may be anything from -1 to 1, as if it had a variance of 1."""
    labels, right = np.arange(n), np.ones((5, n), bool)
    same, all_of_it = difference(right, right, labels), difference(right, ~right, labels)
    reach = norm.ppf(0.975) / n**0.5
    assert (same.mean, same.p_value) == (0, 1)
    assert (same.low, same.high) == pytest.approx((-min(reach, 1), min(reach, 1)))
    assert (all_of_it.mean, all_of_it.high, all_of_it.low) == pytest.approx((1, 1, 1 - reach))
    assert (all_of_it.p_value < 0.05) == (all_of_it.low > 0) == (n > 2)


def test_a_real_effect_is_found():
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    for _ in range(20):
        assert difference(*two_arms(random, 5, labels, effect=1.0), labels).low > 0


@pytest.mark.parametrize(("n_repeats", "luck"), [(3, 0.1), (5, 0.2)])
def test_a_gain_of_twelve_points_is_mostly_found(n_repeats, luck):
    """In 95 of 100 draws; at least in as many as that, less four standard errors."""
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    spread = (1 + 0.3**2 + luck**2 + 0.5**2) ** 0.5
    truth = norm.cdf(1.7 / spread) - norm.cdf(1 / spread)
    found = [difference(*two_arms(random, n_repeats, labels, 0.7, luck), labels) for _ in range(200)]
    assert truth == pytest.approx(0.12, abs=0.005)
    assert np.mean([each.mean for each in found]) == pytest.approx(truth, abs=0.012)
    assert np.mean([each.low > 0 and each.p_value < 0.05 for each in found]) >= 0.95 - 4 * (0.95 * 0.05 / 200) ** 0.5


def test_the_mean_is_the_difference_of_the_accuracies():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 10, 20])
    treated, baseline = random.random((5, 60)) < 0.9, random.random((5, 60)) < 0.7
    plain = difference(treated, baseline, labels, balanced=False).mean
    assert plain == pytest.approx(treated.mean() - baseline.mean())
    recalls = np.array([[arm[:, labels == label].mean() for label in range(3)] for arm in (treated, baseline)])
    assert difference(treated, baseline, labels).mean == pytest.approx(recalls[0].mean() - recalls[1].mean())
    minority = paired_difference(
        outcomes(treated, labels), outcomes(baseline, labels), balanced=True, classes=[np.array([1, 2])] * 5
    )
    assert minority.mean == pytest.approx(recalls[0, 1:].mean() - recalls[1, 1:].mean())


@pytest.mark.parametrize("noise", [0.2, 0.5])
@pytest.mark.parametrize(
    ("sizes", "n_rare"),
    [([100] * 3 + [2] * 2, 2), ([60] * 3 + [3] * 2, 2), ([40] * 3 + [5], 1), ([40] * 3 + [20] * 3, 3)],
)
def test_a_gain_of_rare_classes_is_covered_too(sizes, n_rare, noise):
    """The truth lies in the interval at least nearly as often as it says, also where a class has two test images."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rare = np.arange(len(sizes)) >= len(sizes) - n_rare
    ease, lift = np.where(rare, 0.0, 1.5), np.where(rare, 1.0, 0.0)
    spread = (1 + 0.3**2 + 0.1**2 + noise**2) ** 0.5
    truth = norm.cdf((ease + lift) / spread) - norm.cdf(ease / spread)
    covered, of_rare = 0, 0
    for _ in range(400):
        difficulty = random.normal(ease[labels], 1.0)
        arms = [
            difficulty
            + random.normal(0, 0.3, len(labels))
            + random.normal(0, 0.1, (5, 1))
            + random.normal(0, noise, (5, len(labels)))
            + gain[labels]
            > 0
            for gain in (lift, 0 * lift)
        ]
        treated, baseline = (outcomes(arm, labels) for arm in arms)
        found = paired_difference(treated, baseline, balanced=True)
        covered += found.low <= truth.mean() <= found.high
        found = paired_difference(treated, baseline, balanced=True, classes=[np.flatnonzero(rare)] * 5)
        of_rare += found.low <= truth[rare].mean() <= found.high
    assert min(covered, of_rare) / 400 >= 0.92  # 95 %, less three standard errors


def test_two_images_that_agree_are_not_certain():
    labels = np.repeat(np.arange(5), [40, 40, 40, 40, 2])
    baseline = np.ones((5, len(labels)), bool)
    baseline[:, labels == 4] = False
    found = difference(np.ones((5, len(labels)), bool), baseline, labels)
    assert found.mean == pytest.approx(0.2)
    assert found.low < 0


def test_one_lucky_image_is_no_evidence():
    """Every repeat agrees, but all of the gain is one test image."""
    labels = np.arange(20) % 2
    baseline = np.ones((5, 20), bool)
    baseline[:, 0] = False
    found = difference(np.ones((5, 20), bool), baseline, labels)
    assert found.mean == pytest.approx(0.05)
    assert found.low < 0


def test_arms_that_agree_on_few_images_need_not_agree_on_others():
    reach = []
    for n in (4, 40, 4000):
        right = np.random.default_rng(0).random((5, n)) < 0.8
        found = difference(right, right, np.arange(n) % 2)
        assert (found.mean, found.p_value) == (0, 1)
        assert found.low == -found.high
        reach.append(found.high)
    assert reach[0] > 0.5 > 0.05 > reach[1] > 0.005 > reach[2] > 0


@pytest.mark.parametrize(("n", "classes", "wrong", "gain"), [(20, 2, 0.1, 0.05), (100, 10, 0.05, 0.01)])
def test_a_small_gain_is_covered_where_most_sets_of_test_images_show_none(n, classes, wrong, gain):
    """Repeats without any luck of their own: an interval of no width, wherever arms agree, would hold it 55 to 64 % of the time."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % classes
    covered = 0
    for _ in range(400):
        ease = np.tile(random.random(n), (5, 1))
        found = difference(ease < 1 - wrong + gain, ease < 1 - wrong, labels)
        covered += found.low <= gain <= found.high
    assert covered / 400 >= 0.92


def test_a_class_with_a_single_test_image_widens_the_interval():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 40, 1])
    with_rare = difference(*two_arms(random, 5, labels, 0.0), labels)
    assert with_rare.high - with_rare.low > 0.3


def test_holm_keeps_the_whole_family():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    random = np.random.default_rng(0)
    wrong = np.mean([min(holm(random.random(10).tolist())) < 0.05 for _ in range(2000)])
    assert 0.03 <= wrong <= 0.07  # some false alarm in ten true nulls, once in twenty


def test_no_interval_of_a_difference_reaches_beyond_all_or_nothing():
    labels = np.arange(6) % 2
    some, other = np.array([True, True, False, True, False, True]), np.array([False, True, True, False, False, True])
    arms = [[Correctness(right, labels, np.arange(6)) for right in pair] for pair in ((some, other), (other, other))]
    found = paired_difference(*arms, balanced=True)
    assert -1 <= found.low < found.mean < found.high <= 1


def test_calibration_error():
    labels = np.arange(1000) % 2
    sure = np.stack([1.0 - labels, labels], axis=1)
    assert calibration_error(sure, labels) == 0
    assert calibration_error(sure[:, ::-1], labels) == 1
    even = np.full((1000, 2), 0.5)
    assert calibration_error(even, labels) == pytest.approx(0)
    too_sure = np.tile([0.9, 0.1], (1000, 1))
    assert calibration_error(too_sure, labels) == pytest.approx(0.4)


def test_confidences_are_compared_in_fifteen_bins():
    sure = np.array([0.66, 0.68])  # two of fifteen bins, one of five
    probabilities = np.repeat(np.stack([sure, 1 - sure], axis=1), 10, axis=0)
    right_then_wrong = np.repeat([0, 1], 10)
    assert calibration_error(probabilities, right_then_wrong) == pytest.approx((0.34 + 0.68) / 2)


def test_a_mean_stays_inside_of_its_interval():
    """Each image in a class of its own: the sum of many small weights is not exactly 1."""
    labels = np.arange(200)
    right, wrong = ([Correctness(np.full(200, each), labels, labels)] * 5 for each in (True, False))
    found = paired_difference(right, wrong, balanced=True)
    assert found.low <= found.mean <= found.high == 1
    found = accuracy_with_interval(right, balanced=True)
    assert found.low <= found.mean <= found.high == 1
