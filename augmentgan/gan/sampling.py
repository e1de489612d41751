"""Sampling: every synthetic image has a number, and the number decides the image.

Sample k of a class depends on the run, the seed, the class and k alone: not on how many are made, in what order,
or with which others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augmentgan.gan.batches import classes_at
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.networks import Generator, to_uint8
from augmentgan.gan.normalisation import calibrate

BATCH = 64
"""Every forward pass has exactly this many rows, the last one padded: kernels chosen for another batch size may round
differently, and then sample k would depend on how many were asked for."""

CALIBRATION_IMAGES = 2048
_BLOCK = 256
_CALIBRATION_KEY = 0xCA11B


@dataclass(frozen=True)
class SampleBatch:
    """Some synthetic images.

    Attributes:
        images: uint8 (n, h, w, c).
        labels: int64 (n,).
        sample_index: int64 (n,), the number of each sample within its class.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sample_index: NDArray[np.int64]


def concatenated(batches: Iterable[SampleBatch]) -> SampleBatch:
    """All of them as one, in order."""
    each = [(batch.images, batch.labels, batch.sample_index) for batch in batches]
    images, labels, sample_index = (np.concatenate(parts) for parts in zip(*each, strict=True))
    return SampleBatch(images, labels, sample_index)


SampleRows = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Labels and numbers of at most `BATCH` samples."""


def latents_of(seed: int, label: int, indices: NDArray[np.int64], latent_dim: int) -> NDArray[np.float32]:
    """Standard normal latents (n, latent_dim) of samples `indices` of class `label`.

    A counter-based generator (Philox) keyed by seed and class, with the block of samples as its counter: any sample is
    reached without making those before it.
    """
    latents = np.empty((len(indices), latent_dim), dtype=np.float32)
    blocks = indices // _BLOCK
    for block in np.unique(blocks):
        philox = np.random.Philox(key=np.array([seed, label], dtype=np.uint64), counter=[0, 0, 0, int(block)])
        normal = np.random.Generator(philox).standard_normal((_BLOCK, latent_dim), dtype=np.float32)
        mine = blocks == block
        latents[mine] = normal[indices[mine] % _BLOCK]
    return latents


def calibrate_for_sampling(generator: Generator, shares: Tensor, seed: int) -> None:
    """Measure the generator's normalisation statistics and switch it to sampling.

    Args:
        generator: to be measured.
        shares: of the classes in the batches that it learned from (`augmentgan.gan.batches.class_shares`): statistics of another
            mixture would not fit its weights.
        seed: of the latents.
    """
    device = next(generator.parameters()).device
    n_classes, n_turns = generator.n_classes, -(-CALIBRATION_IMAGES // generator.n_classes)
    batches = []
    for k in range(CALIBRATION_IMAGES // BATCH):
        rows = torch.arange(k * BATCH, (k + 1) * BATCH)
        latents = latents_of(seed ^ _CALIBRATION_KEY, 0, rows.numpy(), generator.latent_dim)
        turns, stretches = rows // n_classes, rows % n_classes
        labels = classes_at((stretches + (turns + 0.5) / n_turns) / n_classes, shares)
        batches.append((torch.from_numpy(latents).to(device), labels.to(device)))
    calibrate(generator, batches)


def sample_batches(
    generator: Generator, counts: Mapping[int, int], seed: int, start: int = 0, world: World = SINGLE_PROCESS
) -> Iterator[SampleBatch]:
    """Make `counts[label]` samples of each class, numbered from 0, class after class.

    Args:
        generator: a calibrated generator, in evaluation mode.
        counts: samples wanted for each label.
        seed: the sampling seed.
        start: how many samples at the beginning of that sequence to leave out.
        world: the processes that share the work.

    Yields:
        Batches of at most `BATCH` images, in every process.
    """
    labels = np.array(list(counts), dtype=np.int64)
    ends = np.cumsum([0, *counts.values()])
    total = int(ends[-1])

    def wanted() -> Iterator[SampleRows]:
        for begin in range(start, total, BATCH):
            places = np.arange(begin, min(begin + BATCH, total), dtype=np.int64)
            classes = np.searchsorted(ends, places, side="right") - 1
            yield labels[classes], places - ends[classes]

    return sample_together(generator, wanted(), seed, world)


def sample_together(
    generator: Generator, wanted: Iterator[SampleRows], seed: int, world: World = SINGLE_PROCESS
) -> Iterator[SampleBatch]:
    """The samples of each item, in order and in every process; each process makes every n-th batch."""
    while turns := list(itertools.islice(wanted, world.size)):
        ours = sample_rows(generator, *turns[min(world.rank, len(turns) - 1)], seed)
        images = np.zeros((BATCH, *ours.images.shape[1:]), dtype=np.uint8)  # messages are all of one length
        images[: len(ours.images)] = ours.images
        for (labels, numbers), made in zip(turns, world.all_gather(torch.from_numpy(images)), strict=False):
            yield SampleBatch(made.numpy()[: len(labels)], labels, numbers)


@torch.inference_mode()
def sample_rows(generator: Generator, labels: NDArray[np.int64], numbers: NDArray[np.int64], seed: int) -> SampleBatch:
    """The samples with these numbers of these classes, at most `BATCH` of them."""
    device = next(generator.parameters()).device
    latents = np.zeros((BATCH, generator.latent_dim), dtype=np.float32)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        latents[mine] = latents_of(seed, int(label), numbers[mine], generator.latent_dim)
    padded = np.zeros(BATCH, dtype=np.int64)
    padded[: len(labels)] = labels
    images = generator(torch.from_numpy(latents).to(device), torch.from_numpy(padded).to(device))
    return SampleBatch(to_uint8(images)[: len(labels)].contiguous().cpu().numpy(), labels, numbers)
