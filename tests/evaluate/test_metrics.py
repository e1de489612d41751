"""Metrics against closed forms and slow references."""

import numpy as np
import pytest
from scipy import special
from scipy.stats import norm
from sklearn.metrics import pairwise_distances

from augmentgan.evaluate import copies, metrics


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_frechet_distance_of_gaussians(random):
    """Means apart by m and scales 1 and s: |m|^2 + d (1 - s)^2."""
    first, second = random.normal(size=(20000, 4)), 2 * random.normal(size=(20000, 4)) + [3, 0, 0, 0]
    assert metrics.frechet_distance(first, second) == pytest.approx(9 + 4, rel=0.03)
    assert metrics.frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_agrees_with_the_matrix_root(random):
    from scipy.linalg import sqrtm

    first, second = random.normal(size=(50, 6)) @ random.normal(size=(6, 6)), random.normal(size=(60, 6))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert metrics.frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_is_unbiased(random):
    """At n = 10 its mean over many draws of one distribution is zero, which a biased estimate would miss."""
    values = [metrics.kernel_distance(random.normal(size=(10, 4)), random.normal(size=(10, 4))) for _ in range(2000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 2000**0.5
    assert metrics.kernel_distance(random.normal(size=(50, 4)), random.normal(size=(50, 4)) + 1) > 1


def test_kernel_distance_by_hand():
    real, synthetic = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    # k(x, y) = (xy + 1)^3: within 27 and 1, between (1 + 8 + 1 + 27) / 4
    assert metrics.kernel_distance(real, synthetic) == pytest.approx(27 + 1 - 2 * 37 / 4)


def test_manifold_agrees_with_loops(random):
    real, fake = random.normal(size=(30, 3)), random.normal(size=(25, 3)) + 0.5

    def reach(points, k):
        return [sorted(np.linalg.norm(points - point, axis=1))[k] for point in points]

    real_reach, fake_reach = reach(real, 5), reach(fake, 5)
    inside = np.array([[np.linalg.norm(x - y) <= r for y in fake] for x, r in zip(real, real_reach, strict=True)])
    inside_fake = np.array([[np.linalg.norm(x - y) <= r for y, r in zip(fake, fake_reach, strict=True)] for x in real])
    found = metrics.manifold(real, fake)
    assert found.precision == pytest.approx(inside.any(axis=0).mean())
    assert found.coverage == pytest.approx(inside.any(axis=1).mean())
    assert found.density == pytest.approx(inside.sum() / (5 * 25))
    assert found.recall == pytest.approx(inside_fake.any(axis=1).mean())


def test_manifold_of_scenarios(random):
    real = random.normal(size=(300, 4))
    alike = metrics.manifold(real, random.normal(size=(300, 4)))
    collapsed = metrics.manifold(real, np.repeat(real[:3], 100, axis=0) + 1e-3 * random.normal(size=(300, 4)))
    noise = metrics.manifold(real, 20 * random.normal(size=(300, 4)))
    assert alike.density == pytest.approx(1, abs=0.1)
    assert alike.coverage > 0.9
    assert collapsed.precision == 1
    assert collapsed.coverage < 0.2
    assert collapsed.recall < 0.2
    assert noise.precision < 0.05


def copy_ratios(train, images):
    return copies.copy_ratios(pairwise_distances(images, train))


def test_copies_are_found_and_honest_images_are_not(random):
    train, fresh = random.normal(size=(20, 30)), random.normal(size=(2000, 30))
    held_out = copy_ratios(train, random.normal(size=(40, 30)))
    threshold = copies.copy_threshold(held_out)
    assert (copy_ratios(train, fresh) < threshold).mean() < 0.03
    assert (copy_ratios(train, train + 0.1 * random.normal(size=train.shape)) < threshold).all()


def test_the_copy_threshold_holds_with_few_held_out_images(random):
    """1 % of fresh images fall below on average, from ten images on."""
    train = random.normal(size=(20, 30))
    fresh = copy_ratios(train, random.normal(size=(3000, 30)))
    for n in (10, 30, 300):
        rates = [
            (fresh < copies.copy_threshold(copy_ratios(train, random.normal(size=(n, 30))))).mean() for _ in range(100)
        ]
        assert np.mean(rates) < 0.025


@pytest.mark.parametrize("n", [10, 30, 300])
def test_a_fresh_image_is_taken_for_a_copy_once_in_a_hundred(random, n):
    """Neither more nor less often, where logits are normal: the chance of each of 2000 thresholds is known."""
    thresholds = [copies.copy_threshold(special.expit(random.normal(-1, 0.5, n))) for _ in range(2000)]
    chances = norm.cdf(special.logit(thresholds), -1, 0.5)
    assert abs(chances.mean() - 0.01) < 4 * chances.std() / 2000**0.5  # four standard errors


def test_too_few_held_out_images_to_say():
    assert copies.copy_threshold(np.full(9, 0.5)) is None
