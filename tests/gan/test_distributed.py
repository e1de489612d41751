"""Two processes on gloo learn what one process learns, and write what it writes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import augmentgan as ag
from augmentgan.errors import RecipeError, TrainingError
from augmentgan.evaluate.sharing import measure_all
from augmentgan.gan.distributed import SINGLE_PROCESS, World, process_group

TORCHRUN = ["-m", "torch.distributed.run", "--standalone"]
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
[augment]
affine = 0.2
[coverage]
refresh_updates = 5
share = 0.75
latents_per_image = 4
[benchmark]
steps = 3
synthetic_per_class = 10
tune = false
"""
LEAVES = """
import os
from pathlib import Path
from augmentgan.gan.distributed import process_group

with process_group("cpu") as (world, device):
    import torchvision

    world.barrier()
names = [(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir()]
Path(f"threads.{os.environ['RANK']}").write_text("\\n".join(names))
"""


def torchrun(*arguments, cwd, n=2):
    """Start augmentgan in n processes."""
    return launched("-m", "--", "augmentgan", *arguments, cwd=cwd, n=n)


def launched(*program, cwd, n=2):
    """Start a program in n processes."""
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, f"--nproc-per-node={n}", *program],
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


def children(parent):
    """Processes that `parent` started; others may vanish while we look."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return sorted(found)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As torchrun gives to each of its processes: floats are then added in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    # the first go of the two stopped after an update, and logged it
    for mine, other in zip(one.events(), two.events()[1:], strict=True):
        assert {"div", "near"} <= mine.keys() or mine["updates"] < 12
        for key in ("updates", "images"):
            assert mine[key] == other[key]
    assert one.events()[-1]["loss_d"] == pytest.approx(two.events()[-1]["loss_d"], abs=1e-3)
    same = one.info.keys() - {"created", "command"}
    assert {key: one.info[key] for key in same} == {key: two.info[key] for key in same}


@pytest.mark.parametrize(
    "settings",
    [["objective.lecam_weight=1"], ["objective.loss=wasserstein", "training.n_discriminator_updates=2"]],
    ids=["lecam", "wasserstein"],
)
def test_one_process_goes_on_where_two_stopped(place, settings):
    data, recipe = ag.load(place / "digits.h5"), ag.load_recipe(place / "r.toml", settings)
    mixed, alone = (place / f"{recipe.objective.loss}-{name}" for name in ("mixed", "alone"))
    words = chain(*(("--set", setting) for setting in settings))
    command = ["fit", "digits.h5", "--recipe", "r.toml", *words, "--seed", "3", "--device", "cpu"]
    finished(torchrun(*command, "--updates", "8", "--out", str(mixed), cwd=place))
    assert ag.Run(mixed).generator_version["updates"] == 8
    ag.fit(data, recipe, mixed, seed=3, device="cpu")
    ag.fit(data, recipe, alone, seed=3, device="cpu")
    one, both = (load_file(folder / "checkpoint.safetensors") for folder in (alone, mixed))
    assert one.keys() == both.keys()
    assert torch.equal(one["random.cpu"], both["random.cpu"])
    assert one["lecam.anchors"].any() == (recipe.objective.lecam_weight > 0)
    for name, tensor in one.items():
        if name.startswith(("generator.", "average.", "chosen.", "discriminator.", "lecam.")):
            torch.testing.assert_close(both[name], tensor, atol=2e-4, rtol=2e-3, msg=name)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_no_thread_outlives_the_team(tmp_path):
    """Gloo's threads at the interpreter's end abort the process now and then."""
    (tmp_path / "leaves.py").write_text(LEAVES)
    finished(launched("leaves.py", cwd=tmp_path))
    for rank in "01":
        names = (tmp_path / f"threads.{rank}").read_text()
        assert names
        assert "gloo" not in names


@pytest.mark.parametrize("wish", [{}, {"no_copies": True}, {"filter": "strong"}])
def test_two_processes_write_what_one_writes(place, two, wish):
    words = {"no_copies": ["--no-copies"], "filter": ["--filter", "strong"]}
    command = ["generate", "--run", "two", "--per-class", "30", "--device", "cpu", "--quiet", "--overwrite"]
    finished(torchrun(*command, *chain(*(words[name] for name in wish)), "--out", "shared.h5", cwd=place))
    chosen = ag.select_samples(two, **wish)
    asked = {"refuses": chosen.refuses, "judges": chosen.judges}
    ag.write_samples(two, two.counts(30), place / "alone.h5", overwrite=True, **asked)
    with h5py.File(place / "shared.h5") as shared, h5py.File(place / "alone.h5") as alone:
        assert list(shared) == list(alone)
        assert len(shared["images"]) == 300
        for name in alone:
            np.testing.assert_array_equal(shared[name][:], alone[name][:])
        if "filter" in wish:  # half of all were refused, so others with later numbers took their places
            assert (np.diff(shared["sample_index"][:]) > 1).any()


def test_two_processes_share_a_benchmarks_repeats(place, two):
    command = ["benchmark", "--run", "two", "--repeats", "3", "--arms", "real,synthetic", "--device", "cpu", "--json"]
    shared = json.loads(finished(torchrun(*command, cwd=place)))
    alone = ag.run_benchmark(two, repeats=3, arms=["real", "synthetic"], device="cpu", overwrite=True).to_json()
    assert [row["repeat"] for row in shared["runs"]] == [0, 0, 1, 1, 2, 2]
    timeless = [[{**row, "time_s": 0} for row in report["runs"]] for report in (shared, alone)]
    assert timeless[0] == json.loads(json.dumps(timeless[1]))
    assert shared["comparisons"] == json.loads(json.dumps(alone["comparisons"]))


def test_two_processes_share_a_benchmark_from_scratch(place):
    """A repeat each, with the generator that it needs."""
    command = ["benchmark", "digits.h5", "--recipe", "r.toml", "--train-per-class", "4", "--repeats", "2"]
    command += ["--arms", "real+synthetic", "--out", "shared", "--device", "cpu", "--json"]
    shared = json.loads(finished(torchrun(*command, cwd=place)))
    wishes = {"train_per_class": [4], "repeats": 2, "arms": ["real+synthetic"], "device": "cpu"}
    data, recipe = ag.load(place / "digits.h5"), ag.load_recipe(place / "r.toml")
    alone = ag.run_benchmark(data, recipe=recipe, out=place / "alone", **wishes).to_json()
    told = [(row["arm"], row["repeat"]) for row in shared["runs"]]
    assert told == [("real", 0), ("real", 1), ("real+synthetic", 0), ("real+synthetic", 1)]
    timeless = [[{**row, "time_s": 0} for row in report["runs"]] for report in (shared, alone)]
    assert timeless[0] == json.loads(json.dumps(timeless[1]))
    for part in ("comparisons", "verdict", "intervals"):
        assert shared[part] == json.loads(json.dumps(alone[part]))
    assert shared == json.loads((place / "shared" / "benchmark.json").read_text())
    for name in ("4-r0", "4-r1"):
        folders = [place / out / "fits" / name for out in ("shared", "alone")]
        one, other = (load_file(folder / "checkpoint.safetensors") for folder in folders)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_each_process_takes_every_nth_piece():
    """The others' it has from where they are kept, when all are done."""
    done = []

    class Pieces:
        def __len__(self):
            return 5

        def __call__(self, number, tell):
            done.append(number)
            tell("at work")
            return {"piece": number}

    class Third(World):
        def barrier(self):
            done.append("barrier")

    heard = []
    found = measure_all(Pieces(), Third(1, 3), None, on_message=lambda number, message: heard.append(number))
    assert done == [1, 4, "barrier", 0, 1, 2, 3, 4]
    assert [each["piece"] for each in found] == [0, 1, 2, 3, 4]
    assert heard == [1, 4, 0, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_lost_process_ends_the_job_and_the_run_goes_on(place):
    settings = ["training.updates=4000", "training.status_updates=1", "training.checkpoint_updates=12"]
    command = ["fit", "digits.h5", "--recipe", "r.toml", "--out", "lost", "--device", "cpu"]
    command += chain(*(("--set", setting) for setting in settings))
    job = torchrun(*command, cwd=place)
    events, deadline = place / "lost" / "events.jsonl", time.monotonic() + 240
    # between two checkpoints, so that something is lost
    while not events.exists() or '"updates": 14,' not in events.read_text():
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(children(job.pid)[-1], signal.SIGKILL)
    _, errors = job.communicate(timeout=240)
    assert job.returncode != 0
    said = errors.index("error: a process of this job was lost")
    assert "Traceback" not in errors[:said]
    run = ag.Run(place / "lost", "cpu")
    saved = run.generator_version["updates"]
    kept = [event for event in run.events() if event["updates"] <= saved]
    assert saved >= 12
    assert [event["updates"] for event in kept] == [*range(1, saved + 1)]
    finished(torchrun(*command, "--resume", "--max-time", "0.01s", cwd=place))
    run = ag.Run(place / "lost", "cpu")
    assert run.info["state"] == "stopped"
    assert run.generator_version["updates"] > saved
    assert run.events()[:saved] == kept
    assert [event["updates"] for event in run.events()] == [*range(1, run.generator_version["updates"] + 1)]


def test_a_batch_that_cannot_be_shared_is_one_clear_error(place):
    job = torchrun("fit", "digits.h5", "--set", "training.batch_images=20", "--out", "uneven", cwd=place)
    _, errors = job.communicate(timeout=120)
    assert job.returncode != 0
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "training.batch_images = 20 cannot be shared by 2 processes" in lines[0]
    assert "training.batch_images=24" in lines[0]
    assert not (place / "uneven").exists()


def test_our_rows_make_up_the_batch():
    taken = [list(range(48))[World(rank, 3).rows(48)] for rank in range(3)]
    assert [*chain(*taken)] == list(range(48))
    assert SINGLE_PROCESS.rows(7) == slice(0, 7)
    World(0, 3).check_batch(48, 4)
    with pytest.raises(RecipeError, match="batch_images=48"):
        World(0, 3).check_batch(40, 4)


def test_more_processes_than_gpus_are_one_line(monkeypatch):
    names = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match="2 processes for 1 GPUs; lower --nproc-per-node"), process_group("auto"):
        pass


@pytest.mark.parametrize("device", ["mps", "cuda:0"])
def test_a_device_that_processes_cannot_share(monkeypatch, device):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match=f"--device {device} under torchrun"), process_group(device):
        raise AssertionError("processes never come together")
