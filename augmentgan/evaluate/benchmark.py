"""The benchmark: does a classifier get better on real held-out images?

Of a finished run: its own generator, several classifier seeds (`on_run`). Of a data set: the full protocol from scratch (`protocol`). Either
way all arms of a repeat take the same number of optimiser steps from the same initial weights, and are tested on the same real
images, which neither the generator nor any choice has seen. The verdict may be "no evidence" or "hurts".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path

from augmentgan.data.draws import parse_imbalance
from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.evaluate.networks import CLASSIFIERS
from augmentgan.evaluate.on_run import benchmark_of_run
from augmentgan.evaluate.protocol import Progress, benchmark_from_scratch
from augmentgan.evaluate.request import Request
from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.run import Run
from augmentgan.recipe import Recipe


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
    world: World = SINGLE_PROCESS,
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
        recipe: settings; of a run's only those of the benchmark can differ from its own.
        train_per_class: sizes of the training draws, for data; all training images where left out.
        imbalance: "50:1", "step:50:1" or "long-tail:100:1", for data.
        classifier: "small-cnn", "resnet18" or "pretrained"; the recipe's where left out.
        out: the folder for data; `runs/benchmark` where left out. A run's result goes into its own folder.
        on_progress: called as work gets done, for data.
        command: what the user typed, kept with the result.
        world: the processes that share the repeats (`augmentgan.gan.distributed`); the first one writes the result.
        processes: how many repeats and sizes are worked on at once without torchrun, each in a process of its own; None: on the CPU as many as
            there are cores and memory for, elsewhere one. A script that asks for more than one keeps its main part behind `if __name__ == "__main__":`.
        overwrite: start anew, also in a folder that holds another benchmark; a run's other benchmarks keep what they have finished.

    Raises:
        DataError: no test images, an unknown arm or classifier, fewer than two repeats, an unusable seed or number of processes, workers under torchrun, or sizes
            that the data cannot give.
        ExtraError: `classifier` is "pretrained", whose extra is not installed.
        OutputError: the folder cannot be written, or `out` holds something that is no benchmark.
        RecipeError: more repeats than a recipe may have.
        RunError: `out` holds another benchmark, or another process is at work in the folder.
        TrainingError: a process was lost.
    """
    if repeats is not None and repeats < 2:
        raise DataError(f"--repeats {repeats}: an interval needs at least 2")
    if classifier is not None and classifier not in CLASSIFIERS:
        raise DataError(f"--classifier {classifier!r} is not known; known: {', '.join(CLASSIFIERS)}")
    if processes is not None and processes < 1:
        raise DataError(f"--processes {processes}: at least 1 is needed")
    if world.size > 1 and processes is not None and processes > 1:
        raise DataError(
            f"--processes {processes}: torchrun's {world.size} processes share the repeats already; leave it out"
        )
    request = Request(
        repeats=repeats,
        arms=arms,
        device=device,
        seed=seed,
        classifier=classifier,
        on_row=on_row or (lambda row: None),
        command=command,
        world=world,
        processes=processes,
        overwrite=overwrite,
    )
    if isinstance(data_or_run, LabelledImages):
        return benchmark_from_scratch(
            data_or_run,
            recipe or Recipe(),
            Path("runs/benchmark" if out is None else out),
            request,
            train_per_class=None if train_per_class is None else [operator.index(size) for size in train_per_class],
            imbalance=None if imbalance is None else parse_imbalance(imbalance),
            on_progress=on_progress or (lambda progress: None),
        )
    for name, value in (
        ("train_per_class", train_per_class),
        ("imbalance", imbalance),
        ("out", out),
        ("on_progress", on_progress),
    ):
        if value is not None:
            raise DataError(f"{name} is for a benchmark from scratch, of data; a run brings its own")
    return benchmark_of_run(data_or_run, recipe, request)
