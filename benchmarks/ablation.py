"""One change at a time, several seeds: how the samples differ, as rows of benchmarks/results/NAME.json.

    python benchmarks/ablation.py DATA.h5 NAME --recipe scarce-20 --seeds 3 --variant "base" \
        --variant "noise 0.3: coverage.latent_noise=0.3"

Each row is a generator: training images drawn by its seed, judged by `evaluation.Evaluator` (test images only for accuracies and
for the distance of held-out images); generators of one seed have the same training images and the same evaluator. With --development the seed's test images are left out first, and
other images are held out in their place, so that a setting can be chosen by these figures without a look at test images. Variants of which only
model.truncation differs, which says how samples are drawn, share a generator. With --imbalance (and --per-class) the training images are drawn
unevenly, as a benchmark draws them; --keep leaves the generators in a folder, for benchmarks/mixing.py. Rows that are in the file already are not made again, so a sweep can
run in pieces. With --fits each seed has a finished run, see `finished`: a variant without settings is that run, one of which only training.updates
differs makes a copy of it longer, any other learns anew from the same images.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import _environment
import numpy as np

import augmentgan as ag
from augmentgan.data.draws import Imbalance, draw_training, draws_of, parse_imbalance
from augmentgan.data.images import TEST, TRAIN
from augmentgan.data.split import split_rows
from augmentgan.evaluate.evaluation import Evaluator, samples_to_judge


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument("--recipe")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variant", action="append", required=True, dest="variants", help="NAME[: SETTING ...]")
    parser.add_argument(
        "--fits", type=Path, help="finished generators: a protocol's FOLDER/SIZE, or a folder of runs by seed"
    )
    parser.add_argument("--development", action="store_true", help="hold out images that are no test images")
    parser.add_argument("--imbalance", type=parse_imbalance, help="such as step:50:1")
    parser.add_argument("--per-class", type=int, help="images of the largest class, with --imbalance")
    parser.add_argument("--keep", type=Path, help="folder for the generators: KEEP/VARIANT/SEED")
    wish = parser.parse_args()
    if wish.per_class and not wish.imbalance:
        parser.error("--per-class belongs to --imbalance; alone it is --set data.train_per_class=N")
    if wish.fits and (wish.imbalance or wish.recipe):
        parser.error("--fits brings draws and recipes of its own")
    if wish.fits and not all(setting.startswith("data.") for setting in wish.settings):
        parser.error("with --fits only --set data.KEY=VALUE plays a part, in how images are loaded")
    if any(" data." in f" {variant.partition(':')[2]}" for variant in wish.variants):
        parser.error("variants of one seed learn from the same images; say --set data.KEY=VALUE for all of them")

    rows: list[dict[str, Any]] = _environment.so_far(wish.name).get("rows", [])
    base = ag.load_recipe(wish.recipe, wish.settings)
    data = _environment.load(wish.data, base)
    for seed in range(wish.seeds):
        evaluator: Evaluator | None = None
        made: dict[str, ag.Run] = {}
        offered = without_test(data, base, seed) if wish.development and not wish.fits else data
        if wish.imbalance:
            offered = unevenly(offered, base, wish.per_class, wish.imbalance, seed)
        with contextlib.ExitStack() as stack:
            scratch = wish.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for variant in wish.variants:
                name, _, settings = variant.partition(":")
                if any((row["variant"], row["seed"]) == (name, seed) for row in rows):
                    continue
                recipe = base.with_settings(settings.split())
                plain = recipe.with_settings(["model.truncation=1"])
                key, folder = plain.model_dump_json(), scratch / name.replace(" ", "-") / str(seed)
                if wish.fits:
                    kept, test = finished(data, wish.fits, seed)
                    run = made[key] = made.get(key) or varied(kept, settings.split(), folder)
                    test = _environment.unused(data, kept, test) if wish.development else test
                else:
                    run = made[key] = made.get(key) or ag.fit(offered, plain, folder, seed=seed)
                    test = run.test
                run.generator.truncation = recipe.model.truncation
                evaluator = evaluator or Evaluator(run.train, test, run.recipe, seed=seed)
                row = {
                    "variant": name,
                    "settings": settings.split(),
                    "seed": seed,
                    "fit_s": run.events()[-1]["seconds"],
                    **evaluator(*samples_to_judge(run)).to_json(),
                }
                print(name, seed, {key: round(value, 3) for key, value in summary(row).items()}, flush=True)
                rows.append(row)
                _environment.extend(wish.name, data=wish.data.name, base=wish.settings, rows=rows)
    for variant in wish.variants:
        show([row for row in rows if row["variant"] == variant.partition(":")[0]])


def without_test(data: ag.LabelledImages, recipe: ag.Recipe, seed: int) -> ag.LabelledImages:
    """What a fit with this seed would learn from or leave unused, as a set without a split of its own."""
    split = split_rows(data, test_fraction=recipe.data.test_fraction, seed=seed)
    return dataclasses.replace(data.subset(split.train), split=None)


def unevenly(
    data: ag.LabelledImages, recipe: ag.Recipe, per_class: int | None, imbalance: Imbalance, seed: int
) -> ag.LabelledImages:
    """A split set whose training part is drawn as a benchmark of imbalance draws it."""
    split = split_rows(data, test_fraction=recipe.data.test_fraction, seed=seed)
    train = draw_training(data.labels, split.train, data.n_classes, per_class, imbalance, seed)
    marks = np.repeat([TRAIN, TEST], [len(train), len(split.test)])
    return dataclasses.replace(data.subset(np.concatenate([train, split.test])), split=marks)


def finished(data: ag.LabelledImages, fits: Path, seed: int) -> tuple[ag.Run, ag.LabelledImages]:
    """A generator that was made before, and the images that it held out.

    `fits` is the folder of a variant that --keep wrote, with a run a seed, or FOLDER/SIZE of a protocol of seed 0, such as mnist/fits/20,
    for the runs mnist/fits/20-r0, 20-r1, ...
    """
    if fits.is_dir():
        kept = ag.Run(fits / str(seed))
        return kept, kept.test
    run = ag.Run(fits.with_name(f"{fits.name}-r{seed}"))
    fraction = ag.Recipe().data.test_fraction
    *_, draw = draws_of(data, [int(fits.name)], seed + 1, test_fraction=fraction)
    assert data.subset(draw.train).counts.tolist() == run.train.counts.tolist()
    return run, data.subset(draw.test)


def varied(run: ag.Run, settings: list[str], folder: Path) -> ag.Run:
    """The run itself, a copy of it made longer, or what other settings learn from its images."""
    settings = [each for each in settings if not each.startswith("model.truncation=")]
    if not settings:
        return run
    if all(each.startswith("training.updates=") for each in settings) and not folder.exists():
        shutil.copytree(run.folder, folder)
    recipe = ag.Recipe.model_validate(run.recipe.model_dump()).with_settings(settings)
    return ag.fit(run.data, recipe, folder, seed=run.seed, as_marked=True)


def summary(row: dict[str, Any]) -> dict[str, float]:
    """The figures that are printed."""
    known = [value for value in row["diversity_per_class"] if value is not None]
    figures = {"div": statistics.mean(known), "div_worst": min(known)}
    figures["near"] = statistics.mean(value for value in row["near_per_class"] if value is not None)
    for key in ("label_agreement", "memorised_fraction", "frechet_distance", "precision", "recall"):
        figures[key] = row[key] if row[key] is not None else float("nan")
    if row["synthetic_only_accuracy"] is not None:
        figures["synthetic_only"] = row["synthetic_only_accuracy"]
        figures["over_real"] = row["synthetic_only_accuracy"] / row["real_only_accuracy"]
    figures["fit_s"] = row["fit_s"]
    return figures


def show(rows: list[dict[str, object]]) -> None:
    """Means over the seeds."""
    if rows:
        figures = [summary(row) for row in rows]
        means = {key: statistics.mean(each[key] for each in figures) for key in figures[0]}
        print(f"{rows[0]['variant']:24} n={len(rows)}", " ".join(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
