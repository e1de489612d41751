"""The coverage term: no real image may be left without a sample near it.

A GAN's generator hears only about the images that it makes and not about those that it leaves out, so at small n it settles on a
few images a class. Maximum likelihood does ask. Implicit maximum likelihood (Li & Malik 2018, arXiv 1809.09087) asks it
without a density: draw latents, match each real image to its nearest sample, and pull that sample towards it. Here the
pull stands beside the adversarial loss as a regulariser.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from augmentgan.gan.batches import BalancedBatches, drawn_in_runs
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.networks import GROUP, Generator, to_unit
from augmentgan.sections import CoverageSection

POOL_IMAGES = 256
"""At most about this many real images (evenly over the classes, of each at least a group) are matched at a time, others the next time: a
matching costs the same however many images there are, and pairs use each of them about a dozen times before the next."""

MATCHING_BATCH = 256


class Coverage:
    """Matches real images to latents now and then, and hands out matched pairs in between."""

    def __init__(self, section: CoverageSection, batches: BalancedBatches, latent_dim: int) -> None:
        self.section = section
        self._batches = batches
        self._latent_dim = latent_dim
        n = len(batches.images)
        self.rows = torch.arange(n)
        self.latents = torch.zeros(n, latent_dim)
        self._labels = batches.labels.cpu()

    def due(self, update: int) -> bool:
        """Whether a matching belongs before this update."""
        return self.section.weight > 0 and update % self.section.refresh_updates == 0

    @torch.no_grad()
    def match(self, generator: Generator, world: World = SINGLE_PROCESS) -> None:
        """Draw latents for every real image of the pool (`POOL_IMAGES` or so, others each time) and keep, for each, the one whose sample lies nearest.

        Distances are Euclidean on 2x2-averaged pixels, so that a stroke one pixel off still counts as near. The processes
        share the generator's work, batch by batch, and all keep the same pairs.
        """
        self.rows = self._pool()
        labels = self._labels[self.rows]
        n_candidates = len(self.rows) * self.section.latents_per_image
        candidate_labels = labels.repeat(self.section.latents_per_image)
        candidates = torch.randn(n_candidates, self._latent_dim)
        device = self._batches.images.device
        size_px, channels = self._batches.images.shape[1], self._batches.images.shape[3]
        generated = torch.zeros(n_candidates, channels * (size_px // 2) ** 2, device=device)  # (candidates, d)
        # batches mix the classes, as the data have them: normalisation statistics of one class alone would change the samples
        for part in torch.split(torch.randperm(n_candidates), MATCHING_BATCH)[world.rank :: world.size]:
            images = generator(candidates[part].to(device), candidate_labels[part].to(device))
            generated[part.to(device)] = _descriptor(images)
        world.all_reduce_(generated)
        real = _descriptor(to_unit(self._batches.images[self.rows.to(device)]))  # (rows, d)
        self.latents = torch.empty(len(self.rows), self._latent_dim)
        for label in torch.unique(labels).tolist():
            mine, theirs = (labels == label).nonzero()[:, 0], (candidate_labels == label).nonzero()[:, 0]
            distances = torch.cdist(real[mine.to(device)], generated[theirs.to(device)])
            self.latents[mine] = candidates[theirs[distances.argmin(dim=1).cpu()]]
        world.broadcast_(self.latents)  # where processors differ, so may the nearest of two that are as near

    def draw(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A matched pair for each label (CPU, n,), which come in runs of `GROUP` of one class.

        Within a run pairs differ where the class has enough, as real images do: the discriminator's minibatch statistic must not take
        a pair that was drawn twice for a generator that repeats itself.

        Returns:
            Latents (n, latent_dim), on the CPU, and the rows (n,) of the real images that they should give.
        """
        of_class = self._labels[self.rows]
        order = torch.argsort(of_class, stable=True)
        counts = torch.bincount(of_class, minlength=self._batches.n_classes)
        first = counts.cumsum(0) - counts
        chosen = order[drawn_in_runs(first[labels[::GROUP]], counts[labels[::GROUP]], GROUP)]
        latents = self.latents[chosen] + self.section.latent_noise * torch.randn(len(chosen), self._latent_dim)
        return latents, self.rows[chosen]

    def _pool(self) -> Tensor:
        n = len(self._labels)
        if n <= POOL_IMAGES:
            return torch.arange(n)
        keys = torch.rand(n)
        per_class = max(GROUP, POOL_IMAGES // self._batches.n_classes)
        return torch.cat(
            [
                rows[keys[rows].argsort()[:per_class]]
                for rows in ((self._labels == label).nonzero()[:, 0] for label in range(self._batches.n_classes))
            ]
        )


def coverage_loss(generated: Tensor, real: Tensor) -> Tensor:
    """Mean squared error between matched samples and their real images, both in [-1, 1]."""
    return F.mse_loss(generated.float(), real)


def _descriptor(images: Tensor) -> Tensor:
    return F.avg_pool2d(images.float(), 2).flatten(1)  # (n, c * h/2 * w/2)
