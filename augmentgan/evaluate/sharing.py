"""Who measures which piece of a benchmark: this process alone, the ranks under torchrun, or worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import torch

from augmentgan.evaluate.piece import Measured
from augmentgan.evaluate.workers import in_workers, n_workers
from augmentgan.gan.distributed import World

SAMPLE_COPIES = 4
"""How often a piece's samples are in memory, at most: the samples, those that a validation fold may use, and these sorted beside the real images."""


class Pieces(Protocol):
    """The pieces of a benchmark, by number."""

    @property
    def device(self) -> torch.device:
        """Where they train."""

    def __len__(self) -> int:
        """How many there are."""

    def __call__(self, number: int, tell: Callable[[Any], object]) -> dict[str, Measured]:
        """Measure a piece, or what is left of it, and keep what is finished."""

    def is_finished(self, number: int) -> bool:
        """Whether nothing of a piece is left to train."""

    def updates(self, number: int) -> int:
        """Of a piece's generator, from which one can tell which pieces take longest."""

    @property
    def data_bytes(self) -> int:
        """Memory of the real images that a worker holds, whatever piece it works on."""

    @property
    def sample_bytes(self) -> int:
        """Memory of the samples that a piece works with."""

    def prepare(self) -> Self:
        """The same, made of plain values, so that a worker can be given them; what every piece would do for itself is done once."""


def measure_all(
    pieces: Pieces,
    world: World,
    processes: int | None,
    *,
    on_message: Callable[[int, Any], object],
    on_done: Callable[[int], object] = lambda number: None,
) -> list[dict[str, Measured]]:
    """Measure all pieces, in worker processes where torchrun has started no others.

    Others' pieces are found among the finished parts, so they need a folder that all can see.

    Args:
        pieces: what to measure.
        world: the processes that share them; each measures every n-th.
        processes: worker processes; None: on the CPU as many as pay, elsewhere none.
        on_message: called with a piece's number and its message. Under torchrun each rank gets those of its own pieces at once, and
            those of others when these are finished.
        on_done: called with the number of each piece that is done.
    """

    def measure(number: int, *, tells: bool) -> dict[str, Measured]:
        found = pieces(number, lambda message: on_message(number, message) if tells else None)
        on_done(number)
        return found

    numbers = range(len(pieces))
    if world.size > 1:
        ours = range(world.rank, len(pieces), world.size)
        for number in ours:
            measure(number, tells=True)
        world.barrier()
        return [measure(number, tells=number not in ours) for number in numbers]
    on_cpu = pieces.device.type == "cpu"
    each = pieces.data_bytes + SAMPLE_COPIES * pieces.sample_bytes
    n = processes or (n_workers(len(pieces), each) if on_cpu else 1)
    n = min(len(pieces), n)
    if n <= 1:
        return [measure(number, tells=True) for number in numbers]
    left = [number for number in numbers if not pieces.is_finished(number)]
    for number in numbers:
        if number not in left:
            measure(number, tells=True)
    left.sort(key=pieces.updates, reverse=True)  # the short ones last, so that no core waits long for another
    # the threads of all pieces' workers also where few are left: sums depend on them, and results must not on an interruption
    n_threads = max(1, torch.get_num_threads() // n)
    in_workers(pieces.prepare(), left, min(n, len(left)), n_threads, on_message=on_message, on_done=on_done)
    return [measure(number, tells=False) for number in numbers]
