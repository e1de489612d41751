"""Generation into HDF5 and into an image folder against the bare generator forward: the same batches and threads, in turns.

    python benchmarks/generation_speed.py [--run RUN] [--rounds 5] [--name generation-speed-cpu]

What is timed is what `augmentgan generate` does: samples, the distance to the nearest training image, the judgement of copies,
writing, and the last flush to the disk. Without --run, a run on noise is made first: 32 px RGB, 100 training images in each of 10 classes.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import _environment
import h5py
import numpy as np
import torch

import augmentgan as ag
from augmentgan.evaluate.copies import CopyJudge
from augmentgan.gan.sampling import BATCH, latents_of

SIZE_PX, CHANNELS, N_CLASSES, PER_CLASS = 32, 3, 10, 100


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--name", default="generation-speed-cpu")
    parser.add_argument("--device", default="auto")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        folder = Path(scratch)
        run = ag.Run(wish.run, wish.device) if wish.run else noise_run(folder / "run", wish.device)
        result = measure(run, folder, wish.batches, wish.rounds)
    for kind in ("hdf5", "folder"):
        shares = result[kind]["share"]
        print(
            f"{kind:7} {statistics.median(result[kind]['images_per_s']):7.0f} images/s, bare forward "
            f"{statistics.median(result['forward_images_per_s']):7.0f}, share {statistics.median(shares):.2f} "
            f"({min(shares):.2f} to {max(shares):.2f})"
        )
    _environment.write(wish.name, {**_environment.describe(), **result})


def measure(run: ag.Run, scratch: Path, n_batches: int, n_rounds: int) -> dict[str, Any]:
    """Each way in turns; a share is a round's."""
    n_classes = len(run.class_names)
    per_class = max(1, n_batches * BATCH // n_classes)
    n = per_class * n_classes
    judge = CopyJudge(run.train, run.test)
    device = next(run.generator.parameters()).device
    latents = torch.from_numpy(latents_of(0, 0, np.arange(n), run.recipe.model.latent_dim)).to(device)
    labels = torch.arange(n_classes, device=device).repeat_interleave(per_class)

    @torch.inference_mode()
    def forward() -> None:
        for some_latents, some_labels in zip(torch.split(latents, BATCH), torch.split(labels, BATCH), strict=True):
            run.generator(some_latents, some_labels)
        if device.type == "cuda":
            torch.cuda.synchronize()

    def write(kind: Literal["hdf5", "folder"]) -> None:
        ag.write_samples(
            run,
            run.counts(per_class),
            scratch / kind,
            kind,
            on_batch=lambda batch: judge.copies(batch.images, batch.labels),
        )

    seconds: dict[str, list[float]] = {"forward": [], "hdf5": [], "folder": []}
    forward()
    for _ in range(n_rounds):
        for way, work in (("forward", forward), ("hdf5", lambda: write("hdf5")), ("folder", lambda: write("folder"))):
            started = time.perf_counter()
            work()
            seconds[way].append(time.perf_counter() - started)
        with h5py.File(scratch / "hdf5") as file:
            compression = file["images"].compression
        size_mb = (scratch / "hdf5").stat().st_size / 1e6
        (scratch / "hdf5").unlink()
        shutil.rmtree(scratch / "folder")
    result: dict[str, Any] = {
        "images": n,
        "shape": list(run.train.images.shape[1:]),
        "training_images": len(run.train),
        "compression": compression,
        "hdf5_mb": size_mb,
        "forward_images_per_s": [n / each for each in seconds["forward"]],
    }
    for kind in ("hdf5", "folder"):
        result[kind] = {
            "images_per_s": [n / each for each in seconds[kind]],
            "share": [bare / each for bare, each in zip(seconds["forward"], seconds[kind], strict=True)],
        }
        result[kind]["median_share"] = statistics.median(result[kind]["share"])
    return result


def noise_run(folder: Path, device: str) -> ag.Run:
    """A run that has hardly learned: speed does not depend on what the images show, but on whether gzip pays for them."""
    n = N_CLASSES * (PER_CLASS + 10)
    split = (np.arange(n) >= N_CLASSES * PER_CLASS).astype(np.int64)
    data = dataclasses.replace(_environment.noise(n, SIZE_PX, CHANNELS, N_CLASSES), split=split)
    recipe = ag.Recipe().with_settings(["training.updates=30", "coverage.weight=0"])
    ag.fit(data, recipe, folder, device=device)
    return ag.Run(folder, device)


if __name__ == "__main__":
    main()
