"""What `generate --filter` does to the samples of finished runs: figures of `augmentgan evaluate` at each level.

    python benchmarks/filter_effect.py NAME RUN [RUN ...]

The filter's teachers are not the classifiers that judge: those have other seeds. Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import _environment
import torch

import augmentgan as ag
from augmentgan.evaluate.evaluation import Judges
from augmentgan.evaluate.filtering import LEVELS, SampleFilter
from augmentgan.evaluate.teachers import Teachers
from augmentgan.gan.generating import Refusal

PER_CLASS = 200
OTHER_SEEDS = 1000


def main() -> None:
    """Judge each run's samples, unfiltered and at each level."""
    name, folders = _environment.name_and_runs(__doc__)
    rows = []
    for folder in folders:
        run = ag.Run(folder, "cpu")
        teachers = Teachers(run.train, run.recipe.benchmark, run.seed, torch.device("cpu"))
        judges = Judges(run.train, run.test, run.recipe, device="cpu", seed=OTHER_SEEDS)
        for level in ("off", *LEVELS):
            found = judges(filtered(run, level, teachers))
            rows.append(
                {"variant": level, "set": run.info["command"] or folder.name, "seed": run.seed, **found.to_json()}
            )
            print(folder.name, level, found.label_agreement, found.synthetic_only_accuracy, found.real_only_accuracy)
    _environment.write(Path(__file__).parent / "results" / f"{name}.json", {**_environment.describe(), "rows": rows})


def filtered(run: ag.Run, level: str, teachers: Teachers) -> ag.LabelledImages:
    """Samples as `generate --filter` writes them."""
    if level == "off":
        return run.generate(PER_CLASS)
    chosen = SampleFilter(run, level, teachers)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "samples.h5"
        refusal = Refusal(chosen.rule, chosen.refuses)
        ag.write_samples(run, run.counts(PER_CLASS), path, refuses=refusal, judges=[chosen])
        return ag.load(path)


if __name__ == "__main__":
    main()
