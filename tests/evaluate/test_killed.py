"""A benchmark from scratch, killed at any moment, ends with the rows of one that was left alone."""

import json
import random
import subprocess
import sys
import time

import pytest

CHILD = """
import sys, numpy as np, torch
torch.set_num_threads(1)
import augmentgan as ag
data = ag.digits()
rows = np.concatenate([np.flatnonzero(data.labels == label)[:12] for label in range(3)])
few = ag.LabelledImages(data.images[rows], data.labels[rows], tuple("abc"))
recipe = ag.Recipe().with_settings(
    [
        "training.updates=30",
        "training.batch_images=12",
        "training.status_updates=5",
        "training.checkpoint_updates=5",
        "training.precision=float32",
        "model.generator_width=8",
        "model.discriminator_width=8",
        "benchmark.steps=4",
        "benchmark.synthetic_per_class=6",
    ]
)
ag.run_benchmark(few, recipe=recipe, out=sys.argv[1], repeats=2, train_per_class=[4], arms=["real+synthetic"], device="cpu")
"""


def start(folder):
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stderr=subprocess.PIPE, text=True)


def finish(process):
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def rows(folder):
    """What was found, without the time that it took."""
    found = json.loads((folder / "benchmark.json").read_text())
    return [{key: value for key, value in row.items() if key != "time_s"} for row in found["runs"]], found[
        "comparisons"
    ]


def logged(folder):
    """Lines that the generators have logged."""
    return sum(file.read_text().count("\n") for file in folder.glob("fits/*/events.jsonl"))


def parts(folder):
    """Finished parts of the classifiers' choices and trainings."""
    return len(list(folder.glob("benchmark.parts/**/*.json")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One that was left alone."""
    folder = tmp_path_factory.mktemp("whole") / "b"
    finish(start(folder))
    return folder


@pytest.mark.parametrize("count", [logged, parts])
def test_killed_in_the_middle_it_ends_as_one_that_was_left_alone(whole, tmp_path, count):
    folder, most = tmp_path / "b", count(whole)
    target = random.randrange(1, most - 2)  # unseeded, for any moment must do
    process = start(folder)
    deadline = time.monotonic() + 240
    while count(folder) < target and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode != 0, f"it had ended before it was killed, at {target} of {most}"
    finish(start(folder))
    assert rows(folder) == rows(whole), f"killed at {target} of {most}"
    assert not list(folder.rglob("*.part"))
