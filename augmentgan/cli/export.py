"""`augmentgan export`."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from augmentgan.cli.options import JsonOption, OutOption, OverwriteOption, QuietOption, RunOption, notice, open_run, say
from augmentgan.cli.units import file_size
from augmentgan.errors import OutputError


def export(
    run: RunOption = None,
    format: Annotated[str, typer.Option(metavar="KIND", help="onnx or safetensors.")] = "onnx",
    out: OutOption = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What the ONNX graph gives: uint8 (n, h, w, c), the default, or float (n, c, h, w) in [-1, 1].",
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For the model card of safetensors: what the rights in the training images allow, such as cc-by-4.0.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the generator for other programs. ONNX, or safetensors with a model card."""
    if format not in ("onnx", "safetensors"):
        raise OutputError(f"--format {format!r} is not known; use onnx or safetensors")
    if pixels not in (None, "uint8", "float"):
        raise OutputError(f"--pixels {pixels!r} is not known; use uint8 or float")
    if format == "onnx" and license is not None:
        raise OutputError(
            f"--license {license}: an ONNX file has no model card; use --format safetensors, or leave it out"
        )
    if format == "safetensors" and pixels is not None:
        raise OutputError(f"--pixels {pixels}: only an ONNX graph gives pixels; use --format onnx, or leave it out")
    kind: Literal["onnx", "safetensors"] = "onnx" if format == "onnx" else "safetensors"
    output: Literal["uint8", "float"] = "float" if pixels == "float" else "uint8"
    from augmentgan.report.export import export_run
    from augmentgan.report.model_card import UNKNOWN_LICENSE

    opened = open_run(run, "cpu")
    if kind == "onnx" and not quiet:
        notice("making the graph and comparing it with the generator")
    done = export_run(
        opened, kind, out, pixels=output, license=UNKNOWN_LICENSE if license is None else license, overwrite=overwrite
    )
    if as_json:
        typer.echo(json.dumps(done.to_json()))
        return
    say(f"wrote {done.out} ({file_size(done.size_bytes)})")
    if done.max_difference is not None:
        unit = "grey levels" if done.pixels == "uint8" else "in [-1, 1]"
        say(f"onnxruntime gives the generator's own images: largest difference {done.max_difference:.2g} {unit}")
        say(
            f"load it with onnxruntime.InferenceSession({done.out!r}): latent (n, {opened.recipe.model.latent_dim}), label (n,)"
        )
    elif license in (None, UNKNOWN_LICENSE):
        say(f"state a licence before you publish it: {done.out}/README.md, or --license NAME")
