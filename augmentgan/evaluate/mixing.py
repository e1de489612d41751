"""What a classifier sees in each step: real images, synthetic ones, classical augmentation, in which share and when."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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
