"""`augmentgan generate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from augmentgan.cli.options import (
    DeviceOption,
    JsonOption,
    OptionalSeedOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    RunOption,
    command_line,
    open_run,
    quoted,
    result,
    words,
)
from augmentgan.cli.units import file_size
from augmentgan.errors import DataError

if TYPE_CHECKING:
    from augmentgan.gan.sampling import SampleBatch


def generate(
    run: RunOption = None,
    per_class: Annotated[
        int | None, typer.Option(metavar="N", help="Exactly this many samples of every class.")
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(metavar="WISH", help="Add what a class lacks: max (also --fill alone), N, or CLASS=N,CLASS=N."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Only these classes, separated by commas; a name with a comma in double quotes."
        ),
    ] = None,
    format: Annotated[str, typer.Option(metavar="KIND", help="hdf5 or folder.")] = "hdf5",
    no_copies: Annotated[
        bool, typer.Option("--no-copies", help="Leave near copies of training images out; others take their places.")
    ] = False,
    filter: Annotated[
        str,
        typer.Option(metavar="LEVEL", help="off, light or strong: keep what teachers of the real images rate best."),
    ] = "off",
    policy: Annotated[
        str,
        typer.Option(help="none, weights or soft-labels: how teachers of the real images would have each sample used."),
    ] = "none",
    out: OutOption = None,
    seed: OptionalSeedOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write an exactly balanced synthetic set. HDF5 or an image folder."""
    if format not in ("hdf5", "folder"):
        raise DataError(f"--format {format!r} is not known; use hdf5 or folder")
    if policy not in ("none", "weights", "soft-labels"):
        raise DataError(f"--policy {policy!r} is not known; use none, weights or soft-labels")
    if filter not in ("off", "light", "strong"):
        raise DataError(f"--filter {filter!r} is not known; use off, light or strong")
    kind: Literal["hdf5", "folder"] = "folder" if format == "folder" else "hdf5"

    from augmentgan.cli.display import progress
    from augmentgan.cli.interruption import until_interrupted
    from augmentgan.data.writers import how_to_load
    from augmentgan.evaluate.copies import CopyJudge
    from augmentgan.evaluate.filtering import SampleFilter
    from augmentgan.evaluate.teachers import Teachers
    from augmentgan.files import refuse_existing
    from augmentgan.gan.checkpoint import read_numbers
    from augmentgan.gan.device import resolve_device
    from augmentgan.gan.distributed import joined
    from augmentgan.gan.generating import Judge, Refusal, any_of, write_samples

    with joined(device) as (team, device):
        opened = open_run(run, device)
        if per_class is None and fill is None:
            per_class = 1000
        counts = opened.counts(per_class, fill, words(classes))
        where = out or opened.folder / ("synthetic.h5" if kind == "hdf5" else "synthetic")
        refuse_existing(where, overwrite=overwrite)
        judge = CopyJudge(opened.train, opened.test)
        if no_copies and judge.threshold is None:
            raise DataError(
                f"--no-copies: run {str(opened.folder)!r} held fewer than 10 test images out to judge copies by"
            )
        judges: list[Judge] = []
        refusals = [Refusal(judge.rule, judge.copies)] if no_copies else []
        if policy != "none" or filter != "off":
            read_numbers(opened.folder)  # a run without a checkpoint is told before teachers are trained
            section, where_to = opened.recipe.benchmark, resolve_device(device)
            teachers = Teachers(opened.train, section, opened.seed, where_to, soft=policy == "soft-labels")
            if policy != "none":
                judges.append(teachers)
            if filter != "off":
                chosen = SampleFilter(opened, filter, teachers)
                judges.append(chosen)
                refusals.append(Refusal(chosen.rule, chosen.refuses))
        done = n_copies = 0

        with (
            progress(sum(counts.values()), "images", quiet=quiet or not team.first) as advance,
            until_interrupted() as interrupted,
        ):

            def take(batch: SampleBatch) -> None:
                nonlocal done, n_copies
                if interrupted():  # between two batches, and not in the middle of a library's write
                    raise KeyboardInterrupt
                done += len(batch.images)
                n_copies += int(judge.copies(batch.images, batch.labels).sum())
                advance(done)

            total = write_samples(
                opened,
                counts,
                where,
                kind,
                seed=seed,
                overwrite=overwrite,
                command=command_line(),
                refuses=any_of(refusals),
                judges=judges,
                on_batch=take,
                team=team,
            )
    n_judged = sum(n for label, n in counts.items() if judge.knows(label))
    share = n_copies / n_judged if n_judged else None
    loading = how_to_load(where, kind)
    if as_json:
        written = {opened.class_names[label]: n for label, n in counts.items()}
        result(
            json.dumps(
                {
                    "out": str(where),
                    "images": total,
                    "per_class": written,
                    "format": kind,
                    "load": loading,
                    "near_copies": share,
                }
            )
        )
    else:
        size = f" ({file_size(where.stat().st_size)})" if where.is_file() else ""
        result(f"wrote {total} images of {len(counts)} classes to {where}{size}")
        if share is not None:
            mend = "; --no-copies leaves them out" if n_copies else ""
            result(f"near copies of training images: {100 * share:.1f} % (1 % is what held-out real images give){mend}")
        result(f"load them with {loading}")
        result(f"next: augmentgan benchmark --run {quoted(opened.folder)}")
