"""What each arm may choose for itself, on validation images out of the training part; test images are never asked.

An arm starts from what the arm it extends has chosen and has two candidates of its own, so that every arm has the same chance:

    real, oversampling, class weights   weight decay 0.05 or 0.5
    classic                             augmentation, none (its parent's score) only where that is better by a standard error: a baseline
                                        that luck leaves out invents gains; then mirror images, where they are better by one, for they may
                                        turn an image into one of another class
    synthetic, fill                     the recipe's share of synthetic images or half of it; none is its parent's score

An arm that chooses none is trained exactly like its parent; one that chooses badly is worse. mixup, cutmix and synthetic images alone
choose nothing of their own.

The generator has seen the validation images, and samples may resemble them. Samples whose nearest training image is in the validation
fold are therefore left out of that fold's training. That does not take back all that the generator has learned from them: validation promises several times
of samples what test images give (docs/experiments.md, "What validation promises"), and teachers, where a recipe asks for them, have seen them too; so zero, though allowed, is hardly ever chosen. `benchmark.cross_fit` gives every
fold samples of a generator, and opinions of teachers, that never saw its images. The best score wins, and
only where scores are equal does the recipe's own share stay. A rule that kept it unless it was clearly worse would keep harm too. Sets
with rare classes are the exception: there a class of four validates on four images, the best score is hardly more than a lot drawn, and the recipe's share of
samples in every class, for which experience speaks (docs/experiments.md), stays unless another is better by a standard error (the rule of
Breiman et al. 1984, Classification and Regression Trees).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from augmentgan.data.images import LabelledImages
from augmentgan.data.load import facts
from augmentgan.data.split import connected_rows
from augmentgan.evaluate.arms import Arm, has_even_classes
from augmentgan.evaluate.classifier import WEIGHT_DECAY, Setting, predict, train_classifier
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.gan.diversity import NearestReal
from augmentgan.sections import ResolvedBenchmarkSection

STEPS_SHARE = 0.5
"""Candidates are trained for this share of the steps."""


@dataclass(frozen=True)
class Candidate:
    """An arm with a setting, in its simplest form: what plays no part is left out, so that equals are equal."""

    arm: Arm
    setting: Setting


def simplest(arm: Arm, setting: Setting, *, imbalanced: bool, even: bool) -> Candidate:
    """The candidate that trains in the same way with the fewest words.

    Args:
        arm: in its own words.
        setting: that it may be trained with.
        imbalanced: whether the arm's rival without samples oversamples.
        even: whether all classes have equally many training images.
    """
    if arm.classic and not setting.augments:
        arm = arm.without("classic")
    rival = arm.without_synthetic(imbalanced=imbalanced)
    if rival is not None and setting.share == 0:
        arm = rival
    if even:
        arm = arm.without("oversampling")
    return Candidate(
        arm,
        Setting(
            weight_decay=setting.weight_decay,
            strength=setting.strength if arm.classic else 0.0,
            share=1.0 if arm.only_synthetic else setting.share if arm.uses_synthetic else 0.0,
            flips=setting.flips and arm.classic,
        ),
    )


class Tuner:
    """Scores candidates by cross-validation on the training part, each only once.

    Args:
        real: the training part.
        synthetic: gives samples of the generator that learned from it; asked only where an arm uses them.
        section: the recipe's; candidates get `STEPS_SHARE` of its steps.
        seed: of the folds and the classifiers.
        device: where to train.
        imbalanced: whether the rival of an arm with samples oversamples.
        finished: where scores are kept.
        name: of this tuner among what is kept.
        on_fit: called after each classifier.
        beside: gives samples of a generator that learned from what is left of `real` without a fold (`benchmark.cross_fit`).
    """

    def __init__(
        self,
        real: LabelledImages,
        synthetic: Callable[[], LabelledImages],
        section: ResolvedBenchmarkSection,
        seed: int,
        device: torch.device,
        *,
        imbalanced: bool,
        finished: FinishedParts,
        name: str,
        on_fit: Callable[[], object],
        beside: Callable[[LabelledImages, int], LabelledImages] | None = None,
    ) -> None:
        self._real, self._synthetic, self._section = real, synthetic, section
        self._steps, self._seed, self._device = max(1, round(STEPS_SHARE * section.steps)), seed, device
        self._imbalanced, self._finished, self._name, self._on_fit = imbalanced, finished, name, on_fit
        self._rare = facts(real).has_rare_classes
        self._fold = validation_folds(real, section.validation_folds, seed)
        self._beside = beside
        self._sample_fold: NDArray[np.int64] | None = None
        self._samples: dict[int, LabelledImages] = {}
        self._scores: dict[Candidate, NDArray[np.float64]] = {}
        self._settings: dict[str, Setting] = {}

    def setting_of(self, arm: Arm) -> Setting:
        """The setting of an arm; its parents' are found first."""
        if arm.name not in self._settings:
            self._settings[arm.name] = self._tune(arm)
        return self._settings[arm.name]

    def _tune(self, arm: Arm) -> Setting:
        share = self._section.synthetic_share
        if arm.only_synthetic:
            return self.setting_of(Arm("real"))
        rival = arm.without_synthetic(imbalanced=self._imbalanced)
        if rival is not None:
            inherited = self.setting_of(rival)
            if share == 0:
                return replace(inherited, share=0.0)
            shares = [replace(inherited, share=each) for each in (share, share / 2, 0.0)]
            stays = self._rare and "synthetic" in arm.words
            return self._choose(arm, shares, margin=float(stays))
        for word in ("mixup", "cutmix"):
            if word in arm.words:
                return self.setting_of(arm.without(word))
        if arm.classic:
            inherited = self.setting_of(arm.without("classic"))
            best = self._choose(arm, [replace(inherited, strength=each) for each in (1.0, 0.0)], margin=1.0)
            return self._choose(arm, [best, replace(best, flips=True)], margin=1.0)
        return self._choose(arm, [Setting(WEIGHT_DECAY, share=share), Setting(10 * WEIGHT_DECAY, share=share)])

    def _choose(self, arm: Arm, settings: Sequence[Setting], margin: float = 0.0) -> Setting:
        even = has_even_classes(self._real.counts)
        candidates = [simplest(arm, setting, imbalanced=self._imbalanced, even=even) for setting in settings]
        return settings[best_of([self._score(each) for each in candidates], self._weights(), margin)]

    def _weights(self) -> NDArray[np.float64]:
        """Weight of each training image in balanced accuracy; none for those that never validate."""
        validates = self._fold >= 0
        counts = np.bincount(self._real.labels[validates], minlength=self._real.n_classes)
        weights = np.where(validates, 1 / np.maximum(counts, 1)[self._real.labels], 0.0)
        return np.asarray(weights / max(float(weights.sum()), 1e-12), dtype=np.float64)

    def _score(self, candidate: Candidate) -> NDArray[np.float64]:
        """For each training image whether a classifier that did not see it was right (n,)."""
        key = f"{self._name}-{candidate.arm.name}-{candidate.setting}"
        kept = self._finished.get(key) if candidate not in self._scores else None
        if isinstance(kept, list) and len(kept) == len(self._real) and all(each in (0, 1) for each in kept):
            self._scores[candidate] = np.array(kept, dtype=np.float64)
        if candidate not in self._scores:
            right = np.zeros(len(self._real))
            for fold in np.unique(self._fold[self._fold >= 0]):
                held = self._fold == fold
                rest = self._real.subset(~held)
                network = train_classifier(
                    candidate.arm,
                    rest,
                    self._samples_for(rest, int(fold)) if candidate.arm.uses_synthetic else rest.subset([]),
                    self._section,
                    self._steps,
                    self._seed,
                    self._device,
                    candidate.setting,
                )
                validation = self._real.subset(held)
                right[held] = predict(network, validation).numpy() == validation.labels
                self._on_fit()
            self._scores[candidate] = right
            self._finished.keep(key, right.astype(int).tolist())
        return self._scores[candidate]

    def _samples_for(self, rest: LabelledImages, fold: int) -> LabelledImages:
        """What a fold's candidates may train on beside what is left without it."""
        if self._beside is not None:
            if fold not in self._samples:
                self._samples[fold] = self._beside(rest, fold)
            return self._samples[fold]
        samples = self._synthetic()
        if self._sample_fold is None:
            self._sample_fold = self._fold[NearestReal(self._real.images)(samples.images)[1]]
        return samples.subset(self._sample_fold != fold)  # made anew each time: one for every fold would be many copies


