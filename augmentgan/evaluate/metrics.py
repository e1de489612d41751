"""Distances between two sets of feature vectors.

They take float arrays (n, d), one row an image, real first. They are named after what they compute; they are an "FID" or a "KID" only
on Inception's features (`extractors`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel

Features = NDArray[np.float64]

NEIGHBOURS = 5
"""Of an image, whose distances make its neighbourhood."""


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
