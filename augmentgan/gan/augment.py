"""DiffAugment: what the discriminator sees is augmented, real and fake alike, and gradients pass through.

After Zhao et al. 2020 (arXiv 2006.10738). Each transformation is first drawn (`draw`), then applied (`apply`), so that
a test can apply a known one. Translation is two small matrix products rather than a gather: its backward is two more
products instead of a scatter-add.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augmentgan.sections import ResolvedAugmentSection


@dataclass(frozen=True)
class Augmentation:
    """One drawn augmentation for each of n images; None where the recipe leaves it out.

    Attributes:
        shift: (n, 2) int64, pixels down and right.
        hole: (n, 2) int64, top left corner of the blanked square, which may hang over the edge.
        hole_px: side of the blanked square.
        colour: (n, 3) float: added brightness, saturation factor, contrast factor.
    """

    shift: Tensor | None
    hole: Tensor | None
    hole_px: int
    colour: Tensor | None

    def rows(self, rows: Tensor | slice) -> Augmentation:
        """Those of some of the images."""
        shift, hole, colour = (None if each is None else each[rows] for each in (self.shift, self.hole, self.colour))
        return Augmentation(shift, hole, self.hole_px, colour)


def draw(section: ResolvedAugmentSection, n: int, size_px: int, device: torch.device) -> Augmentation:
    """Draw augmentations for n images from torch's random state.

    Shifts are uniform over whole pixels up to `translation` of the side; the hole's centre is uniform over the
    image; brightness adds up to 0.5 (of a range of 2), saturation is 0 to 2, contrast 0.5 to 1.5, as in the paper.
    """
    reach, hole_px = round(section.translation * size_px), round(section.cutout * size_px)
    shift = hole = colour = None
    if reach:
        shift = torch.randint(-reach, reach + 1, (n, 2), device=device)
    if hole_px:
        hole = torch.randint(0, size_px + (1 - hole_px % 2), (n, 2), device=device) - hole_px // 2
    if section.colour:
        brightness, saturation, contrast = torch.rand(n, 3, device=device).unbind(1)
        colour = torch.stack([brightness - 0.5, 2 * saturation, contrast + 0.5], dim=1)
    return Augmentation(shift, hole, hole_px, colour)


def apply(augmentation: Augmentation, images: Tensor) -> Tensor:
    """Apply drawn augmentations to images (n, c, h, w) in [-1, 1], differentiably; gaps become 0 (mid-grey)."""
    if augmentation.colour is not None:
        images = _apply_colour(images, augmentation.colour)
    if augmentation.shift is not None:
        images = _apply_shift(images, augmentation.shift)
    if augmentation.hole is not None:
        images = _apply_hole(images, augmentation.hole, augmentation.hole_px)
    return images


def _apply_colour(images: Tensor, colour: Tensor) -> Tensor:
    brightness, saturation, contrast = (each.view(-1, 1, 1, 1).to(images.dtype) for each in colour.unbind(1))
    images = images + brightness
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * saturation
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (images - middle) * contrast


def _apply_shift(images: Tensor, shift: Tensor) -> Tensor:
    side = images.shape[-1]
    place = torch.arange(side, device=images.device)
    # row i of the result is row i - dy of the image: a (side, side) matrix with ones on one diagonal
    offset = place[:, None] - place[None, :]  # (side, side)
    down = (offset == shift[:, 0].view(-1, 1, 1, 1)).to(images.dtype)  # (n, 1, side, side)
    right = (-offset == shift[:, 1].view(-1, 1, 1, 1)).to(images.dtype)
    return down @ images @ right


def _apply_hole(images: Tensor, hole: Tensor, hole_px: int) -> Tensor:
    place = torch.arange(images.shape[-1], device=images.device)
    inside = (place >= hole[..., None]) & (place < hole[..., None] + hole_px)  # (n, 2, side)
    blank = inside[:, 0, :, None] & inside[:, 1, None, :]  # (n, side, side)
    return images * (~blank)[:, None].to(images.dtype)
