"""The benchmark: does a classifier get better on real held-out images?

Of a finished run: its own generator, several classifier seeds. Of a data set: the full protocol from scratch (`protocol`). Either
way all arms of a repeat take the same number of optimiser steps from the same initial weights, and are tested on the same real
images, which neither the generator nor any choice has seen. The verdict may be "no evidence" or "hurts".
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import augmentgan
from augmentgan.data.draws import parse_imbalance
from augmentgan.data.images import LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm, chosen_arms, is_imbalanced
from augmentgan.evaluate.classifier import require_classifier
from augmentgan.evaluate.comparing import compare, intervals, verdict_of
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.mixing import sample_bytes, samples_offered
from augmentgan.evaluate.networks import CLASSIFIERS
from augmentgan.evaluate.piece import Measured, Piece, all_finished, run_piece
from augmentgan.evaluate.protocol import Progress, benchmark_from_scratch, how_arms_are_trained
from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow
from augmentgan.evaluate.sharing import measure_all
from augmentgan.files import write_json
from augmentgan.gan.device import resolve_device
from augmentgan.gan.distributed import ALONE, Team
from augmentgan.gan.run import Run, model_fingerprint
from augmentgan.gan.run_folder import only_writer
from augmentgan.names import BENCHMARK_FILE
from augmentgan.recipe import Recipe
from augmentgan.sections import ResolvedBenchmarkSection


def run_benchmark(
    data_or_run: LabelledImages | Run,
    *,
    repeats: int | None = None,
    arms: Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    on_row: Callable[[BenchmarkRow], object] | None = None,
    recipe: Recipe | None = None,
    train_per_class: Sequence[int] | None = None,
    imbalance: str | None = None,
    classifier: str | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    command: str | None = None,
    team: Team = ALONE,
    processes: int | None = 1,
    overwrite: bool = False,
) -> BenchmarkReport:
    """Benchmark a run's generator on its held-out real images, or a data set from scratch; writes benchmark.json.

    From scratch, every repeat has its own training draw, generator, samples and classifiers, and its own split where the data has none, so
    that the spread includes all of their luck. Generators and classifiers that were finished are not trained again: an interrupted benchmark goes on
    where it stopped, and more repeats or arms can be added.

    Args:
        data_or_run: a run with test images, or labelled images.
        repeats: how many; the recipe's where left out.
        arms: which arms to train (see `arms`); "real" is always among them.
        device: where to train.
        seed: first seed.
        on_row: called with each finished classifier of an arm.
        recipe: settings, for data; a run brings its own.
        train_per_class: sizes of the training draws, for data; all training images where left out.
        imbalance: "50:1", "step:50:1" or "long-tail:100:1", for data.
        classifier: "small-cnn", "resnet18" or "pretrained"; the recipe's where left out.
        out: the folder for data; `runs/benchmark` where left out. A run's result goes into its own folder.
        on_progress: called as work gets done, for data.
        command: what the user typed, kept with the result.
        team: the processes that share the repeats (`augmentgan.gan.distributed`); the first one writes the result.
        processes: how many repeats and sizes a team of one works on at once, each in a process of its own; None: on the CPU as many as
            there are cores and memory for, elsewhere one. A script that asks for more than one keeps its main part behind `if __name__ == "__main__":`.
        overwrite: start anew, also in a folder that holds another benchmark; a run's other benchmarks keep what they have finished.

    Raises:
        DataError: no test images, an unknown arm or classifier, fewer than two repeats, an unusable seed or number of processes, workers of a team, or sizes
            that the data cannot give.
        OutputError: the folder cannot be written, or `out` holds something that is no benchmark.
        RunError: `out` holds another benchmark, or another process is at work in the folder.
        TrainingError: a process was lost.
    """
    if repeats is not None and repeats < 2:
        raise DataError(f"--repeats {repeats}: an interval needs at least 2")
    if classifier is not None and classifier not in CLASSIFIERS:
        raise DataError(f"--classifier {classifier!r} is not known; known: {', '.join(CLASSIFIERS)}")
    if processes is not None and processes < 1:
        raise DataError(f"--processes {processes}: at least 1 is needed")
    if team.size > 1 and processes is not None and processes > 1:
        raise DataError(
            f"--processes {processes}: torchrun's {team.size} processes share the repeats already; leave it out"
        )
    seed = checked_seed(seed)
    if isinstance(data_or_run, LabelledImages):
        return benchmark_from_scratch(
            data_or_run,
            recipe or Recipe(),
            Path("runs/benchmark" if out is None else out),
            repeats=repeats,
            arms=arms,
            device=device,
            seed=seed,
            train_per_class=None if train_per_class is None else [operator.index(size) for size in train_per_class],
            imbalance=None if imbalance is None else parse_imbalance(imbalance),
            classifier=classifier,
            on_row=on_row or (lambda row: None),
            on_progress=on_progress or (lambda progress: None),
            command=command,
            team=team,
            processes=processes,
            overwrite=overwrite,
        )
    for name, value in (
        ("recipe", recipe),
        ("train_per_class", train_per_class),
        ("imbalance", imbalance),
        ("out", out),
        ("on_progress", on_progress),
    ):
        if value is not None:
            raise DataError(f"{name} is for a benchmark from scratch, of data; a run brings its own")
    run = data_or_run
    with contextlib.ExitStack() as stack:
        # first, for a folder that cannot be written would cost minutes; two at once would lose each other's finished classifiers
        team.first_does(lambda: stack.enter_context(only_writer(run.folder)))
        return _of_run(
            run,
            repeats,
            arms,
            device,
            seed,
            classifier,
            on_row or (lambda row: None),
            command,
            team,
            processes,
            overwrite=overwrite,
        )


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
    def sample_bytes(self) -> int:
        """Of the run's samples."""
        return sample_bytes(self.section.synthetic_per_class, self.pieces[0].real)

    def prepare(self) -> Repeats:
        """Hold the samples in place of the generator, or none where no arm uses them."""
        first = self.pieces[0]
        samples = first.synthetic() if any(arm.uses_synthetic for arm in self.arms) else first.real.subset([])
        return replace(
            self, pieces=[replace(each, synthetic=functools.partial(_given, samples)) for each in self.pieces]
        )


