"""Signals: the first asks, the second does not wait."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from augmentgan.cli.options import notice


@contextlib.contextmanager
def until_interrupted() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into an answer to "should I stop?"; a second SIGINT interrupts at once."""
    came = False

    def take(number: int, frame: object) -> None:
        nonlocal came
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came = True
        notice("interrupted: saving; once more leaves at once")

    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
