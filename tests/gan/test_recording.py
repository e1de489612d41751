"""What a CUDA device records and replays is what it would have done call by call; elsewhere functions are only called."""

import contextlib
import functools
import gc
import weakref

import numpy as np
import pytest
import torch

from augmentgan.errors import TrainingError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import logits_of, train_classifier
from augmentgan.gan import recording
from augmentgan.gan.checkpoint import restore_checkpoint, save_checkpoint
from augmentgan.gan.recording import WARM_UP_CALLS, CUDAGraphRunner, can_use_cuda_graphs
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

CUDA = torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


@pytest.fixture
def not_recording(monkeypatch):
    """Call by call, also on CUDA."""
    return functools.partial(monkeypatch.setattr, recording, "WARM_UP_CALLS", 10**9)


def trainer_of(digits, recipe):
    return Trainer(recipe.resolve(DataFacts(8, 1, len(digits), 10)), digits, 0, CUDA)


def state(trainer):
    networks = trainer.generator, trainer.discriminator, trainer.ema
    return torch.cat([weight.detach().flatten() for network in networks for weight in network.parameters()])


def test_on_a_cpu_a_function_is_only_called():
    seen = []
    recorded = CUDAGraphRunner(torch.device("cpu"))
    given = [torch.tensor([float(k)]) for k in range(WARM_UP_CALLS + 2)]
    for each in given:
        recorded(seen.append, each)
    assert [each is got for each, got in zip(given, seen, strict=True)] == [True] * len(given)


class StandInGraph:
    """Calls what was recorded again, on the tensors that it was recorded with."""

    recording = None

    def __init__(self):
        self.calls = []

    def replay(self):
        for function, inputs in self.calls:
            function(*inputs)


@pytest.fixture
def stand_in(monkeypatch):
    """A CUDA device that is none: what belongs to streams does nothing, and a recording is a list of calls."""

    class Stream:
        wait_stream = staticmethod(lambda other: None)

    @contextlib.contextmanager
    def graph(recorded, stream, capture_error_mode):
        assert not gc.isenabled()
        StandInGraph.recording = recorded
        try:
            yield
        finally:
            StandInGraph.recording = None

    nothing = contextlib.nullcontext()
    for name, value in {
        "device": lambda device: nothing,
        "stream": lambda stream: nothing,
        "Stream": Stream,
        "current_stream": Stream,
        "CUDAGraph": StandInGraph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())


def test_a_recording_is_made_once_and_given_every_calls_inputs(stand_in):
    seen, called = [], []

    def kernels(values):
        seen.append(values.tolist())

    def function(values):
        called.append(len(values))
        if StandInGraph.recording is None:
            kernels(values)
        else:  # what is launched in a recording runs in its replays alone
            StandInGraph.recording.calls.append((kernels, [values]))

    recorded = CUDAGraphRunner(torch.device("cpu"))
    recorded._uses_graphs = True
    for k in range(WARM_UP_CALLS + 3):
        recorded(function, torch.tensor([k, 2 * k]))
    assert gc.isenabled()
    assert seen == [[k, 2 * k] for k in range(WARM_UP_CALLS + 3)]
    assert len(called) == WARM_UP_CALLS + 1
    with pytest.raises(AssertionError):
        recorded(function, torch.tensor([1]))


def test_a_recording_that_failed_is_not_replayed(stand_in):
    recorded, works = CUDAGraphRunner(torch.device("cpu")), []
    recorded._uses_graphs = True

    def function(values):
        if StandInGraph.recording is not None and not works:
            works.append(True)
            raise MemoryError

    for _ in range(WARM_UP_CALLS):
        recorded(function, torch.ones(1))
    with pytest.raises(MemoryError):
        recorded(function, torch.ones(1))
    assert recorded._graph is None
    recorded(function, torch.ones(1))
    assert recorded._graph is not None


@pytest.mark.parametrize(
    "words",
    ["operation not permitted\nwhen stream is capturing", "CUDA error: an illegal memory access was encountered"],
)
def test_what_cannot_be_recorded_names_the_switch(stand_in, monkeypatch, words):
    recorded = CUDAGraphRunner(torch.device("cpu"))
    recorded._uses_graphs = True

    def function(values):
        if StandInGraph.recording is not None:
            raise RuntimeError(words)

    for _ in range(WARM_UP_CALLS):
        recorded(function, torch.ones(1))
    with pytest.raises(TrainingError, match=rf"\({' '.join(words.split())}\).*AUGMENTGAN_CUDA_GRAPHS=0"):
        recorded(function, torch.ones(1))
    assert can_use_cuda_graphs(CUDA)
    monkeypatch.setenv("AUGMENTGAN_CUDA_GRAPHS", "0")
    assert not can_use_cuda_graphs(CUDA)
    assert not CUDAGraphRunner(CUDA)._uses_graphs


