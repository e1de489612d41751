"""Paired intervals that hold at five repeats and on a small test set.

Two arms are compared on the same test images with the same classifier seeds. Their difference varies for two reasons: the
seeds, and which images happen to be in the test set. Seeds alone would make any small test set look conclusive, so the
interval counts both, as a two-way random effects model (seeds x images) with the images stratified by class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(
    treated: NDArray[np.bool_], baseline: NDArray[np.bool_], labels: NDArray[np.int64], *, balanced: bool
) -> Difference:
    """Difference in (balanced) accuracy of two arms with a 95 % interval.

    The variance of the mean over s seeds and the images of each class is V_seeds + V_images - V_rest: the first two both
    contain the seed-by-image part, which is therefore taken off once (Cornfield & Tukey 1956; Owen 2007, arXiv
    0712.1111). Student's t with Satterthwaite's degrees of freedom.

    Args:
        treated: (s, n) whether seed i was right on test image j, s >= 2.
        baseline: the same for the other arm, (s, n).
        labels: (n,) the true classes.
        balanced: weigh every class alike instead of every image.
    """
    difference = treated.astype(np.float64) - baseline.astype(np.float64)  # (s, n)
    n_seeds, n_images = difference.shape
    present, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    share = np.full(len(present), 1 / len(present)) if balanced else counts / n_images
    weights = (share / counts)[place]  # (n,)
    by_seed = difference @ weights  # (s,)
    mean = float(by_seed.mean())
    of_seeds = float(by_seed.var(ddof=1)) / n_seeds

    of_image = difference.mean(axis=0)  # (n,)
    spread, rest = np.zeros(len(present)), np.zeros(len(present))
    for k in range(len(present)):
        mine = place == k
        if counts[k] > 1:
            block = difference[:, mine]
            residual = block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()
            spread[k] = of_image[mine].var(ddof=1)
            rest[k] = (residual**2).sum() / ((n_seeds - 1) * (counts[k] - 1))
    if (counts == 1).any():
        # one image says nothing of the spread in its class; the other classes' pooled spread stands in
        many = counts > 1
        typical = np.average(spread[many], weights=counts[many] - 1) if many.any() else 1.0
        spread[counts == 1] = max(float(typical), 0.25)
    of_images = float((share**2 * spread / counts).sum())
    of_rest = float((share**2 * rest / (counts * n_seeds)).sum())
    variance = max(of_seeds + of_images - of_rest, of_seeds, of_images)
    if variance == 0:
        return Difference(mean, mean, mean)
    freedom = variance**2 / (of_seeds**2 / (n_seeds - 1) + of_images**2 / max(n_images - len(present), 1) + 1e-300)
    reach = float(stats.t.ppf(0.975, freedom)) * variance**0.5
    return Difference(mean, mean - reach, mean + reach)
