"""Distances between two sets of feature vectors, and what tells a near copy from an honest image.

The distances take float arrays (n, d), one row an image, real first. They are named after what they compute; they are an "FID" or a
"KID" only on Inception's features (`extractors`). The figures of copies take distances and ratios, see `copies`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel

Features = NDArray[np.float64]

NEIGHBOURS = 5
COPY_CHANCE = 0.01
"""How often a fresh real image would be taken for a copy."""

ENOUGH_HELD_OUT = 10
"""Held-out images that a threshold for copies rests on."""


def frechet_distance(real: Features, synthetic: Features) -> float:
    """Frechet distance between Gaussians fitted to both sets (Heusel et al. 2017, arXiv 1706.08500, equation 6).

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)); the trace of the root is the sum of the roots of the eigenvalues of C C'.
    """
    difference = real.mean(axis=0) - synthetic.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (real, synthetic))
    eigenvalues = np.linalg.eigvals(first @ second).real.clip(min=0)
    distance = difference @ difference + np.trace(first) + np.trace(second) - 2 * np.sqrt(eigenvalues).sum()
    return float(max(distance, 0.0))


def kernel_distance(real: Features, synthetic: Features) -> float:
    """Squared maximum mean discrepancy, unbiased, kernel (x.y / d + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401).

    All pairs are used and no subsets are drawn, so it holds at any n of at least 2; it may fall below zero.
    """
    kernel = functools.partial(polynomial_kernel, degree=3, coef0=1)

    def off_diagonal(values: Features) -> float:
        n = len(values)
        return float((values.sum() - np.trace(values)) / (n * (n - 1)))

    between = float(kernel(real, synthetic).mean())
    return off_diagonal(kernel(real, real)) + off_diagonal(kernel(synthetic, synthetic)) - 2 * between


@dataclass(frozen=True)
class Manifold:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, 2002.09797).

    Attributes:
        precision: share of samples inside a real image's neighbourhood: are samples plausible?
        recall: share of real images inside a sample's neighbourhood: could each have been generated?
        density: how many real neighbourhoods hold a sample, over the neighbours; 1 where both sets are alike.
        coverage: share of real images whose neighbourhood holds a sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: Features, synthetic: Features) -> Manifold:
    """The four figures; an image's neighbourhood reaches to its `NEIGHBOURS`-th nearest of its own set."""
    k_real, k_synthetic = (min(NEIGHBOURS, len(each) - 1) for each in (real, synthetic))
    reach_real = np.sort(pairwise_distances(real), axis=1)[:, k_real]  # column 0 is the image itself
    reach_synthetic = np.sort(pairwise_distances(synthetic), axis=1)[:, k_synthetic]
    between = pairwise_distances(real, synthetic)  # (n_real, n_synthetic)
    inside_real = between <= reach_real[:, None]
    return Manifold(
        precision=float(inside_real.any(axis=0).mean()),
        recall=float((between <= reach_synthetic[None, :]).any(axis=1).mean()),
        density=float(inside_real.sum(axis=0).mean() / k_real),
        coverage=float(inside_real.any(axis=1).mean()),
    )


def copy_threshold(ratios: Features) -> float | None:
    """The copy ratio (`copy_ratios`) below which an image counts as a copy of a training image.

    Held-out real images are no copies, so their ratios say how low an honest image comes. Their logits are close to
    normal; the threshold is the prediction bound that a fresh real image falls below with probability `COPY_CHANCE`; Student's t
    makes it hold for few images.

    Args:
        ratios: (n,) of held-out real images.

    Returns:
        A number in (0, 1); None for fewer than `ENOUGH_HELD_OUT` images, which leave nothing to say.
    """
    n = len(ratios)
    if n < ENOUGH_HELD_OUT:
        return None
    logits = special.logit(ratios.clip(1e-6, 1 - 1e-4))
    bound = logits.mean() + stats.t.ppf(COPY_CHANCE, n - 1) * logits.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(special.expit(bound))


def copy_ratios(distances: Features) -> Features:
    """How much nearer an image lies to one training image than to the next ones: about 0 for a copy, at most 1.

    The distance to the nearest over the mean distance to the `NEIGHBOURS` after it (after Carlini et al. 2023, arXiv 2301.13188,
    section 3). A plain distance would call every thin stroke and every smooth image a copy.

    Args:
        distances: (n, m) from images to the training images of their class, m at least 2.

    Returns:
        (n,) ratios.
    """
    last = min(NEIGHBOURS, distances.shape[1] - 1)
    nearest = np.sort(np.partition(distances, last, axis=1)[:, : last + 1], axis=1)
    ratios: Features = nearest[:, 0] / np.maximum(nearest[:, 1:].mean(axis=1), 1e-12)
    return ratios
