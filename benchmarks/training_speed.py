"""Training throughput against a textbook loop in the same run; where a step's time goes.

    python benchmarks/training_speed.py [--rounds 5] [--name training-speed-cpu]

The counterpart is `benchmarks/textbook.py`; each loop has a process of its own (`benchmarks/_worker.py`). What both do in the
same time is set against what one large matrix product does on this machine: how much faster a loop could be at all.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Literal

import _environment
import torch
from _worker import WARM_UP_STEPS, Answers, Worker, rate
from textbook import Textbook

import augmentgan as ag
from augmentgan.gan.device import resolve_device
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

CASES: dict[str, tuple[int, Literal[1, 3]]] = {"28 px grey": (28, 1), "32 px RGB": (32, 3), "64 px RGB": (64, 3)}
PROFILED = 50
PRODUCT_SIDE = 2048
KERNELS = ("convolution", "addmm", "aten::mm", "bmm", "matmul")
KERNELS_CUDA = ("conv", "gemm", "xmma", "cutlass", "nvjet", "wgrad", "dgrad", "fprop")
"""Parts of the names of a GPU's kernels for convolutions and matrix products."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--name", default="training-speed-cpu")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", default=",".join(CASES))
    wish = parser.parse_args()
    device = str(resolve_device(wish.device))
    peak = Worker(products, device).ask("peak")
    print("one large matrix product: " + ", ".join(f"{name} {value:.0f} GFLOPS" for name, value in peak.items()))
    results = {}
    for case in wish.cases.split(","):
        ours, textbook = (Worker(loop_of, which, case, device) for which in ("ours", "textbook"))
        rounds = [(ours.ask("rate", wish.seconds), textbook.ask("rate", wish.seconds)) for _ in range(wish.rounds)]
        ratios = [mine["steps_per_s"] / theirs["steps_per_s"] for mine, theirs in rounds]
        results[case] = {
            "ours": [mine for mine, _ in rounds],
            "textbook": [theirs for _, theirs in rounds],
            "ratio": ratios,
            "median_ratio": statistics.median(ratios),
            "kernel_share": ours.ask("profile"),
            "gflop": {"ours": ours.ask("gflop"), "textbook": textbook.ask("gflop")},
            "arithmetic": {"ours": ours.ask("arithmetic"), "textbook": textbook.ask("arithmetic")},
        }
        mine, theirs = (statistics.median(1e3 / each[k]["steps_per_s"] for each in rounds) for k in (0, 1))
        share = results[case]["kernel_share"]
        print(
            f"{case:12} {mine:6.1f} ms/update, textbook {theirs:6.1f}, {statistics.median(ratios):.2f}x "
            f"({min(ratios):.2f} to {max(ratios):.2f}), convolutions and matrix products {100 * share['share']:.0f} %"
        )
        for which, ms in (("ours", mine), ("textbook", theirs)):
            arithmetic = results[case]["arithmetic"][which]
            done = 1e3 * results[case]["gflop"][which] / ms
            print(f"             {which}: {done:.0f} GFLOPS, {100 * done / peak[arithmetic]:.0f} % of {arithmetic}'s")
        for name, part in list(share["rest_ms_profiled"].items())[:8]:
            print(f"             {part:5.1f} ms {name}")
    _environment.write(wish.name, {**_environment.describe(), "peak_gflops": peak, "cases": results})


def loop_of(which: str, case: str, device_name: str) -> Answers:
    """What a worker can be asked."""
    size_px, channels = CASES[case]
    data, device = _environment.noise(200, size_px, channels), torch.device(device_name)
    recipe = ag.Recipe().resolve(DataFacts(size_px, channels, len(data), data.n_classes))
    loop = Trainer(recipe, data, 0, device) if which == "ours" else Textbook(recipe, data, device)
    step = loop.update if isinstance(loop, Trainer) else loop
    arithmetic = loop.precision if isinstance(loop, Trainer) else torch.float32
    step()
    counted = gflop(step)  # among the first steps: what a GPU replays later cannot be counted
    for _ in range(WARM_UP_STEPS):
        step()
    return {
        "rate": lambda seconds: rate(step, seconds, device),
        "profile": lambda _: kernel_share(step, device),
        "gflop": lambda _: counted,
        "arithmetic": lambda _: str(arithmetic).removeprefix("torch."),
    }


def products(device_name: str) -> Answers:
    """What a large matrix product reaches in each arithmetic."""
    device = torch.device(device_name)

    def gflops(dtype: torch.dtype) -> float:
        a, b = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=device).to(dtype) for _ in range(2))
        per_s = rate(lambda: a @ b, 1.0, device)["steps_per_s"]
        return 2 * PRODUCT_SIDE**3 * per_s / 1e9

    # the better of several: here a noisy machine can only take away
    kinds = (torch.float32, torch.bfloat16)
    return {"peak": lambda _: {str(each).removeprefix("torch."): max(gflops(each) for _ in range(3)) for each in kinds}}


def gflop(step: Callable[[], object]) -> float:
    """Multiplications and additions of the convolutions and matrix products of a step, in thousands of millions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops()) / 1e9


def kernel_share(step: Callable[[], object], device: torch.device) -> dict[str, object]:
    """Share of an update spent in convolution and matrix kernels, and what the rest is.

    The kernels' time is the profiler's, the update's is taken without it: the profiler's own records break up freed memory, so
    under it every large elementwise result faults in new pages.
    """
    from torch.profiler import ProfilerActivity, profile

    update_s = 1 / rate(step, 5.0, device)["steps_per_s"]
    on_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_cuda else ProfilerActivity.CPU]) as found:
        for _ in range(PROFILED):
            step()
        if on_cuda:
            torch.cuda.synchronize()
    field, words = ("self_device_time_total", KERNELS_CUDA) if on_cuda else ("self_cpu_time_total", KERNELS)
    times = {each.key: getattr(each, field) / PROFILED / 1e6 for each in found.key_averages()}
    inside = {key: value for key, value in times.items() if any(word in key for word in words)}
    rest = sorted(((value, key) for key, value in times.items() if key not in inside), reverse=True)
    return {
        "share": sum(inside.values()) / update_s,
        "update_ms": 1e3 * update_s,
        "all_ms_profiled": 1e3 * sum(times.values()),
        "kernels_ms": {key: 1e3 * value for key, value in inside.items()},
        "rest_ms_profiled": {key: 1e3 * value for value, key in rest[:15]},
    }


if __name__ == "__main__":
    main()
