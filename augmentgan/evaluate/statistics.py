"""Paired intervals that hold at five repeats and on a small test set, and a correction for many comparisons.

Two arms are compared repeat by repeat on the same test images. Their difference varies for two reasons: the repeats (training
draw, generator, classifier) and which images happen to be in the test set. Repeats that share test images are not independent,
and a plain paired t over them makes a small test set look conclusive (Nadeau & Bengio 2003; in a simulation of five re-splits of
one small set it covered 90 % instead of 95 %). Their remedy guesses the correlation of repeats; here it is measured, image by image:

    variance of the mean = S^2 / R + C

with S^2 the variance of the differences over the R repeats and C the mean covariance of two repeats through the test images that
they share, stratified by class. Repeats on disjoint test images give C = 0 and the paired t; one fixed test set gives the two-way
random effects model, repeats x images (Cornfield & Tukey 1956; Owen 2007, arXiv 0712.1111). Student's t with Satterthwaite's
degrees of freedom (1946), in which every class is a component with those of its own images: in balanced accuracy the luck of a class
with three test images counts as much as that of one with three hundred, and is known far less well.

Where one training part is drawn from again and again, repeats have training images in common as well, and their luck varies less between
them than it would between training parts. If two repeats have it with a correlation of rho, S^2 holds 1 - rho of it, and the mean
varies by S^2 (1 / R + rho / (1 - rho)) (Nadeau & Bengio 2003, section 3). What part of S^2 is owed to training images is not
known; all of it is taken for that, which errs on the wide side: draws of 20 out of 25 images a class, with 500 test
images, cover 98 % with it and 86 % without.

Satterthwaite's formula takes the share that the repeats have in the variance for known. Of two or three repeats it is small by luck
so often that intervals hold too rarely: two components of which one has a single degree of freedom cover 87 to 95 %. Cochran &
Cox (1950) weigh the components' own quantiles by the shares instead, which covers 94 to 98 % there, and is needlessly wide where there are
more repeats. So the quantile here is Satterthwaite's, but for the (R - 1)th part of it, which is Cochran & Cox's: theirs at 2 repeats, half
of each at 3, and at 5 an interval at most 3 % wider than Satterthwaite's (94.5 % at least; his own 94.2). The coverage is checked by
simulation in tests/evaluate/test_statistics.py, at 2, 3 and 5 repeats and down to two images a class. Farther out the approximation is
a little too sure: without any effect p falls below 0.01 in 1.6 % of the cases at 2 repeats, 1.5 % at 3 and 1.1 % at 5, and below 0.001 in 0.2 %
at 5 (benchmarks/false_alarms.py), which Holm's correction inherits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_LEAST_SPREAD = 0.25
"""Assumed variance of the difference at an image: all that is known where it is alone in its class, and added as one of n + 1 where
there are n, for two images that agree by chance must not make an interval of no width."""

_LEAST_P = 1e-9
"""Below, a p value is only bounded from above: quantiles so far out are not computed exactly."""


@dataclass(frozen=True)
class Difference:
    """A mean difference, or a mean, its 95 % interval and the two-sided p value of none."""

    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Correctness:
    """What one classifier did with its test images.

    Attributes:
        right: (n,) whether it was right.
        labels: (n,) the true classes.
        images: (n,) which image it was; the same number in another repeat means the same image.
    """

    right: Bools
    labels: Ints
    images: Ints


def paired_difference(
    treated: Sequence[Correctness],
    baseline: Sequence[Correctness],
    *,
    balanced: bool,
    classes: Sequence[Ints] | None = None,
    shared_training: float = 0.0,
) -> Difference:
    """Difference of two arms in accuracy, balanced accuracy or mean recall of some classes, with a 95 % interval.

    Args:
        treated: an entry a repeat, at least 2.
        baseline: the other arm's, on the same test images.
        balanced: weigh every class alike instead of every image.
        classes: for each repeat the classes that count; all where left out.
        shared_training: correlation of two repeats in the luck of their training images, below 1.
    """
    differences = [
        one.right.astype(np.float64) - other.right.astype(np.float64)
        for one, other in zip(treated, baseline, strict=True)
    ]
    found = _mean(differences, treated, balanced=balanced, classes=classes, shared_training=shared_training)
    return _within(found, -1.0, 1.0)  # no difference of accuracies is larger


def accuracy_with_interval(arm: Sequence[Correctness], *, balanced: bool, shared_training: float = 0.0) -> Difference:
    """Accuracy or balanced accuracy of one arm by itself: its difference to an arm that is always wrong, between 0 and 1.

    A t interval over the repeats alone knows nothing of the luck of test images that the repeats share.

    Args:
        arm: an entry a repeat, at least 2.
        balanced: weigh every class alike instead of every image.
        shared_training: as in `paired_difference`.
    """
    rights = [each.right.astype(np.float64) for each in arm]
    found = _mean(rights, arm, balanced=balanced, shared_training=shared_training)
    return _within(found, 0.0, 1.0)


def _within(found: Difference, least: float, most: float) -> Difference:
    """The same with mean and interval in a range that they leave by rounding, or by an approximation."""
    clipped = {name: min(max(getattr(found, name), least), most) for name in ("mean", "low", "high")}
    return replace(found, **clipped)


def training_overlap_correlation(draws: Sequence[Ints], labels: Ints) -> float:
    """Correlation of two training draws in the luck of their images, the mean over classes and pairs of draws.

    A draw of n images and one of m that have c in common: c / sqrt(n m), if what an image adds or takes does not depend on the others.

    Args:
        draws: rows of the data, an entry a repeat, at least 2.
        labels: (n,) of the data.
    """
    found = [
        len(np.intersect1d(*mine)) / math.sqrt(len(mine[0]) * len(mine[1]))
        for one, other in itertools.combinations(draws, 2)
        for label in np.intersect1d(labels[one], labels[other])
        for mine in [[draw[labels[draw] == label] for draw in (one, other)]]
    ]
    return float(np.mean(found)) if found else 0.0


def _mean(
    values: Sequence[Floats],
    tested: Sequence[Correctness],
    *,
    balanced: bool,
    classes: Sequence[Ints] | None = None,
    shared_training: float = 0.0,
) -> Difference:
    """Mean of the values (n,) that each repeat gave its test images, weighed as in `paired_difference`."""
    n_repeats = len(tested)
    found = _by_image(values, tested, balanced=balanced, classes=classes)
    of_repeats = float(found.means.var(ddof=1)) * (1 / n_repeats + shared_training / (1 - shared_training))
    products = found.residual @ found.residual.T + found.assumed @ found.assumed.T
    shared = float((products.sum() - np.trace(products)) / (n_repeats * (n_repeats - 1)))
    of_image = found.residual.mean(axis=0) ** 2 + found.assumed.mean(axis=0) ** 2
    of_images = float(of_image.sum())
    variance = max(of_repeats + shared, of_repeats, of_images)
    mean = float(found.means.mean())
    by_class = [found.estimated & (found.labels == label) for label in np.unique(found.labels[found.estimated])]
    freedoms = [max(int(mine.sum()) - 1, 1) for mine in by_class]
    squares = sum(float(of_image[mine].sum()) ** 2 / freedom for mine, freedom in zip(by_class, freedoms, strict=True))
    quantile = _Quantile(
        n_repeats - 1,
        _degrees_of_freedom(variance, of_repeats**2 / (n_repeats - 1) + squares, [n_repeats - 1, *freedoms]),
        _degrees_of_freedom(sum(float(of_image[mine].sum()) for mine in by_class), squares, freedoms),
        of_repeats / variance,
    )
    error = variance**0.5
    reach = quantile(0.05) * error
    return Difference(mean, mean - reach, mean + reach, quantile.p_value(abs(mean) / error))


@dataclass(frozen=True)
class _ByImage:
    """What the repeats' means are made of, image by image.

    Attributes:
        means: (repeats,) of each repeat.
        residual: (repeats, images) an image's distance to the mean of its class, as it weighs in the repeat's mean; 0 where it was not
            tested on. Divided by n - 1 in all, so that products of two repeats estimate their covariance.
        assumed: the same shape, what `_LEAST_SPREAD` adds.
        labels: (images,) their classes.
        estimated: (images,) whether the spread of an image was estimated. What is assumed of one that is alone in its class was not,
            and costs no degrees of freedom.
    """

    means: Floats
    residual: Floats
    assumed: Floats
    labels: Ints
    estimated: Bools


def _by_image(
    values: Sequence[Floats], tested: Sequence[Correctness], *, balanced: bool, classes: Sequence[Ints] | None
) -> _ByImage:
    n_repeats = len(tested)
    images, places = np.unique(np.concatenate([each.images for each in tested]), return_inverse=True)
    ends = np.cumsum([len(each.images) for each in tested])[:-1]
    means, labels_of = np.zeros(n_repeats), np.zeros(len(images), dtype=np.int64)
    residual, assumed, shares = (np.zeros((n_repeats, len(images))) for _ in range(3))
    alone = np.zeros((n_repeats, len(images)), dtype=bool)
    spreads = []
    for r, place in enumerate(np.split(places, ends)):
        value, labels = values[r], tested[r].labels
        labels_of[place] = labels
        counted = np.unique(labels) if classes is None else np.intersect1d(classes[r], labels)
        n_counted = np.isin(labels, counted).sum()
        for label in counted:
            mine = labels == label
            n = int(mine.sum())
            share = 1 / len(counted) if balanced else n / n_counted
            means[r] += share * value[mine].mean()
            shares[r, place[mine]] = share
            if n == 1:
                alone[r, place[mine]] = True
                continue
            spreads.append(value[mine].var(ddof=1))
            residual[r, place[mine]] = share * (value[mine] - value[mine].mean()) / (n * (n - 1)) ** 0.5
            assumed[r, place[mine]] = share / n * (_LEAST_SPREAD / (n + 1)) ** 0.5
    stand_in = max(float(np.mean(spreads)) if spreads else 1.0, _LEAST_SPREAD)
    residual = np.where(alone, shares * stand_in**0.5, residual)
    estimated = np.asarray(shares.any(axis=0) & ~alone.any(axis=0), dtype=np.bool_)
    return _ByImage(means, residual, assumed, labels_of, estimated)


def _degrees_of_freedom(variance: float, squares: float, least: Sequence[int]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances.

    Args:
        variance: the sum.
        squares: each one's square over its own degrees of freedom, summed.
        least: their own degrees of freedom; none where nothing in the sum was estimated.
    """
    return max(variance**2 / (squares + 1e-300), min(least, default=math.inf))


