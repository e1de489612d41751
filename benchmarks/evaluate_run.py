"""The figures of `augmentgan evaluate` for a run that is at hand: `python benchmarks/evaluate_run.py RUN NAME`."""

from __future__ import annotations

import argparse
from pathlib import Path

import _environment

import augmentgan as ag


def main() -> None:
    """Evaluate and write benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    wish = parser.parse_args()
    run = ag.Run(wish.run)
    result = {
        **_environment.describe(),
        "recipe": run.info["recipe"],
        "training": run.events()[-1],
        "evaluate": ag.evaluate_run(run).to_json(),
    }
    _environment.write(wish.name, result)


if __name__ == "__main__":
    main()
