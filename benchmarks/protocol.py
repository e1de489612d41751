"""The full protocol on a real set, from scratch; the JSON behind the tables of README and docs/experiments.md.

    python benchmarks/protocol.py CASE --data FOLDER --work FOLDER [--repeats 5] [--processes 2] [--max-time 1800]

CASE is one of those below, FOLDER of --data holds the sets as HDF5, FOLDER of --work keeps generators and classifiers: interrupted
or out of time, the same command continues where it stopped. Writes benchmarks/results/protocol-NAME.json when it is whole, NAME being CASE (or CASE-CLASSIFIER) unless --name says otherwise, with the time
that it took where it was made in one go.
"""

from __future__ import annotations

import argparse
import resource
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _environment

import augmentgan as ag
from augmentgan.evaluate.arms import ARMS
from augmentgan.evaluate.scores import METRICS


@dataclass(frozen=True)
class Case:
    """A set, how much of it is drawn, and how unevenly."""

    data: str
    train_per_class: list[int] | None = None
    imbalance: str | None = None
    arms: list[str] | None = None


REPEATS = 5
BLENDED = [*ARMS, "real+classic+mixup", "real+classic+cutmix", "real+classic+mixup+synthetic"]
CASES = {
    "mnist": Case("mnist.h5", [20, 50, 100], arms=BLENDED),
    "mnist-20": Case("mnist.h5", [20]),  # one size alone, where time is short: the same draws as in all three
    "fashion_mnist-20": Case("fashion_mnist.h5", [20]),
    "fashion_mnist-50": Case("fashion_mnist.h5", [50]),
    "fashion_mnist-100": Case("fashion_mnist.h5", [100]),
    "fashion_mnist": Case("fashion_mnist.h5", [20, 50, 100], arms=BLENDED),
    "sign_digits": Case("sign_digits.h5", [50]),
    "wbc": Case("wbc.h5"),
    "trashnet": Case("trashnet.h5"),
    "hymenoptera": Case("hymenoptera.h5"),
    "pneumonia_mnist-50": Case("pneumonia_mnist.h5", [50]),
    "mnist-step": Case("mnist.h5", [200], "step:50:1"),
    "fashion_mnist-step": Case("fashion_mnist.h5", [200], "step:50:1"),
    "mnist-long-tail": Case("mnist.h5", [200], "long-tail:100:1"),
    "fashion_mnist-long-tail": Case("fashion_mnist.h5", [200], "long-tail:100:1"),
}


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--processes", type=int, default=1, help="repeats at once, a core each")
    parser.add_argument("--classifier")
    parser.add_argument("--arms", help="only these, separated by commas")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--name", help="of the result and its folder: CASE, or CASE-CLASSIFIER, where left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-time", type=float, help="stop after so many seconds; the same command continues")
    wish = parser.parse_args()

    if wish.name is None and (wish.settings or wish.seed or wish.arms or wish.repeats != REPEATS):
        parser.error("--set, --seed, --arms and --repeats make another result than the case's: give it a --name")
    case = CASES[wish.case]
    recipe = ag.load_recipe(None, wish.settings)
    data = _environment.load(wish.data / case.data, recipe)
    name = wish.name or (wish.case if wish.classifier is None else f"{wish.case}-{wish.classifier}")
    if wish.max_time:
        # an interruption is safe at any moment, so a timer may press Ctrl-C
        timer = threading.Timer(wish.max_time, signal.raise_signal, [signal.SIGINT])
        timer.daemon = True
        timer.start()
    in_one_go = not (wish.work / name).exists()
    started = time.perf_counter()
    report = ag.run_benchmark(
        data,
        recipe=recipe,
        out=wish.work / name,
        repeats=wish.repeats,
        arms=wish.arms.split(",") if wish.arms else case.arms,
        train_per_class=case.train_per_class,
        imbalance=case.imbalance,
        classifier=wish.classifier,
        seed=wish.seed,
        processes=wish.processes,
        on_row=lambda row: print(
            row.train_per_class, row.repeat, row.arm, row.setting, row.balanced_accuracy, flush=True
        ),
    )
    taken = {"processes": wish.processes, "wall_s": round(time.perf_counter() - started), "processor_s": processor_s()}
    document = report.to_json()
    document["protocol"].pop("folder")
    result = {**_environment.describe(), "data": case.data, "summary": summary(report), "benchmark": document}
    if in_one_go:
        result["taken"] = taken
    _environment.write(f"protocol-{name}", result)
    print(report.verdict.text)


def processor_s() -> int:
    """Processor time of this process and of its workers, in seconds: what other work beside them does not change much."""
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(each.ru_utime + each.ru_stime for each in of))


def summary(report: ag.BenchmarkReport) -> dict[str, Any]:
    """Mean and standard deviation of every figure of every arm at every size."""
    return {
        str(size): {
            metric: {arm: {"mean": mean, "sd": spread} for arm, (mean, spread) in report.summary(metric, size).items()}
            for metric in METRICS
        }
        for size in report.train_per_class
    }


if __name__ == "__main__":
    main()
