"""How the figures of `augmentgan evaluate` change with the number of samples that are judged.

    python benchmarks/sample_count.py DATA.h5 NAME FITS [--seeds 3] [--per-class 200 1000]

FITS names finished generators, see `ablation.finished`. The classifiers are those of the other tables: of one seed, all rows have the same
judges. Writes benchmarks/results/NAME.json; rows that are in it are not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import _environment
from ablation import finished, show, summary

import augmentgan as ag
from augmentgan.evaluate.evaluation import Judges


def main() -> None:
    """Judge each generator's samples, few of them and many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument(
        "fits", type=Path, help="finished generators: a protocol's FOLDER/SIZE, or a folder of runs by seed"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per-class", type=int, nargs="+", default=[200, 1000])
    wish = parser.parse_args()

    path = Path(__file__).parent / "results" / f"{wish.name}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    data = _environment.load(wish.data, ag.Recipe())
    for seed in range(wish.seeds):
        made = {row["variant"] for row in rows if row["seed"] == seed}
        missing = [n for n in wish.per_class if name_of(n) not in made]
        if not missing:
            continue
        run, test = finished(data, wish.fits, seed)
        judges = Judges(run.train, test, run.recipe, seed=seed)
        for n in missing:
            found = judges(run.generate(n)).to_json()
            row = {"variant": name_of(n), "seed": seed, "fit_s": run.events()[-1]["seconds"], **found}
            print(name_of(n), seed, {key: round(value, 3) for key, value in summary(row).items()}, flush=True)
            rows.append(row)
            _environment.write(path, {**_environment.describe(), "data": wish.data.name, "rows": rows})
    for n in wish.per_class:
        show([row for row in rows if row["variant"] == name_of(n)])


def name_of(per_class: int) -> str:
    """The variant of a row."""
    return f"{per_class} a class"


if __name__ == "__main__":
    main()
