"""`evaluate`: how good the samples are, apart from what they are worth: fidelity, coverage, collapse, labels, copying."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.images import LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.data.sheet import write_sheet
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import probabilities_of, train_classifier
from augmentgan.evaluate.copies import CopyJudge
from augmentgan.evaluate.extractors import EXTRACTORS, frozen, of_classifier
from augmentgan.evaluate.metrics import frechet_distance, kernel_distance, manifold
from augmentgan.evaluate.offered import samples_offered
from augmentgan.evaluate.scores import score
from augmentgan.evaluate.teachers import N_TEACHERS, Teachers
from augmentgan.files import write_json
from augmentgan.gan.device import resolve_device
from augmentgan.gan.diversity import NearestReal, diversity
from augmentgan.gan.run import Run
from augmentgan.gan.run_folder import only_writer
from augmentgan.names import EVALUATE_FILE, NEAREST_FILE
from augmentgan.recipe import ResolvedRecipe

MAX_IMAGES = 5000
"""Real and synthetic images in pairwise distances are at most this many each."""

_SHOWN = 12


@dataclass(frozen=True)
class Evaluation:
    """The figures of evaluate.json.

    Attributes:
        frechet_distance, kernel_distance: between features of training images and samples, classes in the proportions of the training
            images; 0 is best.
        precision, recall, density, coverage: see `metrics.Manifold`; in the same proportions.
        features: which extractor.
        diversity_per_class: 1 as varied as the real images; None where a class has too few to say.
        near_per_class: 0 means copies; None where a class has too few real images to say.
        memorised_fraction: share of samples that are near copies: much nearer to one training image than to the next ones (`copies.copy_ratios`);
            None without ten held-out images.
        memorised_threshold: the copy ratio (`copies.copy_ratios`) below which that is so in the class with most training images; 1 % of
            real images fall below.
        memorised_threshold_per_class: the same for each class; None where it cannot be judged.
        label_agreement: share of samples in which classifiers of real images see the class that was asked for.
        label_agreement_per_class: the same for each class.
        synthetic_only_accuracy: balanced accuracy on test images after training on samples alone, as many as a benchmark is offered;
            None without test images.
        real_only_accuracy: the same after training on the real training images, neither augmented.
        n_samples: samples judged.
        n_samples_learned: samples that `synthetic_only_accuracy` was learned from.
        class_names: in label order.
    """

    frechet_distance: float
    kernel_distance: float
    precision: float
    recall: float
    density: float
    coverage: float
    features: str
    diversity_per_class: list[float | None]
    near_per_class: list[float | None]
    memorised_fraction: float | None
    memorised_threshold: float | None
    memorised_threshold_per_class: list[float | None]
    label_agreement: float
    label_agreement_per_class: list[float]
    synthetic_only_accuracy: float | None
    real_only_accuracy: float | None
    n_samples: int
    n_samples_learned: int
    class_names: list[str]

    def to_json(self) -> dict[str, Any]:
        """The document of evaluate.json."""
        return asdict(self)


def evaluate_run(
    run: Run,
    *,
    per_class: int | None = None,
    device: str = "auto",
    seed: int = 0,
    features: str = "classifier",
    on_step: Callable[[int], object] | None = None,
) -> Evaluation:
    """Judge a run's samples, and write evaluate.json and the picture of the nearest samples into its folder.

    Real images in the distances are the training images; test images serve only for the two accuracies and for the
    distance at which held-out real images lie.

    Args:
        run: a run.
        per_class: samples a class that are judged; by default 200, fewer where there are many classes. The classifier of samples alone
            learns from as many as a benchmark offers its arms (`offered.samples_offered`).
        device: where to train classifiers.
        seed: of the classifiers.
        features: name of the extractor that the distances are taken on, see `extractors.EXTRACTORS`.
        on_step: called with the number of classifiers trained so far, of `n_classifiers(run)`.

    Raises:
        DataError: fewer than 10 samples a class asked for, an unusable seed, an extractor that is not known or whose weights cannot be had.
        ExtraError: the extractor's extra is not installed.
        OutputError: the run folder cannot be written.
        RunError: another process is at work in it.
    """
    seed = checked_seed(seed)
    with only_writer(run.folder):  # first, for a folder that cannot be written would cost minutes
        train = run.train
        judged, learned = samples_to_judge(run, per_class)
        evaluator = Evaluator(train, run.test, run.recipe, device=device, seed=seed, features=features, on_step=on_step)
        result = evaluator(judged, learned)
        _picture_of_nearest(run, train, judged, evaluator.copies)
        write_json(run.folder / EVALUATE_FILE, {**result.to_json(), "generator": run.generator_version})
    return result


def samples_a_class(n_classes: int) -> int:
    """How many samples of each class are judged unless something else is asked for: 200, fewer where there are many classes."""
    return max(10, min(200, MAX_IMAGES // n_classes))


def samples_to_judge(run: Run, per_class: int | None = None) -> tuple[LabelledImages, LabelledImages]:
    """The samples that are judged, and those that a classifier learns from: as many as a benchmark offers, for with 200 a class their number would limit its accuracy.

    Raises:
        DataError: fewer than 10 samples a class asked for.
    """
    train = run.train
    n_classes = train.n_classes
    wanted = samples_a_class(n_classes) if per_class is None else per_class
    if wanted < 10:
        raise DataError(f"--per-class {wanted}: at least 10 samples a class are needed to judge them")
    offered = samples_offered(run.recipe.benchmark, train)
    samples = run.generate(max(wanted, offered))
    return _first(samples, np.full(n_classes, wanted)), _first(samples, np.full(n_classes, offered))


def n_classifiers(run: Run) -> int:
    """How many classifiers `evaluate_run` trains."""
    return N_TEACHERS + (2 if len(run.test) else 0)


class Evaluator:
    """What real images say of samples, learned once for any number of synthetic sets; `evaluate_run` asks it of a run's.

    Args:
        train: the images that the samples should be like.
        test: held-out images; without them the accuracies are None.
        recipe: of the classifiers.
        device: where to train them.
        seed: of the classifiers.
        features: name of the extractor that the distances are taken on, see `extractors.EXTRACTORS`.
        on_step: called with the number of classifiers trained so far.

    Attributes:
        copies: tells near copies of training images.

    Raises:
        DataError: an extractor that is not known or whose weights cannot be had.
        ExtraError: the extractor's extra is not installed.
    """

    def __init__(
        self,
        train: LabelledImages,
        test: LabelledImages,
        recipe: ResolvedRecipe,
        *,
        device: str = "auto",
        seed: int = 0,
        features: str = "classifier",
        on_step: Callable[[int], object] | None = None,
    ) -> None:
        self._train, self._test, self._section = train, test, recipe.benchmark
        self._device, self._seed, self._on_step = resolve_device(device), seed, on_step
        if features not in EXTRACTORS:
            raise DataError(f"features {features!r} are not known; known: {', '.join(EXTRACTORS)}")
        extract = None if features == "classifier" else frozen(features, self._device)  # first, for it may fail
        self._features = EXTRACTORS[features].format(classifier=recipe.benchmark.classifier)
        self._trained = 0
        # they draw classes evenly, as samples are: who has hardly seen a rare class cannot judge it
        self._teachers = Teachers(train, self._section, seed, self._device, on_fit=self._one_more)
        self._extract = extract or of_classifier(self._teachers.networks[0])
        self._real_features = self._extract(_at_most(train))
        self._real_only = self._accuracy_after("real+oversampling", train.subset([]))
        self.copies = CopyJudge(train, test)

    def __call__(self, samples: LabelledImages, learned: LabelledImages | None = None) -> Evaluation:
        """The figures of one synthetic set; `learned`, if not the same, is what the classifier of samples alone learns from."""
        train = self._train
        learned = samples if learned is None else learned
        agrees = self._teachers.probabilities(samples).argmax(axis=1) == samples.labels
        features = self._extract(_at_most(_in_proportions(samples, train.counts)))
        four = manifold(self._real_features, features)
        varied = diversity(train.images, train.labels, samples.images, samples.labels, train.n_classes)
        judged = ~np.isnan(self.copies.thresholds[samples.labels])
        copies = self.copies.copies(samples.images, samples.labels)
        per_class = [float(agrees[samples.labels == label].mean()) for label in range(train.n_classes)]
        return Evaluation(
            frechet_distance=frechet_distance(self._real_features, features),
            kernel_distance=kernel_distance(self._real_features, features),
            precision=four.precision,
            recall=four.recall,
            density=four.density,
            coverage=four.coverage,
            features=self._features,
            diversity_per_class=_known(varied.div_per_class),
            near_per_class=_known(varied.near_per_class),
            memorised_fraction=float(copies[judged].mean()) if judged.any() else None,
            memorised_threshold=self.copies.threshold,
            memorised_threshold_per_class=_known(self.copies.thresholds),
            label_agreement=float(agrees.mean()),
            label_agreement_per_class=per_class,
            synthetic_only_accuracy=self._accuracy_after("synthetic", learned),
            real_only_accuracy=self._real_only,
            n_samples=len(samples),
            n_samples_learned=len(learned),
            class_names=list(train.class_names),
        )

    def _one_more(self) -> None:
        self._trained += 1
        if self._on_step:
            self._on_step(self._trained)

    def _accuracy_after(self, arm: str, samples: LabelledImages) -> float | None:
        """Balanced accuracy on test images after training on one kind of images; None without test images."""
        if not len(self._test):
            return None
        section = self._section
        network = train_classifier(Arm(arm), self._train, samples, section, section.steps, self._seed, self._device)
        self._one_more()
        return float(score(probabilities_of(network, self._test), self._test.labels)["balanced_accuracy"])


def _picture_of_nearest(run: Run, train: LabelledImages, samples: LabelledImages, copies: CopyJudge) -> None:
    """The samples that look most like copies, each above its nearest training image of its class."""
    ratios = copies.ratios(samples.images, samples.labels)
    shown, nearest = [], []
    for row in np.argsort(ratios)[:_SHOWN]:  # NaN sorts last
        own = train.images[train.labels == samples.labels[row]]
        shown.append(samples.images[row])
        nearest.append(own[NearestReal(own)(samples.images[row : row + 1])[1][0]])
    write_sheet(run.folder / NEAREST_FILE, [np.stack(shown), np.stack(nearest)], ["nearest", "real"])


def _in_proportions(samples: LabelledImages, counts: NDArray[np.int64]) -> LabelledImages:
    """The first samples of each class, as many as keep the proportions of `counts`: else even samples of an uneven set lie far from it."""
    have = samples.counts
    scale = min(have[label] / counts[label] for label in np.flatnonzero(have))
    return _first(samples, np.minimum(np.maximum(np.round(scale * counts), 1), have).astype(np.int64))


def _first(samples: LabelledImages, wanted: NDArray[np.int64]) -> LabelledImages:
    """The first `wanted[label]` samples of each class."""
    rows = [np.flatnonzero(samples.labels == label)[:n] for label, n in enumerate(wanted)]
    return samples.subset(np.sort(np.concatenate(rows)))


def _at_most(data: LabelledImages) -> LabelledImages:
    if len(data) <= MAX_IMAGES:
        return data
    return data.subset(np.linspace(0, len(data) - 1, MAX_IMAGES).round().astype(np.int64))


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in values]
