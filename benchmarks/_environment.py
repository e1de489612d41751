"""What the scripts share: where results lie, what every result carries, and the images they start from."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

import augmentgan
from augmentgan.data.load import load_for

RESULTS = Path(__file__).parent / "results"
UNUSED_PER_CLASS = 400


def describe() -> dict[str, Any]:
    """The surroundings of a measurement."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    words = [Path(sys.argv[0]).name, *(Path(word).name if "/" in word else word for word in sys.argv[1:])]
    return {
        "command": "python benchmarks/" + shlex.join(words),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {
            "augmentgan": augmentgan.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "cuda": cuda,
        },
    }


def load(path: Path, recipe: augmentgan.Recipe) -> augmentgan.LabelledImages:
    """A data set as a recipe wants it, without its bad files."""
    return load_for(recipe, path, skip_bad=True)


def unused(
    data: augmentgan.LabelledImages, run: augmentgan.Run, test: augmentgan.LabelledImages
) -> augmentgan.LabelledImages:
    """Up to `UNUSED_PER_CLASS` images a class that the run never saw and that are no test images: neither `test` nor the data's own."""
    seen = {image.tobytes() for part in (run.train, run.test, test) for image in part.images}
    free = numpy.array([image.tobytes() not in seen for image in data.images])
    if data.split is not None:
        free &= data.split == 0
    rows = [numpy.flatnonzero(free & (data.labels == label))[:UNUSED_PER_CLASS] for label in range(data.n_classes)]
    return data.subset(numpy.concatenate(rows))


def noise(n: int, size_px: int, channels: int, n_classes: int = 10) -> augmentgan.LabelledImages:
    """Random pixels, classes in turn, for measurements of speed, which does not depend on what images show."""
    pixels = numpy.random.default_rng(0).integers(0, 256, (n, size_px, size_px, channels), dtype=numpy.uint8)
    return augmentgan.LabelledImages(pixels, numpy.arange(n) % n_classes, tuple(f"c{k}" for k in range(n_classes)))


def read(name: str) -> dict[str, Any]:
    """A result that was written before.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    found: dict[str, Any] = json.loads(_path(name).read_text(encoding="utf-8"))
    return found


def so_far(name: str) -> dict[str, Any]:
    """The same, or nothing where there is none."""
    return read(name) if _path(name).exists() else {}


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result as JSON."""
    _path(name).parent.mkdir(parents=True, exist_ok=True)
    _path(name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def extend(name: str, **parts: Any) -> None:
    """Write a result that is made in pieces: `parts` are new, what else was in it stays, and `commands` names every command so far."""
    before, about = so_far(name), describe()
    earlier = before.get("commands") or [before[key] for key in ("command",) if key in before]
    write(name, {**before, **about, "commands": list(dict.fromkeys([*earlier, about["command"]])), **parts})


def _path(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
