"""Devices by name, their precision, and random states of those that this machine may not have."""

import contextlib

import pytest
import torch

from augmentgan.errors import TrainingError
from augmentgan.gan.device import random_state, random_state_kept, resolve_device, resolve_precision, set_random_state

CPU, MPS = torch.device("cpu"), torch.device("mps")


@pytest.fixture
def mps(monkeypatch):
    """The random state of a device that is not here: one tensor in a list."""
    held = [torch.tensor([1], dtype=torch.uint8)]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: held[-1].clone())
    monkeypatch.setattr(torch.mps, "set_rng_state", held.append)
    return held


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda:²", "is not known; use auto"),
        ("cuda:٣", "is not known; use auto"),
        ("cuda:", "is not known; use auto"),
        ("cuda:-1", "is not known; use auto"),
        ("cuda:" + "9" * 5000, "is not known; use auto"),
        ("cuda:2", "2 CUDA devices are here"),
    ],
)
def test_a_device_that_is_none(monkeypatch, name, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match=words):
        resolve_device(name)
    assert resolve_device("cuda:1") == resolve_device("cuda:01") == torch.device("cuda", 1)
    assert resolve_device("cuda") == torch.device("cuda")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:99"])
def test_devices_that_are_not_here(name):
    with pytest.raises(TrainingError, match=f"device '{name}'"):
        resolve_device(name)


def test_precision():
    assert resolve_device("cpu") == CPU
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16


def test_draws_on_the_cpu_are_torchs():
    assert random_state(CPU) is None


def test_a_state_of_mps_comes_back(mps):
    before = random_state(MPS)
    set_random_state(MPS, torch.tensor([2], dtype=torch.uint8))
    assert random_state(MPS).tolist() == [2]
    set_random_state(MPS, before)
    assert random_state(MPS).tolist() == [1]


def test_both_states_are_kept_also_from_an_error(mps):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with contextlib.suppress(ZeroDivisionError), random_state_kept(MPS):
        torch.manual_seed(9)
        set_random_state(MPS, torch.tensor([9], dtype=torch.uint8))
        1 / 0  # noqa: B018
    assert random_state(MPS).tolist() == [1]
    assert torch.equal(torch.rand(2), expected)
