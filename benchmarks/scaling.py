"""Cost as the work grows: training images, classes, image size, samples; JSON and one chart.

    python benchmarks/scaling.py [--seconds 5] [--name scaling-cpu]

An update's cost holds a hundredth of a matching, as in training. Points that are in the result already are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import _environment
import torch
from _environment import noise

import augmentgan as ag
from augmentgan.gan.device import resolve_device
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

ROOT = Path(__file__).parents[1]
AXES = {
    "training images": (100, 200, 500, 1000, 2000, 5000),
    "classes": (2, 10, 50, 200, 1000),
    "image size (px)": (8, 16, 28, 32, 48, 64, 96, 128),
    "samples": (1000, 2000, 4000, 8000, 16000),
}
UNITS = {"samples": "seconds to generate into HDF5"}


def main() -> None:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--name", default="scaling-cpu")
    parser.add_argument("--device", default="auto")
    wish = parser.parse_args()
    device = resolve_device(wish.device)
    known = _environment.so_far(wish.name).get("axes", {})
    found: dict[str, dict[str, float]] = {axis: dict(known.get(axis, {})) for axis in AXES}
    ways: dict[str, Callable[[int], float]] = {
        "training images": lambda n: update_ms(noise(n, 32, 3), device, wish.seconds),
        "classes": lambda n: update_ms(noise(2 * max(n, 100), 32, 3, n), device, wish.seconds),
        "image size (px)": lambda n: update_ms(noise(200, n, 3), device, wish.seconds),
        "samples": lambda n: generating_s(n, wish.device),
    }
    for axis, points in AXES.items():
        for point in points:
            if str(point) not in found[axis]:
                found[axis][str(point)] = ways[axis](point)
                _environment.extend(wish.name, axes=found)
        print(f"{axis:16}", "  ".join(f"{point}: {cost:.1f}" for point, cost in found[axis].items()))
    draw(found, ROOT / "docs" / "images" / "scaling.png")


def update_ms(data: ag.LabelledImages, device: torch.device, seconds: float) -> float:
    """Milliseconds an update, matchings included."""
    size_px = data.images.shape[1]
    recipe = ag.Recipe().with_settings([f"data.size_px={size_px}"])
    resolved = recipe.resolve(DataFacts(size_px, 3, len(data), data.n_classes))
    trainer = Trainer(resolved, data, 0, device)
    matching_s = timed(trainer.update, device)  # the first update matches; its own cost is taken off below
    for _ in range(3):
        trainer.update()
    done, spent = 0, 0.0
    while (spent < seconds or done < 3) and done < resolved.coverage.refresh_updates - 5:
        spent += timed(trainer.update, device)
        done += 1
    update_s = spent / done
    return 1e3 * (update_s + max(0.0, matching_s - update_s) / resolved.coverage.refresh_updates)


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Seconds."""
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def generating_s(n: int, device: str) -> float:
    """Seconds for n samples of 32 px RGB into HDF5."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        recipe = ag.Recipe().with_settings(["training.updates=1", "coverage.weight=0", "data.test_fraction=0"])
        ag.fit(noise(200, 32, 3), recipe, Path(scratch) / "run", device=device)
        run = ag.Run(Path(scratch) / "run", device)
        run.generate(10)
        started = time.perf_counter()
        ag.write_samples(run, run.counts(n // 10), Path(scratch) / "synthetic.h5")
        return time.perf_counter() - started


def draw(found: dict[str, dict[str, float]], path: Path) -> None:
    """All four on one chart."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3), layout="constrained")
    for place, (axis, costs) in zip(axes, found.items(), strict=True):
        place.loglog([int(point) for point in costs], list(costs.values()), marker="o")
        place.set_xlabel(axis)
        place.set_ylabel(UNITS.get(axis, "ms an update"))
        place.set_ylim(bottom=min(costs.values()) / 2, top=2 * max(costs.values()))
        place.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
