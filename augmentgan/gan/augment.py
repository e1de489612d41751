"""DiffAugment: what the discriminator sees is augmented, real and fake alike, and gradients pass through.

After Zhao et al. 2020 (arXiv 2006.10738). Each transformation is first drawn (`draw`), then applied (`apply`), so that
a test can apply a known one. Translation looks at each image through a window that has been moved, and its gradient looks back
through the opposite one: neither needs a scatter-add. The affine map, which is off by default, does. The work is done channel by channel (planar memory), because
with three channels last every broadcast over them would be a loop of three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from augmentgan.sections import ResolvedAugmentSection


@dataclass(frozen=True)
class Augmentation:
    """One drawn augmentation for each of n images; None where the recipe leaves it out.

    Attributes:
        shift: (n, 2) int64, pixels down and right.
        reach_px: no shift is larger.
        hole: (n, 2) int64, top left corner of the blanked square, which may hang over the edge.
        hole_px: side of the blanked square.
        colour: (n, 3) float: added brightness, saturation factor, contrast factor.
        affine: (n, 2, 2) float: where each place looks, seen from the image's centre.
    """

    shift: Tensor | None
    reach_px: int
    hole: Tensor | None
    hole_px: int
    colour: Tensor | None
    affine: Tensor | None

    def rows(self, rows: Tensor | slice) -> Augmentation:
        """Those of some of the images."""
        shift, hole, colour, affine = (
            None if each is None else each[rows] for each in (self.shift, self.hole, self.colour, self.affine)
        )
        return Augmentation(shift, self.reach_px, hole, self.hole_px, colour, affine)


def draw(section: ResolvedAugmentSection, n: int, size_px: int, device: torch.device) -> Augmentation:
    """Draw augmentations for n images from torch's random state.

    Shifts are uniform over whole pixels up to `translation` of the side; the hole's centre is uniform over the
    image; brightness adds up to 0.5 (of a range of 2), saturation is 0 to 2, contrast 0.5 to 1.5, as in the paper. The affine map's entries
    are uniform within `affine` of the identity's: rotation, scaling and shear at once (after Karras et al. 2020, arXiv 2006.06676, appendix B,
    where each has a step of its own).
    """
    reach_px, hole_px = round(section.translation * size_px), round(section.cutout * size_px)
    shift = hole = colour = affine = None
    if reach_px:
        shift = torch.randint(-reach_px, reach_px + 1, (n, 2), device=device)
    if hole_px:
        hole = torch.randint(0, size_px + (1 - hole_px % 2), (n, 2), device=device) - hole_px // 2
    if section.colour:
        brightness, saturation, contrast = torch.rand(n, 3, device=device).unbind(1)
        colour = torch.stack([brightness - 0.5, 2 * saturation, contrast + 0.5], dim=1)
    if section.affine:
        affine = torch.eye(2, device=device) + section.affine * (2 * torch.rand(n, 2, 2, device=device) - 1)
    return Augmentation(shift, reach_px, hole, hole_px, colour, affine)


def apply(augmentation: Augmentation, images: Tensor) -> Tensor:
    """Apply drawn augmentations to images (n, c, h, w) in [-1, 1], differentiably; gaps become 0 (mid-grey).

    The result lies channels last, as networks take it.
    """
    images = images.contiguous()
    if augmentation.colour is not None:
        images = _apply_colour(images, augmentation.colour)
    if augmentation.affine is not None:
        images = _apply_affine(images, augmentation.affine)
    if augmentation.shift is not None:
        images = cast(Tensor, _Shift.apply(images, augmentation.shift, augmentation.reach_px))
    if augmentation.hole is not None:
        images = _apply_hole(images, augmentation.hole, augmentation.hole_px)
    return images.contiguous(memory_format=torch.channels_last)


def _apply_colour(images: Tensor, colour: Tensor) -> Tensor:
    """Add brightness b, then scale distances from a pixel's grey by saturation s, then from the image's mean by contrast k.

    Brightness moves grey and mean alike and saturation moves neither, so that all three are one step:
    k s x + k (1 - s) grey(x) + k b + (1 - k) (mean(x) + b).
    """
    brightness, saturation, contrast = (each.view(-1, 1, 1, 1).to(images.dtype) for each in colour.unbind(1))
    grey = images.mean(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    rest = grey * (contrast * (1 - saturation)) + (brightness + (1 - contrast) * mean)
    return torch.addcmul(rest, images, contrast * saturation)


def _apply_affine(images: Tensor, affine: Tensor) -> Tensor:
    """Every place takes the value, bilinear, of the place that `affine` (n, 2, 2) maps its (right, down) to."""
    side = images.shape[-1]
    place = (2 * torch.arange(side, device=images.device) + 1) / side - 1  # pixel centres in [-1, 1]
    # by hand, for autocast would take a matrix product in bfloat16, whose steps are a tenth of a pixel
    grid = (
        place[None, None, :, None] * affine[:, None, None, :, 0]
        + place[None, :, None, None] * affine[:, None, None, :, 1]
    )
    if images.device.type == "mps":  # Metal has no gradient for this
        return F.grid_sample(images.cpu(), grid.cpu(), align_corners=False).to(images.device)
    return F.grid_sample(images, grid, align_corners=False)


class _Shift(torch.autograd.Function):
    """Move images (n, c, h, w) by shift (n, 2), at most `reach_px` down or right."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, shift: Tensor, reach_px: int) -> Tensor:
        ctx.save_for_backward(shift)
        ctx.reach_px = reach_px
        height, width = images.shape[2:]
        # every window of the image's size that there is on the padded one: a view, of which one an image is copied
        windows = (
            F.pad(images, (reach_px,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        )  # (n, c, places, places, h, w)
        top, left = (reach_px - shift).unbind(1)
        return windows[torch.arange(len(images), device=images.device), :, top, left]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (shift,) = ctx.saved_tensors
        return cast(Tensor, _Shift.apply(gradient, -shift, ctx.reach_px)), None, None


def _apply_hole(images: Tensor, hole: Tensor, hole_px: int) -> Tensor:
    place = torch.arange(images.shape[-1], device=images.device)
    inside = (place >= hole[..., None]) & (place < hole[..., None] + hole_px)  # (n, 2, side)
    blank = inside[:, 0, :, None] & inside[:, 1, None, :]  # (n, side, side)
    return images * (~blank)[:, None].to(images.dtype)
