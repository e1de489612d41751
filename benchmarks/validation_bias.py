"""What validation promised of samples, and what test images gave: a protocol's finished parts, read again.

    python benchmarks/validation_bias.py NAME --work FOLDER/CASE [FOLDER/CASE ...]

Settings are chosen on validation images that the generator has learned from. Here, for each training draw of balanced cases of
benchmarks/protocol.py (--work names their folders, as it left them, also unfinished ones), is the gain of the chosen share of samples over none, all else equal, on validation images (in
classifiers of half the training draw and half the steps), beside the gain on test images. Writes benchmarks/results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import Any

import _environment
import numpy as np
from protocol import CASES

from augmentgan.evaluate.benchmark_folder import PROTOCOL_FILE
from augmentgan.evaluate.finished import PARTS_FOLDER

PAIRS = (("real+synthetic", "real"), ("real+classic+synthetic", "real+classic"))
SETTING = re.compile(
    r"(?P<draw>\w+-r\d+)-tuning-(?P<arm>\w+)-Setting_weight_decay_(?P<weight_decay>[\d.]+)__strength_(?P<strength>[\d.]+)"
    r"__share_(?P<share>[\d.]+)__flips_(?P<flips>\w+)_"
)


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, nargs="+", required=True)
    wish = parser.parse_args()
    rows = [row for folder in wish.work for row in rows_of(folder)]
    for case, size, arm in dict.fromkeys((row["case"], row["train_per_class"], row["arm"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["train_per_class"], row["arm"]) == (case, size, arm)]
        means = [statistics.mean(row[which] for row in mine) for which in ("validation", "test")]
        print(f"{case} {size} {arm}: n={len(mine)}, validation {100 * means[0]:+.1f}, test {100 * means[1]:+.1f}")
    _environment.write(wish.name, {**_environment.describe(), "rows": rows})


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """A row a draw and arm."""
    assert CASES[folder.name].imbalance is None, (
        "accuracy over all validation images is balanced only where classes are"
    )
    recipe = json.loads((folder / PROTOCOL_FILE).read_text())["recipe"]
    case = folder.name + (", cross-fitted" if recipe["benchmark"].get("cross_fit") else "")
    scores, tested = {}, {}
    for path in sorted((folder / PARTS_FOLDER).rglob("*.json")):
        value = json.loads(path.read_text())["value"]
        found = SETTING.fullmatch(path.stem)
        if found:
            key = (
                found["draw"],
                found["arm"],
                *map(float, found.group("weight_decay", "strength", "share")),
                found["flips"],
            )
            scores[key] = float(np.mean(value))
        elif isinstance(value, dict) and "row" in value:
            row = value["row"]
            tested[f"{row['train_per_class']}-r{row['repeat']}", row["arm"]] = row
    rows = []
    for draw in dict.fromkeys(draw for draw, _ in tested):
        for arm, rival in PAIRS:
            if not {(draw, arm), (draw, rival)} <= tested.keys():
                continue
            with_samples, without = (tested[draw, each] for each in (arm, rival))
            setting = with_samples["setting"]
            others = {key: setting[key] == without["setting"][key] for key in ("weight_decay", "strength", "flips")}
            # an arm that chose no augmentation was scored under a simpler name
            promised = [
                scores.get(
                    (
                        draw,
                        each.replace("+", "_"),
                        setting["weight_decay"],
                        setting["strength"] if "classic" in each else 0.0,
                        share,
                        str(setting["flips"] and "classic" in each),
                    )
                )
                for each, share in ((arm, setting["share"]), (rival, 0.0))
            ]
            if None not in promised and all(others.values()):
                rows.append(
                    {
                        "case": case,
                        "train_per_class": with_samples["train_per_class"],
                        "repeat": with_samples["repeat"],
                        "arm": arm,
                        "share": setting["share"],
                        "validation": promised[0] - promised[1],
                        "test": with_samples["balanced_accuracy"] - without["balanced_accuracy"],
                    }
                )
    return rows


if __name__ == "__main__":
    main()
