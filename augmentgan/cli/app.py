"""The commands: each parses, makes one library call, and renders the result."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from augmentgan import __version__
from augmentgan.errors import AugmentGANError, DataError, RecipeError, RunError

if TYPE_CHECKING:
    from augmentgan.gan.run import Run

app = typer.Typer(
    name="augmentgan",
    help="Grow a small labelled image set with a conditional DCGAN, and measure honestly whether it helps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunOption = Annotated[Path | None, typer.Option("--run", help="Run folder (default: the newest under runs/).")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Where the result goes.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Every draw follows from it.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:K or mps.")]
RecipeOption = Annotated[str | None, typer.Option(help="A recipe's name or a TOML file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out instead of refusing the set.")]


def main() -> NoReturn:
    """Run the command line; a user's mistake becomes one line on stderr and exit status 1."""
    try:
        app()
    except AugmentGANError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command continues", err=True)
        sys.exit(130)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="A folder with one folder a class, or an HDF5 file.")],
    out: OutOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue; an error where there is nothing to.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")] = False,
    test: Annotated[Path | None, typer.Option(help="A separate test set, never learned from.")] = None,
    test_fraction: Annotated[float | None, typer.Option(help="Share of each class held out (0.2).")] = None,
    train_per_class: Annotated[int | None, typer.Option(help="Learn from this many images a class.")] = None,
    max_time: Annotated[str | None, typer.Option(help="Stop cleanly after, such as 90s, 10m or 2h.")] = None,
    updates: Annotated[int | None, typer.Option(help="Generator updates.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    skip_bad: SkipBadOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a class-conditional DCGAN on DATA. The same command again continues."""
    from augmentgan.data.load import load
    from augmentgan.data.split import join_test
    from augmentgan.recipe import load_recipe

    named = {"data.test_fraction": test_fraction, "data.train_per_class": train_per_class, "training.updates": updates}
    wishes = [*(settings or []), *(f"{key}={value}" for key, value in named.items() if value is not None)]
    chosen = load_recipe(recipe, wishes)
    seconds = None if max_time is None else parse_duration(max_time)
    size = None if chosen.data.size_px == "auto" else chosen.data.size_px
    channels = None if chosen.data.channels == "auto" else chosen.data.channels
    images = load(data, size_px=size, channels=channels, resize=chosen.data.resize, skip_bad=skip_bad, on_notice=notice)
    if test is not None:
        side, depth = images.images.shape[1], images.channels
        images = join_test(
            images, load(test, size_px=side, channels=depth, resize=chosen.data.resize, skip_bad=skip_bad)
        )
    folder = out or Path("runs") / (data.resolve().stem or "run")
    if resume and not (folder / "run.json").exists():
        raise RunError(f"--resume: {str(folder)!r} holds no run; leave --resume out to start one")

    from augmentgan.cli.display import TrainingDisplay, plan_lines
    from augmentgan.gan.run import fit as fit_run
    from augmentgan.gan.run import plan_fit

    plan = plan_fit(images, chosen, seed)
    if dry_run:
        if as_json:
            typer.echo(json.dumps({"recipe": plan.recipe.model_dump(), "run": str(folder)}))
        else:
            typer.echo("\n".join(plan_lines(plan, folder)))
        return
    if not quiet:
        for line in plan_lines(plan, folder):
            notice(line)
    with TrainingDisplay(plan.recipe.training.updates, quiet=quiet) as display:
        run = fit_run(
            images,
            chosen,
            folder,
            seed=seed,
            device=device,
            overwrite=overwrite,
            max_time_s=seconds,
            command=command_line(),
            on_status=display.show,
        )
    last = (run.events() or [{}])[-1]
    if as_json:
        typer.echo(json.dumps({"run": str(run.folder), "state": run.info["state"], **last}))
    else:
        state = "finished" if run.finished else "stopped; the same command continues"
        typer.echo(f"run {run.folder}: {state} after {last.get('updates', 0)} updates")
        typer.echo(f"next: augmentgan generate --run {run.folder} --per-class 1000")


@app.command()
def generate(
    run: RunOption = None,
    per_class: Annotated[int | None, typer.Option(help="Exactly this many samples of every class.")] = None,
    fill: Annotated[str | None, typer.Option(help="Add what a class lacks: max, N, or CLASS=N,CLASS=N.")] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes, separated by commas.")] = None,
    format: Annotated[str, typer.Option(help="hdf5 or folder.")] = "hdf5",
    out: OutOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Sampling seed (default: the run's).")] = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a synthetic set, exactly balanced, to HDF5 or an image folder."""
    if format not in ("hdf5", "folder"):
        raise DataError(f"--format {format!r} is not known; use hdf5 or folder")
    from augmentgan.cli.display import progress
    from augmentgan.data.writers import how_to_load
    from augmentgan.files import refuse_existing
    from augmentgan.gan.generating import write_samples

    opened = open_run(run, device)
    if per_class is None and fill is None:
        per_class = 1000
    counts = opened.counts(per_class, fill, None if classes is None else classes.split(","))
    where = out or opened.folder / ("synthetic.h5" if format == "hdf5" else "synthetic")
    refuse_existing(where, overwrite=overwrite)
    with progress(sum(counts.values()), "images", quiet=quiet) as advance:
        total = write_samples(
            opened,
            counts,
            where,
            "folder" if format == "folder" else "hdf5",
            seed=seed,
            overwrite=overwrite,
            command=command_line(),
            on_progress=advance,
        )
    loading = how_to_load(where, "folder" if format == "folder" else "hdf5")
    if as_json:
        written = {opened.class_names[label]: n for label, n in counts.items()}
        typer.echo(
            json.dumps({"out": str(where), "images": total, "per_class": written, "format": format, "load": loading})
        )
    else:
        typer.echo(f"wrote {total} images of {len(counts)} classes to {where}")
        typer.echo(f"load them with {loading}")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe.")] = None, as_json: JsonOption = False
) -> None:
    """List the recipes that ship with augmentgan, or print one."""
    from augmentgan.recipe import load_recipe, recipe_names, recipe_text

    if name is not None:
        recipe = load_recipe(name)
        if name not in recipe_names():
            raise RecipeError(f"recipe {name!r} is a file; print it with your own tools")
        typer.echo(json.dumps(recipe.model_dump()) if as_json else recipe_text(name), nl=as_json)
        return
    described = {each: load_recipe(each).description for each in recipe_names()}
    if as_json:
        typer.echo(json.dumps(described))
        return
    for each, description in described.items():
        typer.echo(f"{each:14} {description}")


def open_run(folder: Path | None, device: str) -> Run:
    """The named run, or the newest, which is then named on stderr."""
    from augmentgan.gan.run import Run, newest_run

    if folder is None:
        folder = newest_run()
        notice(f"run {folder}")
    return Run(folder, device)


def notice(line: str) -> None:
    """A line for people, on stderr."""
    typer.echo(line, err=True)


def command_line() -> str:
    """What was typed, for the record."""
    return shlex.join(["augmentgan", *sys.argv[1:]])


def parse_duration(text: str) -> float:
    """`90`, `90s`, `10m` or `2h` in seconds.

    Raises:
        DataError: anything else.
    """
    units: dict[str, Any] = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise DataError(f"--max-time {text!r} is not a duration; use 90s, 10m or 2h")
    return float(seconds)
