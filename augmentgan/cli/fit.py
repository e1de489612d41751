"""`augmentgan fit`."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from augmentgan.cli.interruption import until_interrupted
from augmentgan.cli.options import (
    DATA_HELP,
    DeviceOption,
    FitSeedOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    RecipeOption,
    SetOption,
    SkipBadOption,
    TestFractionOption,
    command_line,
    images_for,
    name_of,
    notice,
    parse_duration,
    quoted,
    recipe_for,
    refuse_inside,
    say,
)
from augmentgan.cli.units import duration
from augmentgan.errors import DataError, RunError, printable
from augmentgan.names import RUN_FILE

if TYPE_CHECKING:
    from augmentgan.data.images import LabelledImages
    from augmentgan.data.plan import Plan
    from augmentgan.gan.run import Run
    from augmentgan.gan.training import Status
    from augmentgan.recipe import Recipe


def fit(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help=DATA_HELP, readable=False)] = None,
    out: OutOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an existing run, with its own recipe unless one is given.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and stop.")] = False,
    test: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A separate test set, never learned from.", readable=False)
    ] = None,
    test_fraction: TestFractionOption = None,
    from_run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Repeat this run: its images, recipe and seed, in another folder.", readable=False
        ),
    ] = None,
    train_per_class: Annotated[
        int | None,
        typer.Option(metavar="N", help="Learn from this many images a class at most (default: the recipe's, all)."),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Stop cleanly after such a time as 90s, 10m or 2h; the same command continues."
        ),
    ] = None,
    updates: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Generator updates in all (default: by the number of images); more make a finished run longer.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write a TensorBoard log, in the run folder.")
    ] = False,
    seed: FitSeedOption = None,
    device: DeviceOption = "auto",
    skip_bad: SkipBadOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a class-conditional DCGAN on DATA. The same command again continues."""
    named: dict[str, tuple[str, object]] = {
        "--test-fraction": ("data.test_fraction", test_fraction),
        "--train-per-class": ("data.train_per_class", train_per_class),
        "--updates": ("training.updates", updates),
    }
    max_time_s = None if max_time is None else parse_duration(max_time)
    if from_run is not None:
        given: dict[str, object] = {
            "DATA": data,
            "--recipe": recipe,
            "--set": settings or None,
            **{name: value for name, (_, value) in named.items()},
            "--test": test,
            "--seed": seed,
            "--skip-bad": skip_bad or None,
        }
        if unwanted := [name for name, value in given.items() if value is not None]:
            raise DataError(f"--from-run brings its own data, recipe and seed; leave {' and '.join(unwanted)} out")
        source = from_run if from_run.name.strip(".") else from_run.resolve()
        folder = out or source.with_name(f"{source.name}-again")
    elif data is None:
        raise typer.BadParameter(
            "missing; give a folder with one folder a class, or an HDF5, .npz or .csv file", param_hint="DATA"
        )
    else:
        folder = out or Path("runs") / name_of(data)
        refuse_inside(data, folder)
    _refuse_resume(folder, resume=resume, overwrite=overwrite)

    if from_run is not None:
        from augmentgan.gan.run import repeat_of

        images, chosen, seed_used = repeat_of(from_run)
    elif data is not None:
        recipe_of_run, seed_of_run = _of_run(folder) if resume else (None, 0)
        chosen = recipe_for(recipe or recipe_of_run, settings, named)
        seed_used = seed_of_run if seed is None else seed
        images = images_for(chosen, data, test=test, test_fraction=test_fraction, skip_bad=skip_bad)

    if dry_run:
        _show_plan(
            images, chosen, folder, seed_used, as_marked=from_run is not None, overwrite=overwrite, as_json=as_json
        )
        return
    done_before = _updates_done(folder) if not overwrite else 0
    run = learn(
        images,
        chosen,
        folder,
        seed=seed_used,
        device=device,
        overwrite=overwrite,
        max_time_s=max_time_s,
        quiet=quiet,
        tensorboard=tensorboard,
        as_marked=from_run is not None,
    )
    _say_result(run, done_before, overwrite=overwrite, as_json=as_json)


