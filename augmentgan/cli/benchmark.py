"""`augmentgan benchmark`."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from augmentgan.cli.options import (
    DATA_HELP,
    DeviceOption,
    JsonOption,
    OutOption,
    QuietOption,
    RecipeOption,
    RunOption,
    SeedOption,
    SetOption,
    SkipBadOption,
    TestFractionOption,
    command_line,
    first_process,
    images_for,
    name_of,
    notice,
    open_run,
    quoted,
    recipe_for,
    refuse_inside,
    say,
    words,
)
from augmentgan.errors import DataError
from augmentgan.names import BENCHMARK_FILE, BENCHMARK_PLOT_FILE

if TYPE_CHECKING:
    from augmentgan.data.images import LabelledImages
    from augmentgan.evaluate.results import BenchmarkReport
    from augmentgan.gan.run import Run
    from augmentgan.recipe import Recipe

HURTS = 3


def benchmark(
    data: Annotated[
        Path | None,
        typer.Argument(
            help=f"{DATA_HELP} With DATA everything is done from scratch; without, the samples of a finished run are measured.",
            readable=False,
        ),
    ] = None,
    run: RunOption = None,
    train_per_class: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="With DATA: training images a class, one number or several such as 20,50,100 (default: all).",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many repeats, 2 or more (default: the recipe's, 5); more narrow the intervals."
        ),
    ] = None,
    imbalance: Annotated[
        str | None,
        typer.Option(
            metavar="RATIO",
            help="With DATA: make classes uneven. 50:1 or step:50:1: half of them keep one image in 50; long-tail:100:1: from all down to one in 100. Which are rare is drawn.",
        ),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Only these arms, such as real+classic,real+classic+synthetic; real, and each one's rivals without samples, are always run.",
        ),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="small-cnn, resnet18 or pretrained, which needs the extra of that name (default: the recipe's, small-cnn).",
        ),
    ] = None,
    out: OutOption = None,
    recipe: RecipeOption = None,
    set: SetOption = None,
    test: Annotated[
        Path | None, typer.Option(help="With DATA: a separate test set, never learned from.", readable=False)
    ] = None,
    test_fraction: TestFractionOption = None,
    skip_bad: SkipBadOption = False,
    seed: SeedOption = 0,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Repeats and sizes to work on at once (default: on a CPU as many as cores and memory allow, on a GPU 1).",
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help='Exit with status 3 when the verdict is "hurts".')] = False,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew instead of continuing what is there.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure what the samples are worth to a classifier. On real images that were held out."""
    if data is None:
        _refuse_without_data(
            {
                "--train-per-class": train_per_class,
                "--imbalance": imbalance,
                "--out": out,
                "--recipe": recipe,
                "--test": test,
                "--test-fraction": test_fraction,
                "--skip-bad": skip_bad,
            }
        )
        opened = open_run(run, device)
        folder = opened.folder
        result = measure(
            opened,
            recipe=_measured_by(opened.recipe, set or []),
            repeats=repeats,
            arms=words(arms),
            seed=seed,
            device=device,
            quiet=quiet,
            classifier=classifier,
            processes=processes,
            overwrite=overwrite,
        )
    else:
        if run is not None:
            raise DataError("DATA and --run exclude each other: from scratch, or a run's own samples")
        chosen = recipe_for(recipe, set, {"--test-fraction": ("data.test_fraction", test_fraction)})
        folder = out or Path("runs") / f"benchmark-{name_of(data)}"
        refuse_inside(data, folder)
        sizes, only = _sizes(train_per_class), words(arms)  # mistakes in these are told before images are read
        images = images_for(chosen, data, test=test, test_fraction=test_fraction, skip_bad=skip_bad)
        notice(f"folder {folder}")
        result = measure_from_scratch(
            images,
            chosen,
            folder,
            repeats=repeats,
            arms=only,
            seed=seed,
            device=device,
            quiet=quiet,
            classifier=classifier,
            train_per_class=sizes,
            imbalance=imbalance,
            processes=processes,
            overwrite=overwrite,
        )
    if as_json and first_process():
        typer.echo(json.dumps(result.to_json()))
    elif first_process():
        show(result)
        say(f"written: {folder / BENCHMARK_FILE}, {folder / BENCHMARK_PLOT_FILE}")
        if result.protocol.get("generators", 1):  # a page shows samples
            say(f"next: augmentgan report --run {quoted(folder)}")
    if check and result.verdict.outcome == "hurts":
        raise typer.Exit(HURTS)


