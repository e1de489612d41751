"""One repeat at one size: every arm trained on the same training draw and tested on the same test images."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.arms import Arm, has_even_classes, minority_classes
from augmentgan.evaluate.classifier import Setting, probabilities_of, train_classifier
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.results import BenchmarkRow
from augmentgan.evaluate.scores import METRICS, score
from augmentgan.evaluate.statistics import Correctness
from augmentgan.evaluate.teachers import apply_policy
from augmentgan.evaluate.tuning import Candidate, Tuner, simplest
from augmentgan.sections import ResolvedBenchmarkSection

Measured = tuple[BenchmarkRow, Correctness]

_SETTING = TypeAdapter(Setting)


@dataclass(frozen=True)
class Piece:
    """What a repeat works on.

    Attributes:
        name: of its training draw, under which what is finished is kept: another draw may be filed under the same size.
        repeat: its number.
        train_per_class: the size it is filed under.
        real: the training draw.
        test: real test images.
        test_rows: (n,) a number for each test image, the same in every repeat.
        synthetic: gives the samples of the generator that learned from `real`; asked only where an arm that is left uses them.
        beside: gives samples of a generator that learned from a part of `real`, what is left without the validation fold of that
            number; None where shares are chosen with the samples of `synthetic`.
        seed: of the classifiers, and of the folds that settings are chosen on.
        imbalanced: whether the benchmark compares arms with rivals that oversample; here a share of 0 is that rival, whatever this draw's own
            counts are.
    """

    name: str
    repeat: int
    train_per_class: int
    real: LabelledImages
    test: LabelledImages
    test_rows: NDArray[np.int64]
    synthetic: Callable[[], LabelledImages]
    seed: int
    imbalanced: bool
    beside: Callable[[LabelledImages, int], LabelledImages] | None = None


def run_piece(
    piece: Piece,
    arms: Sequence[Arm],
    section: ResolvedBenchmarkSection,
    device: torch.device,
    finished: FinishedParts,
    on_row: Callable[[BenchmarkRow], object],
    on_fit: Callable[[], object],
) -> dict[str, Measured]:
    """Tune and train every arm that is not finished; all arms' rows, and what each did with every test image."""
    even = has_even_classes(piece.real.counts)
    minority = minority_classes(piece.real.counts).tolist()
    measured: dict[str, Measured] = {}
    tuner: Tuner | None = None
    samples = functools.cache(lambda: apply_policy(piece.real, piece.synthetic(), section, piece.seed, device))
    trained: dict[Candidate, tuple[BenchmarkRow, NDArray[np.int64]]] = {}
    for arm in arms:
        name = part_name(piece.name, arm, imbalanced=piece.imbalanced)
        kept = _restored(finished.get(name), arm, piece)
        if kept is None:
            synthetic = samples() if arm.uses_synthetic else piece.real.subset([])
            if tuner is None and section.tune:
                tuner = _tuner(piece, samples, section, device, finished, on_fit)
            setting = tuner.setting_of(arm) if tuner else Setting(share=section.synthetic_share)
            candidate = simplest(arm, setting, imbalanced=piece.imbalanced, even=even)
            if candidate not in trained:
                started = time.perf_counter()
                network = train_classifier(
                    candidate.arm, piece.real, synthetic, section, section.steps, piece.seed, device, candidate.setting
                )
                probabilities = probabilities_of(network, piece.test)
                row = BenchmarkRow(
                    arm=arm.name,
                    train_per_class=piece.train_per_class,
                    repeat=piece.repeat,
                    **score(probabilities, piece.test.labels),
                    minority=minority,
                    setting=asdict(candidate.setting),
                    time_s=round(time.perf_counter() - started, 3),
                )
                trained[candidate] = row, probabilities.argmax(axis=1)
                on_fit()
            row, predicted = trained[candidate]
            row = replace(row, arm=arm.name)
            finished.keep(name, {"row": asdict(row), "predicted": predicted.tolist()})
        else:
            row, predicted = kept
            # what chooses the same is the same, also where it was trained before an interruption
            setting = _SETTING.validate_python(row.setting)
            candidate = simplest(arm, setting, imbalanced=piece.imbalanced, even=even)
            trained.setdefault(candidate, kept)
        measured[arm.name] = row, Correctness(predicted == piece.test.labels, piece.test.labels, piece.test_rows)
        on_row(row)
    return measured


def _tuner(
    piece: Piece,
    samples: Callable[[], LabelledImages],
    section: ResolvedBenchmarkSection,
    device: torch.device,
    finished: FinishedParts,
    on_fit: Callable[[], object],
) -> Tuner:
    def beside(rest: LabelledImages, fold: int) -> LabelledImages:
        assert piece.beside is not None
        return apply_policy(rest, piece.beside(rest, fold), section, piece.seed, device)

    return Tuner(
        piece.real,
        samples,
        section,
        piece.seed,
        device,
        imbalanced=piece.imbalanced,
        finished=finished,
        name=f"{piece.name}-tuning",
        on_fit=on_fit,
        beside=None if piece.beside is None else beside,
    )


def all_finished(finished: FinishedParts, name: str, arms: Sequence[Arm], *, imbalanced: bool) -> bool:
    """Whether every arm of the piece of that name has been kept, with the rivals that the benchmark has."""
    return all(finished.get(part_name(name, arm, imbalanced=imbalanced)) is not None for arm in arms)


def part_name(piece: str, arm: Arm, *, imbalanced: bool) -> str:
    """Under which a finished arm is kept: with its rival, for sizes or repeats that are added may give it another, and what it chooses depends on it."""
    rival = arm.without_synthetic(imbalanced=imbalanced)
    return f"{piece}-{arm.name}" + ("" if rival is None else f"-over-{rival.name}")


def _restored(kept: Any, arm: Arm, piece: Piece) -> tuple[BenchmarkRow, NDArray[np.int64]] | None:
    """A finished arm as `run_piece` kept it, or None where there is none or it was tampered with."""
    try:
        row = TypeAdapter(BenchmarkRow).validate_json(json.dumps(kept["row"]), strict=True)
        _SETTING.validate_json(json.dumps(row.setting), strict=True)
        predicted = np.array(kept["predicted"])
    except (TypeError, KeyError, ValueError):
        return None
    figures = np.array([getattr(row, name) for name in METRICS])
    fits = (
        (row.arm, row.repeat, row.train_per_class) == (arm.name, piece.repeat, piece.train_per_class)
        and ((figures >= 0) & (figures <= 1)).all()  # false for what is no number
        and len(row.recall_per_class) == piece.test.n_classes
        and predicted.shape == (len(piece.test),)
        and predicted.dtype.kind == "i"
    )
    return (row, predicted) if fits and ((predicted >= 0) & (predicted < piece.test.n_classes)).all() else None