def _of_run(folder: Path) -> tuple[Recipe, int]:
    """Its recipe and seed."""
    from augmentgan.gan.run import recipe_of

    return recipe_of(folder)


def _show_plan(
    images: LabelledImages,
    recipe: Recipe,
    folder: Path,
    seed: int,
    *,
    as_marked: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """What --dry-run prints, once it is known that the folder may be used."""
    from augmentgan.cli.display import plan_lines
    from augmentgan.data.plan import plan_fit
    from augmentgan.gan.run_folder import check_place

    plan = plan_fit(images, recipe, seed, as_marked=as_marked)
    check_place(folder, plan, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps({"run": str(folder), **plan.to_json()}))
    else:
        typer.echo("\n".join(map(printable, plan_lines(plan, folder))))


def _say_result(run: Run, done_before: int, *, overwrite: bool, as_json: bool) -> None:
    last = (run.statuses() or [{}])[-1]
    if as_json:
        say(json.dumps({"run": str(run.folder), "state": run.info["state"], **last}))
        return
    state = "finished" if run.finished else "stopped"
    nothing = ", nothing was left to do" if last.get("updates") == done_before else ""
    trained = f" ({duration(last['seconds'])} of learning)" if "seconds" in last else ""
    again = "" if run.finished else f"; the same command{' without --overwrite' if overwrite else ''} continues"
    say(f"run {run.folder}: {state} after {last.get('updates', 0)} updates{trained}{nothing}{again}")
    say(f"next: augmentgan generate --run {quoted(run.folder)} --per-class 1000")


def _refuse_resume(folder: Path, *, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise RunError("--resume continues a run and --overwrite starts it anew; leave one of them out")
    if resume and not (folder / RUN_FILE).exists():
        raise RunError(f"--resume: {str(folder)!r} holds no run; leave --resume out to start one")


def _updates_done(folder: Path) -> int:
    from augmentgan.gan.checkpoint import has_checkpoint, read_numbers

    return read_numbers(folder).updates if has_checkpoint(folder) else 0


def learn(
    images: LabelledImages,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int,
    device: str,
    overwrite: bool,
    max_time_s: float | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
    as_marked: bool = False,
) -> Run:
    """Print the plan, then learn with the display on. An interruption saves, and then goes on its way.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the run can be continued. A second SIGINT does not wait for the save.
    """
    from augmentgan.cli.display import TrainingDisplay, plan_lines
    from augmentgan.gan.distributed import process_group
    from augmentgan.gan.fit import fit as fit_run
    from augmentgan.report.tensorboard import TensorBoardLog

    displays: list[TrainingDisplay] = []
    with contextlib.ExitStack() as stack:
        world, device = stack.enter_context(process_group(device))
        tensorboard, quiet = tensorboard and world.is_rank_zero, quiet or not world.is_rank_zero
        log = stack.enter_context(TensorBoardLog(folder)) if tensorboard else None

        def show_plan(plan: Plan) -> None:
            if not quiet:
                for line in plan_lines(plan, folder):
                    notice(line)
            displays.append(stack.enter_context(TrainingDisplay(plan.recipe, quiet=quiet)))

        def take(status: Status) -> None:
            displays[0].show(status)
            if log is not None:
                log.add(status)

        interrupted = stack.enter_context(until_interrupted())
        run = fit_run(
            images,
            recipe,
            folder,
            seed=seed,
            device=device,
            overwrite=overwrite,
            max_time_s=max_time_s,
            should_stop=interrupted,
            as_marked=as_marked,
            command=command_line(),
            on_plan=show_plan,
            on_status=take,
            on_rollback=lambda rollback: displays[0].tell(rollback),
            world=world,
        )
    if interrupted() and not run.finished:
        raise KeyboardInterrupt
    return run
