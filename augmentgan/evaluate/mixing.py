"""What a classifier sees in each step: real images, synthetic ones, classical augmentation, in which share and when."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.recipe import BenchmarkSection

ARMS = ("real", "real+classic", "real+synthetic", "real+classic+synthetic", "synthetic")

_TRIVIAL_GROUP = 4


@dataclass(frozen=True)
class Arm:
    """An arm of the benchmark, read from its name."""

    name: str

    @property
    def classic(self) -> bool:
        """Whether every image goes through classical augmentation."""
        return "classic" in self.name

    def synthetic_share(self, section: BenchmarkSection, step: int, steps: int) -> float:
        """Share of synthetic images in the batch of this step.

        A mixed arm learns from both first and from real images alone at the end, so that what is left of the synthetic
        images' errors is unlearned.
        """
        if self.name == "synthetic":
            return 1.0
        if "synthetic" not in self.name or step >= section.synthetic_until * steps:
            return 0.0
        return section.synthetic_share


class MixedDataset(Dataset[tuple[Any, int]]):
    """Real images once each, and enough synthetic ones that they make up `share` of the items.

    Attributes:
        rows: (n,) int64: row of the real set where `is_synthetic` is False, of the synthetic set where it is True.
        is_synthetic: (n,) bool; real images come first.
        targets: (n,) int64 labels, for samplers that weigh classes.
    """

    def __init__(
        self,
        real: LabelledImages,
        synthetic: LabelledImages,
        share: float,
        transform: Callable[[Tensor], Any] | None,
        seed: int,
    ) -> None:
        self._sets = (real, synthetic)
        self._transform = transform
        n_synthetic = round(len(real) * share / (1 - share))
        random = torch.Generator().manual_seed(seed)
        rounds = math.ceil(n_synthetic / len(synthetic))
        drawn = torch.cat(
            [torch.empty(0, dtype=torch.int64)]
            + [torch.randperm(len(synthetic), generator=random) for _ in range(rounds)]
        )[:n_synthetic]
        self.rows = torch.cat([torch.arange(len(real)), drawn])
        self.is_synthetic = torch.arange(len(self.rows)) >= len(real)
        labels = torch.from_numpy(real.labels), torch.from_numpy(synthetic.labels)[drawn]
        self.targets = torch.cat(labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        row, which = int(self.rows[index]), int(self.is_synthetic[index])
        image = torch.from_numpy(self._sets[which].images[row]).permute(2, 0, 1)  # (c, h, w)
        shown = image.float() / 255 if self._transform is None else self._transform(image)
        return shown, int(self.targets[index])


def as_torch_dataset(
    real: LabelledImages,
    synthetic: LabelledImages,
    share: float = 0.5,
    *,
    transform: Callable[[Tensor], Any] | None = None,
    seed: int = 0,
) -> MixedDataset:
    """A map-style torch dataset of real and synthetic images, for a training loop of one's own.

    Every real image is in it once; synthetic ones are drawn without repetition while there are enough.

    Args:
        real: real training images.
        synthetic: synthetic ones of the same size and classes, such as `run.generate(per_class=1000)`.
        share: of the items that are synthetic, at least 0 and below 1.
        transform: given each image as uint8 (c, h, w), such as a torchvision v2 transform; without one, images are
            float32 in [0, 1].
        seed: of the draw of synthetic images.

    Raises:
        DataError: a share outside [0, 1), or sets that do not fit together.
    """
    if not 0 <= share < 1:
        raise DataError(f"share is {share}; at least 0 and below 1 is needed, for every real image takes part")
    if real.class_names != synthetic.class_names:
        differing = sorted(set(real.class_names) ^ set(synthetic.class_names)) or list(synthetic.class_names)
        raise DataError(f"the class names of the two sets differ ({', '.join(differing[:5])}); use one run's images")
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        raise DataError(
            f"real images have shape {real.images.shape[1:]} and synthetic ones {synthetic.images.shape[1:]}; "
            "load the real ones with the run's size_px and channels"
        )
    if share and not len(synthetic):
        raise DataError(f"share is {share} but the synthetic set is empty; generate some or use share=0")
    return MixedDataset(real, synthetic, share, transform, seed)


def classic_augmentation(images: Tensor, random: torch.Generator) -> Tensor:
    """Strong label-preserving augmentation of a float batch (n, c, h, w) in [-1, 1].

    RGB: torchvision's TrivialAugmentWide (Mueller & Hutter 2021, arXiv 2103.10158), one draw for every few images, for
    it treats a batch as one. Grey: a random affine map an image (15 degrees, 10 % shift, 10 % scale, 10 degrees
    shear): colour operations mean nothing there, and flips would turn digits into other signs.
    """
    if images.shape[1] == 3:
        return _trivial_augment(images)
    return _random_affine(images, random)


def _random_affine(images: Tensor, random: torch.Generator) -> Tensor:
    n = len(images)
    draw = torch.rand(n, 6, generator=random, dtype=torch.float32) * 2 - 1  # (n, 6) in [-1, 1]
    angle, shear = draw[:, 0] * math.radians(15), draw[:, 1] * math.tan(math.radians(10))
    scale = 1 / (1 + 0.1 * draw[:, 2:4])
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([cos * scale[:, 0], (-sin + shear * cos) * scale[:, 0], 0.2 * draw[:, 4]], dim=1),
            torch.stack([sin * scale[:, 1], (cos + shear * sin) * scale[:, 1], 0.2 * draw[:, 5]], dim=1),
        ],
        dim=1,
    ).to(images.device)  # (n, 2, 3); shifts are in half sides, so 0.2 is a tenth of the side
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # the image is moved relative to the border's grey, so that a bright background does not get dark corners
    level = images[:, :, :1, :].mean(dim=(2, 3), keepdim=True)
    return F.grid_sample(images - level, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + level


def _trivial_augment(images: Tensor) -> Tensor:
    from torchvision.transforms import v2

    levels = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    transform = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    parts = [transform(part) for part in torch.split(levels, _TRIVIAL_GROUP)]
    return torch.cat(parts).float().div(127.5).sub(1)
