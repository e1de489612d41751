"""What the commands share: options that mean the same everywhere, the run they work on, and lines for people."""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from augmentgan.errors import DataError, RecipeError, RunError, printable, writable
from augmentgan.names import run_folders

if TYPE_CHECKING:
    from augmentgan.data.images import LabelledImages
    from augmentgan.gan.run import Run
    from augmentgan.recipe import Recipe


def _seed(value: int | None) -> int | None:
    if value is not None and not 0 <= value < 2**63:
        raise typer.BadParameter(f"{value} is out of range; use 0 to 2**63 - 1")
    return value


def recipe_completions(incomplete: str) -> list[tuple[str, str]]:
    """Recipes for the shell, with what they are for."""
    from augmentgan.recipe import load_recipe, recipe_names

    return [(name, load_recipe(name).description) for name in recipe_names() if name.startswith(incomplete)]


def _runs(incomplete: str) -> list[str]:
    return [str(run) for run in run_folders(Path("runs")) if str(run).startswith(incomplete)]


def _devices(incomplete: str) -> list[str]:
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def _settings(incomplete: str) -> list[tuple[str, str]]:
    from augmentgan.recipe import recipe_keys

    return [(f"{key}=", text) for key, text in recipe_keys().items() if f"{key}=".startswith(incomplete)]


