"""Real and synthetic images as one torch dataset, for training loops of one's own; the benchmark's own loop is in `classifier`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from augmentgan.data.columns import SOFT_LABELS, WEIGHT
from augmentgan.data.images import TRAIN, LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError


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


def _in_order_of(class_names: tuple[str, ...], data: LabelledImages) -> LabelledImages:
    """The same images with classes in another order: folders come sorted by name, other files need not."""
    if data.class_names == class_names:
        return data
    places = np.array([class_names.index(name) for name in data.class_names])
    extra = dict(data.extra)
    if SOFT_LABELS in extra:
        extra[SOFT_LABELS] = extra[SOFT_LABELS][:, np.argsort(places)]
    return replace(data, labels=places[data.labels], class_names=class_names, extra=extra)
