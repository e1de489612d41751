"""The full protocol, from scratch: what a sceptic would ask for before believing a gain.

For every repeat: a new split where the data has none (its own test part where it has one), nested training draws (20 within 50
within 100), and for every size a new generator, new samples and new classifiers. The generator is given the training draw alone, so
that no test image can reach it; choices are made on validation images out of the draw (`tuning`); test images are looked at once, at the end.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import augmentgan
from augmentgan.data.draws import Draw, Imbalance, draws_of
from augmentgan.data.images import LabelledImages
from augmentgan.data.load import facts, working_size
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import Arm, chosen_arms, is_imbalanced
from augmentgan.evaluate.benchmark_folder import claimed
from augmentgan.evaluate.classifier import require_classifier
from augmentgan.evaluate.comparing import compare, equivalents, intervals, verdict_of
from augmentgan.evaluate.document import keep_result, median_size, mixing_of, shared_protocol
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.offered import sample_bytes, samples_offered
from augmentgan.evaluate.piece import Measured, Piece, all_finished, run_piece
from augmentgan.evaluate.request import Request
from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow
from augmentgan.evaluate.sharing import measure_all
from augmentgan.evaluate.statistics import training_overlap_correlation
from augmentgan.gan.device import resolve_device
from augmentgan.gan.fit import fit
from augmentgan.gan.training import Status
from augmentgan.names import FITS_FOLDER
from augmentgan.recipe import Recipe, ResolvedRecipe
from augmentgan.sections import BenchmarkSection

MOST_SHARED = 0.8
"""Correlation of two draws in the luck of their images beyond which no interval can be given for that luck: at it, of five repeats, intervals
are 4.6 times as wide, and towards 1 they grow without end. Beyond it the luck is left out, and whatever is written says so."""


@dataclass(frozen=True)
class Progress:
    """Where a benchmark from scratch stands.

    Attributes:
        at_work: by name of the training draw, such as 20-r0: the generator's status while it learns, None while
            classifiers do.
        pieces_done, n_pieces: repeats times sizes.
    """

    at_work: dict[str, Status | None]
    pieces_done: int
    n_pieces: int


def benchmark_from_scratch(
    data: LabelledImages,
    recipe: Recipe,
    out: Path,
    request: Request,
    *,
    train_per_class: Sequence[int] | None,
    imbalance: Imbalance | None,
    on_progress: Callable[[Progress], object],
) -> BenchmarkReport:
    """The protocol; see `benchmark.run_benchmark` for the arguments and errors."""
    recipe = recipe.with_values("benchmark", repeats=request.repeats, classifier=request.classifier)
    data = working_size(data, recipe.data.given_size_px, recipe.data.given_channels, recipe.data.resize)
    size = recipe.data.train_per_class
    sizes: list[int | None] = [*sorted(set(train_per_class or ([] if size == "all" else [size])))] or [None]
    if any(size is not None and size < 2 for size in sizes):
        raise DataError(
            f"--train-per-class {min(size for size in sizes if size is not None)}: at least 2 images a class are needed"
        )
    seed = checked_seed(request.seed, recipe.benchmark.repeats)
    where = resolve_device(request.device)
    draws = list(
        draws_of(
            data,
            sizes,
            recipe.benchmark.repeats,
            test_fraction=recipe.data.test_fraction,
            imbalance=imbalance,
            seed=seed,
        )
    )
    drawn = [np.bincount(data.labels[draw.train], minlength=data.n_classes) for draw in draws]
    imbalanced = any(is_imbalanced(each) for each in drawn)
    chosen = chosen_arms(request.arms, imbalanced=imbalanced)
    require_classifier(recipe.benchmark.classifier, chosen)
    key = {
        "data": data.fingerprint(),
        "recipe": recipe.model_dump(exclude={"name": True, "description": True, "benchmark": {"repeats"}}),
        "imbalance": None if imbalance is None else str(imbalance),
        "seed": seed,
        "device": where.type,
        "version": augmentgan.__version__,
    }
    with contextlib.ExitStack() as stack:
        request.world.run_on_rank_zero(lambda: stack.enter_context(claimed(out, key, overwrite=request.overwrite)))
        of_first = zip(draws[: len(sizes)], drawn, strict=False)
        counts = {draw.per_class or median_size(each): each for draw, each in of_first}
        filed = list(counts)
        pieces = FromScratch(
            data,
            recipe,
            out,
            draws,
            arms=chosen,
            filed=filed,
            resolved=[_resolved(recipe, data.subset(draw.train), draw.per_class) for draw in draws[: len(sizes)]],
            seed=seed,
            imbalanced=imbalanced,
            device=where,
            finished=FinishedParts(out, key),
        )
        measured: dict[tuple[str, int], list[Measured]] = {(arm.name, size): [] for arm in chosen for size in filed}
        for number, rows in enumerate(_measured(pieces, request, on_progress)):
            for name, each in rows.items():
                measured[name, pieces.filed_under(number)].append(each)
        report = _report(
            measured,
            chosen,
            counts,
            draws,
            data,
            pieces.resolved,
            imbalanced=imbalanced,
            more={
                "imbalance": key["imbalance"],
                "seed": seed,
                "command": request.command,
                "data_fingerprint": key["data"],
                "folder": str(out),
            },
        )
        if request.world.is_rank_zero:
            keep_result(out, report)
    return report


@dataclass(frozen=True)
class FromScratch:
    """Every repeat at every size (see `sharing.Pieces`).

    Attributes:
        data, recipe, out: of the benchmark.
        draws: one a piece, the sizes of a repeat together.
        arms: to train.
        filed: for each size, the number it is filed under.
        resolved: for each size, the recipe as its generators resolve it.
        seed: the first repeat's.
        imbalanced: whether any draw is, which makes rivals oversample in all of them.
        device: where to train.
        finished: what has been done.
    """

    data: LabelledImages
    recipe: Recipe
    out: Path
    draws: Sequence[Draw]
    arms: Sequence[Arm]
    filed: Sequence[int]
    resolved: Sequence[ResolvedRecipe]
    seed: int
    imbalanced: bool
    device: torch.device
    finished: FinishedParts

    def __len__(self) -> int:
        return len(self.draws)

    def filed_under(self, number: int) -> int:
        """The size of a piece, as its rows give it."""
        return self.filed[number % len(self.filed)]

    def __call__(self, number: int, tell: Callable[[BenchmarkRow | Status | None], object]) -> dict[str, Measured]:
        """Measure a piece, or what is left of it; tells each row, and what is learning (see `Progress.at_work`)."""
        draw = self.draws[number]
        real, test = (replace(self.data.subset(rows), split=None) for rows in (draw.train, draw.test))
        seed = self.seed + draw.repeat

        def samples(part: LabelledImages, name: str) -> LabelledImages:
            return _samples(part, self.recipe, self.out, name, seed, self.device, tell)

        def beside(rest: LabelledImages, fold: int) -> LabelledImages:
            return samples(_two_at_least(rest), f"{draw.name}-fold{fold}")

        piece = Piece(
            name=draw.name,
            repeat=draw.repeat,
            train_per_class=self.filed_under(number),
            real=real,
            test=test,
            test_rows=draw.test,
            synthetic=functools.cache(lambda: samples(_two_at_least(real), draw.name)),
            seed=seed,
            imbalanced=self.imbalanced,
            beside=beside if self.recipe.benchmark.cross_fit else None,
        )
        section = self.resolved[number % len(self.resolved)].benchmark
        return run_piece(piece, self.arms, section, self.device, self.finished, tell, lambda: tell(None))

    def is_finished(self, number: int) -> bool:
        """Whether nothing of a piece is left to train."""
        return all_finished(self.finished, self.draws[number].name, self.arms, imbalanced=self.imbalanced)

    def updates(self, number: int) -> int:
        """Of the generator of a piece."""
        return self.resolved[number % len(self.resolved)].training.updates

    @property
    def data_bytes(self) -> int:
        """Of the whole set, and of the training and test images that a piece takes from it."""
        return 2 * self.data.images.nbytes

    @property
    def sample_bytes(self) -> int:
        """Of one generator's samples."""
        return sample_bytes(self.recipe.benchmark, self.data)

    def prepare(self) -> FromScratch:
        """As it is: the pieces have nothing in common."""
        return self


