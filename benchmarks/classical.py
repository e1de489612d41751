"""What classical augmentation is worth by itself, as the code that runs has it: rows of benchmarks/results/NAME.json.

    python benchmarks/classical.py NAME DATA.h5 --per-class 20 100 --draws 4 --label "each image its own" --strengths 0 1 --until 0.5

For every draw of training images one classifier for each strength, 0 being none, nothing tuned; scores are balanced accuracy
on images of DATA's training part that the draw left over, never on test images (of a set without a split, on all that the draw left over: any of these
is a test image in some repeat of a protocol). A change of the augmentation is compared by running
this before and after it, each with its own label. Rows that are in the file already are not made again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import _environment
import numpy
import torch

import augmentgan as ag
from augmentgan.data.images import TRAIN
from augmentgan.data.load import facts
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import Setting, probabilities_of, train_classifier
from augmentgan.evaluate.scores import score

CPU = torch.device("cpu")
HELD_OUT_PER_CLASS = 400


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("--per-class", type=int, nargs="+", required=True)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--flips", action="store_true", help="half of the images mirrored")
    parser.add_argument(
        "--rare", type=int, default=0, help="images of half of the classes, drawn by draw; classes then come up evenly"
    )
    parser.add_argument("--until", type=float, default=0.5, help="part of the steps that it is in")
    parser.add_argument("--label", required=True)
    wish = parser.parse_args()

    rows: list[dict[str, Any]] = _environment.so_far(wish.name).get("rows", [])
    what = ("data", "label", "per_class", "rare", "draw", "strength", "flips", "until")
    known = {tuple(row[key] for key in what) for row in rows}
    data = ag.load(wish.data).part(TRAIN)
    for per_class in wish.per_class:
        for draw in range(wish.draws):
            real, held_out, rare = drawn(data, per_class, wish.rare, draw)
            recipe = ag.Recipe().with_settings([f"benchmark.classic_until={wish.until}"])
            section = recipe.resolve(facts(real)).benchmark
            for strength in wish.strengths:
                setting = Setting(strength=strength, flips=wish.flips)
                # without augmentation all labels are one
                label, until = (wish.label, wish.until) if setting.augments else ("", 0.0)
                if (wish.data.name, label, per_class, wish.rare, draw, strength, wish.flips, until) in known:
                    continue
                words = ["real", *(["oversampling"] if wish.rare else []), *(["classic"] if setting.augments else [])]
                arm = Arm("+".join(words))
                network = train_classifier(arm, real, real.subset([]), section, section.steps, draw, CPU, setting)
                scored = score(probabilities_of(network, held_out), held_out.labels)
                row = {"data": wish.data.name, "label": label, "per_class": per_class, "rare": wish.rare, "draw": draw}
                figures = {"strength": strength, "flips": wish.flips, "until": until}
                figures["balanced_accuracy"] = scored["balanced_accuracy"]
                if wish.rare:
                    figures["recall_of_rare"] = statistics.mean(
                        recall for k in rare if (recall := scored["recall_per_class"][k]) is not None
                    )
                rows.append({**row, **figures})
                print(rows[-1], flush=True)
                _environment.extend(wish.name, rows=rows)


def drawn(
    data: ag.LabelledImages, per_class: int, rare: int, seed: int
) -> tuple[ag.LabelledImages, ag.LabelledImages, list[int]]:
    """A training draw, up to `HELD_OUT_PER_CLASS` images a class of what it left over, and the classes that have `rare` images if any have."""
    random = numpy.random.default_rng(1000 + seed)
    shuffled = [random.permutation(numpy.flatnonzero(data.labels == label)) for label in range(data.n_classes)]
    few = random.permutation(data.n_classes)[: data.n_classes // 2].tolist() if rare else []
    learned = [rows[: rare if label in few else per_class] for label, rows in enumerate(shuffled)]
    left = [rows[per_class : per_class + HELD_OUT_PER_CLASS] for rows in shuffled]
    real, held_out = (data.subset(numpy.sort(numpy.concatenate(rows))) for rows in (learned, left))
    return real, held_out, few


if __name__ == "__main__":
    main()
