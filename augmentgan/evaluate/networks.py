"""The networks that arms are measured with: a small CNN, a ResNet-18 fitted to small images, a pretrained one (`pretrained`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from augmentgan.evaluate.pretrained import Pretrained

CLASSIFIERS = ("small-cnn", "resnet18", "pretrained")


class SmallCNN(nn.Module):
    """Stages of two 3x3 convolutions that halve the map until it is small, then the mean and a linear layer.

    Each stage pools right after its first convolution, so that normalisation and the second convolution work on
    a quarter of the pixels (the order of Jordan 2024, arXiv 2404.00498).
    """

    def __init__(self, size_px: int, channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, narrow, wide = size_px, channels, 32 if size_px <= 32 else 16
        while side > 4:
            layers += [_convolution(narrow, wide), nn.MaxPool2d(2), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            layers += [_convolution(wide, wide), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            side, narrow, wide = side // 2, wide, min(2 * wide, 128)
        self.features = nn.Sequential(*layers)
        self.to_logits = nn.Linear(narrow, n_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to logits (n, n_classes)."""
        logits: Tensor = self.to_logits(self.features(images).mean(dim=(2, 3)))
        return logits


def small_image_resnet18(channels: int, n_classes: int) -> nn.Module:
    """Torchvision's ResNet-18 with a 3x3 stem of stride 1 and no first pooling (He et al. 2016, section 4.2: CIFAR)."""
    from torchvision.models import resnet18

    network: nn.Module = resnet18(weights=None, num_classes=n_classes)
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network.to(memory_format=torch.channels_last)


def build_classifier(name: str, size_px: int, channels: int, n_classes: int) -> nn.Module:
    """A network by its name, with fresh weights from torch's random state."""
    if name == "resnet18":
        return small_image_resnet18(channels, n_classes)
    if name == "pretrained":
        return Pretrained(n_classes)
    assert name == "small-cnn", name
    return SmallCNN(size_px, channels, n_classes)


class SplitNorm(nn.Module):
    """Two batch normalisations: one for the real rows at the front of a batch, one for the synthetic rows behind them.

    Synthetic images then do not shift the statistics that real test images are normalised with (Xie et al. 2020, arXiv
    1911.09665). In evaluation every row counts as real.
    """

    def __init__(self, real: nn.BatchNorm2d) -> None:
        super().__init__()
        self.real, self.synthetic = real, nn.BatchNorm2d(real.num_features)
        self.n_synthetic = 0

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, c, h, w) to the same shape."""
        n_real = len(features) - self.n_synthetic
        # of a single value there is no spread, so that such a batch is normalised as one
        single = min(n_real, self.n_synthetic) * features[0, 0].numel() == 1
        if not self.training or n_real == len(features) or single:
            return self.real(features)  # type: ignore[no-any-return]
        if n_real == 0:
            return self.synthetic(features)  # type: ignore[no-any-return]
        return torch.cat([self.real(features[:n_real]), self.synthetic(features[n_real:])])


def separate_statistics(network: nn.Module) -> nn.Module:
    """Replace every batch normalisation by a `SplitNorm` around it."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, SplitNorm(child))
        else:
            separate_statistics(child)
    return network


def set_n_synthetic(network: nn.Module, n_synthetic: int) -> None:
    """Tell every `SplitNorm` how many rows at the end of the next batch are synthetic."""
    for module in network.modules():
        if isinstance(module, SplitNorm):
            module.n_synthetic = n_synthetic


def _convolution(narrow: int, wide: int) -> nn.Conv2d:
    return nn.Conv2d(narrow, wide, 3, padding=1, bias=False)
