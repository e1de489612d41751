"""fit + generate + benchmark on one real set; the JSON and the pictures behind docs/experiments.md.

    python benchmarks/downstream.py DATA.h5 NAME [--recipe RECIPE] [--set section.key=value ...] [--seed 0]

Writes benchmarks/results/NAME.json, and docs/images/NAME-sheet.png (each row: one class, first 10 samples).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import _environment

import augmentgan as ag
from augmentgan.names import sheets_of

HERE = Path(__file__).parent


def main() -> None:
    """Run one experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument("--recipe")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="keep the run folder here")
    wish = parser.parse_args()

    recipe = ag.load_recipe(wish.recipe, wish.settings)
    data = _environment.load(wish.data, recipe)
    with tempfile.TemporaryDirectory() as scratch:
        folder = wish.keep or Path(scratch) / "run"
        run = ag.fit(data, recipe, folder, seed=wish.seed, on_status=_print)
        started = time.perf_counter()
        n_written = ag.write_samples(run, run.counts(1000), Path(scratch) / "synthetic.h5")
        generate_s = time.perf_counter() - started
        started = time.perf_counter()
        report = ag.run_benchmark(
            run, repeats=wish.repeats, on_row=lambda row: print(row.arm, row.repeat, row.balanced_accuracy, flush=True)
        )
        benchmark_s = time.perf_counter() - started
        sheet = sheets_of(folder)[-1]
        images = HERE.parent / "docs" / "images"
        images.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sheet, images / f"{wish.name}-sheet.png")
        document = report.to_json()
        document["protocol"].pop("run")
        result = {
            **_environment.describe(),
            "data": wish.data.name,
            "recipe": json.loads(run.recipe.model_dump_json()),
            "seconds": {"fit": run.events()[-1]["seconds"], "generate": generate_s, "benchmark": benchmark_s},
            "n_written": n_written,
            "training": run.events()[-1],
            "summary": {
                metric: {
                    arm: {"mean": mean, "sd": spread, "n": wish.repeats}
                    for arm, (mean, spread) in report.summary(metric).items()
                }
                for metric in ("accuracy", "balanced_accuracy")
            },
            "benchmark": document,
        }
    _environment.write(wish.name, result)
    for arm, (mean, spread) in report.summary().items():
        print(f"{arm:24} {100 * mean:5.1f} +- {100 * spread:.1f}")
    print(report.verdict.text)


def _print(status: object) -> None:
    print(status, flush=True)


if __name__ == "__main__":
    main()
