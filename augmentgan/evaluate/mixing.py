"""How synthetic images enter training: in which share, until when, with what weight and which labels.

Small pieces that a training loop of any make can use; the benchmark's own loop is in `classifier`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from augmentgan.data.columns import SOFT_LABELS, WEIGHT
from augmentgan.data.images import TRAIN, LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.pretrained import SYNTHETIC_PER_CLASS
from augmentgan.sections import BenchmarkSection

MOST_SAMPLE_BYTES = 5 << 29
"""The most that the samples of all classes may take together in a benchmark: some 200,000 at 64 px in colour."""


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


class MixedDataset(Dataset[tuple[Any, ...]]):
    """Real images once each, and enough synthetic ones that they make up `share` of the items.

    Attributes:
        rows: (n,) int64: row of the real set where `is_synthetic` is False, of the synthetic set where it is True.
        is_synthetic: (n,) bool; real images come first.
        targets: (n,) int64 labels, for samplers that weigh classes.
        weights: (n,) float32, how much each counts: 1 for real images, the set's `weight` for synthetic ones.
    """

    def __init__(
        self,
        real: LabelledImages,
        synthetic: LabelledImages,
        share: float,
        transform: Callable[[Tensor], Any] | None,
        seed: int,
        policy: bool,
    ) -> None:
        self._sets = (real, synthetic)
        self._transform, self._policy = transform, policy
        n_synthetic = round(len(real) * share / (1 - share))
        random = torch.Generator().manual_seed(seed)
        rounds = math.ceil(n_synthetic / max(1, len(synthetic)))
        drawn = torch.cat(
            [torch.empty(0, dtype=torch.int64)]
            + [torch.randperm(len(synthetic), generator=random) for _ in range(rounds)]
        )[:n_synthetic]
        self.rows = torch.cat([torch.arange(len(real)), drawn])
        self.is_synthetic = torch.arange(len(self.rows)) >= len(real)
        # copies, here and of images below: a set may be read-only or a view that runs backwards, which torch does not take
        labels = torch.from_numpy(real.labels.copy()), torch.from_numpy(synthetic.labels.copy())[drawn]
        self.targets = torch.cat(labels)
        weight = torch.from_numpy(np.array(synthetic.extra.get(WEIGHT, np.ones(len(synthetic))), np.float32, order="C"))
        self.weights = torch.cat([torch.ones(len(real)), weight[drawn]])
        self._n_classes = real.n_classes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        row, which = int(self.rows[index]), int(self.is_synthetic[index])
        image = torch.from_numpy(self._sets[which].images[row].copy()).permute(2, 0, 1)  # (c, h, w)
        shown = image.float() / 255 if self._transform is None else self._transform(image)
        if self._policy:
            return shown, self.soft_label(index), self.weights[index]
        return shown, int(self.targets[index])

    def soft_label(self, index: int) -> Tensor:
        """Class probabilities (k,) float32 of an item: certain for a real image, the set's `soft_labels` for a synthetic one."""
        _, synthetic = self._sets
        if SOFT_LABELS in synthetic.extra and self.is_synthetic[index]:
            return torch.from_numpy(synthetic.extra[SOFT_LABELS][int(self.rows[index])].astype(np.float32))
        return F.one_hot(self.targets[index], self._n_classes).float()


def samples_offered(section: BenchmarkSection, real: LabelledImages) -> int:
    """Samples a class that a benchmark makes of such images: as many as the recipe says, fewer where those of many classes would not fit in memory together.

    For the pretrained classifier `pretrained.SYNTHETIC_PER_CLASS` at most.
    """
    wanted = section.synthetic_per_class
    if section.classifier == "pretrained":
        wanted = min(wanted, SYNTHETIC_PER_CLASS)
    return min(wanted, max(1, MOST_SAMPLE_BYTES // (_image_bytes(real) * real.n_classes)))


def sample_bytes(section: BenchmarkSection, real: LabelledImages) -> int:
    """Memory that these samples of all classes take."""
    return samples_offered(section, real) * real.n_classes * _image_bytes(real)


def _image_bytes(images: LabelledImages) -> int:
    return math.prod(images.images.shape[1:])


def _in_order_of(class_names: tuple[str, ...], data: LabelledImages) -> LabelledImages:
    """The same images with classes in another order: folders come sorted by name, other files need not."""
    if data.class_names == class_names:
        return data
    places = np.array([class_names.index(name) for name in data.class_names])
    extra = dict(data.extra)
    if SOFT_LABELS in extra:
        extra[SOFT_LABELS] = extra[SOFT_LABELS][:, np.argsort(places)]
    return replace(data, labels=places[data.labels], class_names=class_names, extra=extra)


def as_torch_dataset(
    real: LabelledImages,
    synthetic: LabelledImages,
    share: float = 0.5,
    *,
    transform: Callable[[Tensor], Any] | None = None,
    seed: int = 0,
    policy: bool = False,
) -> MixedDataset:
    """A map-style torch dataset of real and synthetic images, for a training loop of one's own.

    Every real image is in it once; synthetic ones are drawn without repetition while there are enough.

    Args:
        real: real training images; of a set with a split, its training part.
        synthetic: synthetic ones of the same size and classes, such as `run.generate(per_class=1000)`.
        share: of the items that are synthetic, at least 0 and below 1.
        transform: given each image as uint8 (c, h, w), such as a torchvision v2 transform; without one, images are
            float32 in [0, 1].
        seed: of the draw of synthetic images.
        policy: give items as (image, class probabilities (k,), weight), from the columns that `generate --policy` stores, instead of
            (image, label).

    Raises:
        DataError: a share outside [0, 1), an unusable seed, sets that do not fit together, or a policy that the synthetic set does not carry.
    """
    real = real.part(TRAIN)
    if not 0 <= share < 1:
        raise DataError(f"share is {share}; at least 0 and below 1 is needed, for every real image takes part")
    if differing := sorted(set(real.class_names) ^ set(synthetic.class_names)):
        raise DataError(f"the class names of the two sets differ ({', '.join(differing[:5])}); use one run's images")
    if policy and share and not {WEIGHT, SOFT_LABELS} & set(synthetic.extra):
        raise DataError(
            "the synthetic set carries neither weights nor soft labels; make it with augmentgan generate --policy, as HDF5"
        )
    synthetic = _in_order_of(real.class_names, synthetic)
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        raise DataError(
            f"real images have shape {real.images.shape[1:]} and synthetic ones {synthetic.images.shape[1:]}; "
            "load both with the run's size_px and channels"
        )
    if share and not len(synthetic):
        raise DataError(f"share is {share} but the synthetic set is empty; generate some or use share=0")
    return MixedDataset(real, synthetic, share, transform, checked_seed(seed), policy)
