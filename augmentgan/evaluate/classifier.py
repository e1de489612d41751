"""The downstream classifier: a small convolutional network, trained on real images, synthetic ones, or both."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.mixing import Arm, classic_augmentation
from augmentgan.gan.batches import BalancedBatches
from augmentgan.gan.device import keep_freed_memory, resolve_precision
from augmentgan.gan.networks import to_unit
from augmentgan.recipe import BenchmarkSection

PREDICTION_BATCH = 500


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
        logits: Tensor = self.to_logits(self.embed(images))
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] to the features (n, d) that the last layer sees."""
        features: Tensor = self.features(images)
        return features.mean(dim=(2, 3))


def _convolution(narrow: int, wide: int) -> nn.Conv2d:
    return nn.Conv2d(narrow, wide, 3, padding=1, bias=False)


def train_classifier(
    arm: Arm,
    real: LabelledImages,
    synthetic: LabelledImages,
    section: BenchmarkSection,
    steps: int,
    seed: int,
    device: torch.device,
) -> SmallCNN:
    """Train one classifier for `steps` optimiser steps of class-balanced batches (AdamW, one-cycle rate).

    Args:
        arm: which images, and whether they are augmented.
        real: real images.
        synthetic: synthetic ones of the same classes and size.
        section: batch size, rate, share of synthetic images.
        steps: the same for every arm.
        seed: of the weights and every draw; two arms with one seed start from the same weights.
        device: where to train.
    """
    size_px, channels = real.images.shape[1], real.channels
    keep_freed_memory()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random = torch.Generator().manual_seed(seed)
        network = SmallCNN(size_px, channels, real.n_classes).to(device)
        sources = (BalancedBatches(real, seed, device), BalancedBatches(synthetic, seed + 1, device))
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=section.learning_rate, weight_decay=0.05, fused=device.type in ("cpu", "cuda")
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, section.learning_rate, total_steps=max(2, steps))
        precision = resolve_precision("auto", device)
        network.train()
        for step in range(steps):
            n_synthetic = round(section.batch_images * arm.synthetic_share(section, step, steps))
            images, labels = _batch(sources, section.batch_images - n_synthetic, n_synthetic, step)
            if arm.classic:
                images = classic_augmentation(images, random)
            with torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
                logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def predict(network: SmallCNN, data: LabelledImages) -> Tensor:
    """The predicted labels (n,) on the CPU."""
    return logits_of(network, data).argmax(dim=1)


def logits_of(network: SmallCNN, data: LabelledImages) -> Tensor:
    """Logits (n, n_classes) on the CPU."""
    return _in_parts(network, network, data)


def features_of(network: SmallCNN, data: LabelledImages) -> Tensor:
    """Features (n, d) on the CPU."""
    return _in_parts(network, network.embed, data)


@torch.inference_mode()
def _in_parts(network: SmallCNN, compute: Callable[[Tensor], Tensor], data: LabelledImages) -> Tensor:
    device = next(network.parameters()).device
    parts = torch.split(torch.from_numpy(data.images), PREDICTION_BATCH)
    return torch.cat([compute(to_unit(part.to(device))).float().cpu() for part in parts])


def _batch(
    sources: tuple[BalancedBatches, BalancedBatches], n_real: int, n_synthetic: int, step: int
) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for source, n in zip(sources, (n_real, n_synthetic), strict=True):
        if n:
            wanted = source.labels_at(step, n)
            images.append(source.real_images(source.rows_of(wanted)))
            labels.append(wanted.to(source.images.device))
    return torch.cat(images), torch.cat(labels)
