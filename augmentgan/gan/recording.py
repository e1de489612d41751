"""The kernels of a training step, recorded once on a CUDA device and from then on started together.

At the sizes of these networks an update is some hundreds of kernels of a few microseconds each. Started one by one from Python they take
several times as long as they run; a CUDA graph (PyTorch's notes on CUDA semantics, "CUDA Graphs") starts all of them at once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from augmentgan.errors import TrainingError, is_out_of_memory, one_line
from augmentgan.gan.device import to_device

SWITCH = "AUGMENTGAN_CUDA_GRAPHS"
"""Environment variable: with 0 nothing is recorded. It is no setting of a recipe, for results do not depend on it."""

WARM_UP_CALLS = 3
"""Calls before the capture, in which libraries choose their kernels and optimisers make their moments."""


def can_use_cuda_graphs(device: torch.device) -> bool:
    """Whether steps are recorded there: on CUDA devices, unless `AUGMENTGAN_CUDA_GRAPHS` is 0."""
    return device.type == "cuda" and os.environ.get(SWITCH, "1") != "0"


class CUDAGraphRunner:
    """Calls a function of tensors, which on a CUDA device is captured as a CUDA graph and replayed; on other devices it is only called.

    The function may draw random numbers on the device and change tensors that outlive it. It must not wait for the device, and whatever
    else it does in Python is done in the first calls alone: a replay repeats kernels, with the random state going on as it would have.

    Args:
        device: where it works.
        uses_graphs: False: the function is only called, on CUDA too.
    """

    def __init__(self, device: torch.device, *, uses_graphs: bool = True) -> None:
        self._device = device
        self._uses_graphs = uses_graphs and can_use_cuda_graphs(device)
        self._calls = 0
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []

    def __call__(self, function: Callable[..., None], *inputs: Tensor) -> None:
        """Call or replay it.

        Args:
            function: the same in every call. It is not kept: who owns a recording can so be freed without the garbage collector, whose
                chance moment could be in another's recording, which that would spoil.
            inputs: on the CPU or the device, of the same shapes and types in every call.

        Raises:
            TrainingError: the device, its driver or a library cannot record the function.
        """
        if not self._uses_graphs:
            function(*(to_device(each, self._device) for each in inputs))
            return
        with torch.cuda.device(self._device):  # streams, recordings and random states are the current device's
            self._on_cuda(function, inputs)

    def _on_cuda(self, function: Callable[..., None], inputs: Sequence[Tensor]) -> None:
        # recordings need a stream of their own, and what libraries and autograd set up belongs to the stream that saw it first
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._calls += 1
        if self._calls <= WARM_UP_CALLS:
            self._warm_up(function, inputs, self._stream)
            return
        if self._graph is None:
            self._inputs = [torch.empty_like(each, device=self._device) for each in inputs]
        for held, given in zip(self._inputs, inputs, strict=True):
            assert held.shape == given.shape, (held.shape, given.shape)
            held.copy_(given if given.is_cuda else given.pin_memory(), non_blocking=True)
        if self._graph is None:
            self._graph = self._capture(function, self._stream)
        self._graph.replay()

    def _capture(self, function: Callable[..., None], stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                _nothing_collected(),
                torch.cuda.stream(stream),  # left in any case, which a failed recording would not see to
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                function(*self._inputs)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise  # too little of it, which has advice of its own
            reason = one_line(error)
            # not tried again unrecorded here: a failure may leave the device's random state believing itself recorded
            raise TrainingError(
                f"a training step could not be recorded as a CUDA graph ({reason}); "
                f"the same command with {SWITCH}=0 in the environment does without, more slowly"
            ) from error
        return graph

    def _warm_up(self, function: Callable[..., None], inputs: Sequence[Tensor], aside: torch.cuda.Stream) -> None:
        here = torch.cuda.current_stream()
        given = [to_device(each, self._device) for each in inputs]
        aside.wait_stream(here)
        with torch.cuda.stream(aside), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            function(*given)
        here.wait_stream(aside)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """No garbage collection inside: one that frees another recording would spoil this one."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
