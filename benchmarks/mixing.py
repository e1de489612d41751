"""How samples of finished runs should enter a classifier's training: rows of benchmarks/results/NAME.json.

    python benchmarks/mixing.py NAME DATA.h5 RUN [RUN ...] --seeds 3 --variant "share a quarter: synthetic_share=0.25" \
        --variant "until the end: synthetic_until=1"

Scores are balanced accuracy on images of DATA that are neither training nor test images of the run or of DATA itself, so that a policy can be
chosen here without a look at test images. Each variant (settings of the recipe's `benchmark` section) starts from the same first weights
as the rival without the samples. Rows that are in the file already are not made again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import _environment
import torch

import augmentgan as ag
from augmentgan.evaluate.arms import Arm, is_imbalanced, minority_classes
from augmentgan.evaluate.classifier import Setting, probabilities_of, train_classifier
from augmentgan.evaluate.scores import score
from augmentgan.evaluate.teachers import apply_policy
from augmentgan.sections import ResolvedBenchmarkSection

CPU = torch.device("cpu")


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arm", default="real+classic+synthetic")
    parser.add_argument(
        "--strength", type=float, default=1.0, help="of classical augmentation; a file holds rows of one"
    )
    parser.add_argument("--variant", action="append", default=[], dest="variants", help="NAME[: SETTING ...]")
    wish = parser.parse_args()

    rows: list[dict[str, Any]] = _environment.so_far(wish.name).get("rows", [])
    known = {(row["run"], row["arm"], row["variant"], row["seed"]) for row in rows}
    for folder in wish.runs:
        run = ag.Run(folder, "cpu")
        above = folder.parent.parent if folder.parent.name == "fits" else folder.parent
        label = f"{above.name}/{folder.name}"
        data = _environment.load(wish.data, run.recipe)
        if data.split is None and not len(run.test):
            parser.error(f"{label}: its test images are not known, and must not be among those that are scored on")
        validation = _environment.unused(data, run, run.test)
        imbalanced = is_imbalanced(run.train.counts)
        minority = minority_classes(run.train.counts).tolist()
        arm = Arm(wish.arm)
        samples = run.generate(run.recipe.benchmark.synthetic_per_class)
        sections = {
            variant.partition(":")[0]: _section(run, variant.partition(":")[2].split()) for variant in wish.variants
        }
        without = arm.without_synthetic(imbalanced=imbalanced)
        of_budget = {without_samples(section): of_real(section) for section in sections.values()}
        if any(of_real(section) != of_budget[without_samples(section)] for section in sections.values()):
            parser.error(
                "variants of one budget have one rival: change nothing else that it depends on, or use another NAME"
            )
        for seed in range(wish.seeds):
            rivals = {without_samples(section): section for section in sections.values()}
            for name, section in {**rivals, **sections}.items():
                each = without if name in rivals else arm
                if each is None or (label, each.name, name, seed) in known:
                    continue
                offered = apply_policy(run.train, samples, section, seed, CPU) if name in sections else samples
                setting = Setting(strength=wish.strength, share=section.synthetic_share)
                network = train_classifier(each, run.train, offered, section, section.steps, seed, CPU, setting)
                figures = score(probabilities_of(network, validation), validation.labels)
                of_minority = [recall for k in minority if (recall := figures["recall_per_class"][k]) is not None]
                rows.append(
                    {
                        "run": label,
                        "arm": each.name,
                        "variant": name,
                        "steps": section.steps,
                        "batch_images": section.batch_images,
                        "strength": wish.strength,
                        "seed": seed,
                        "balanced_accuracy": figures["balanced_accuracy"],
                        "minority_recall": statistics.mean(of_minority) if of_minority else None,
                    }
                )
                _environment.extend(wish.name, rows=rows)
        for name in [*sorted({without_samples(section) for section in sections.values()}), *sections]:
            show(label, name, rows)


def without_samples(section: ResolvedBenchmarkSection) -> str:
    """Name of the rival that sees real images alone, at the same budget."""
    usual = section.batch_images == ag.Recipe().benchmark.batch_images
    return f"without synthetic images, {section.steps} steps" + ("" if usual else f" of {section.batch_images}")


def of_real(section: ResolvedBenchmarkSection) -> dict[str, Any]:
    """What of a section the training on real images alone depends on."""
    return section.model_dump(include={"steps", "batch_images", "learning_rate", "classifier", "classic_until"})


def _section(run: ag.Run, settings: list[str]) -> ResolvedBenchmarkSection:
    """The run's `benchmark` section with other settings."""
    changed = run.recipe.with_settings([f"benchmark.{each}" for each in settings]).benchmark
    return ResolvedBenchmarkSection.model_validate(changed.model_dump())


def show(run: str, variant: str, rows: list[dict[str, Any]]) -> None:
    """Means over the seeds."""
    mine = [row for row in rows if row["run"] == run and row["variant"] == variant]
    words = []
    for arm in dict.fromkeys(row["arm"] for row in mine):
        for metric in ("balanced_accuracy", "minority_recall"):
            values = [row[metric] for row in mine if row["arm"] == arm and row[metric] is not None]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                words.append(f"{arm} {metric} {100 * statistics.mean(values):.2f} +- {100 * spread:.2f}")
    print(f"{run} {variant:28}", "; ".join(words), flush=True)


if __name__ == "__main__":
    main()