def measure(
    run: Run,
    *,
    recipe: Recipe | None = None,
    repeats: int | None = None,
    arms: list[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
    classifier: str | None = None,
    processes: int | None = None,
    overwrite: bool = False,
) -> BenchmarkReport:
    """The benchmark of a run with a progress bar, and its plot beside its JSON."""
    from augmentgan.cli.display import progress
    from augmentgan.evaluate.arms import chosen_arms, is_imbalanced
    from augmentgan.evaluate.benchmark import run_benchmark
    from augmentgan.gan.distributed import process_group
    from augmentgan.gan.run import Run
    from augmentgan.report.plots import plot_arms, save_png

    with contextlib.ExitStack() as stack:
        world, device = stack.enter_context(process_group(device))
        if world.size > 1:
            run = Run(run.folder, device)
        n_arms = len(chosen_arms(arms, imbalanced=is_imbalanced(run.train.counts)))
        n_repeats = (recipe or run.recipe).benchmark.repeats if repeats is None else repeats
        advance = stack.enter_context(
            progress(n_repeats * n_arms, "classifiers", quiet=quiet or not world.is_rank_zero)
        )
        numbers = itertools.count(1)
        report = run_benchmark(
            run,
            recipe=recipe,
            repeats=repeats,
            arms=arms,
            device=device,
            seed=seed,
            classifier=classifier,
            on_row=lambda row: advance(next(numbers)),
            command=command_line(),
            world=world,
            processes=processes,
            overwrite=overwrite,
        )
        if world.is_rank_zero:
            save_png(plot_arms(report), run.folder / BENCHMARK_PLOT_FILE)
    return report


def measure_from_scratch(
    data: LabelledImages,
    recipe: Recipe,
    folder: Path,
    *,
    repeats: int | None,
    arms: list[str] | None,
    seed: int,
    device: str,
    quiet: bool,
    classifier: str | None,
    train_per_class: list[int] | None,
    imbalance: str | None,
    processes: int | None,
    overwrite: bool,
) -> BenchmarkReport:
    """The full protocol with lines or a panel of progress, and its plot beside its JSON."""
    from augmentgan.cli.display import ProtocolDisplay
    from augmentgan.evaluate.benchmark import run_benchmark
    from augmentgan.gan.distributed import process_group
    from augmentgan.report.plots import plot_benchmark, save_png

    with process_group(device) as (world, device), ProtocolDisplay(quiet=quiet or not world.is_rank_zero) as display:
        report = run_benchmark(
            data,
            recipe=recipe,
            out=folder,
            repeats=repeats,
            arms=arms,
            device=device,
            seed=seed,
            classifier=classifier,
            train_per_class=train_per_class,
            imbalance=imbalance,
            on_row=display.show_row,
            on_progress=display.show,
            command=command_line(),
            world=world,
            processes=processes,
            overwrite=overwrite,
        )
        if world.is_rank_zero:
            save_png(plot_benchmark(report), folder / BENCHMARK_PLOT_FILE)
    return report


def _measured_by(recipe: Recipe, settings: list[str]) -> Recipe:
    """A run's recipe with other settings of the benchmark; no others can be changed any more."""
    for setting in settings:
        if not setting.strip().startswith("benchmark."):
            raise DataError(
                f"--set {setting}: the generator has learned already, and only benchmark.KEY=VALUE can be set; or give DATA before it"
            )
    return recipe.with_settings(settings)


def _refuse_without_data(options: dict[str, object]) -> None:
    for name, value in options.items():
        if value is not None and value is not False and value != []:  # a fraction of 0 is a value
            raise DataError(f"{name} is for a benchmark from scratch: give DATA before it, or leave it out")


def _sizes(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) <= 18 for part in parts):
        raise DataError(f"--train-per-class {text!r:.60} is not a list of numbers such as 20,50,100")
    return [int(part) for part in parts]


def show(report: BenchmarkReport) -> None:
    """Tables and the verdict, on stdout."""
    from rich.console import Console

    from augmentgan.cli.display import arms_table, recall_table
    from augmentgan.report.benchmark_content import equivalent_lines

    console = Console(highlight=False)
    for size in report.train_per_class:
        console.print(arms_table(report, size, wide=console.width >= 120))
    if report.verdict.arm != report.verdict.baseline:  # without a pair to compare there is nothing to set side by side
        console.print(recall_table(report))
    if same := report.protocol.get("same_training_images"):
        console.print(
            f"With {', '.join(map(str, same))} real images a class all repeats learned from (nearly) the same ones, for the data bring their "
            "split: the luck of having these is not in the intervals (a --train-per-class N of half of what there is, or less, draws anew)",
            soft_wrap=True,
        )
    for line in equivalent_lines(report):
        console.print(line, markup=False, soft_wrap=True)
    console.print(report.verdict.text, markup=False, soft_wrap=True)