@dataclass(frozen=True)
class _Quantile:
    """By how many standard errors a mean may be off, with two sources of luck (see the module's docstring).

    Attributes:
        of_repeats: degrees of freedom of the repeats.
        of_both: of repeats and images together (Satterthwaite).
        of_images: of the images.
        share: the repeats' in the variance.
    """

    of_repeats: int
    of_both: float
    of_images: float
    share: float

    @property
    def _freedoms(self) -> Floats:
        return np.array([self.of_both, self.of_repeats, self.of_images])

    def __call__(self, p_value: float) -> float:
        """The two-sided quantile."""
        cochran_cox = 1 / self.of_repeats
        weights = [1 - cochran_cox, cochran_cox * self.share, cochran_cox * (1 - self.share)]
        return float(weights @ -stdtrit(self._freedoms, p_value / 2))

    def p_value(self, n_errors: float) -> float:
        """The level whose interval just reaches zero, where the mean is so many standard errors away from it."""
        among = 2 * stdtr(self._freedoms, -n_errors)  # a mean of quantiles lies between them, and so does its level
        low, high = float(among.min()), float(among.max())
        if high < _LEAST_P or self(high) >= n_errors:
            return high
        if self(low) <= n_errors:
            return low
        return float(brentq(lambda p: self(p) - n_errors, low, high))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm 1979): below 0.05 each, all of them hold together at 95 %."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return [float(value) for value in adjusted]
