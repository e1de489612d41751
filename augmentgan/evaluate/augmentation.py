"""Classical augmentation of classifier batches: the bar that synthetic images have to clear."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from augmentgan.gan.device import to_device
from augmentgan.gan.networks import to_uint8, to_unit

_TRIVIAL_GROUP = 4


def classic_augmentation(
    images: Tensor, random: torch.Generator, strength: float = 1.0, *, flips: bool = False
) -> Tensor:
    """Strong label-preserving augmentation of a float batch (n, c, h, w) in [-1, 1].

    RGB: torchvision's TrivialAugmentWide (Mueller & Hutter 2021, arXiv 2103.10158), one draw for every few images, for
    it treats a batch as one. Grey: a random affine map an image (15 degrees, 10 % shift, 10 % scale, 10 degrees
    shear at most), for colour operations mean nothing there; as in TrivialAugment each image draws how strong it is, so that some are nearly
    left alone. Mirror images are a matter of their own: they keep the label where left and right mean nothing, and turn digits into other
    signs.

    Args:
        images: the batch.
        random: where draws come from (TrivialAugment draws from torch's own state).
        strength: 0 changes nothing, 1 is all of it; between, affine maps shrink and TrivialAugment spares some images.
        flips: whether half of the images are mirrored, left to right.
    """
    if flips:
        mirrored = to_device(torch.rand(len(images), generator=random) < 0.5, images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if strength == 0:
        return images
    return _trivial_augment(images, strength) if images.shape[1] == 3 else _random_affine(images, random, strength)


def blend_pairs(images: Tensor, targets: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018, arXiv 1710.09412) or CutMix (Yun et al. 2019, 1905.04899) of a batch, from torchvision.

    Args:
        images: (n, c, h, w).
        targets: class probabilities (n, k), each row times the weight of its image.
        method: "mixup" or "cutmix".
    """
    from torchvision.transforms import v2

    n_classes = targets.shape[1]
    blend = v2.MixUp(alpha=0.2, num_classes=n_classes) if method == "mixup" else v2.CutMix(num_classes=n_classes)
    mixed, labels = blend(images, targets)
    return mixed, labels


def _random_affine(images: Tensor, random: torch.Generator, strength: float) -> Tensor:
    n = len(images)
    most = strength * torch.rand(n, 1, generator=random, dtype=torch.float32)  # an image's own strength
    draw = most * (torch.rand(n, 6, generator=random, dtype=torch.float32) * 2 - 1)  # (n, 6)
    angle, shear = draw[:, 0] * math.radians(15), draw[:, 1] * math.tan(math.radians(10))
    scale = 1 / (1 + 0.1 * draw[:, 2:4])
    cos, sin = angle.cos(), angle.sin()
    theta = to_device(
        torch.stack(
            [
                torch.stack([cos * scale[:, 0], (-sin + shear * cos) * scale[:, 0], 0.2 * draw[:, 4]], dim=1),
                torch.stack([sin * scale[:, 1], (cos + shear * sin) * scale[:, 1], 0.2 * draw[:, 5]], dim=1),
            ],
            dim=1,
        ),
        images.device,
    )  # (n, 2, 3); shifts are in half sides, so 0.2 is a tenth of the side
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # what moves in from outside goes on as the edge does: black beside black, no dark corners beside a bright background, and a thing that
    # reaches the edge is not cut off there
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _trivial_augment(images: Tensor, strength: float) -> Tensor:
    from torchvision.transforms import v2

    levels = to_uint8(images).permute(0, 3, 1, 2)
    transform = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    spared = torch.rand(math.ceil(len(levels) / _TRIVIAL_GROUP)) >= strength
    parts = [
        part if left_alone else transform(part)
        for part, left_alone in zip(torch.split(levels, _TRIVIAL_GROUP), spared.tolist(), strict=True)
    ]
    return to_unit(torch.cat(parts).permute(0, 2, 3, 1))
