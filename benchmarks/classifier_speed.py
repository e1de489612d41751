"""Classifier training against a DataLoader with torchvision's transforms, in the same run.

    python benchmarks/classifier_speed.py [--rounds 5] [--name classifier-speed-cpu]

The counterpart is the loop of torchvision's reference scripts: the same network in contiguous float32, the same batch, optimiser and
augmentation, applied image by image in a DataLoader, and the loss read every step. Each has a process of its own with all cores. On
processors both are also measured as many at once as there are cores, a core each: so a benchmark trains its classifiers, which are
always many. "At once" compares that with the one counterpart, "both at once" with as many counterparts.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import _environment
import numpy as np
import torch
import torch.nn.functional as F
from _worker import Answers, Worker
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2
from training_speed import CASES

import augmentgan as ag
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import train_classifier
from augmentgan.gan.device import resolve_device
from augmentgan.recipe import DataFacts
from augmentgan.sections import ResolvedBenchmarkSection

ARM = "real+classic"
COMPARED = (
    ("ratio", "ours", "textbook"),
    ("ratio_at_once", "ours_at_once", "textbook"),
    ("ratio_both_at_once", "ours_at_once", "textbook_at_once"),
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--loader-workers", type=int, default=0)
    parser.add_argument("--name", default="classifier-speed-cpu")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", default=",".join(CASES))
    wish = parser.parse_args()
    device, cores = str(resolve_device(wish.device)), torch.get_num_threads()
    results: dict[str, dict[str, list[float]]] = {}
    for case in wish.cases.split(","):
        ways = {
            "ours": [Worker(product, case, device, cores)],
            "textbook": [Worker(reference, case, device, cores, wish.loader_workers)],
        }
        if device == "cpu" and cores > 1:
            ways["ours_at_once"] = [Worker(product, case, device, 1) for _ in range(cores)]
            ways["textbook_at_once"] = [Worker(reference, case, device, 1, wish.loader_workers) for _ in range(cores)]
        for workers in ways.values():
            seconds_a_step(workers, 10)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(wish.rounds):
            for way, workers in ways.items():
                seconds[way].append(seconds_a_step(workers, wish.steps))
        results[case] = {f"{way}_ms": [1e3 * each for each in found] for way, found in seconds.items()}
        for name, ours, textbook in COMPARED:
            if ours in ways:
                ratios = [theirs / mine for mine, theirs in zip(seconds[ours], seconds[textbook], strict=True)]
                results[case][name] = ratios
                print(
                    f"{case:12} {name:20} {1e3 * statistics.median(seconds[ours]):6.1f} ms a step, textbook "
                    f"{1e3 * statistics.median(seconds[textbook]):6.1f}, {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )
    _environment.write(wish.name, {**_environment.describe(), "arm": ARM, "cases": results})


def seconds_a_step(workers: list[Worker], n_steps: int) -> float:
    """Of one classifier, where all workers train one each at once: until the last has done its steps, by their number."""
    for worker in workers:
        worker.set_to("train", n_steps)
    slowest = max(worker.answer() for worker in workers)
    return float(slowest / len(workers))


def product(case: str, device_name: str, n_threads: int) -> Answers:
    """Ours; `train` gives seconds a step."""
    torch.set_num_threads(n_threads)
    data, section, device = _setting(case, device_name)

    def train(steps: int) -> float:
        started = time.perf_counter()
        train_classifier(Arm(ARM), data, data, section, steps, 0, device)
        if device.type == "cuda":
            torch.cuda.synchronize()  # the counterpart waits at every step
        return (time.perf_counter() - started) / steps

    return {"train": train}


def reference(case: str, device_name: str, n_threads: int, n_workers: int) -> Answers:
    """The counterpart."""
    torch.set_num_threads(n_threads)
    data, section, device = _setting(case, device_name)
    channels = data.channels
    augmentation = (
        v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)
        if channels == 3
        else v2.RandomAffine(
            15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10, interpolation=InterpolationMode.BILINEAR
        )
    )
    transform = v2.Compose(
        [
            v2.ToImage(),
            augmentation,
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * channels, [0.5] * channels),
        ]
    )
    loader = DataLoader(
        Images(data, transform), section.batch_images, shuffle=True, drop_last=True, num_workers=n_workers
    )

    def train(steps: int) -> float:
        # one step beforehand makes the network that ours makes; its weights do not matter
        network = train_classifier(Arm("real"), data, data, section, 1, 0, device).train().requires_grad_(True)
        network.to(memory_format=torch.contiguous_format)
        started = time.perf_counter()
        optimizer = torch.optim.AdamW(network.parameters(), lr=section.learning_rate, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, section.learning_rate, total_steps=max(2, steps))
        epochs = itertools.chain.from_iterable(itertools.repeat(loader))
        for images, labels in itertools.islice(epochs, steps):
            loss = F.cross_entropy(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            loss.item()
        return (time.perf_counter() - started) / steps

    return {"train": train}


class Images(Dataset[tuple[torch.Tensor, int]]):
    """Images and labels, one by one."""

    def __init__(self, data: ag.LabelledImages, transform: v2.Transform) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(np.ascontiguousarray(self.data.images[row])), int(self.data.labels[row])


def _setting(case: str, device_name: str) -> tuple[ag.LabelledImages, ResolvedBenchmarkSection, torch.device]:
    size_px, channels = CASES[case]
    data = _environment.noise(200, size_px, channels)
    # augmented in every step, as the counterpart's images are
    recipe = ag.Recipe().with_settings(["benchmark.classic_until=1"])
    recipe = recipe.resolve(DataFacts(size_px, channels, len(data), data.n_classes))
    return data, recipe.benchmark, torch.device(device_name)


if __name__ == "__main__":
    main()
