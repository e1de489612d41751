"""Training of the downstream classifier on real images, synthetic ones, or both, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from augmentgan.data.columns import SOFT_LABELS
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.augmentation import blend_pairs, classic_augmentation
from augmentgan.evaluate.mixing import loss_weights, sampling_probabilities, stratified_rows
from augmentgan.evaluate.networks import build_classifier, separate_statistics, set_n_synthetic
from augmentgan.evaluate.pretrained import PURPOSE, VIEWS, Pretrained
from augmentgan.gan.backbone import require_backbone
from augmentgan.gan.device import keep_freed_memory, random_state_kept, resolve_precision, to_device
from augmentgan.gan.networks import to_unit
from augmentgan.gan.recording import CUDAGraphRunner
from augmentgan.sections import ResolvedBenchmarkSection

PREDICTION_BATCH = 128  # what fits into the cache; on a CPU larger ones are slower
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class Setting:
    """What is tuned on validation images, arm by arm.

    Attributes:
        weight_decay: AdamW's.
        strength: of classical augmentation, 0 to 1; used by arms that have it.
        share: synthetic part of a class's draws; used by arms with synthetic images.
        flips: whether classical augmentation mirrors half of the images.
    """

    weight_decay: float = WEIGHT_DECAY
    strength: float = 1.0
    share: float = 0.5
    flips: bool = False

    @property
    def augments(self) -> bool:
        """Whether classical augmentation does anything."""
        return self.strength > 0 or self.flips


class TrainingImages:
    """Real and synthetic images on the device, and how often each comes up.

    Rows are sorted by class, so that strata of a batch follow the classes.
    """

    def __init__(self, arm: Arm, real: LabelledImages, synthetic: LabelledImages, share: float, device: torch.device):
        self._n_classes = real.n_classes
        labels = torch.from_numpy(np.concatenate([real.labels, synthetic.labels]))
        order = torch.argsort(labels, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        self.images = torch.empty((len(order), *real.images.shape[1:]), dtype=torch.uint8, device=device)
        for part, places in zip((real, synthetic), (place[: len(real)], place[len(real) :]), strict=True):
            images = np.require(part.images, requirements=["C", "W"])  # a read-only set is copied, for torch would warn
            self.images[to_device(places, device)] = torch.from_numpy(images).to(device)
        self._labels = labels[order].to(device)
        self._soft_labels: Tensor | None = None
        if SOFT_LABELS in synthetic.extra and arm.uses_synthetic and len(synthetic):
            self._soft_labels = torch.from_numpy(synthetic.extra[SOFT_LABELS]).float().to(device)
            self._sample = (order - len(real)).to(device)  # below 0 for real ones
        self.weights = torch.from_numpy(loss_weights(arm, real.counts)).float()[labels[order]].to(device)
        self.is_synthetic = order >= len(real)
        self._cumulative = {
            wish: torch.from_numpy(sampling_probabilities(arm, real.labels, synthetic, real.n_classes, wish))[
                order
            ].cumsum(0)
            for wish in (share, 0.0)
        }

    def rows(self, share: float, n: int, random: torch.Generator) -> Tensor:
        """N rows for a batch (CPU); real ones come first."""
        rows = stratified_rows(self._cumulative[share], n, random)
        return rows[torch.argsort(self.is_synthetic[rows].to(torch.int8), stable=True)]

    def targets(self, rows: Tensor) -> Tensor:
        """Class probabilities (n, k) of rows on the device; those of the whole set would fill gigabytes where classes are many."""
        certain = F.one_hot(self._labels[rows], self._n_classes).float()
        if self._soft_labels is None:
            return certain
        sample = self._sample[rows]
        return torch.where((sample < 0)[:, None], certain, self._soft_labels[sample.clamp(min=0)])


def train_classifier(
    arm: Arm,
    real: LabelledImages,
    synthetic: LabelledImages,
    section: ResolvedBenchmarkSection,
    steps: int,
    seed: int,
    device: torch.device,
    setting: Setting | None = None,
) -> nn.Module:
    """Train one classifier for `steps` optimiser steps (AdamW, one-cycle rate).

    Args:
        arm: which images, how often each, and what is done to them.
        real: real images.
        synthetic: synthetic ones of the same classes and size; its columns `weight` and `soft_labels` are used.
        section: classifier, batch size, rate, and how long synthetic images and classical augmentation take part. That it ends before
            training does brings the classifier back to images as they are (He et al. 2019, arXiv 1909.09148).
        steps: the same for every arm.
        seed: of the weights and every draw; two arms with one seed start from the same weights.
        device: where to train.
        setting: what was tuned; the recipe's where left out.

    Raises:
        DataError, ExtraError: as `require_classifier`.
    """
    require_classifier(section.classifier, [arm])
    setting = setting or Setting(share=section.synthetic_share)
    # what plays no part must not cost memory or change a draw
    offered = synthetic if arm.uses_synthetic and (setting.share > 0 or arm.only_synthetic) else synthetic.subset([])
    until = steps if arm.only_synthetic else section.synthetic_until * steps
    keep_freed_memory()
    with random_state_kept(device):
        torch.manual_seed(seed)
        random = torch.Generator().manual_seed(seed)
        network = build_classifier(section.classifier, real.images.shape[1], real.channels, real.n_classes)
        # without a real row in any batch there would be no statistics to evaluate with
        separates = section.separate_statistics and bool(len(offered)) and _has_real_rows(arm, setting, until, steps)
        if separates:
            separate_statistics(network)
        network.to(device).train()
        images = TrainingImages(arm, real, offered, setting.share, device)
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=section.learning_rate,
            weight_decay=setting.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, section.learning_rate, total_steps=max(2, steps))
        precision = resolve_precision("auto", device)
        batches = _Batches(network, images, arm, setting, section, steps, until, random)

        def learn(inputs: Tensor, targets: Tensor) -> None:
            with torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
                logits = network.classify(inputs) if isinstance(network, Pretrained) else network(inputs)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits.float(), targets).backward()  # type: ignore[no-untyped-call]

        # statistics of their own split a batch where its synthetic rows begin, which a recording would keep for ever
        recording = CUDAGraphRunner(device, uses_graphs=not separates)
        for step in range(steps):
            inputs, targets, n_synthetic = batches(step)
            set_n_synthetic(network, n_synthetic)
            recording(learn, inputs, targets)
            optimizer.step()
            schedule.step()
        optimizer.zero_grad(set_to_none=True)  # gradients would keep a recording's memory
    return network.eval()


class _Batches:
    """What each step trains on: which rows, how they look, and their targets."""

    def __init__(
        self,
        network: nn.Module,
        images: TrainingImages,
        arm: Arm,
        setting: Setting,
        section: ResolvedBenchmarkSection,
        steps: int,
        synthetic_until: float,
        random: torch.Generator,
    ) -> None:
        self._images, self._share, self._n, self._random = images, setting.share, section.batch_images, random
        self._synthetic_until, self._blend = synthetic_until, _blend_of(arm)
        self._augmented_until = section.classic_until * steps if arm.classic and setting.augments else 0
        self._augmented, self._plain = (_pixels_of(images, each, random) for each in (setting, None))
        if isinstance(network, Pretrained):
            if self._augmented_until:
                self._augmented = _frozen_views_of(network, self._augmented, images, VIEWS)
            if self._augmented_until < steps:
                self._plain = _frozen_views_of(network, self._plain, images, 1)

    def __call__(self, step: int) -> tuple[Tensor, Tensor, int]:
        """Inputs and class probabilities (n, k) of a step, weighed for the loss, and how many of the last rows are synthetic."""
        rows = self._images.rows(self._share if step < self._synthetic_until else 0.0, self._n, self._random)
        n_synthetic = int(self._images.is_synthetic[rows].sum())
        rows = to_device(rows, self._images.images.device)
        look = self._augmented if step < self._augmented_until else self._plain
        # weighed before they are blended, for each of a pair has its own weight
        inputs, targets = look(rows), self._images.targets(rows) * self._images.weights[rows, None]
        if self._blend:
            inputs, targets = blend_pairs(inputs, targets, self._blend)
        return inputs, targets, n_synthetic


def require_classifier(name: str, arms: Sequence[Arm]) -> None:
    """Check that a classifier can be had and trained on the arms, before anything is learned for it.

    Raises:
        DataError: the pretrained classifier with an arm that blends pixels.
        ExtraError: the pretrained classifier without its extra.
    """
    if name != "pretrained":
        return
    require_backbone(PURPOSE)
    for arm in arms:
        if blend := _blend_of(arm):
            raise DataError(
                f"arm {arm.name!r}: {blend} blends pixels, which the frozen features of 'pretrained' never train on"
            )


def _blend_of(arm: Arm) -> str | None:
    return next((word for word in arm.words if word in ("mixup", "cutmix")), None)


def _has_real_rows(arm: Arm, setting: Setting, until: float, steps: int) -> bool:
    return not arm.only_synthetic and (setting.share < 1 or until < steps)


def _pixels_of(
    training: TrainingImages, setting: Setting | None, random: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """A function from rows to their images in [-1, 1], with a setting augmented anew at each call."""

    def look(rows: Tensor) -> Tensor:
        images = to_unit(training.images[rows])
        if setting is not None:
            images = classic_augmentation(images, random, setting.strength, flips=setting.flips)
        return images.contiguous(memory_format=torch.channels_last)

    return look


def _frozen_views_of(
    network: Pretrained, look: Callable[[Tensor], Tensor], training: TrainingImages, n_views: int
) -> Callable[[Tensor], Tensor]:
    """A function from rows to features of one of their views."""
    n = len(training.images)
    features = network.views(n, lambda part: look(torch.arange(n, device=training.images.device)[part]), n_views)
    return lambda rows: features[torch.randint(n_views, (len(rows),), device=rows.device), rows]


def predict(network: nn.Module, data: LabelledImages) -> Tensor:
    """The predicted labels (n,) on the CPU."""
    return logits_of(network, data).argmax(dim=1)


@torch.inference_mode()
def logits_of(network: nn.Module, data: LabelledImages) -> Tensor:
    """Logits (n, n_classes) on the CPU."""
    device = next(network.parameters()).device
    parts = torch.split(torch.from_numpy(data.images), PREDICTION_BATCH)
    return torch.cat([network(to_unit(part.to(device))).float().cpu() for part in parts])


def probabilities_of(network: nn.Module, data: LabelledImages) -> NDArray[np.float64]:
    """Class probabilities (n, n_classes)."""
    probabilities: NDArray[np.float64] = logits_of(network, data).double().softmax(dim=1).numpy()
    return probabilities


def features_of(network: nn.Module, data: LabelledImages) -> Tensor:
    """Features (n, d) that the last linear layer sees, on the CPU."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, given: seen.append(given[0].float().cpu()))
    try:
        logits_of(network, data)
    finally:
        hook.remove()
    return torch.cat(seen)
