"""Class-balanced batches from images that stay on the device.

The whole set lies on the device once, as uint8; a batch is an index and a conversion. Every class comes
up equally often, so that a class with 5 images is learned beside one with 500, and neighbouring rows share a class, as
the discriminator's minibatch statistic needs.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from augmentgan.data.images import LabelledImages
from augmentgan.gan.device import to_device
from augmentgan.gan.networks import to_unit


def spread(shares: Tensor, start: int, n: int, seed: int) -> Tensor:
    places = (torch.arange(start, start + n, dtype=torch.float64) * 0.6180339887498949 + seed * 0.37) % 1.0
    return torch.searchsorted(shares.cumsum(0), places, right=True).clamp_max(len(shares) - 1)


def class_shares(counts: Tensor, n_shown: int, most_shown: int, exponent: float = 0.0) -> Tensor:
    wish = counts.double() ** exponent
    if not most_shown:
        return wish / wish.sum()
    most = most_shown * counts.double() / n_shown
    if most.sum() <= 1:
        return most / most.sum()
    shares = torch.zeros_like(most)
    free = torch.ones(len(most), dtype=torch.bool)
    while True:
        shares[free] = wish[free] / wish[free].sum() * (1 - shares[~free].sum())
        over = free & (shares > most)
        if not over.any():
            return shares
        shares[over] = most[over]
        free &= ~over


class BalancedBatches:
    """Draws class-balanced rows of a training set.

    The classes of update u depend on (seed, u) alone, the rows on torch's random state; nothing needs saving.

    Attributes:
        images: uint8 (n, h, w, c) on the device, sorted by class.
        n_classes: number of classes.
    """

    def __init__(self, data: LabelledImages, seed: int, device: torch.device, shares: Tensor | None = None) -> None:
        order = torch.argsort(torch.from_numpy(data.labels), stable=True)
        self.images = torch.from_numpy(data.images)[order].to(device)
        self.labels = torch.from_numpy(data.labels)[order].to(device)
        counts = torch.from_numpy(data.counts)
        self.n_classes = data.n_classes
        self._counts = counts
        self._first = counts.cumsum(0) - counts
        self._seed = seed
        self.shares = shares

    def labels_at(self, position: int, n: int, group: int = 1) -> Tensor:
        """Labels (n,) in runs of `group`: a slice of an endless rotation through shuffled classes."""
        start = position * (n // group)
        if self.shares is not None:
            return spread(self.shares, start, n // group, self._seed).repeat_interleave(group)
        return torch.tensor(
            [self._rotation(p // self.n_classes)[p % self.n_classes] for p in range(start, start + n // group)]
        ).repeat_interleave(group)

    def rows_of(self, labels: Tensor, group: int = 1) -> Tensor:
        """A random row for each label (CPU, n,); within a run of `group` the rows differ where the class has enough."""
        counts, first = self._counts[labels[::group]], self._first[labels[::group]]
        start = (torch.rand(len(counts)) * counts).long()
        stride = 1 + (torch.rand(len(counts)) * (counts // group)).long().clamp_max_(counts.max())
        stride = torch.minimum(stride, (counts // group).clamp_min(1))
        steps = start[:, None] + stride[:, None] * torch.arange(group)  # (runs, group)
        return (first[:, None] + steps % counts[:, None]).flatten()

    def real_images(self, rows: Tensor) -> Tensor:
        """Those rows as float32 NCHW in [-1, 1] on the device."""
        return to_unit(self.images[to_device(rows, self.images.device)])

    @functools.lru_cache(maxsize=8)  # noqa: B019 - a few short lists, gone with the object's last reader
    def _rotation(self, turn: int) -> list[int]:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + turn) % 2**63)
        return torch.randperm(self.n_classes, generator=generator).tolist()
