"""How synthetic images enter training: in which share, until when, with what weight and which labels.

The benchmark's training loop is in `classifier`; a dataset for other loops in `torch_dataset`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augmentgan.data.columns import SOFT_LABELS, WEIGHT
from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.arms import Arm


def sampling_probabilities(
    arm: Arm, real_labels: NDArray[np.int64], synthetic: LabelledImages, n_classes: int, share: float
) -> NDArray[np.float64]:
    """How often each image comes up in a batch: (n_real + n_synthetic,), real images first, with sum 1.

    Inside a class, real images are alike, and synthetic ones go by their `weight` where the set has one.

    Args:
        arm: plain or even classes, no synthetic images, a share of them, or what fills a class up.
        real_labels: (n_real,).
        synthetic: the synthetic set.
        n_classes: number of classes.
        share: part of each class's draws that is synthetic. Of a "fill" arm it says how far classes are filled: at 1 as though
            each were as large as the largest and every image came up equally often, at 0 not at all.
    """
    counts = np.bincount(real_labels, minlength=n_classes)
    weights = np.asarray(synthetic.extra.get(WEIGHT, np.ones(len(synthetic))), dtype=np.float64)
    offered = np.bincount(synthetic.labels, weights=weights, minlength=n_classes)
    lacking = 1 - counts / counts.max()
    part = share * lacking if "fill" in arm.words else np.full(n_classes, share)
    if not arm.uses_synthetic:
        part = np.zeros(n_classes)
    if arm.only_synthetic:
        part = np.ones(n_classes)
    part = np.where(offered > 0, part, 0.0)
    classes = (counts > 0).astype(float) if arm.even_classes else counts.astype(float)
    classes /= classes.sum()
    of_real = (classes * (1 - part) / np.maximum(counts, 1))[real_labels]
    of_synthetic = (classes * part / np.where(offered > 0, offered, 1.0))[synthetic.labels] * weights
    return np.concatenate([of_real, of_synthetic])


def loss_weights(arm: Arm, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of each class in the loss (k,): n / (k n_class) for arms with class weights, otherwise 1."""
    if "class-weights" not in arm.words:
        return np.ones(len(counts))
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)


def stratified_rows(cumulative: Tensor, n: int, random: torch.Generator) -> Tensor:
    """N rows drawn by their masses, one from each n-th of the mass: every class comes up as it should in every batch.

    Args:
        cumulative: (m,) running sum of the masses of rows that are sorted by class.
        n: how many.
        random: where draws come from.

    Returns:
        (n,) int64 in random order.
    """
    points = (torch.arange(n) + torch.rand(n, generator=random)) / n * cumulative[-1]
    rows = torch.searchsorted(cumulative, points.to(cumulative.dtype), right=True).clamp_max_(len(cumulative) - 1)
    return rows[torch.randperm(n, generator=random)]


def judged_by_teachers(
    synthetic: LabelledImages, probabilities: NDArray[np.float32], *, keep: float = 1.0, soft: bool = False
) -> LabelledImages:
    """A synthetic set with what teachers, who know real images only, think of it.

    Args:
        synthetic: the set.
        probabilities: (n, k) mean class probabilities of the teachers.
        keep: of each class only this share, those in which the teachers see the class most clearly.
        soft: give the probabilities as labels too.

    Returns:
        The kept rows with the columns `weight` (the probability of the class that was asked for) and, if soft, `soft_labels`.
    """
    weight = probabilities[np.arange(len(synthetic)), synthetic.labels].astype(np.float32)
    kept = np.zeros(len(synthetic), dtype=bool)
    for label in np.unique(synthetic.labels):
        mine = np.flatnonzero(synthetic.labels == label)
        best = mine[np.argsort(-weight[mine], kind="stable")]
        kept[best[: max(1, math.ceil(keep * len(mine)))]] = True
    columns = {WEIGHT: weight, **({SOFT_LABELS: probabilities.astype(np.float32)} if soft else {})}
    judged = LabelledImages(
        synthetic.images, synthetic.labels, synthetic.class_names, extra={**synthetic.extra, **columns}
    )
    return judged.subset(kept)
