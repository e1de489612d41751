"""Teachers: a few classifiers of real images alone, whose mean probabilities judge synthetic images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from augmentgan.data.columns import SOFT_LABELS, WEIGHT
from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import logits_of, train_classifier
from augmentgan.evaluate.mixing import judged_by_teachers
from augmentgan.sections import ResolvedBenchmarkSection

N_TEACHERS = 3


class Teachers:
    """Classifiers of the real training images, classically augmented, classes drawn evenly.

    Args:
        real: the training images.
        section: classifier and budget.
        seed: of the first teacher.
        device: where to train.
        n: how many.
        soft: whether their probabilities become labels.
        on_fit: called after each is trained.

    Attributes:
        networks: the classifiers.
        rule: what they were trained with.
        columns: what they say of a sample, by name and type: `weight`, the probability of the class that was asked for, and
            with `soft` the probabilities of all classes as `soft_labels` (k,).
    """

    def __init__(
        self,
        real: LabelledImages,
        section: ResolvedBenchmarkSection,
        seed: int,
        device: torch.device,
        *,
        n: int = N_TEACHERS,
        soft: bool = False,
        on_fit: Callable[[], object] = lambda: None,
    ) -> None:
        self._class_names = real.class_names
        arm, nothing = Arm("real+oversampling+classic"), real.subset([])
        self.networks: list[nn.Module] = []
        for k in range(n):
            self.networks.append(train_classifier(arm, real, nothing, section, section.steps, seed + k, device))
            on_fit()
        self.rule = f"{n} teachers {section.model_dump_json()} seed {seed} soft {soft}"
        soft_labels = {SOFT_LABELS: np.dtype((np.float32, (real.n_classes,)))} if soft else {}
        self.columns: Mapping[str, np.dtype[Any]] = {WEIGHT: np.dtype(np.float32), **soft_labels}

    def probabilities(self, images: LabelledImages) -> NDArray[np.float32]:
        """Mean class probabilities (n, k)."""
        votes = torch.stack([logits_of(network, images).softmax(dim=1) for network in self.networks])
        mean: NDArray[np.float32] = votes.mean(dim=0).numpy()
        return mean

    def __call__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """The columns of some samples."""
        seen = self.probabilities(LabelledImages(images, labels, self._class_names))
        judged = judged_by_teachers(LabelledImages(images, labels, self._class_names), seen, soft=True)
        return {name: judged.extra[name] for name in self.columns}


def apply_policy(
    real: LabelledImages, synthetic: LabelledImages, section: ResolvedBenchmarkSection, seed: int, device: torch.device
) -> LabelledImages:
    """The synthetic set as the recipe's policy wants it: as it is, or weighed, filtered and labelled by teachers."""
    if not section.teachers or not len(synthetic):
        return synthetic
    teachers = Teachers(real, section, seed, device, n=section.teachers)
    seen = teachers.probabilities(synthetic)
    return judged_by_teachers(synthetic, seen, keep=section.teachers_keep, soft=section.soft_labels)
