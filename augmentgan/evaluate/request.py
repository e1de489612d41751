"""What a benchmark is asked, in the part that a run's and one from scratch share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from augmentgan.evaluate.results import BenchmarkRow
from augmentgan.gan.distributed import World


@dataclass(frozen=True)
class Request:
    """Arguments of `benchmark.run_benchmark`, under their names and with their meanings there."""

    repeats: int | None
    arms: Sequence[str] | None
    device: str
    seed: int
    classifier: str | None
    on_row: Callable[[BenchmarkRow], object]
    command: str | None
    world: World
    processes: int | None
    overwrite: bool