def _measured(
    pieces: FromScratch, request: Request, on_progress: Callable[[Progress], object]
) -> list[dict[str, Measured]]:
    """All pieces; rows and progress are told apart."""
    at_work: dict[str, Status | None] = {}
    done: set[int] = set()

    def hear(number: int, message: BenchmarkRow | Status | None) -> None:
        if isinstance(message, BenchmarkRow):
            request.on_row(message)
            return
        at_work[pieces.draws[number].name] = message
        on_progress(Progress(dict(at_work), len(done), len(pieces)))

    def finish(number: int) -> None:
        if number in done:  # finished by others, and collected now
            return
        done.add(number)
        at_work.pop(pieces.draws[number].name, None)
        on_progress(Progress(dict(at_work), len(done), len(pieces)))

    return measure_all(pieces, request.world, request.processes, on_message=hear, on_done=finish)


def _samples(
    real: LabelledImages,
    recipe: Recipe,
    out: Path,
    name: str,
    seed: int,
    device: torch.device,
    on_status: Callable[[Status], object],
) -> LabelledImages:
    """Samples of a generator that is given these images and nothing else; it is learned, or continued, if need be."""
    # channels of the whole set, also where this draw happens to be grey
    recipe = recipe.with_values("data", test_fraction=0.0, train_per_class="all", channels=real.channels)
    # more repeats may be added later, and the same generator goes on
    recipe = recipe.with_values("benchmark", repeats=BenchmarkSection().repeats)
    folder = out / FITS_FOLDER / name
    run = fit(real, recipe, folder, seed=seed, device=str(device), on_status=on_status)
    return run.generate(samples_offered(recipe.benchmark, real))


