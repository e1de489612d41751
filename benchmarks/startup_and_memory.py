"""Start-up times, and peak memory of fit and of generating many samples; each measurement is a command in a process of its own.

python benchmarks/startup_and_memory.py [--samples 1000000] [--rounds 5] [--name startup-and-memory]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _environment

from augmentgan.data.hdf5 import write_hdf5

SIZE_PX, CHANNELS, N_CLASSES, PER_CLASS = 32, 3, 10, 100


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="startup-and-memory")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        folder = Path(scratch)
        n = N_CLASSES * PER_CLASS
        write_hdf5(folder / "data.h5", _environment.noise(n, SIZE_PX, CHANNELS, N_CLASSES))
        data = str(folder / "data.h5")
        result: dict[str, Any] = {
            "help_s": [command("--help")["seconds"] for _ in range(wish.rounds)],
            "inspect_s": [command("inspect", data)["seconds"] for _ in range(wish.rounds)],
            "fit": command("fit", data, "--out", str(folder / "run"), "--updates", "20", "--quiet"),
        }
        # a narrow network: the same stream of batches, in minutes; what grows with the number of samples would grow here too
        narrow = ["--set", "model.generator_width=4", "--set", "model.discriminator_width=4"]
        command("fit", data, "--out", str(folder / "narrow"), "--updates", "1", "--quiet", *narrow)
        out = folder / "synthetic.h5"
        per_class = str(wish.samples // N_CLASSES)
        result["generate"] = command(
            "generate", "--run", str(folder / "narrow"), "--per-class", per_class, "--out", str(out), "--quiet"
        )
        result["generate"]["samples"] = wish.samples
        result["generate"]["file_mb"] = out.stat().st_size / 1e6
    result["median_help_s"], result["median_inspect_s"] = (
        statistics.median(result[key]) for key in ("help_s", "inspect_s")
    )
    print(f"--help    {result['median_help_s']:.2f} s")
    print(f"inspect   {result['median_inspect_s']:.2f} s ({n} images of {SIZE_PX} px)")
    for name in ("fit", "generate"):
        print(f"{name:9} peak memory {result[name]['peak_mib']:.0f} MiB, {result[name]['seconds']:.0f} s")
    _environment.write(wish.name, {**_environment.describe(), **result})


def command(*arguments: str) -> dict[str, float]:
    """Wall time and peak resident memory of a command of ours, which must succeed."""
    started = time.perf_counter()
    quiet = os.open(os.devnull, os.O_WRONLY)
    line = [sys.executable, "-m", "augmentgan", *arguments]
    process = os.posix_spawn(sys.executable, line, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)])
    os.close(quiet)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(line)} ended with status {os.waitstatus_to_exitcode(status)}")
    return {"seconds": time.perf_counter() - started, "peak_mib": used.ru_maxrss / 1024}


if __name__ == "__main__":
    main()
