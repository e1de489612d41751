"""One process with all cores against one process a core: generator updates and classifier trainings a second, JSON and a line each.

    python benchmarks/processes.py [--seconds 4] [--rounds 5] [--name processes-cpu]

What it decides: whether a benchmark of many small trainings goes faster in workers with a core each (`augmentgan.evaluate.workers`).
"""

from __future__ import annotations

import argparse
import statistics

import _environment
import torch
from _worker import WARM_UP_STEPS, Answers, Worker, rate

import augmentgan as ag
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import train_classifier
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

SIZE_PX, N_CLASSES, PER_CLASS = 28, 10, 20
CLASSIFIER_STEPS = 10


def main() -> None:
    """Measure both ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="processes-cpu")
    wish = parser.parse_args()
    cores = torch.get_num_threads()
    ways = {
        "one process": [Worker(works, cores)],
        "one process a core": [Worker(works, 1) for _ in range(cores)],
    }
    found: dict[str, dict[str, list[float]]] = {}
    for work in ("updates", "classifier trainings"):
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(wish.rounds):
            for name, workers in ways.items():
                for worker in workers:
                    worker.set_to(work, wish.seconds)
                rates[name].append(sum(worker.answer() for worker in workers))
        ratios = [many / one for one, many in zip(*rates.values(), strict=True)]
        found[work] = {**rates, "ratio": ratios}
        print(f"{work:22} {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
    _environment.write(wish.name, {**_environment.describe(), "a_second": found})


def works(n_threads: int) -> Answers:
    """What a process can be set to, given for how many seconds; it answers how often a second it did it."""
    torch.set_num_threads(n_threads)
    device = torch.device("cpu")
    data = _environment.noise(N_CLASSES * PER_CLASS, SIZE_PX, 1, N_CLASSES)
    recipe = ag.Recipe().resolve(DataFacts(SIZE_PX, 1, len(data), N_CLASSES))
    trainer, arm = Trainer(recipe, data, 0, device), Arm("real+classic")

    def train() -> None:
        train_classifier(arm, data, data.subset([]), recipe.benchmark, CLASSIFIER_STEPS, 0, device)

    for _ in range(WARM_UP_STEPS):
        trainer.update()
    train()
    return {
        "updates": lambda seconds: rate(trainer.update, seconds, device)["steps_per_s"],
        "classifier trainings": lambda seconds: rate(train, seconds, device)["steps_per_s"],
    }


if __name__ == "__main__":
    main()
