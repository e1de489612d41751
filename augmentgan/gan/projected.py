"""A discriminator that looks at frozen ImageNet features instead of pixels (Sauer et al. 2021, arXiv 2111.01007).

What separates real from generated is then said in terms that a network learned from a million photos, and little is left
to learn from a few hundred. Each scale of the frozen network has a small discriminator of its own; a fixed random
mixing of channels before it keeps the game from resting on a few of them (section 3.2, without mixing across scales).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augmentgan.gan.backbone import LEAST_PX, MAP_CHANNELS, MAP_SPREAD, Backbone

MIXED_CHANNELS = 64
_LogitsAndClasses = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
PURPOSE = "model.discriminator = 'projected'"


class ProjectedDiscriminator(nn.Module):
    """(image, label) to logits of "this is a real image of that class", one a scale.

    Args:
        size_px: side of the images.
        head: makes the discriminator of a map with so many channels and so many pixels a side.

    Raises:
        ExtraError: the `pretrained` extra is not installed.
    """

    def __init__(self, size_px: int, head: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        # in a list, so that it is neither trained nor saved with the weights that are
        self._frozen = [Backbone(PURPOSE)]
        side = max(size_px, LEAST_PX)
        self.heads = nn.ModuleList(head(MIXED_CHANNELS, side // shrunk) for shrunk in (4, 8, 16))
        for number, n in enumerate(MAP_CHANNELS):
            self.register_buffer(f"mixing_{number}", torch.randn(MIXED_CHANNELS, n, 1, 1) / n**0.5)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) and labels (n,) to logits (n, 3); rows lie as `Discriminator` wants them."""
        return self.logits_and_classes(images, labels)[0]

    def logits_and_classes(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (n, 3), and those of the classes (n, n_classes), the mean over the scales, where heads name classes."""
        backbone = self._frozen[0].to(images.device)
        logits, class_logits = [], []
        for number, (seen, head) in enumerate(zip(backbone.maps(images), self.heads, strict=True)):
            mixed = F.conv2d(seen / MAP_SPREAD, getattr(self, f"mixing_{number}"))
            found, named = cast(_LogitsAndClasses, head.logits_and_classes)(mixed, labels)
            logits.append(found)
            class_logits += [] if named is None else [named]
        return torch.stack(logits, dim=1), torch.stack(class_logits).mean(dim=0) if class_logits else None
