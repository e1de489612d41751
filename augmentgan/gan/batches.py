"""Class-balanced batches from images that stay on the device.

The whole set lies on the device once, as uint8; a batch is an index and a conversion. Classes come up equally often, so that a
class with 50 images is learned beside one with 500, except where that would show the few images of a class so often that
they are memorised (`class_shares`). Neighbouring rows share a class, as the discriminator's minibatch statistic needs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augmentgan.data.images import LabelledImages
from augmentgan.gan.device import to_device
from augmentgan.gan.networks import to_unit
from augmentgan.sections import ResolvedTrainingSection

_KEPT_TURNS = 64
"""Turns of the rotation through the classes that are kept; a batch of many groups and few classes takes several."""


def class_shares(counts: NDArray[np.int64], training: ResolvedTrainingSection) -> Tensor:
    """Each class's part of all batches (n_classes,), float64: even, but no image is to be shown more than `most_shown` times.

    What a small class may not have goes to the others. Where all classes are that small, there are no others, and images are shown more
    often: then each class has its part of the images.

    Args:
        counts: training images of each class.
        training: how many images the discriminator sees in all, and `most_shown`.
    """
    n_shown = training.updates * training.n_discriminator_updates * training.batch_images
    most = torch.from_numpy(counts).double() * training.most_shown / n_shown
    if most.sum() <= 1:
        return most / most.sum()
    # the smallest classes first: what one leaves is shared by those after it
    order = torch.argsort(most)
    shares, left = torch.empty_like(most), 1.0
    for rank, label in enumerate(order.tolist()):
        shares[label] = min(float(most[label]), left / (len(most) - rank))
        left -= float(shares[label])
    return shares


def classes_at(points: Tensor, shares: Tensor) -> Tensor:
    """The classes (n,) whose stretches of [0, 1), as long as their shares, hold the points (n,)."""
    return torch.searchsorted(shares.cumsum(0), points, right=True).clamp_max(len(shares) - 1)


def drawn_in_runs(first: Tensor, counts: Tensor, group: int) -> Tensor:
    """Random places (runs * group,), a run of `group` from each stretch, every subset as likely as another.

    Floyd's sampling (Bentley & Floyd 1987, doi:10.1145/30401.315746). A stretch of fewer gives each of its places before one comes again.

    Args:
        first: where the stretches begin (runs,).
        counts: how long they are (runs,).
        group: places a run.
    """
    drawn = torch.empty(len(counts), group, dtype=torch.long)
    for k in range(group):
        last = counts - group + k
        place = (torch.rand(len(counts)) * (last + 1)).long()
        taken = (drawn[:, :k] == place[:, None]).any(1)
        drawn[:, k] = torch.where(taken, last, place)
    start = (torch.rand(len(counts)) * counts).long()
    in_turn = (start[:, None] + torch.arange(group)) % counts[:, None]
    drawn = torch.where((counts < group)[:, None], in_turn, drawn)
    return (first[:, None] + drawn).flatten()


class BalancedBatches:
    """Draws class-balanced rows of a training set.

    The classes of update u depend on (seed, u) alone, the rows on torch's random state; nothing needs saving.

    Attributes:
        images: uint8 (n, h, w, c) on the device, sorted by class.
        labels: int64 (n,) on the device, of these images.
        n_classes: number of classes.
        shares: each class's part of all batches, (n_classes,) float64.
    """

    def __init__(self, data: LabelledImages, shares: Tensor, seed: int, device: torch.device) -> None:
        order = torch.argsort(torch.from_numpy(data.labels), stable=True)
        self.images = torch.from_numpy(data.images)[order].to(device)
        self.labels = torch.from_numpy(data.labels)[order].to(device)
        counts = torch.from_numpy(data.counts)
        self.n_classes = data.n_classes
        self._counts = counts
        self._first = counts.cumsum(0) - counts
        self.shares = shares
        self._seed = seed
        self._turns: dict[int, list[int]] = {}

    def labels_at(self, position: int, n: int, group: int = 1) -> Tensor:
        """Labels (n,) in runs of `group`: a slice of an endless rotation through shuffled classes.

        A turn takes one point from each of `n_classes` equal stretches of [0, 1): with even shares every class comes up once, else as
        nearly in proportion to its share as whole numbers allow.
        """
        start = position * (n // group)
        return torch.tensor(
            [self._rotation(p // self.n_classes)[p % self.n_classes] for p in range(start, start + n // group)]
        ).repeat_interleave(group)

    def rows_of(self, labels: Tensor, group: int = 1) -> Tensor:
        """A random row for each label (CPU, n,); within a run of `group` the rows differ where the class has enough."""
        return drawn_in_runs(self._first[labels[::group]], self._counts[labels[::group]], group)

    def real_images(self, rows: Tensor) -> Tensor:
        """Those rows as float32 NCHW in [-1, 1] on the device."""
        return to_unit(self.images[to_device(rows, self.images.device)])

    def _rotation(self, turn: int) -> list[int]:
        if turn not in self._turns:
            if len(self._turns) >= _KEPT_TURNS:
                self._turns.clear()
            self._turns[turn] = self._draw_rotation(turn)
        return self._turns[turn]

    def _draw_rotation(self, turn: int) -> list[int]:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + turn) % 2**63)
        stretches = torch.randperm(self.n_classes, generator=generator)
        points = (stretches + torch.rand((), generator=generator, dtype=torch.float64)) / self.n_classes
        return classes_at(points, self.shares).tolist()
