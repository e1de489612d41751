"""What validation promised of samples, and what test images gave: a protocol's finished parts, read again.

    python benchmarks/validation_bias.py NAME --work FOLDER/CASE [FOLDER/CASE ...]

Settings are chosen on validation images that the generator has learned from. Here, for each training draw of balanced cases of
benchmarks/protocol.py (--work names their folders, as it left them, also unfinished ones), is the gain of the chosen share of samples over none, all else equal, on validation images (in
classifiers of half the training draw and half the steps), beside the gain on test images. Draws that cannot be told so are named, with the reason. Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import _environment
import numpy as np

from augmentgan.evaluate.arms import Arm, has_even_classes
from augmentgan.evaluate.classifier import Setting
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.piece import part_name
from augmentgan.evaluate.tuning import simplest
from augmentgan.gan.run_info import read_info
from augmentgan.names import FITS_FOLDER, PROTOCOL_FILE, RUN_FILE

ARMS = (Arm("real+synthetic"), Arm("real+classic+synthetic"))


class CannotTellError(Exception):
    """Why nothing can be said of a draw and arm."""


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, nargs="+", required=True)
    wish = parser.parse_args()
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    for folder in wish.work:
        parts = parts_of(folder)
        for draw, counts in draws_of(folder):
            for arm in ARMS:
                try:
                    rows.append({"case": case_of(folder), **row_of(parts, draw, counts, arm)})
                except CannotTellError as why:
                    left_out.append({"case": case_of(folder), "draw": draw, "arm": arm.name, "because": str(why)})
    for case, size, arm in dict.fromkeys((row["case"], row["train_per_class"], row["arm"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["train_per_class"], row["arm"]) == (case, size, arm)]
        means = [statistics.mean(row[which] for row in mine) for which in ("validation", "test")]
        print(f"{case} {size} {arm}: n={len(mine)}, validation {100 * means[0]:+.1f}, test {100 * means[1]:+.1f}")
    print(f"{len(left_out)} left out")
    for each in left_out:
        print("  {case} {draw} {arm}: {because}".format(**each))
    _environment.write(wish.name, {**_environment.describe(), "rows": rows, "left_out": left_out})


def parts_of(folder: Path) -> FinishedParts:
    """What a benchmark from scratch has finished in its folder."""
    return FinishedParts(folder, _protocol(folder))


def case_of(folder: Path) -> str:
    """Its name in the table."""
    return folder.name + (", cross-fitted" if _protocol(folder)["recipe"]["benchmark"].get("cross_fit") else "")


def draws_of(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The names of the training draws that have a generator, and their images a class (k,)."""
    for path in sorted((folder / FITS_FOLDER).glob(f"*-r*/{RUN_FILE}")):
        if "-fold" not in path.parent.name:  # what is left of a draw without a fold has a generator of its own
            yield path.parent.name, np.array(read_info(path.parent)["counts"]["train"])


def row_of(parts: FinishedParts, draw: str, counts: np.ndarray, arm: Arm) -> dict[str, Any]:
    """The row of a draw and arm.

    Raises:
        CannotTellError: something is not finished, or there is nothing to compare.
    """
    if not has_even_classes(counts):
        raise CannotTellError("classes are uneven, so that accuracy over all validation images is not balanced")
    rival = arm.without_synthetic(imbalanced=False)
    assert rival, "it has real images"
    with_samples, without = (_tested(parts, draw, each) for each in (arm, rival))
    setting, theirs = (Setting(**row["setting"]) for row in (with_samples, without))
    if replace(theirs, share=setting.share) != setting:
        raise CannotTellError(f"{arm.name} and {rival.name} chose different settings beside the share")
    promised, of_none = (_promised(parts, draw, arm, replace(setting, share=each)) for each in (setting.share, 0.0))
    return {
        "train_per_class": with_samples["train_per_class"],
        "repeat": with_samples["repeat"],
        "arm": arm.name,
        "share": setting.share,
        "validation": promised - of_none,
        "test": with_samples["balanced_accuracy"] - without["balanced_accuracy"],
    }


def _tested(parts: FinishedParts, draw: str, arm: Arm) -> dict[str, Any]:
    """The row of an arm on test images."""
    kept = parts.get(part_name(draw, arm, imbalanced=False))
    if kept is None:
        raise CannotTellError(f"{arm.name} is not finished")
    row: dict[str, Any] = kept["row"]
    return row


def _promised(parts: FinishedParts, draw: str, arm: Arm, setting: Setting) -> float:
    """Accuracy on validation images; it is kept under the name of what the arm comes down to with that setting."""
    candidate = simplest(arm, setting, imbalanced=False, even=True)
    right = parts.get(f"{draw}-tuning-{candidate.arm.name}-{candidate.setting}")
    if right is None:
        raise CannotTellError(f"no validation score of {candidate.arm.name} with {candidate.setting}")
    return float(np.mean(right))


def _protocol(folder: Path) -> dict[str, Any]:
    """Everything that the parts depend on."""
    key: dict[str, Any] = json.loads((folder / PROTOCOL_FILE).read_text(encoding="utf-8"))
    return key


if __name__ == "__main__":
    main()
