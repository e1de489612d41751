"""`evaluate`: how good the samples are, apart from what they are worth: fidelity, coverage, collapse, labels, copying."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from augmentgan.data.images import LabelledImages
from augmentgan.data.sheet import write_sheet
from augmentgan.errors import DataError
from augmentgan.evaluate.classifier import SmallCNN, features_of, logits_of, predict, train_classifier
from augmentgan.evaluate.metrics import copy_thresholds, frechet_distance, kernel_distance, manifold
from augmentgan.evaluate.mixing import Arm
from augmentgan.files import write_json
from augmentgan.gan.diversity import NearestReal, diversity
from augmentgan.gan.run import Run
from augmentgan.gan.training import resolve_device
from augmentgan.recipe import ResolvedRecipe

EVALUATE_FILE, OFFENDERS_FILE = "evaluate.json", "nearest.png"
FEATURES = "small-cnn trained on the run's real training images"
MAX_IMAGES = 5000
"""Real and synthetic images in pairwise distances are at most this many each."""

_JUDGES = 3
_SHOWN = 12


@dataclass(frozen=True)
class Evaluation:
    """The figures of evaluate.json.

    Attributes:
        frechet_distance, kernel_distance: between features of training images and samples; 0 is best.
        precision, recall, density, coverage: see `metrics.Manifold`.
        features: which extractor.
        diversity_per_class: 1 as varied as the real images; None where a class has too few to say.
        near_per_class: 0 means copies; None where a class has too few real images to say.
        memorised_fraction: share of samples nearer to a training image than honest images come; None without
            ten held-out images.
        memorised_threshold_per_class: the distance used, root mean square grey levels.
        label_agreement: share of samples in which classifiers of real images see the class that was asked for.
        label_agreement_per_class: the same for each class.
        synthetic_only_accuracy: balanced accuracy on test images after training on samples alone; None without test images.
        real_only_accuracy: the same after training on the real training images, neither augmented.
        n_samples: samples judged.
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
    memorised_threshold_per_class: list[float] | None
    label_agreement: float
    label_agreement_per_class: list[float]
    synthetic_only_accuracy: float | None
    real_only_accuracy: float | None
    n_samples: int
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
    on_step: Callable[[int], object] | None = None,
) -> Evaluation:
    """Judge a run's samples, and write evaluate.json and the picture of the nearest samples into its folder.

    Real images in the distances are the training images; test images serve only for the two accuracies and for the
    distance at which held-out real images lie.

    Args:
        run: a run.
        per_class: samples a class; by default 200, fewer where there are many classes.
        device: where to train classifiers.
        seed: of the classifiers.
        on_step: called with the number of classifiers trained so far, of `n_classifiers(run)`.

    Raises:
        DataError: fewer than 10 samples a class asked for.
    """
    train = run.train
    wanted = per_class or max(10, min(200, MAX_IMAGES // train.n_classes))
    if wanted < 10:
        raise DataError(f"--per-class {wanted}: at least 10 samples a class are needed to judge them")
    samples = run.generate(wanted)
    result = evaluate_samples(train, run.test, samples, run.recipe, device=device, seed=seed, on_step=on_step)
    _picture_of_nearest(run, train, samples, result.memorised_threshold_per_class)
    write_json(run.folder / EVALUATE_FILE, result.to_json())
    return result


def n_classifiers(run: Run) -> int:
    """How many classifiers `evaluate_run` trains."""
    return _JUDGES + (2 if len(run.test) else 0)


def evaluate_samples(
    train: LabelledImages,
    test: LabelledImages,
    samples: LabelledImages,
    recipe: ResolvedRecipe,
    *,
    device: str = "auto",
    seed: int = 0,
    on_step: Callable[[int], object] | None = None,
) -> Evaluation:
    """Judge any synthetic set against the real images it should be like; `evaluate_run` does so for a run."""
    where = resolve_device(device)
    trained = 0

    def classifier(arm: str, seed: int) -> SmallCNN:
        nonlocal trained
        network = train_classifier(Arm(arm), train, samples, recipe.benchmark, recipe.benchmark.steps, seed, where)
        trained += 1
        if on_step:
            on_step(trained)
        return network

    judges = [classifier("real+classic", seed + k) for k in range(_JUDGES)]
    votes = torch.stack([logits_of(judge, samples).softmax(dim=1) for judge in judges]).mean(dim=0).argmax(dim=1)
    agrees = votes.numpy() == samples.labels
    ours, theirs = (features_of(judges[0], _at_most(each)).numpy().astype(np.float64) for each in (samples, train))
    four = manifold(theirs, ours)
    varied = diversity(train.images, train.labels, samples.images, samples.labels, train.n_classes)
    copied, thresholds = memorised(train, test, samples)
    synthetic_only = real_only = None
    if len(test):
        synthetic_only, real_only = (
            _balanced_accuracy(predict(classifier(arm, seed), test).numpy(), test.labels)
            for arm in ("synthetic", "real")
        )
    return Evaluation(
        frechet_distance=frechet_distance(theirs, ours),
        kernel_distance=kernel_distance(theirs, ours),
        precision=four.precision,
        recall=four.recall,
        density=four.density,
        coverage=four.coverage,
        features=FEATURES,
        diversity_per_class=_known(varied.div_per_class),
        near_per_class=_known(varied.near_per_class),
        memorised_fraction=None if copied is None else float(copied.mean()),
        memorised_threshold_per_class=None if thresholds is None else [float(each) for each in thresholds],
        label_agreement=float(agrees.mean()),
        label_agreement_per_class=[float(agrees[samples.labels == label].mean()) for label in range(train.n_classes)],
        synthetic_only_accuracy=synthetic_only,
        real_only_accuracy=real_only,
        n_samples=len(samples),
        class_names=list(train.class_names),
    )


def memorised(
    train: LabelledImages, test: LabelledImages, samples: LabelledImages
) -> tuple[NDArray[np.bool_] | None, NDArray[np.float64] | None]:
    """Which samples (n,) are near copies of a training image, and the threshold of each class; None without held-out images."""
    thresholds = copy_thresholds(nearest_in_class(train, test), test.labels, train.n_classes)
    if thresholds is None:
        return None, None
    return nearest_in_class(train, samples) < thresholds[samples.labels], thresholds


def nearest_in_class(train: LabelledImages, images: LabelledImages) -> NDArray[np.float32]:
    """Distance (n,) of each image to the nearest training image of its class, root mean square grey levels."""
    distances = np.full(len(images), np.inf, dtype=np.float32)
    for label in np.unique(images.labels):
        mine, theirs = images.labels == label, train.labels == label
        if theirs.any():
            distances[mine] = NearestReal(train.images[theirs])(images.images[mine])[0]
    return distances


def _picture_of_nearest(
    run: Run, train: LabelledImages, samples: LabelledImages, thresholds: list[float] | None
) -> None:
    """The samples that look most like copies, each above its nearest training image.

    Distances are taken relative to their class's threshold: thin strokes lie near one another and are no copies for that.
    """
    distances, rows = NearestReal(train.images)(samples.images)
    relative = distances if thresholds is None else distances / np.array(thresholds)[samples.labels]
    worst = np.argsort(relative)[:_SHOWN]
    write_sheet(run.folder / OFFENDERS_FILE, [samples.images[worst], train.images[rows[worst]]], ["nearest", "real"])


def _at_most(data: LabelledImages) -> LabelledImages:
    if len(data) <= MAX_IMAGES:
        return data
    return data.subset(np.linspace(0, len(data) - 1, MAX_IMAGES).round().astype(np.int64))


def _balanced_accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in values]
