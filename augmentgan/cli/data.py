"""`augmentgan data`."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from augmentgan import __version__
from augmentgan.cli.options import (
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    command_line,
    notice,
    quoted,
    say,
)
from augmentgan.errors import DataError


def _names(incomplete: str) -> list[tuple[str, str]]:
    from augmentgan.data.well_known import WELL_KNOWN

    return [(name, about) for name, about in WELL_KNOWN.items() if name.startswith(incomplete)]


def data(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which set; --list shows them.", autocompletion=_names)
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="A folder, or a file that ends in .h5.", readable=False)
    ] = None,
    per_class: Annotated[int | None, typer.Option(metavar="N", help="Only this many training images a class.")] = None,
    seed: SeedOption = 0,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="hdf5 or folder (default: hdf5 where OUT ends in .h5).")
    ] = None,
    size_px: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=4, max=1024, help="Side of the images in pixels (default: their own; photos 64)."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where downloads are kept (default: the user's cache folder).", readable=False
        ),
    ] = None,
    list_sets: Annotated[bool, typer.Option("--list", help="List the sets.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a well-known set: digits offline, others by torchvision."""
    from augmentgan.data.images import TEST, TRAIN
    from augmentgan.data.well_known import TORCHVISION_SETS, WELL_KNOWN, cache_folder, fetch
    from augmentgan.data.writers import Format, format_for, how_to_load, refuse_place, save

    if list_sets:
        lines = [f"{each:16} {about}" for each, about in WELL_KNOWN.items()]
        typer.echo(json.dumps(WELL_KNOWN) if as_json else "\n".join(lines))
        return
    if name is None or out is None:
        missing = "NAME" if name is None else "OUT"
        raise typer.BadParameter("missing; augmentgan data --list shows the sets", param_hint=missing)
    if format not in (None, "hdf5", "folder"):
        raise DataError(f"--format {format!r} is not known; use hdf5 or folder")
    kind: Format = format_for(out) if format is None else "hdf5" if format == "hdf5" else "folder"
    hint = "--overwrite replaces it, or name another OUT"
    refuse_place(out, kind, overwrite=overwrite, synthetic=False, hint=hint)
    if name in TORCHVISION_SETS and not quiet:
        notice(f"{name}: downloaded once, to {cache or cache_folder()}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # stdout is for results, torchvision talks there
        if quiet:
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        images = fetch(name, per_class=per_class, seed=seed, size_px=size_px, cache=cache)
    known = TORCHVISION_SETS.get(name)
    attributes: dict[str, str | int | float] = {
        "augmentgan_version": __version__,
        "source": "sklearn.datasets.load_digits" if known is None else f"torchvision.datasets.{known.source}",
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
    }
    save(images, out, kind, attributes=attributes, overwrite=overwrite)
    n_train, n_test = len(images.part(TRAIN)), len(images.part(TEST))
    loading = how_to_load(out / "train" if kind == "folder" and n_test else out, kind)
    if as_json:
        written = {"out": str(out), "name": name, "format": kind, "classes": list(images.class_names)}
        typer.echo(json.dumps({**written, "train": n_train, "test": n_test, "load": loading}))
        return
    parts = f"{n_train} training and {n_test} test images" if n_test else f"{n_train} images"
    note = "" if n_test else ", without a split"
    say(f"wrote {parts} of {images.n_classes} classes, {images.images.shape[1]} px{note}, to {out}")
    say(f"next: augmentgan fit {quoted(out)}")
