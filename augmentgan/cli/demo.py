"""`augmentgan demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from augmentgan.cli.benchmark import measure, show
from augmentgan.cli.fit import learn
from augmentgan.cli.options import (
    DeviceOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    command_line,
    say,
)
from augmentgan.names import sheet_of, sheets_of

if TYPE_CHECKING:
    from augmentgan.gan.sampling import SampleBatch


def demo(
    out: OutOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """fit, generate and benchmark in a row, on digits. They ship with scikit-learn: no download."""
    from augmentgan.cli.display import progress
    from augmentgan.data.digits import digits
    from augmentgan.gan.write_samples import write_samples
    from augmentgan.recipe import load_recipe
    from augmentgan.report.page import write_report

    folder = out or Path("runs") / "demo"
    data, recipe = digits(), load_recipe("digits")
    run = learn(data, recipe, folder, seed=seed, device=device, overwrite=overwrite, quiet=quiet)
    counts = run.counts(per_class=recipe.benchmark.synthetic_per_class)
    samples = folder / "demo.h5"  # not where generate writes: what the user made there stays
    with progress(sum(counts.values()), "images", quiet=quiet) as advance:
        done = 0

        def count(batch: SampleBatch) -> None:
            nonlocal done
            done += len(batch.images)
            advance(done)

        # the demo may be repeated: its samples are always those of its own run
        write_samples(run, counts, samples, overwrite=True, command=command_line(), on_batch=count)
    result = measure(run, seed=seed, device=device, quiet=quiet)
    page = write_report(run)
    found = sheets_of(folder)
    chosen = sheet_of(folder, run.chosen_look["updates"])
    sheet = chosen if chosen in found else found[-1]
    if as_json:
        written = {"run": str(folder), "samples": str(samples), "sheet": str(sheet), "page": str(page)}
        typer.echo(json.dumps({**written, "benchmark": result.to_json()}))
        return
    show(result)
    say(f"samples      {samples}")
    say(f"sample sheet {sheet}")
    say(f"page         {page}")
    say("next: augmentgan inspect DATA looks at a folder of your own, augmentgan fit DATA learns from it")
