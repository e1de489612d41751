"""Several processes at one job, started by torchrun: the rank, the world size, and the few collectives that are needed.

    torchrun --nproc-per-node 2 -m augmentgan fit data/

Every process holds the same weights and draws the same random numbers for the whole batch, and works on its own rows of it. With
gradients averaged over the processes that is the same training as in one process, up to the order in which floats are added.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from augmentgan.errors import RecipeError, RunError, TrainingError

LONGEST_WAIT = timedelta(days=3)
"""For each other, while one trains a benchmark's generator; a process that ends is noticed at once."""


@dataclass(frozen=True)
class World:
    """The processes at one job, as one of them sees it; with one process every collective is a no-op.

    All processes must call the same methods in the same order.

    Attributes:
        rank: number of this process.
        size: number of processes (the world size).
    """

    rank: int = 0
    size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process is the one that writes, locks and displays."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """This process's share of n rows; `check_batch` has made sure that n divides."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def check_batch(self, batch_images: int, group: int) -> None:
        """Refuse a batch that cannot be shared evenly.

        Raises:
            RecipeError: `batch_images` is not a multiple of the processes times `group`.
        """
        step = self.size * group
        if batch_images % step:
            raise RecipeError(
                f"training.batch_images = {batch_images} cannot be shared by {self.size} processes in whole groups of {group} "
                f"images of one class; use --set training.batch_images={-(-batch_images // step) * step} or fewer processes"
            )

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes, differentiable."""
        return tensor if self.size == 1 else cast(Tensor, _Sum.apply(tensor)) / self.size

    def all_reduce_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over the processes."""
        if self.size > 1:
            with _lost_process_as_training_error():
                dist.all_reduce(tensor)
        return tensor

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes: one message for all."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.all_reduce_(torch.cat([gradient.reshape(-1) for gradient in gradients])).div_(self.size)
        for gradient, mean in zip(gradients, torch.split(flat, [each.numel() for each in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def any_rank(self, flag: bool) -> bool:
        """Whether any process says so."""
        return (
            flag if self.size == 1 else bool(self.all_reduce_(torch.tensor(int(flag))))
        )  # on the CPU: no device waits

    def broadcast_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by that of rank zero."""
        if self.size > 1:
            with _lost_process_as_training_error():
                dist.broadcast(tensor, 0)
        return tensor

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """Every process's tensor (all of one shape), in the order of ranks."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        with _lost_process_as_training_error():
            dist.all_gather(found, tensor)
        return found

    def run_on_rank_zero(self, action: Callable[[], object]) -> None:
        """Run something on rank zero while the others wait for it.

        Raises:
            RunError: in the others, where it failed in the first, which has its own error.
        """
        failed = torch.tensor(0)
        try:
            if self.is_rank_zero:
                action()
        except BaseException:
            failed.fill_(1)
            raise
        finally:
            self.broadcast_(failed)
        if failed:
            raise RunError("the first process could not go on; see its message")

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.any_rank(False)


SINGLE_PROCESS = World()


@contextlib.contextmanager
def process_group(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that torchrun started, if it did: the world and the device of this process.

    Collectives on GPUs go over nccl, on CPUs over gloo.

    Args:
        device: what the user asked for; "auto" and "cuda" become the process's own GPU, "auto" without one the CPU.

    Raises:
        TrainingError: more processes than GPUs, or a device that they cannot share.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or os.environ.get("WORLD_SIZE", "1") == "1":
        yield SINGLE_PROCESS, device
        return
    if device in ("auto", "cuda") and torch.cuda.is_available():
        n_gpus, processes = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
        if processes > n_gpus:
            raise TrainingError(f"{processes} processes for {n_gpus} GPUs; lower --nproc-per-node, or use --device cpu")
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    elif device == "auto":
        device = "cpu"  # gloo moves no tensors of other devices
    elif device != "cpu":
        raise TrainingError(f"--device {device} under torchrun: several processes share auto, cpu or cuda (a GPU each)")
    # This module binds the group that exists when it is first imported (torchvision does so) as the default of its arguments.
    # Imported after our group, it would keep gloo's threads alive to the interpreter's end, where freeing a tensor aborts the process
    importlib.import_module("torch.distributed.nn.functional")
    on_cuda = device.startswith("cuda")
    with _lost_process_as_training_error():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=LONGEST_WAIT)
    try:
        yield World(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """y = sum over the processes of x, on all of them; what any of them makes of y counts for every x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        with _lost_process_as_training_error():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return cast(Tensor, _Sum.apply(gradient.contiguous()))


@contextlib.contextmanager
def _lost_process_as_training_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[.*?\] *", "", str(error)).partition(". ")[0][:120]  # without the place in gloo's source
        raise TrainingError(
            f"a process of this job was lost ({reason}); what was saved is kept, and the same command goes on from there"
        ) from error
