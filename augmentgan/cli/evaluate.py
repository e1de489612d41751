"""`augmentgan evaluate`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from augmentgan.cli.options import DeviceOption, JsonOption, QuietOption, RunOption, SeedOption, open_run, say
from augmentgan.names import EVALUATE_FILE, NEAREST_FILE

if TYPE_CHECKING:
    from augmentgan.evaluate.evaluation import Evaluation

_MOST = 20


def evaluate(
    run: RunOption = None,
    per_class: Annotated[
        int | None, typer.Option(metavar="N", help="Samples a class to judge (default: 200, fewer of many classes).")
    ] = None,
    seed: SeedOption = 0,
    features: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Features that distances are taken on: classifier (it learns from your images), pretrained (needs the extra pretrained) or inception (needs the extra fidelity).",
        ),
    ] = "classifier",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say how good the samples are. Fidelity, coverage, collapse, labels, near copies."""
    from augmentgan.cli.display import progress
    from augmentgan.evaluate.arms import is_imbalanced
    from augmentgan.evaluate.evaluation import evaluate_run, n_classifiers

    opened = open_run(run, device)
    with progress(n_classifiers(opened), "classifiers", quiet=quiet) as advance:
        result = evaluate_run(opened, per_class=per_class, device=device, seed=seed, features=features, on_step=advance)
    if as_json:
        typer.echo(json.dumps({**result.to_json(), "generator": opened.generator_version}))
        return
    lines = _lines(result)
    if is_imbalanced(opened.train.counts):
        lines.append(
            "training images are uneven over the classes: distances are taken with samples in the same proportions, and in classes of "
            "three images or so some near copies are missed"
        )
    for line in lines:
        say(line)
    say(f"written: {opened.folder / EVALUATE_FILE}, {opened.folder / NEAREST_FILE}")


def _lines(found: Evaluation) -> list[str]:
    from augmentgan.evaluate.copies import ENOUGH_HELD_OUT
    from augmentgan.evaluate.extractors import EXTRACTORS

    # these names mean Inception's features and no others
    on_inception = found.features == EXTRACTORS["inception"]
    frechet, kernel = ("FID", "KID") if on_inception else ("frechet distance", "kernel distance")
    told = found.memorised_fraction is not None
    of_copies = (
        "1 % is what held-out real images give"
        if told
        else f"{ENOUGH_HELD_OUT} held-out test images are needed to tell"
    )
    lines = [
        f"{found.n_samples} samples against the training images; features: {found.features}",
        f"{frechet:18} {found.frechet_distance:.3f}   (0: alike)",
        f"{kernel:18} {found.kernel_distance:.4f}   (0: alike)",
        f"precision, recall  {found.precision:.2f}, {found.recall:.2f}   (1: plausible; 1: every real image within reach)",
        f"density, coverage  {found.density:.2f}, {found.coverage:.2f}   (1 and 1: alike)",
        f"label agreement    {_percent(found.label_agreement)}   (classifiers of real images see the class asked for)",
        f"near copies        {_percent(found.memorised_fraction)}   ({of_copies})",
        f"accuracy           {_percent(found.synthetic_only_accuracy)} trained on {found.n_samples_learned} samples alone, "
        f"{_percent(found.real_only_accuracy)} on the real images (balanced, test images)",
    ]
    width = max(len("class"), *(len(name) for name in found.class_names))
    lines.append(f"{'class':{width}}   div  near  label agreement   (div 1: as varied as real; near 0: copies)")
    order = sorted(range(len(found.class_names)), key=lambda label: _unknown_last(found.diversity_per_class[label]))[
        :_MOST
    ]
    for label in sorted(order):
        div, near = (_figure(each[label]) for each in (found.diversity_per_class, found.near_per_class))
        agreement = _percent(found.label_agreement_per_class[label])
        lines.append(f"{found.class_names[label]:{width}}  {div}  {near}  {agreement}")
    if len(found.class_names) > _MOST:
        lines.append(f"the {_MOST} least varied of {len(found.class_names)} classes; --json has all")
    return lines


def _unknown_last(value: float | None) -> float:
    return math.inf if value is None else value


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _figure(value: float | None) -> str:
    return "   ?" if value is None else f"{value:4.2f}"