# `readable=False` on paths: what cannot be read is unusable input with a hint of ours, and not a usage error of click's
DATA_HELP = (
    "A folder with one folder a class (or with metadata.jsonl, or MNIST's files), or a file: HDF5, .npz, or a table of "
    "path,label (.csv, .jsonl)."
)
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP, readable=False)]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Run folder (default: the newest under runs/).",
        autocompletion=_runs,
        readable=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", help="Where the result goes (default: below runs/).", readable=False),
]
SeedOption = Annotated[int, typer.Option(metavar="N", callback=_seed, help="Seed of every random draw.")]
FitSeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", callback=_seed, help="Seed of every random draw (default: 0; with --resume, the run's)."
    ),
]
OptionalSeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", callback=_seed, help="Sampling seed (default: the run's).")
]
DeviceOption = Annotated[
    str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:K or mps.", autocompletion=_devices)
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="A recipe's name (augmentgan recipes lists them) or a TOML file.",
        autocompletion=recipe_completions,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change one setting, such as training.updates=5000; repeatable.",
        autocompletion=_settings,
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out instead of refusing the set.")]
TestFractionOption = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Share of each class held out as test images (default: the recipe's, 0.2)."),
]


def open_run(folder: Path | None, device: str) -> Run:
    """The named run, or the newest, which is then named on stderr; one that is unfinished, or whose training failed, is said to be."""
    from augmentgan.gan.checkpoint import has_checkpoint
    from augmentgan.gan.run import Run, newest_run

    if folder is None:
        folder = newest_run()
        notice(f"run {folder}")
    elif not folder.exists():
        known = [str(each) for each in run_folders(Path("runs"))]
        close = difflib.get_close_matches(str(folder), known, n=1) or [
            run for run in known if Path(run).name == str(folder)
        ]
        if close:
            raise RunError(f"run {str(folder)!r} does not exist; did you mean {close[0]!r}?")
    run = Run(folder, device)
    if run.info["state"] == "failed":  # its last good state can be sampled, but not unknowingly
        notice(f"run {folder} failed in training ({run.info.get('reason', 'unknown')}); this is its last good state")
    elif not run.finished and has_checkpoint(run.folder):
        done, planned = run.generator_version["updates"], run.recipe.training.updates
        notice(f"run {folder} has made {done} of {planned} updates; the same augmentgan fit goes on with it")
    return run


def recipe_for(
    recipe: str | Recipe | None, settings: Sequence[str] | None, named: Mapping[str, tuple[str, object]]
) -> Recipe:
    """The recipe of a command line: a name or file, then --set, then options that stand for a key; a mistake names what was typed.

    Args:
        recipe: --recipe, or the one that takes its place.
        settings: --set.
        named: the key and the value of each such option; one whose value is None was not given.

    Raises:
        RecipeError: as `load_recipe`.
    """
    from augmentgan.recipe import Recipe, load_recipe

    chosen = recipe.with_settings(settings or []) if isinstance(recipe, Recipe) else load_recipe(recipe, settings or [])
    for option, (key, value) in named.items():
        if value is not None:
            try:
                chosen = chosen.with_settings([f"{key}={value}"])
            except RecipeError as error:
                raise RecipeError(str(error).replace(f"--set: {key} = {value}", f"{option} {value}")) from error
    return chosen


def images_for(
    recipe: Recipe, data: Path, *, test: Path | None, test_fraction: float | None, skip_bad: bool
) -> LabelledImages:
    """The images at `data`, with those at `test` held out where it is given.

    Raises:
        DataError: as `load`, or both a test set and a share to hold out.
    """
    if test is not None and test_fraction is not None:
        raise DataError(
            "--test-fraction holds out a share of DATA, and --test brings what is held out; leave one of them out"
        )
    from augmentgan.data.load import load_for

    images = load_for(recipe, data, skip_bad=skip_bad, on_notice=notice)
    if test is not None:
        return _with_test(recipe, images, test, skip_bad=skip_bad)
    if test_fraction is not None and images.is_split:
        notice("--test-fraction is passed over: the data bring a test part of their own")
    return images


def _with_test(recipe: Recipe, images: LabelledImages, path: Path, *, skip_bad: bool) -> LabelledImages:
    """The images to learn from, joined with test images from `path`; a test part of their own is left out, and said to be."""
    from augmentgan.cli.layout import first_of
    from augmentgan.data.images import TEST, TRAIN
    from augmentgan.data.load import load_for
    from augmentgan.data.split import join_test

    n_own = len(images.part(TEST))
    if n_own:
        notice(f"{n_own} test images of the data's own are left out: --test gives others")
    test = load_for(recipe, path, skip_bad=skip_bad, on_notice=notice, like=images)
    if test.is_split:
        notice(f"{len(test.part(TRAIN))} training images of {str(path)!r} are left out: its test part is taken")
    joined = join_test(images, test)
    counts = zip(joined.class_names, joined.counts_of(TEST).tolist(), strict=True)
    if untested := [name for name, n in counts if not n]:
        notice(f"no test images of {first_of(untested)}: what is measured on test images says nothing of them")
    return joined


def first_process() -> bool:
    """Whether this is the only process, or the one of those under torchrun that talks to people."""
    # schedulers set RANK too; only under torchrun are there others that talk (see `gan.distributed.process_group`)
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"


def notice(line: str) -> None:
    """A line for people, on stderr."""
    if first_process():
        typer.echo(printable(line), err=True)


def say(line: str) -> None:
    """A line of the command's result, on stdout."""
    if first_process():
        typer.echo(printable(line))


def command_line() -> str:
    """What was typed, for the record."""
    return writable(shlex.join(["augmentgan", *sys.argv[1:]]))


def quoted(path: Path) -> str:
    """A path as a shell takes it, for commands that are shown to be typed."""
    return shlex.quote(str(path))


def name_of(data: Path) -> str:
    """What results of a data set are called: a file's name without its kind, a folder's whole name."""
    whole = _resolved(data)
    return (whole.name if whole.is_dir() else whole.stem) or "run"


def _resolved(path: Path) -> Path:
    """The path without links; as it is where they form a loop, of which whoever opens it will tell."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # which of them depends on Python's version
        return path.absolute()


def refuse_inside(data: Path, folder: Path) -> None:
    """Keep what is written out of a data folder, where the next command would take it for a class.

    Raises:
        DataError: `folder` lies in the folder `data`.
    """
    if data.is_dir() and _resolved(folder).is_relative_to(_resolved(data)):
        raise DataError(
            f"{str(folder)!r} lies inside of the data folder {str(data)!r} and would become a class of it; name an --out elsewhere, or go "
            "to another folder first"
        )


def words(text: str | None) -> list[str] | None:
    """A comma-separated list, names with a comma in double quotes; None where nothing was given.

    Raises:
        DataError: a list without a word.
    """
    if text is None:
        return None
    from augmentgan.data.fill import separated

    found = separated(text)
    if not found:
        raise DataError(f"{text!r} names nothing; leave the option out, or give names separated by commas")
    return found


def parse_duration(text: str) -> float:
    """`90`, `90s`, `10m` or `2h` in seconds.

    Raises:
        DataError: anything else.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise DataError(f"--max-time {text!r} is not a duration; use 90s, 10m or 2h")
    return seconds
