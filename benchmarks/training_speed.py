"""Training throughput against a textbook loop in the same run; where a step's time goes.

    python benchmarks/training_speed.py [--rounds 5] [--name training-speed-cpu]

The textbook loop has the same networks and batch, eager float32, contiguous memory, torch's plain Adam, a DataLoader, and the
steps of PyTorch's DCGAN example: D on real, D on fake, G through an unfrozen D; with spectral norm, DiffAugment
(gather and mask), minibatch statistic and average as their papers' code has them. It has no coverage term: its work is less than ours.
Each round times both, one after the other; ratios are a round's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import _environment
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

import augmentgan as ag
from augmentgan.gan.device import resolve_device
from augmentgan.gan.networks import GROUP, build_discriminator, build_generator, within_class_stddev
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts, ResolvedRecipe

CASES = {"28 px grey": (28, 1), "32 px RGB": (32, 3), "64 px RGB": (64, 3)}
KERNELS = ("convolution", "addmm", "aten::mm", "bmm", "matmul")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--name", default="training-speed-cpu")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", default=",".join(CASES))
    wish = parser.parse_args()
    device = resolve_device(wish.device)
    results = {}
    for case in wish.cases.split(","):
        size_px, channels = CASES[case]
        data = noise(size_px, channels)
        recipe = ag.Recipe().resolve(DataFacts(size_px, channels, len(data), data.n_classes))
        trainer = Trainer(recipe, data, 0, device)
        ours, textbook = trainer.update, Textbook(recipe, data, device)
        for step in (ours, textbook):
            for _ in range(5):
                step()
        rounds = [(rate(ours, wish.seconds, device), rate(textbook, wish.seconds, device)) for _ in range(wish.rounds)]
        results[case] = {
            "ours_updates_per_s": [each[0] for each in rounds],
            "textbook_updates_per_s": [each[1] for each in rounds],
            "ratio": [mine / theirs for mine, theirs in rounds],
            "median_ratio": statistics.median(mine / theirs for mine, theirs in rounds),
            "precision": str(trainer.precision).removeprefix("torch."),
            "kernel_share": kernel_share(ours, device),
        }
        median = results[case]["median_ratio"]
        mine = statistics.median(each[0] for each in rounds)
        share = results[case]["kernel_share"]
        print(
            f"{case:12} {1e3 / mine:6.1f} ms/update, {median:.2f}x the textbook loop, kernels {100 * share['share']:.0f} %"
        )
        for name, part in list(share["rest"].items())[:8]:
            print(f"             {100 * part:5.1f} % {name}")
    _environment.write(
        Path(__file__).parent / "results" / f"{wish.name}.json", {**_environment.describe(), "cases": results}
    )


def noise(size_px: int, channels: int) -> ag.LabelledImages:
    """200 images of 10 classes; speed does not depend on what they show."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, size_px, size_px, channels), dtype=np.uint8)
    return ag.LabelledImages(pixels, np.arange(200) % 10, tuple("abcdefghij"))


def rate(step: object, seconds: float, device: torch.device) -> float:
    """Steps a second."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or done % 100:  # whole periods of the coverage matching
        step()
        done += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return done / (time.perf_counter() - started)


def kernel_share(step: object, device: torch.device) -> dict[str, object]:
    """Share of self time in convolution and matrix kernels, and what the rest is."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as found:
        for _ in range(100):
            step()
    field = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    times = {each.key: getattr(each, field) for each in found.key_averages()}
    total = sum(times.values())
    inside = sum(value for key, value in times.items() if any(word in key for word in KERNELS))
    rest = {key: value / total for key, value in times.items() if not any(word in key for word in KERNELS)}
    ordered = dict(sorted(rest.items(), key=lambda each: -each[1])[:15])
    return {"share": inside / total, "rest": ordered}