def best_of(scores: Sequence[NDArray[np.float64]], weights: NDArray[np.float64], margin: float = 0.0) -> int:
    """The candidate with the best weighted mean, of equals the first; the first too if none is better than it by the margin.

    Args:
        scores: for each candidate whether it was right on each image (n,).
        weights: (n,) of the images, with sum 1.
        margin: in standard errors of the paired difference to the first.
    """
    means = [float(weights @ each) for each in scores]
    best = max(range(len(means)), key=lambda k: (round(means[k], 9), -k))
    gain = scores[best] - scores[0]
    error = float(np.sqrt((weights**2) @ (gain - weights @ gain) ** 2))
    return best if means[best] - means[0] >= margin * error else 0


def validation_folds(real: LabelledImages, n_folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each row (n,): classes are spread evenly, and rows that belong together (copies, groups) stay together.

    -1 for rows that never validate: their class has too few images to learn from without them.
    """
    units = connected_rows(real)
    fold = np.full(len(real), -1, dtype=np.int64)
    members_of = np.split(np.argsort(units, kind="stable"), np.cumsum(np.bincount(units))[:-1])
    in_fold = np.zeros((n_folds, real.n_classes), dtype=np.int64)
    random = np.random.default_rng(seed)
    counts = real.counts
    for label in np.argsort(counts, kind="stable"):
        mine = np.flatnonzero(real.labels == label)
        free = random.permutation(np.unique(units[mine[fold[mine] < 0]]))
        if len(np.unique(units[mine])) < 2:
            continue
        for unit in free:
            smallest = int(np.argmin(in_fold[:, label]))
            members = members_of[unit]
            with_unit = in_fold[smallest] + np.bincount(real.labels[members], minlength=real.n_classes)
            if ((with_unit == counts) & (counts > 0)).any():
                continue  # a group of several classes, and of one of them it has all that would be left
            fold[members] = smallest
            in_fold[smallest] = with_unit
    return fold