def test_too_little_memory_in_a_recording_stays_what_it_is(stand_in):
    recorded = CUDAGraphRunner(torch.device("cpu"))
    recorded._uses_graphs = True

    def function(values):
        if StandInGraph.recording is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    for _ in range(WARM_UP_CALLS):
        recorded(function, torch.ones(1))
    with pytest.raises(torch.OutOfMemoryError):
        recorded(function, torch.ones(1))


def test_a_trainer_is_freed_without_the_garbage_collector(digits, small_recipe):
    def learned():
        trainer = Trainer(small_recipe.resolve(DataFacts(8, 1, len(digits), 10)), digits, 0, torch.device("cpu"))
        trainer.update()
        return trainer

    learned()  # torch's first optimiser imports more, which keeps frames of its caller
    gc.collect()
    gc.disable()
    try:
        trainer = learned()
        generator = weakref.ref(trainer.generator)
        del trainer
        assert generator() is None
    finally:
        gc.enable()


@needs_cuda
def test_replays_take_new_inputs_and_draw_new_numbers():
    total, drawn, called = torch.zeros((), device=CUDA), torch.zeros(4, device=CUDA), []

    def add(values):
        called.append(len(values))
        total.add_(values.sum())
        drawn.copy_(torch.rand(4, device=CUDA))

    torch.manual_seed(0)
    recorded, draws = CUDAGraphRunner(CUDA), []
    for k in range(8):
        recorded(add, torch.full((2,), float(k)))
        draws.append(drawn.clone())
    assert total.item() == 2 * sum(range(8))
    assert len(called) == WARM_UP_CALLS + 1  # and once more as it was recorded
    torch.manual_seed(0)
    assert torch.equal(torch.stack(draws), torch.stack([torch.rand(4, device=CUDA) for _ in range(8)]))


@needs_cuda
@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["training.precision=bfloat16", "augment.colour=true", "objective.class_weight=0.1"],
        ["objective.r1_weight=0.1", "objective.lecam_weight=0.1"],
        ["objective.loss=wasserstein", "training.n_discriminator_updates=2", "coverage.weight=0"],
    ],
)
def test_recorded_updates_are_the_updates(digits, small_recipe, not_recording, settings):
    """To float tolerance: sums over a batch are not always added in the same order."""
    recipe = small_recipe.with_settings(["training.learning_rate_generator=1e-5", *settings])

    def learned():
        trainer = trainer_of(digits, recipe)
        for _ in range(25):
            trainer.update()
        return state(trainer), trainer.status()

    weights, status = learned()
    again, _ = learned()
    not_recording()
    expected, expected_status = learned()
    noise = (again - weights).norm()
    assert (weights - expected).norm() <= max(3 * noise, 1e-5 * expected.norm())
    assert status.loss_d == pytest.approx(expected_status.loss_d, rel=1e-2)
    assert status.d_fake == pytest.approx(expected_status.d_fake, rel=1e-2)


@needs_cuda
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(digits, small_recipe, tmp_path):
    whole = trainer_of(digits, small_recipe)
    for _ in range(12):
        whole.update()
    save_checkpoint(whole, tmp_path)
    for _ in range(8):
        whole.update()
    resumed = trainer_of(digits, small_recipe)
    restore_checkpoint(resumed, tmp_path)
    for _ in range(8):
        resumed.update()
    assert (state(resumed) - state(whole)).norm() <= 1e-3 * state(whole).norm()


@needs_cuda
def test_a_classifier_learns_the_same(digits, small_recipe, not_recording):
    section = small_recipe.resolve(DataFacts(8, 1, len(digits), 10)).benchmark

    def logits():
        network = train_classifier(Arm("real+classic"), digits, digits.subset([]), section, 60, 1, CUDA)
        return logits_of(network, digits).numpy()

    recorded = logits()
    not_recording()
    np.testing.assert_allclose(recorded, logits(), atol=0.3)