def _given(samples: LabelledImages) -> LabelledImages:
    return samples


def _of_run(
    run: Run,
    repeats: int | None,
    arms: Sequence[str] | None,
    device: str,
    seed: int,
    classifier: str | None,
    on_row: Callable[[BenchmarkRow], object],
    command: str | None,
    team: Team,
    processes: int | None,
    *,
    overwrite: bool,
) -> BenchmarkReport:
    section = run.recipe.with_benchmark(repeats=repeats, classifier=classifier).benchmark
    train, test = run.train, run.test
    imbalanced = is_imbalanced(train.counts)
    chosen = chosen_arms(arms, imbalanced=imbalanced)
    require_classifier(section.classifier, chosen)
    if not len(test):
        raise DataError(
            f"run {str(run.folder)!r} held no test images out; fit again with --test-fraction 0.2 or --test"
        )
    where = resolve_device(device)
    per_class = int(np.median(train.counts))
    finished = FinishedParts(
        run.folder,
        {
            "model": model_fingerprint(run.generator),
            "data": run.info["data_fingerprint"],
            "section": section.model_dump(exclude={"repeats"}),
            "seed": seed,
            "device": where.type,
            "version": augmentgan.__version__,
        },
    )
    if overwrite:
        team.first_does(finished.clear)
    offered = samples_offered(section.synthetic_per_class, train)
    samples = functools.cache(lambda: run.generate(offered))
    pieces = Repeats(
        [
            Piece(
                f"run-r{repeat}",
                repeat,
                per_class,
                train,
                test,
                np.arange(len(test)),
                samples,
                seed + repeat,
                imbalanced=imbalanced,
            )
            for repeat in range(section.repeats)
        ],
        chosen,
        section,
        where,
        finished,
    )
    measured = measure_all(pieces, team, processes, on_message=lambda number, row: on_row(row))
    report = _report(run, section, chosen, measured, per_class, more={"seed": seed, "command": command})
    if team.first:
        write_json(run.folder / BENCHMARK_FILE, report.to_json())
    return report


def _report(
    run: Run,
    section: ResolvedBenchmarkSection,
    arms: Sequence[Arm],
    measured: Sequence[dict[str, Measured]],
    per_class: int,
    *,
    more: dict[str, Any],
) -> BenchmarkReport:
    train, imbalanced = run.train, is_imbalanced(run.train.counts)
    by_arm = {(arm.name, per_class): [each[arm.name] for each in measured] for arm in arms}
    comparisons = compare(by_arm, arms, [per_class], imbalanced=imbalanced)
    return BenchmarkReport(
        protocol={
            **how_arms_are_trained(section, arms),
            "cross_fit": False,  # a run brings one generator
            "generator": run.moment,
            "sizes": {
                "train": [len(train)],
                "test": len(run.test),
                "synthetic": samples_offered(section.synthetic_per_class, train) * train.n_classes,
                "train_per_class": [per_class],
                "counts": [train.counts.tolist()],
            },
            "imbalanced": imbalanced,
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
