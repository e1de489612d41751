"""`augmentgan benchmark` and `augmentgan report`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from augmentgan.cli.options import (
    DeviceOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    RunOption,
    SeedOption,
    open_run,
    words,
)
from augmentgan.cli.units import file_size

if TYPE_CHECKING:
    from augmentgan.evaluate.benchmark import BenchmarkReport
    from augmentgan.gan.run import Run

HURTS = 3


def benchmark(
    run: RunOption = None,
    repeats: Annotated[int | None, typer.Option(metavar="N", help="Classifier seeds an arm (the recipe's: 5).")] = None,
    arms: Annotated[str | None, typer.Option(metavar="A,B", help="Only these arms, separated by commas.")] = None,
    seed: SeedOption = 0,
    check: Annotated[bool, typer.Option("--check", help="Exit with status 3 when the verdict is: hurts.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure what the samples are worth to a classifier. On real images that were held out."""
    opened = open_run(run, device)
    result = measure(opened, repeats=repeats, arms=words(arms), seed=seed, device=device, quiet=quiet)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        show(result)
        typer.echo(f"written: {opened.folder / 'benchmark.json'}, {opened.folder / 'benchmark.png'}")
        typer.echo(f"next: augmentgan report --run {opened.folder}")
    if check and result.verdict.outcome == "hurts":
        raise typer.Exit(HURTS)


def measure(
    run: Run,
    *,
    repeats: int | None = None,
    arms: list[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> BenchmarkReport:
    """The benchmark with a progress bar, and its plot beside its JSON."""
    from augmentgan.cli.display import progress
    from augmentgan.evaluate.benchmark import run_benchmark
    from augmentgan.evaluate.mixing import ARMS
    from augmentgan.gan.run_folder import only_writer
    from augmentgan.report.plots import plot_arms, save_png

    chosen = ARMS if arms is None else arms
    n_repeats = run.recipe.benchmark.repeats if repeats is None else repeats
    done = 0
    with progress(n_repeats * len({"real", *chosen}), "classifiers", quiet=quiet) as advance:

        def count(row: object) -> None:
            nonlocal done
            done += 1
            advance(done)

        with only_writer(run.folder):  # two at once would lose each other's finished classifiers
            report = run_benchmark(run, repeats=repeats, arms=chosen, device=device, seed=seed, on_row=count)
    save_png(plot_arms(report.to_json()), run.folder / "benchmark.png")
    return report


def show(report: BenchmarkReport) -> None:
    """Tables and the verdict, on stdout."""
    from rich.console import Console

    from augmentgan.cli.display import arms_table, recall_table

    console = Console(highlight=False)
    console.print(arms_table(report, wide=console.width >= 90))
    console.print(recall_table(report))
    console.print(report.verdict.text, markup=False, soft_wrap=True)


def report(
    run: RunOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page of a run. Verdict, samples, training, protocol."""
    from augmentgan.report.page import write_report

    opened = open_run(run, device)
    # the page in the run folder is ours to renew; a file that the user names is not
    page = write_report(opened, out, overwrite=overwrite or out is None)
    typer.echo(
        json.dumps({"page": str(page)})
        if as_json
        else f"wrote {page} ({file_size(page.stat().st_size)}); open it in a browser"
    )
