"""Killed at any moment, a run ends with the same bytes; two processes never write one run; memory errors are explained."""

import json
import random
import subprocess
import sys
import time
from dataclasses import replace

import filelock
import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.cli.app import main
from augmentgan.data.plan import plan_fit
from augmentgan.errors import OutputError, RunError, TrainingError
from augmentgan.gan.training import Trainer

KILLS = 6
CHILD = """
import sys, numpy as np, torch
torch.set_num_threads(1)
import augmentgan as ag
from augmentgan.data.split import draw_per_class
data = ag.digits()
data = data.subset(draw_per_class(data.labels, np.arange(len(data)), 12, seed=0))
recipe = ag.load_recipe(sys.argv[1])
print("ready", flush=True)
run = ag.fit(data, recipe, sys.argv[2], seed=3, device="cpu")
print("done", flush=True)
"""
RECIPE = """
[training]
updates = 200
batch_images = 20
status_updates = 7
quality_updates = 50
checkpoint_updates = 4
precision = "float32"
[model]
generator_width = 8
discriminator_width = 8
[coverage]
refresh_updates = 10
"""


def start(tmp_path, name):
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "r.toml"), str(tmp_path / name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "done" in out


def reached(folder):
    """The last update that a run has logged, 0 before the first; a line that is being written does not count."""
    file = folder / "events.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return max((json.loads(line)["updates"] for line in lines if line.endswith("}")), default=0)


def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path):
    (tmp_path / "r.toml").write_text(RECIPE)
    finish(start(tmp_path, "whole"))
    update_s = ag.Run(tmp_path / "whole", "cpu").events()[-1]["seconds"] / 200
    moments = []
    # unseeded, for any moment must do: one at the start, then one in every stretch of 30 updates
    for target in (0, *(random.randrange(first, first + 30) for first in range(1, 30 * (KILLS - 1), 30))):
        process = start(tmp_path, "killed")
        while reached(tmp_path / "killed") < target and process.poll() is None:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 8 * update_s))  # two checkpoints long
        process.kill()
        process.communicate()
        moments.append((process.returncode, reached(tmp_path / "killed")))
    learning = {updates for status, updates in moments if status == -9 and 0 < updates < 200}
    assert len(learning) >= 2, f"(exit status, last update) of each: {moments}"
    finish(start(tmp_path, "killed"))
    whole, killed = (ag.Run(tmp_path / name, "cpu") for name in ("whole", "killed"))
    assert (tmp_path / "whole" / "checkpoint.safetensors").exists()
    for name, weight in whole.generator.state_dict().items():
        assert torch.equal(weight, killed.generator.state_dict()[name]), (name, moments)
    assert (whole.generate(5).images == killed.generate(5).images).all()
    updates = [event["updates"] for event in killed.events()]
    assert updates == sorted(set(updates))
    assert updates[-1] == 200
    assert not [path.name for path in (tmp_path / "killed").rglob("*.part")]


def test_a_run_that_is_being_written_is_left_alone(digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with filelock.FileLock(folder / ".lock"), pytest.raises(RunError, match="another process"):
        ag.fit(digits, small_recipe, folder, device="cpu")
    assert [path.name for path in folder.iterdir()] in ([], [".lock"])
    stopped = ag.fit(digits, small_recipe, folder, device="cpu", should_stop=lambda: True)
    assert stopped.info["state"] == "stopped"


def test_a_crash_at_the_very_start_is_no_obstacle(digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".run.json.abc.part").write_text("{")
    ag.fit(digits, small_recipe, folder, device="cpu", should_stop=lambda: True)
    assert not list(folder.glob(".*.part"))
    (folder / "data.h5").unlink()
    (folder / "checkpoint.safetensors").unlink()
    ag.fit(digits, small_recipe, folder, device="cpu", should_stop=lambda: True).generate(1)


def test_a_run_repeats_from_its_own_folder(trained, tmp_path):
    from augmentgan.gan.run import repeat_of

    data, recipe, seed = repeat_of(trained.folder)
    again = ag.fit(data, recipe, tmp_path / "again", seed=seed, device="cpu")
    assert (again.generate(4).images == trained.generate(4).images).all()
    assert again.info["data_fingerprint"] == trained.info["data_fingerprint"]


def test_a_repeated_run_has_the_images_of_the_first(tmp_path, digits, small_recipe, monkeypatch):
    """A class that is one chain of near doubles lies on both sides of a split, for there is no other way."""
    images = digits.images.copy()
    angles = 0.07 * np.arange((digits.labels == 0).sum())[:, None, None]  # each is near the next one alone
    down, across = np.mgrid[-35:36:10, -35:36:10]
    images[digits.labels == 0, ..., 0] = 128 + 2 * (np.cos(angles) * down + np.sin(angles) * across)
    recipe = small_recipe.with_settings(["training.updates=1"])
    run = ag.fit(replace(digits, images=images), recipe, tmp_path / "run", seed=3, device="cpu")
    assert len(plan_fit(run.data, recipe).split.dropped)  # of a set that comes with such a split they are left out
    monkeypatch.setattr(sys, "argv", ["augmentgan", "fit", "--from-run", str(run.folder), "--device", "cpu", "--quiet"])
    with pytest.raises(SystemExit) as ended:
        main()
    again = ag.Run(tmp_path / "run-again", "cpu")
    assert ended.value.code == 0
    assert again.train.fingerprint() == run.train.fingerprint()
    assert again.info["data_fingerprint"] == run.info["data_fingerprint"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),  # oneDNN
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    ],
)
def test_out_of_memory_says_what_to_lower(digits, small_recipe, tmp_path, monkeypatch, error):
    def fails(self):
        raise error

    monkeypatch.setattr(Trainer, "update", fails)
    with pytest.raises(TrainingError, match=r"out of memory.*batch_images=8"):
        ag.fit(digits, small_recipe, tmp_path / "run", device="cpu")


def test_a_folder_that_cannot_be_written(digits, small_recipe, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot"):
        ag.fit(digits, small_recipe, tmp_path / "file" / "run", device="cpu")
    assert (tmp_path / "file").read_bytes() == b""
