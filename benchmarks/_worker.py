"""A process of its own for each of two loops that are compared.

What one asks of the memory allocator or the threads would help the other too; the two work in turns, never at once (unless that is
what is measured), and a ratio is a round's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

Answers = dict[str, Callable[[Any], Any]]
WARM_UP_STEPS = 5


class Worker:
    """Works when it is asked and otherwise sleeps.

    Args:
        make: called in the new process, gives what it can be asked; a function of a module.
        arguments: of `make`.
    """

    def __init__(self, make: Callable[..., Answers], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        context.Process(target=_serve, args=(make, arguments, theirs), daemon=True).start()

    def ask(self, what: str, value: Any = None) -> Any:
        """Its answer."""
        self.set_to(what, value)
        return self.answer()

    def set_to(self, what: str, value: Any = None) -> None:
        """Let it work while others do; `answer` waits for it."""
        self._line.send((what, value))

    def answer(self) -> Any:
        """What it found."""
        return self._line.recv()


def _serve(make: Callable[..., Answers], arguments: tuple[Any, ...], line: Connection) -> None:
    answers = make(*arguments)
    with contextlib.suppress(EOFError):  # the asker has gone
        while True:
            what, value = line.recv()
            line.send(answers[what](value))


def rate(step: Callable[[], object], seconds: float, device: torch.device) -> dict[str, float]:
    """Steps a second, and page faults a step."""
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        done += 1
    if device.type == "cuda":
        torch.cuda.synchronize()  # of what was started only; a loop that waits in every step does so by itself
    elapsed = time.perf_counter() - started
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return {"steps_per_s": done / elapsed, "page_faults": faults / done}
