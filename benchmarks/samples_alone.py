"""How what samples alone teach depends on how many there are: `python benchmarks/samples_alone.py NAME --fits FOLDER`.

FOLDER holds finished generators, a run a seed, as benchmarks/ablation.py --keep leaves them. Balanced accuracy on test images of the
benchmark's classifier after the same number of steps on the first 200 and the first 1000 samples of each class, and on the real training images.
Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import _environment
import numpy as np
import torch

import augmentgan as ag
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import probabilities_of, train_classifier
from augmentgan.evaluate.results import score

A_CLASS = (200, 1000)
"""As many as are judged, and as many as a benchmark is offered."""


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
    for key in ("real_only_accuracy", *map(str, A_CLASS)):
        values = [100 * (row[key] if key in row else row["synthetic_only_accuracy"][key]) for row in rows]
        print(f"{key}: {statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")


def accuracies(run: ag.Run, seed: int) -> dict[str, Any]:
    """By samples a class, and of the real images."""
    samples = run.generate(max(A_CLASS))
    place = np.empty(len(samples), dtype=np.int64)
    for label in range(samples.n_classes):
        mine = samples.labels == label
        place[mine] = np.arange(mine.sum())
    return {
        "real_only_accuracy": after(run, "real+oversampling", samples.subset([]), seed),
        "synthetic_only_accuracy": {str(n): after(run, "synthetic", samples.subset(place < n), seed) for n in A_CLASS},
    }


def after(run: ag.Run, arm: str, samples: ag.LabelledImages, seed: int) -> float:
    """Balanced accuracy on the run's test images, 0 to 1."""
    section = run.recipe.benchmark
    network = train_classifier(Arm(arm), run.train, samples, section, section.steps, seed, torch.device("cpu"))
    return float(score(probabilities_of(network, run.test), run.test.labels)["balanced_accuracy"])


if __name__ == "__main__":
    main()