def _two_at_least(rest: LabelledImages) -> LabelledImages:
    """The single image of a class given twice, for `fit` wants two: a draw, or what is left of it without a fold, may have no more."""
    single = np.flatnonzero((rest.counts == 1)[rest.labels])
    return rest.subset(np.sort(np.concatenate([np.arange(len(rest)), single])))


def _resolved(recipe: Recipe, real: LabelledImages, per_class: int | None) -> ResolvedRecipe:
    size = "all" if per_class is None else per_class
    return recipe.with_values("data", train_per_class=size).resolve(facts(real))


def _report(
    measured: dict[tuple[str, int], list[Measured]],
    arms: Sequence[Arm],
    counts: dict[int, NDArray[np.int64]],
    draws: Sequence[Draw],
    data: LabelledImages,
    recipes: Sequence[ResolvedRecipe],
    *,
    imbalanced: bool,
    more: dict[str, Any],
) -> BenchmarkReport:
    rows = [row for each in measured.values() for row, _ in each]
    first, sizes = draws[0], list(counts)
    redrawn = not data.is_split
    new = "training draw, generator and classifier are new in each"
    # new splits share test images in turn, and what these add to the variance is more than enough (see the tests)
    shared = {
        size: 0.0
        if redrawn
        else training_overlap_correlation([draw.train for draw in draws[k :: len(sizes)]], data.labels)
        for k, size in enumerate(sizes)
    }
    same = [size for size, luck in shared.items() if luck > MOST_SHARED]
    shared |= dict.fromkeys(same, 0.0)
    comparisons = compare(measured, arms, sizes, imbalanced=imbalanced, shared_training=shared)
    if same:
        at = ", ".join(map(str, same))
        new += f", but with {at} a class the training images are (nearly) the same in all, and their luck is not in it"
    if any(shared.values()):
        parts = ", ".join(f"{100 * part:.2g} % with {size}" for size, part in shared.items() if part)
        new += f"; two repeats share training images ({parts} a class), which widens it (Nadeau & Bengio 2003)"
    return BenchmarkReport(
        protocol={
            **shared_protocol(recipes[0].benchmark, arms, counts, data, len(first.test), imbalanced=imbalanced),
            "split": "redrawn for every repeat" if redrawn else "the data's own",
            "same_training_images": same,
            "shared_training_images": [shared[size] for size in sizes],
            "dropped": first.n_dropped,
            "generators": len(draws) if any(arm.uses_synthetic for arm in arms) else 0,
            "by_size": [
                {"train_per_class": size, "mixing": mixing_of(recipe.benchmark), "recipe": recipe.model_dump()}
                for size, recipe in zip(sizes, recipes, strict=True)
            ],
            "interval": f"95 %, paired by repeat ({new}) and by test image",
            **more,
        },
        runs=rows,
        comparisons=comparisons,
        verdict=verdict_of(comparisons, imbalanced=imbalanced),
        class_names=list(data.class_names),
        equivalents=equivalents(rows, comparisons, sizes),
        intervals=intervals(measured, arms, sizes, shared),
    )
