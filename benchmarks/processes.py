"""One process with all cores against one process a core: generator updates and classifier steps a second, JSON and a line each.

    python benchmarks/processes.py [--seconds 8] [--rounds 5] [--name processes-cpu]

What it decides: whether a benchmark of many small trainings goes faster as `torchrun --nproc-per-node CORES` with one thread each.
The two ways take turns; a round's ratio is one process a core over one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import _environment
import numpy as np
import torch

import augmentgan as ag
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import train_classifier
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

SIZE_PX, N_CLASSES, PER_CLASS = 28, 10, 20


def main() -> None:
    """Measure both ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="processes-cpu")
    parser.add_argument("--work", choices=("updates", "classifier steps"), help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.work:
        print(rate(wish.work, wish.start, wish.seconds))
        return
    cores = os.cpu_count() or 1
    found: dict[str, dict[str, list[float]]] = {}
    for work in ("updates", "classifier steps"):
        ways: dict[str, list[float]] = {"one process": [], "one process a core": []}
        for _ in range(wish.rounds):
            ways["one process"].append(together(work, 1, cores, wish.seconds))
            ways["one process a core"].append(together(work, cores, 1, wish.seconds))
        ratios = [many / one for one, many in zip(*ways.values(), strict=True)]
        found[work] = {**ways, "ratio": ratios}
        print(f"{work:18} {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})", ways, flush=True)
    path = Path(__file__).parent / "results" / f"{wish.name}.json"
    _environment.write(path, {**_environment.describe(), "a_second": found})


def together(work: str, n_processes: int, n_threads: int, seconds: float) -> float:
    """Work a second of all processes, which start to count at the same moment."""
    start = time.time() + 15
    command = [sys.executable, __file__, "--work", work, "--start", str(start), "--seconds", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(n_processes)
    ]
    return sum(float(process.communicate()[0]) for process in running)


def rate(work: str, start: float, seconds: float) -> float:
    """This process's work a second, warmed up before `start`."""
    pixels = np.random.default_rng(0).integers(0, 256, (N_CLASSES * PER_CLASS, SIZE_PX, SIZE_PX, 1), dtype=np.uint8)
    data = ag.LabelledImages(pixels, np.arange(len(pixels)) % N_CLASSES, tuple("0123456789"))
    recipe = ag.Recipe().resolve(DataFacts(SIZE_PX, 1, len(data), N_CLASSES))
    if work == "updates":
        step = Trainer(recipe, data, 0, torch.device("cpu")).update
        per_call = 1
    else:
        per_call = 20

        def step() -> None:
            train_classifier(
                Arm("real+classic"), data, data.subset([]), recipe.benchmark, per_call, 0, torch.device("cpu")
            )

    while time.time() < start - 1:
        step()
    if time.time() > start:
        raise SystemExit("the machine was too slow to warm up")
    time.sleep(max(0.0, start - time.time()))
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        step()
        done += per_call
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
