"""A classifier that trains a linear layer on the frozen features of `augmentgan.gan.backbone`.

Features of a training image are computed once, or for a few augmented views, and the linear layer then takes the same
steps as any other classifier.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from augmentgan.gan.backbone import N_FEATURES, Backbone

PURPOSE = "'pretrained'"
"""What the extra is asked for."""

VIEWS = 4
"""Augmented views of each training image where an arm augments."""

SYNTHETIC_PER_CLASS = 200
"""At most so many synthetic images a class are offered to it: each costs a pass through the network."""


class PretrainedFeatures(nn.Module):
    """The frozen network's features, without a graph.

    Raises:
        ExtraError: the extra is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(PURPOSE)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to features (n, 1280)."""
        features: Tensor = self.backbone(images)
        return features


class Pretrained(nn.Module):
    """Frozen features, standardised over the training images, and a linear layer.

    Raises:
        ExtraError: the extra is not installed.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.embed = PretrainedFeatures()
        self.scale = nn.BatchNorm1d(N_FEATURES, affine=False)
        self.to_logits = nn.Linear(N_FEATURES, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to logits (n, n_classes)."""
        return self.classify(self.embed(images))

    def classify(self, features: Tensor) -> Tensor:
        """Features (n, 1280) to logits (n, n_classes)."""
        logits: Tensor = self.to_logits(self.scale(features))
        return logits

    def views(self, n: int, batch: Callable[[slice], Tensor], n_views: int) -> Tensor:
        """Features (n_views, n, 1280) of n images.

        Args:
            n: how many images.
            batch: gives the images of a slice, augmented anew at each call.
            n_views: how often each is looked at.
        """
        parts = [slice(start, start + 100) for start in range(0, n, 100)]
        return torch.stack([torch.cat([self.embed(batch(part)) for part in parts]) for _ in range(n_views)])