class Textbook:
    """The loop that a tutorial would have you write, with the same networks."""

    def __init__(self, recipe: ResolvedRecipe, data: ag.LabelledImages, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.generator = build_generator(recipe, data.n_classes).to(device, memory_format=torch.contiguous_format)
        plain = recipe.model_copy(update={"model": recipe.model.model_copy(update={"spectral_norm": False})})
        self.discriminator = build_discriminator(plain, data.n_classes).to(
            device, memory_format=torch.contiguous_format
        )
        for layer in [*self.discriminator.down, self.discriminator.last, self.discriminator.to_logit]:
            spectral_norm(layer)
        spectral_norm(self.discriminator.label)
        self.average = build_generator(recipe, data.n_classes).to(device)
        betas = (recipe.training.beta1, recipe.training.beta2)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), 2e-4, betas)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), 2e-4, betas)
        order = np.argsort(np.arange(len(data)) // GROUP % data.n_classes, kind="stable")
        images = torch.from_numpy(data.images[order]).permute(0, 3, 1, 2).float() / 127.5 - 1
        dataset = TensorDataset(images.contiguous(), torch.from_numpy(data.labels[order]))
        self.loader = DataLoader(dataset, batch_size=recipe.training.batch_images, shuffle=True, drop_last=True)
        self.batches = iter(self.loader)

    def __call__(self) -> None:
        """One update."""
        try:
            real, labels = next(self.batches)
        except StopIteration:
            self.batches = iter(self.loader)
            real, labels = next(self.batches)
        real, labels = real.to(self.device), labels.to(self.device)
        fake = self.generator(torch.randn(len(real), self.recipe.model.latent_dim, device=self.device), labels)
        self.optimizer_d.zero_grad()
        F.relu(1 - self.judge(real, labels)).mean().backward()
        F.relu(1 + self.judge(fake.detach(), labels)).mean().backward()
        self.optimizer_d.step()
        self.optimizer_g.zero_grad()
        (-self.judge(fake, labels).mean()).backward()
        self.optimizer_g.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(weight, 0.001)
        float(fake.mean())  # tutorials print a number every step

    def judge(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """D as its layers say, after augmentation."""
        network = self.discriminator
        x = self.augment(images)
        for layer in network.down:
            x = F.leaky_relu(layer(x), 0.2)
        x = torch.cat([x, within_class_stddev(x)], dim=1)
        x = F.leaky_relu(network.last(x), 0.2).sum(dim=(2, 3))
        return network.to_logit(x)[:, 0] + (x * network.label(labels)).sum(dim=1)

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        """Translation by gather, cutout by mask, as the paper's code does."""
        n, _, side, _ = images.shape
        if self.recipe.augment.colour:
            images = images + torch.rand(n, 1, 1, 1, device=images.device) - 0.5
            mean = images.mean(dim=1, keepdim=True)
            images = (images - mean) * (torch.rand(n, 1, 1, 1, device=images.device) * 2) + mean
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = (images - mean) * (torch.rand(n, 1, 1, 1, device=images.device) + 0.5) + mean
        reach, hole = round(side * 0.125), round(side * 0.3)
        shift = torch.randint(-reach, reach + 1, (2, n, 1, 1), device=images.device)
        row, y, x = torch.meshgrid(*(torch.arange(k, device=images.device) for k in (n, side, side)), indexing="ij")
        y, x = (y + shift[0] + 1).clamp(0, side + 1), (x + shift[1] + 1).clamp(0, side + 1)
        images = F.pad(images, [1, 1, 1, 1]).permute(0, 2, 3, 1)[row, y, x].permute(0, 3, 1, 2)
        corner = torch.randint(0, side, (2, n, 1, 1), device=images.device) - hole // 2
        row, y, x = torch.meshgrid(*(torch.arange(k, device=images.device) for k in (n, hole, hole)), indexing="ij")
        mask = torch.ones(n, side, side, device=images.device)
        mask[row, (y + corner[0]).clamp(0, side - 1), (x + corner[1]).clamp(0, side - 1)] = 0
        return images * mask[:, None]


if __name__ == "__main__":
    main()
