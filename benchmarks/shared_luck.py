"""How much wider intervals of protocols get by the training images that their repeats share, where these were reported before that was allowed for.

    python benchmarks/shared_luck.py --data FOLDER

FOLDER holds the sets as HDF5. For every case of benchmarks/protocol.py whose set brings its own split: the correlation of two repeats
in the luck of their training images, as `evaluate.statistics.training_overlap_correlation` finds it in the very draws, and an upper bound on the interval and p of the verdict's pair:
the variance of the repeats is taken for all of the variance. p is that of Student's t with the degrees of freedom that agree with the interval
and the p of the report. Writes benchmarks/results/shared-luck.json.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import _environment
from protocol_tables import adjusted_over_sizes, cases, p_values
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

import augmentgan as ag
from augmentgan.data.draws import draws_of, parse_imbalance
from augmentgan.evaluate.statistics import training_overlap_correlation


def main() -> None:
    """Bound every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    wish = parser.parse_args()
    rows = [row for case, result in cases() for row in _bounds(case, result, wish.data)]
    bounded = {(row["case"], str(row["train_per_class"])): row["p_at_most"] for row in rows}
    adjusted = adjusted_over_sizes(p_values() | bounded)
    for row in rows:
        row["p_over_sizes_at_most"] = adjusted[row["case"], str(row["train_per_class"])]
        low, high = (100 * each for each in row["ci95_at_most"])
        print(
            f"{row['case']:24} {row['train_per_class']:4}  {100 * row['shared']:.1f} % shared, at most {100 * (row['widening_at_most'] - 1):.1f} % wider: "
            f"{low:+.1f} to {high:+.1f}, p {row['p_over_sizes_at_most']:.3f}"
        )
    _environment.write("shared-luck", {**_environment.describe(), "rows": rows})


def _bounds(case: str, result: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    document = result["benchmark"]
    protocol, verdict = document["protocol"], document["verdict"]
    if protocol["split"] != "the data's own" or "shared_training_images" in protocol:
        return []
    sizes = protocol["sizes"]["train_per_class"]
    data = _environment.load(folder / result["data"], ag.Recipe())
    draws = list(
        draws_of(
            data,
            sizes,
            protocol["repeats"],
            test_fraction=ag.Recipe().data.test_fraction,
            imbalance=parse_imbalance(protocol["imbalance"]) if protocol["imbalance"] else None,
            seed=protocol["seed"],
        )
    )
    found = []
    for k, size in enumerate(sizes):
        pair = next(
            each
            for each in document["comparisons"]
            if (each["arm"], each["baseline"], each["train_per_class"], each["metric"])
            == (verdict["arm"], verdict["baseline"], size, "balanced_accuracy")
        )
        shared = training_overlap_correlation([draw.train for draw in draws[k :: len(sizes)]], data.labels)
        widening = math.sqrt(1 + protocol["repeats"] * shared / (1 - shared))
        mean, (low, high) = pair["mean_difference"], pair["ci95"]
        found.append(
            {
                "case": case,
                "train_per_class": size,
                "arm": pair["arm"],
                "baseline": pair["baseline"],
                "shared": shared,
                "widening_at_most": widening,
                "ci95_at_most": [mean + (end - mean) * widening for end in (low, high)],
                "p_at_most": _widened_p(mean, (high - low) / 2, pair["p_value"], widening),
            }
        )
    return found


def _widened_p(mean: float, reach: float, p: float, widening: float) -> float:
    """The p of an interval so much wider, of Student's t with the degrees of freedom that give this p to this interval."""

    def p_with(freedom: float, widened: float = 1.0) -> float:
        return float(2 * stdtr(freedom, -abs(mean) / (reach * widened) * stdtrit(freedom, 0.975)))

    freedom = brentq(lambda each: p_with(each) - p, 0.5, 1e6)
    return p_with(freedom, widening)


if __name__ == "__main__":
    main()
