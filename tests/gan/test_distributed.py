"""Two processes on gloo learn what one process learns, and write what it writes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import augmentgan as ag
from augmentgan.errors import RecipeError
from augmentgan.gan.distributed import ALONE, Team
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

RECIPE = """
[training]
updates = 12
batch_images = 16
status_updates = 4
quality_updates = 12
checkpoint_updates = 4
precision = "float32"
[model]
generator_width = 8
discriminator_width = 8
[coverage]
refresh_updates = 5
share = 0.75
latents_per_image = 4
"""


def torchrun(*arguments, cwd, n=2):
    """Start augmentgan in n processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}", "-m", "augmentgan"]
        + list(map(str, arguments)),
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return out


def weights(folder):
    return ag.Run(folder, "cpu").generator.state_dict()


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits):
    from augmentgan.data.hdf5 import write_hdf5

    folder = tmp_path_factory.mktemp("distributed")
    write_hdf5(folder / "digits.h5", digits)
    (folder / "r.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def two(place):
    """A run by two processes, in two goes."""
    command = ["fit", "digits.h5", "--recipe", "r.toml", "--out", "two", "--device", "cpu", "--json", "--seed", "3"]
    finished(torchrun(*command, "--max-time", "0.001s", cwd=place))
    assert ag.Run(place / "two").info["state"] == "stopped"
    assert json.loads(finished(torchrun(*command, cwd=place)))["state"] == "finished"
    return ag.Run(place / "two", "cpu")


def test_two_processes_learn_what_one_learns(place, two):
    one = ag.fit(ag.load(place / "digits.h5"), ag.load_recipe(place / "r.toml"), place / "one", seed=3, device="cpu")
    for name, weight in one.generator.state_dict().items():
        torch.testing.assert_close(two.generator.state_dict()[name], weight, atol=2e-4, rtol=2e-3, msg=name)
    for mine, other in zip(
        one.events(), two.events()[1:], strict=True
    ):  # the first go of the two stopped after an update
        assert {"div", "near"} <= mine.keys() or mine["updates"] < 12
        for key in ("updates", "images"):
            assert mine[key] == other[key]
    assert one.events()[-1]["loss_d"] == pytest.approx(two.events()[-1]["loss_d"], abs=1e-3)
    same = one.info.keys() - {"created", "command"}
    assert {key: one.info[key] for key in same} == {key: two.info[key] for key in same}
