"""`augmentgan generate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from augmentgan.cli.layout import numbers_renamed
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
    say,
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
        typer.Option(
            metavar="max|N|CLASS=N,..",
            help="Add only what each class lacks: up to the largest class (max, or --fill alone), or up to N, real images included.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Only these classes, separated by commas; a name with a comma in double quotes."
        ),
    ] = None,
    format: Annotated[str, typer.Option(metavar="KIND", help="hdf5 or folder.")] = "hdf5",
    no_copies: Annotated[
        bool,
        typer.Option(
            "--no-copies",
            help="Leave near copies of training images out; others take their places. How near is too near is learned from "
            "the held-out test images, of which ten are needed.",
        ),
    ] = False,
    filter: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="off, light or strong: leave out the quarter or the half of each class whose label classifiers of the real images doubt most; others take their places.",
        ),
    ] = "off",
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="none, weights or soft-labels: store with each sample how much it should count, or also its class probabilities, by classifiers of the real images.",
        ),
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
    kind: Literal["hdf5", "folder"] = "folder" if format == "folder" else "hdf5"

    from augmentgan.cli.display import progress
    from augmentgan.cli.interruption import until_interrupted
    from augmentgan.data.writers import how_to_load, refuse_place
    from augmentgan.evaluate.selection import select_samples
    from augmentgan.gan.distributed import process_group
    from augmentgan.gan.write_samples import write_samples

    with process_group(device) as (world, device):
        opened = open_run(run, device)
        if per_class is None and fill is None:
            per_class = 1000
        counts = opened.counts(per_class, fill, words(classes))
        where = out or opened.folder / ("synthetic.h5" if kind == "hdf5" else "synthetic")
        refuse_place(where, kind, overwrite=overwrite)
        chosen = select_samples(opened, no_copies=no_copies, filter=filter, policy=policy)
        done = n_copies = 0

        with (
            progress(sum(counts.values()), "images", quiet=quiet or not world.is_rank_zero) as advance,
            until_interrupted() as interrupted,
        ):

            def take(batch: SampleBatch) -> None:
                nonlocal done, n_copies
                if interrupted():  # between two batches, and not in the middle of a library's write
                    raise KeyboardInterrupt
                done += len(batch.images)
                if not no_copies:  # otherwise none was let through
                    n_copies += int(chosen.copies.copies(batch.images, batch.labels).sum())
                advance(done)

            total = write_samples(
                opened,
                counts,
                where,
                kind,
                seed=seed,
                overwrite=overwrite,
                command=command_line(),
                refuses=chosen.refuses,
                judges=chosen.judges,
                on_batch=take,
                world=world,
            )
    n_judged = sum(n for label, n in counts.items() if chosen.copies.knows(label))
    share = n_copies / n_judged if n_judged else None
    loading = how_to_load(where, kind)
    if as_json:
        written = {opened.class_names[label]: n for label, n in counts.items()}
        say(
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
        say(f"wrote {total} images of {len(counts)} class{'' if len(counts) == 1 else 'es'} to {where}{size}")
        if share is not None:
            hint = "; --no-copies leaves them out" if n_copies else ""
            say(f"near copies of training images: {100 * share:.1f} % (1 % is what held-out real images give){hint}")
        say(f"load them with {loading}")
        # torchvision's ImageFolder numbers the folders that are there by their names as text
        names = [opened.class_names[label] for label in counts]
        if renamed := numbers_renamed(sorted(names) if kind == "folder" else opened.class_names):
            say(renamed)
        say(f"next: augmentgan benchmark --run {quoted(opened.folder)}")
