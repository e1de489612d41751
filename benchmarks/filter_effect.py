"""What `generate --filter` does to the samples of a protocol's generators: figures of `augmentgan evaluate` at each level.

    python benchmarks/filter_effect.py DATA.h5 NAME FITS [--seeds 3]

FITS names finished generators, see `ablation.finished`. The filter's teachers are not the classifiers that judge: those have
other seeds. Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import _environment
import torch
from ablation import finished, summary

import augmentgan as ag
from augmentgan.evaluate.evaluation import Evaluator, samples_a_class
from augmentgan.evaluate.filtering import LEVELS, SampleFilter
from augmentgan.evaluate.teachers import Teachers
from augmentgan.gan.write_samples import Refusal

OTHER_SEEDS = 1000


def main() -> None:
    """Judge each generator's samples, unfiltered and at each level."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument(
        "fits", type=Path, help="finished generators: a protocol's FOLDER/SIZE, or a folder of runs by seed"
    )
    parser.add_argument("--seeds", type=int, default=3)
    wish = parser.parse_args()

    data = _environment.load(wish.data, ag.Recipe())
    rows = []
    for seed in range(wish.seeds):
        run, test = finished(data, wish.fits, seed)
        teachers = Teachers(run.train, run.recipe.benchmark, seed, torch.device("cpu"))
        evaluator = Evaluator(run.train, test, run.recipe, seed=OTHER_SEEDS + seed)
        for level in ("off", *LEVELS):
            found = evaluator(filtered(run, level, teachers)).to_json()
            row = {"variant": level, "seed": seed, "fit_s": run.events()[-1]["seconds"], **found}
            print(level, seed, {key: round(value, 3) for key, value in summary(row).items()}, flush=True)
            rows.append(row)
    document = {**_environment.describe(), "data": wish.data.name, "rows": rows}
    _environment.write(wish.name, document)


def filtered(run: ag.Run, level: str, teachers: Teachers) -> ag.LabelledImages:
    """Samples as `generate --filter` writes them."""
    per_class = samples_a_class(run.train.n_classes)
    if level == "off":
        return run.generate(per_class)
    chosen = SampleFilter(run, level, teachers)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "samples.h5"
        refusal = Refusal(chosen.rule, chosen.refuses)
        ag.write_samples(run, run.counts(per_class), path, refuses=refusal, judges=[chosen])
        return ag.load(path)


if __name__ == "__main__":
    main()
