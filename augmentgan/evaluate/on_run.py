"""The benchmark of a finished run: its own generator and its own held-out images, several classifier seeds."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import augmentgan
from augmentgan.data.images import LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm, chosen_arms, is_imbalanced
from augmentgan.evaluate.classifier import require_classifier
from augmentgan.evaluate.comparing import compare, intervals, verdict_of
from augmentgan.evaluate.document import keep_result, median_size, shared_protocol
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.offered import sample_bytes, samples_offered
from augmentgan.evaluate.piece import Measured, Piece, all_finished, run_piece
from augmentgan.evaluate.request import Request
from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow
from augmentgan.evaluate.sharing import measure_all
from augmentgan.gan.device import resolve_device
from augmentgan.gan.run import Run, model_fingerprint
from augmentgan.gan.run_folder import only_writer
from augmentgan.recipe import Recipe
from augmentgan.sections import ResolvedBenchmarkSection


@dataclass(frozen=True)
class Repeats:
    """The repeats on one run (see `sharing.Pieces`), which share its training images and its samples.

    Attributes:
        pieces: one a repeat.
        arms: to train.
        section: the benchmark's settings.
        device: where to train.
        finished: what has been done.
    """

    pieces: Sequence[Piece]
    arms: Sequence[Arm]
    section: ResolvedBenchmarkSection
    device: torch.device
    finished: FinishedParts

    def __len__(self) -> int:
        return len(self.pieces)

    def __call__(self, number: int, tell: Callable[[BenchmarkRow], object]) -> dict[str, Measured]:
        """Measure a repeat, or what is left of it; tells each row."""
        return run_piece(self.pieces[number], self.arms, self.section, self.device, self.finished, tell, lambda: None)

    def is_finished(self, number: int) -> bool:
        """Whether nothing of a repeat is left to train."""
        piece = self.pieces[number]
        return all_finished(self.finished, piece.name, self.arms, imbalanced=piece.imbalanced)

    def updates(self, number: int) -> int:
        """None are left to do, whatever the repeat."""
        return 0

    @property
    def data_bytes(self) -> int:
        """Of the run's real images, which all repeats share; twice, for while it is given them a worker holds them packed, too."""
        first = self.pieces[0]
        return 2 * (first.real.images.nbytes + first.test.images.nbytes)

    @property
    def sample_bytes(self) -> int:
        """Of the run's samples."""
        return sample_bytes(self.section, self.pieces[0].real)

    def prepare(self) -> Repeats:
        """Hold the samples in place of the generator, or none where no arm uses them."""
        first = self.pieces[0]
        samples = first.synthetic() if any(arm.uses_synthetic for arm in self.arms) else first.real.subset([])
        return replace(
            self, pieces=[replace(each, synthetic=functools.partial(_given, samples)) for each in self.pieces]
        )


def _given(samples: LabelledImages) -> LabelledImages:
    return samples


def benchmark_of_run(run: Run, recipe: Recipe | None, request: Request) -> BenchmarkReport:
    """The benchmark of a run; see `benchmark.run_benchmark` for the arguments and errors."""
    section = _section(run, recipe, request.repeats, request.classifier)
    seed, world = checked_seed(request.seed, section.repeats), request.world
    with contextlib.ExitStack() as stack:
        # first, for a folder that cannot be written would cost minutes; two at once would lose each other's finished classifiers
        world.run_on_rank_zero(lambda: stack.enter_context(only_writer(run.folder)))
        chosen = chosen_arms(request.arms, imbalanced=is_imbalanced(run.train.counts))
        require_classifier(section.classifier, chosen)
        if not len(run.test):
            raise DataError(
                f"run {str(run.folder)!r} held no test images out; fit again with --test-fraction 0.2 or --test"
            )
        pieces = _pieces(run, section, chosen, resolve_device(request.device), seed)
        if request.overwrite:
            world.run_on_rank_zero(pieces.finished.clear)
        measured = measure_all(pieces, world, request.processes, on_message=lambda number, row: request.on_row(row))
        report = _report(run, section, chosen, measured, more={"seed": seed, "command": request.command})
        if world.is_rank_zero:
            keep_result(run.folder, report)
    return report


def _section(run: Run, recipe: Recipe | None, repeats: int | None, classifier: str | None) -> ResolvedBenchmarkSection:
    """The benchmark's settings: the run's own, or those of a recipe that is the run's in everything that its generator learned by."""
    if recipe is None:
        recipe = run.recipe
    not_learned_by = {"name", "description", "benchmark"}
    if recipe.model_dump(exclude=not_learned_by) != run.recipe.model_dump(exclude=not_learned_by):
        raise DataError(
            "recipe: the run's generator has learned by its own, of which only the settings of the benchmark can be changed; change "
            "run.recipe.with_values('benchmark', KEY=VALUE), or give data in place of the run"
        )
    given = {"repeats": repeats, "classifier": classifier}
    return (
        run.recipe.with_values("benchmark", **recipe.benchmark.model_dump()).with_values("benchmark", **given).benchmark
    )


def _pieces(
    run: Run, section: ResolvedBenchmarkSection, arms: Sequence[Arm], device: torch.device, seed: int
) -> Repeats:
    train, test = run.train, run.test
    finished = FinishedParts(
        run.folder,
        {
            "model": model_fingerprint(run.generator),
            "data": run.info["data_fingerprint"],
            "section": section.model_dump(exclude={"repeats"}),
            "seed": seed,
            "device": device.type,
            "version": augmentgan.__version__,
        },
    )
    offered = samples_offered(section, train)
    samples = functools.cache(lambda: run.generate(offered))
    pieces = [
        Piece(
            f"run-r{repeat}",
            repeat,
            median_size(train.counts),
            train,
            test,
            np.arange(len(test)),
            samples,
            seed + repeat,
            imbalanced=is_imbalanced(train.counts),
        )
        for repeat in range(section.repeats)
    ]
    return Repeats(pieces, arms, section, device, finished)


def _report(
    run: Run,
    section: ResolvedBenchmarkSection,
    arms: Sequence[Arm],
    measured: Sequence[dict[str, Measured]],
    *,
    more: dict[str, Any],
) -> BenchmarkReport:
    counts = run.train.counts
    per_class, imbalanced = median_size(counts), is_imbalanced(counts)
    by_arm = {(arm.name, per_class): [each[arm.name] for each in measured] for arm in arms}
    comparisons = compare(by_arm, arms, [per_class], imbalanced=imbalanced)
    return BenchmarkReport(
        protocol={
            **shared_protocol(section, arms, {per_class: counts}, run.test, len(run.test), imbalanced=imbalanced),
            "cross_fit": False,  # a run brings one generator
            "generator": run.generator_version,
            "run": str(run.folder),
            "interval": "95 %, paired by repeat (validation folds and classifier are new in each) and by test image; the spread of generators is not in it",
            **more,
        },
        runs=[row for each in measured for row, _ in each.values()],
        comparisons=comparisons,
        verdict=verdict_of(comparisons, imbalanced=imbalanced),
        class_names=list(run.class_names),
        intervals=intervals(by_arm, arms, [per_class]),
    )
