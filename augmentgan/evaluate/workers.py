"""Processes of our own that share jobs, a core or more each.

The trainings of a benchmark are small: one a core gets more done than one after the other on all cores
(`benchmarks/processes.py`). A worker is a fresh interpreter (a fork would inherit the locks of torch's threads), is given one
job at a time, and says over a pipe what it has to say. It ends with us, whichever way we end: an interruption is ours to
notice, and a worker that we no longer listen to stops at its next word.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import torch

from augmentgan.errors import AugmentGANError, TrainingError

MEMORY_EACH = 2 << 30
"""Bytes that a worker may need beside its images, real and synthetic; one with a generator at 64 px takes somewhat more than half of it."""

MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a Linux container says how much of the machine's memory is its own, in cgroup's second and first version."""

Tell = Callable[[Any], object]
Work = Callable[[int, Tell], object]


def n_workers(n_jobs: int, data_bytes: int = 0) -> int:
    """How many workers this machine has cores (those torch may use) and memory for: at least 1, at most one a job.

    Args:
        n_jobs: jobs.
        data_bytes: memory that a worker needs for its data, beside `MEMORY_EACH`.
    """
    room = (memory // (MEMORY_EACH + data_bytes) for memory in _memories())
    return max(1, min(torch.get_num_threads(), n_jobs, *room))


def _memories() -> list[int]:
    """Bytes of the machine's memory and of a container's limit, as far as the system says."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system says how much memory it has
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in MEMORY_LIMITS:
        with contextlib.suppress(ValueError, OSError):  # there is none, or it is "max"
            found.append(int(file.read_text()))
    return found


def in_workers(
    work: Work,
    jobs: Sequence[int],
    n: int,
    n_threads: int,
    *,
    on_message: Callable[[int, Any], object],
    on_done: Callable[[int], object],
) -> None:
    """Do all jobs in `n` workers, each the next one that is left.

    Args:
        work: called in a worker with a job and a function that tells us something; it travels to the worker, so it and what it
            refers to must be found by import or be plain values.
        jobs: numbers.
        n: workers.
        n_threads: of each.
        on_message: called here with a job and what its worker told.
        on_done: called here with a job that is done.

    Raises:
        TrainingError: a worker was lost. What work itself raises comes out as it is. In both cases the others are stopped.
    """
    context = multiprocessing.get_context("spawn")
    left = iter(jobs)
    at_work: dict[Connection, int] = {}
    processes: list[BaseProcess] = []
    try:
        with _interruptions_ignored():  # inherited: Ctrl-C in a terminal reaches all processes, and we alone answer
            for job in [job for _, job in zip(range(n), left, strict=False)]:
                ours, theirs = context.Pipe()
                worker = context.Process(target=_work, args=(theirs, n_threads))
                worker.start()
                theirs.close()  # the worker's copy is the only one: its end is heard as the end of the pipe
                processes.append(worker)
                at_work[ours] = job
        # not as an argument of the process: Python would write it where nobody notices that a dead worker does not read
        for connection in at_work:
            _send(connection, work)
        for connection, job in at_work.items():
            _send(connection, job)
        while at_work:
            for connection in cast(list[Connection], wait(list(at_work))):
                job = at_work[connection]
                kind, value = _receive(connection)
                if kind == "failed":
                    raise value
                if kind == "told":
                    on_message(job, value)
                    continue
                on_done(job)
                following = next(left, None)
                if following is None:
                    del at_work[connection]
                    connection.close()
                else:
                    at_work[connection] = following
                    _send(connection, following)
    except BaseException:
        for process in processes:
            process.terminate()  # safe at any moment: files appear whole or not at all
        raise
    finally:
        for connection in at_work:
            connection.close()
        for process in processes:
            process.join()


def _send(connection: Connection, what: Work | int) -> None:
    with _loss_of_a_worker_explained():
        connection.send(what)


def _receive(connection: Connection) -> tuple[str, Any]:
    with _loss_of_a_worker_explained():
        kind, value = connection.recv()
    return kind, value


@contextlib.contextmanager
def _loss_of_a_worker_explained() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise TrainingError(
            "a process of this job was lost (killed, or out of memory?); what was finished is kept, and the same command "
            "goes on from there; --processes 1 needs the least memory"
        ) from error


def _work(connection: Connection, n_threads: int) -> None:
    """What a worker does, until nobody has another job for it; first it hears what to do with them."""
    torch.set_num_threads(n_threads)
    with contextlib.suppress(EOFError, ConnectionError):  # nobody listens any more
        work: Work = connection.recv()
        while True:
            job: int = connection.recv()
            try:
                work(job, lambda value: connection.send(("told", value)))
            except ConnectionError:
                raise
            except Exception as error:
                if not isinstance(error, AugmentGANError):
                    error.add_note("in a worker:\n" + traceback.format_exc())
                connection.send(("failed", _picklable(error)))
                return
            connection.send(("done", None))


def _picklable(error: Exception) -> Exception:
    """The error where it is ours or Python's own, otherwise its words: of other libraries' errors some cannot be sent, or not be made anew."""
    if isinstance(error, AugmentGANError) or type(error).__module__ == "builtins":
        return error
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", []):
        stand_in.add_note(note)
    return stand_in


@contextlib.contextmanager
def _interruptions_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
