"""How what samples alone teach depends on how many there are: `python benchmarks/samples_alone.py NAME --fits FOLDER`.

FOLDER holds finished generators, a run a seed, as benchmarks/ablation.py --keep leaves them. Balanced accuracy on test images of the
benchmark's classifier after the same number of steps on the samples that `evaluate` judges (200 a class), on those that its classifier learns from (1000),
and on the real training images.
Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import _environment
import torch

import augmentgan as ag
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import probabilities_of, train_classifier
from augmentgan.evaluate.evaluation import samples_to_judge
from augmentgan.evaluate.scores import score


def main() -> None:
    """Measure every run of the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--fits", type=Path, required=True)
    wish = parser.parse_args()
    rows = []
    for folder in sorted(wish.fits.iterdir(), key=lambda each: int(each.name)):
        rows.append({"seed": int(folder.name), **accuracies(ag.Run(folder, "cpu"), int(folder.name))})
        print(rows[-1], flush=True)
    _environment.write(wish.name, {**_environment.describe(), "rows": rows})
    for n in rows[0]["synthetic_only_accuracy"]:
        values = [100 * row["synthetic_only_accuracy"][n] for row in rows]
        print(f"{n} a class: {statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")


def accuracies(run: ag.Run, seed: int) -> dict[str, Any]:
    """By samples a class, and of the real images."""
    sets = samples_to_judge(run)
    return {
        "real_only_accuracy": after(run, "real+oversampling", run.train.subset([]), seed),
        "synthetic_only_accuracy": {
            str(len(each) // each.n_classes): after(run, "synthetic", each, seed) for each in sets
        },
    }


def after(run: ag.Run, arm: str, samples: ag.LabelledImages, seed: int) -> float:
    """Balanced accuracy on the run's test images, 0 to 1."""
    section = run.recipe.benchmark
    network = train_classifier(Arm(arm), run.train, samples, section, section.steps, seed, torch.device("cpu"))
    return float(score(probabilities_of(network, run.test), run.test.labels)["balanced_accuracy"])


if __name__ == "__main__":
    main()
