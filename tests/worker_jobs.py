"""What `evaluate/test_workers.py` has its workers do; a worker must be able to import it."""

import os
import signal
import time

import torch


def square(job, tell):
    tell((os.getpid(), torch.get_num_threads()))
    tell(job**2)


def fail(error, job, tell):
    if job == 1:
        raise error
    time.sleep(3600)  # unless it is stopped


class Odd(Exception):
    """As some libraries' errors: what it is printed as is not what it is made of."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def fail_oddly(job, tell):
    raise Odd("this", "that")


def die(job, tell):
    os.kill(os.getpid(), signal.SIGKILL)


class DiesOnTheWay:
    """What a worker out of memory does while it unpacks a large set."""

    def __reduce__(self):
        return die, (None, None)


def first(one, other, job, tell):
    tell(one)


def hang(place, job, tell):
    (place / f"{os.getpid()}.pid").touch()  # in its name: a file may be seen before it has content
    while True:
        time.sleep(0.05)
        tell("still here")


def nothing(*words):
    pass
