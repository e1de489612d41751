"""How often p values fall below a level where two arms do not differ: benchmarks/results/false-alarms.json.

    python benchmarks/false_alarms.py [--draws 24000]

Arms are made up as in tests/evaluate/test_statistics.py: right or wrong at 128 test images that all repeats share, with luck of the image,
of the repeat and of the arm, and no effect.
"""

from __future__ import annotations

import argparse

import _environment
import numpy as np

from augmentgan.evaluate.statistics import Correctness, paired_difference

REPEATS = (2, 3, 5)
LEVELS = (0.05, 0.01, 0.001)
LABELS = np.repeat(np.arange(4), [60, 40, 20, 8])


def main() -> None:
    """Count at every number of repeats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=24_000)
    wish = parser.parse_args()
    random, shares = np.random.default_rng(1), {}
    for n_repeats in REPEATS:
        p_values = np.array([_p_value(random, n_repeats) for _ in range(wish.draws)])
        shares[str(n_repeats)] = {str(level): float((p_values < level).mean()) for level in LEVELS}
        print(f"{n_repeats} repeats: {shares[str(n_repeats)]}", flush=True)
    _environment.write("false-alarms", {**_environment.describe(), "draws": wish.draws, "share_below": shares})


def _p_value(random: np.random.Generator, n_repeats: int) -> float:
    n = len(LABELS)
    difficulty = random.normal(1.0, 1.0, n)
    arms = []
    for _ in range(2):
        taste, seed = random.normal(0, 0.3, n), random.normal(0, 0.4, (n_repeats, 1))
        right = difficulty + taste + seed + random.normal(0, 0.5, (n_repeats, n)) > 0
        arms.append([Correctness(row, LABELS, np.arange(n)) for row in right])
    return paired_difference(*arms, balanced=False).p_value


if __name__ == "__main__":
    main()
