"""What every result carries: the command, the versions and the hardware."""

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
    size_px = None if recipe.data.size_px == "auto" else recipe.data.size_px
    return augmentgan.load(path, size_px=size_px, skip_bad=True)


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
