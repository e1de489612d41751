"""Where tensors live: devices by name, the arithmetic that a device is good at, and what becomes of freed memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from augmentgan.errors import TrainingError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def resolve_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:K` or `mps` to a device that is there.

    Raises:
        TrainingError: the device is not there, or the name is none of these.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    # "²" is a digit to Python and no number, and torch takes none of other scripts
    numbered = number.isascii() and number.isdecimal() and len(number) <= 4
    if name == "cpu":
        return torch.device("cpu")
    if kind == "cuda" and (numbered or not colon):
        if torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count():
            return torch.device("cuda", int(number)) if colon else torch.device("cuda")
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise TrainingError(f"device {name!r}: {found} CUDA devices are here; use --device auto or --device cpu")
    if name == "mps":
        if torch.backends.mps.is_available():
            return torch.device("mps")
        raise TrainingError("device 'mps' is not here; use --device auto or --device cpu")
    raise TrainingError(f"device {name!r} is not known; use auto, cpu, cuda, cuda:K or mps")


def resolve_precision(wish: str, device: torch.device) -> torch.dtype:
    """The arithmetic of convolutions and matrix products: bfloat16 where hardware has it, unless told otherwise."""
    if wish != "auto":
        return torch.bfloat16 if wish == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def allow_tf32(device: torch.device) -> None:
    """Let float32 products on CUDA use tensor cores (10 bits of mantissa, more than bfloat16's 7); elsewhere nothing happens."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # convolutions have it by default


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor on the device, without waiting for what the device is doing."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # from other memory the driver may wait for the stream


def random_state(device: torch.device) -> Tensor | None:
    """The state of the device's own random numbers (CPU, uint8); None where draws on it are the CPU's."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Go on from what `random_state` gave."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)


@contextlib.contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Restore the random states of CPU and device at the end, whatever was drawn or seeded inside."""
    # a seed for torch is one for all of its devices
    started = device.type == "cuda" or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    others = range(torch.cuda.device_count()) if started else ()
    before = random_state(device) if device.type == "mps" else None
    with torch.random.fork_rng(devices=others):
        try:
            yield
        finally:
            if before is not None:
                set_random_state(device, before)


def keep_freed_memory() -> None:
    """Ask glibc to reuse freed memory instead of returning it to the system; elsewhere nothing happens.

    A training step frees and asks again for the same tens of megabytes. By default each round trip gives pages back and
    faults them in anew, thousands of times a step (benchmarks/training_speed.py: `page_faults`).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that glibc accepts
        mallopt(_TRIM_THRESHOLD, 1 << 30)
