"""`fit` and its folder: what it learns from, going on where it stopped, and what it leaves alone."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests_support import weights

import augmentgan as ag
from augmentgan.errors import DataError, OutputError, RunError, TrainingError
from augmentgan.gan import fit
from augmentgan.gan.batches import class_shares
from augmentgan.gan.checkpoint import read_numbers
from augmentgan.gan.choice import Choice
from augmentgan.gan.distributed import World
from augmentgan.gan.watch import Rollback


def test_other_test_images_change_nothing_that_is_learned_or_looked_at(digits, small_recipe, tmp_path):
    """What `fit` hands on is seen from outside alone: with noise for test images the run is the same to the last digit."""
    recipe = small_recipe.with_settings(
        [
            "training.updates=6",
            "training.quality_updates=2",
            "training.status_updates=2",
            "training.checkpoint_updates=6",
        ]
    )
    test = np.arange(len(digits)) % 4 == 0
    images = digits.images.copy()
    images[test] = np.random.default_rng(0).integers(0, 256, images[test].shape)
    runs, plans = [], []
    for name, each in (("own", digits.images), ("noise", images)):
        data = replace(digits, images=each, split=test.astype(np.int64))
        runs.append(ag.fit(data, recipe, tmp_path / name, device="cpu", on_plan=plans.append))
    assert [len(plan.split.dropped) for plan in plans] == [0, 0]  # a near copy would change the training part itself
    own, noise = runs
    assert not np.array_equal(own.test.images, noise.test.images)
    expected, found = weights(own.folder), weights(noise.folder)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    took = ("seconds", "images_per_s")
    seen = [[{k: event[k] for k in event if k not in took} for event in run.events()] for run in runs]
    assert seen[0] == seen[1]
    assert own.info["chosen_updates"] == noise.info["chosen_updates"]
    assert np.array_equal(own.generate(2).images, noise.generate(2).images)


def test_stopped_and_continued_ends_with_the_same_bytes(trained, digits, small_recipe, tmp_path):
    asked = 0

    def after(n):
        def stop():
            nonlocal asked
            asked += 1
            return asked >= n

        return stop

    for n in (7, 13, 5):
        asked = 0
        stopped = ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu", should_stop=after(n))
        assert stopped.info["state"] == "stopped"
    finished = ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu")
    assert finished.finished
    expected, found = weights(trained.folder), weights(tmp_path / "run")
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert (finished.generate(5).images == trained.generate(5).images).all()


def test_what_was_logged_after_the_checkpoint_is_logged_again_and_once(trained, digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    ag.fit(digits, small_recipe, folder, seed=3, device="cpu", max_time_s=1e-6)
    with (folder / "events.jsonl").open("a") as file:  # as a process does that is killed before its next checkpoint
        file.write(json.dumps({**trained.events()[0], "updates": 7}) + "\n")
    finished = ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    assert [event["updates"] for event in finished.events()] == [1, 10, 20, 30, 40]


def test_a_longer_run_is_the_one_that_was_planned_so(trained, digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    short = ag.fit(digits, small_recipe.with_settings(["training.updates=13"]), folder, seed=3, device="cpu")
    assert short.finished
    assert short.chosen_look["updates"] == 13
    longer = ag.fit(digits, small_recipe, folder, seed=3, device="cpu", max_time_s=1e-6)
    assert (longer.info["state"], longer.recipe.training.updates) == ("stopped", 40)
    longer = ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    assert longer.finished
    expected, found = weights(trained.folder), weights(folder)
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert longer.info["chosen_updates"] == trained.info["chosen_updates"]
    with pytest.raises(RunError, match="for 40 updates, not 13; --resume goes on"):
        ag.fit(digits, small_recipe.with_settings(["training.updates=13"]), folder, seed=3, device="cpu")


def test_a_look_that_was_the_last_of_a_shorter_plan_stays_chosen(digits, small_recipe, tmp_path, monkeypatch):
    """Where none of the later ones is taken; by the longer plan it would not have been made."""
    folder, takes = tmp_path / "run", Choice.takes
    monkeypatch.setattr(Choice, "takes", lambda self, updates, *seen: updates <= 25 and takes(self, updates, *seen))
    ag.fit(digits, small_recipe.with_settings(["training.updates=25"]), folder, seed=3, device="cpu")
    longer = ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    assert longer.finished
    assert longer.info["chosen_updates"] == longer.chosen_look["updates"] == 25


def test_a_look_of_a_shorter_plan_gives_its_own_samples(digits, small_recipe, tmp_path, monkeypatch):
    """By a longer plan rare classes come up less often, and statistics follow the classes that were drawn."""
    folder, takes = tmp_path / "run", Choice.takes
    monkeypatch.setattr(Choice, "takes", lambda self, updates, *seen: updates <= 20 and takes(self, updates, *seen))
    recipe = small_recipe.with_settings(["training.updates=20", "training.most_shown=40"])
    rows = np.concatenate([np.flatnonzero(digits.labels == label)[:n] for label, n in ((0, 6), (1, 60))])
    uneven = replace(digits.subset(rows), class_names=("0", "1"))
    short = ag.fit(uneven, recipe, folder, seed=3, device="cpu")
    wanted = short.generate(8).images
    longer = ag.fit(uneven, recipe.with_settings(["training.updates=40"]), folder, seed=3, device="cpu")
    shares = [class_shares(run.train.counts, run.recipe.training) for run in (short, longer)]
    assert not torch.equal(*shares)
    assert (longer.finished, longer.chosen_look["updates"]) == (True, 20)
    assert (longer.generate(8).images == wanted).all()


def test_a_plan_that_an_earlier_version_did_not_keep_is_not_made_up(digits, small_recipe, tmp_path, monkeypatch):
    folder, takes = tmp_path / "run", Choice.takes
    monkeypatch.setattr(Choice, "takes", lambda self, updates, *seen: updates <= 20 and takes(self, updates, *seen))
    ag.fit(digits, small_recipe.with_settings(["training.updates=20"]), folder, seed=3, device="cpu")
    assert read_numbers(folder).chosen_plan == 20
    with safe_open(folder / "checkpoint.safetensors", framework="pt") as file:
        known = {name: value for name, value in file.metadata().items() if name != "chosen_plan"}
    save_file(load_file(folder / "checkpoint.safetensors"), folder / "checkpoint.safetensors", known)
    ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    assert read_numbers(folder).chosen_updates == 20
    assert read_numbers(folder).chosen_plan is None


def test_processes_that_see_different_runs_are_told(tmp_path):
    """Machines without a disk in common would average gradients of different weights."""

    class Apart(World):
        def broadcast_(self, tensor):
            return torch.full_like(tensor, 500)

        def any_rank(self, flag):
            return flag

    (tmp_path / "run.json").touch()
    fit._check_shared(Apart(1, 2), tmp_path, 500)
    for folder, updates in ((tmp_path, 400), (tmp_path / "none", 500)):
        with pytest.raises(TrainingError, match="see different runs"):
            fit._check_shared(Apart(1, 2), folder, updates)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(trained, digits, small_recipe, tmp_path):
    again = ag.fit(digits, small_recipe, tmp_path / "again", seed=3, device="cpu")
    other = ag.fit(digits, small_recipe, tmp_path / "other", seed=4, device="cpu")
    assert (again.generate(3).images == trained.generate(3).images).all()
    assert (other.generate(3, seed=3).images != trained.generate(3).images).any()


def test_what_a_killed_process_left_among_the_sheets_goes(trained, digits, small_recipe, tmp_path):
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    for place in (folder, folder / "samples"):
        (place / ".000040.png.abc.part").write_bytes(b"half")
    ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(("key", "value"), [("repeats", 9), ("steps", 21)])
def test_other_settings_of_the_benchmark_are_taken_over(trained, digits, small_recipe, tmp_path, key, value):
    """No generator depends on them, and the run's own benchmark has to know of them."""
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    other = small_recipe.with_settings([f"benchmark.{key}={value}"])
    checkpoint = (folder / "checkpoint.safetensors").read_bytes()
    again = ag.fit(digits, other, folder, seed=3, device="cpu")
    assert again.finished
    assert getattr(again.recipe.benchmark, key) == value
    assert again.recipe.training == trained.recipe.training
    assert (folder / "checkpoint.safetensors").read_bytes() == checkpoint


def test_killed_before_it_held_anything(trained, digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(trained.folder / "run.json", folder)
    with pytest.raises(RunError, match="ended before it held anything; the same augmentgan fit starts it again"):
        ag.Run(folder, "cpu")
    assert ag.fit(digits, small_recipe, folder, seed=3, device="cpu").finished
    (folder / "data.h5").unlink()
    with pytest.raises(RunError, match="has lost its images"):
        ag.Run(folder, "cpu")


def test_out_of_time_is_a_clean_stop(digits, small_recipe, tmp_path):
    run = ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu", max_time_s=1e-6)
    assert run.info["state"] == "stopped"
    assert run.events()[-1]["updates"] == 1
    assert run.generate(2).counts.tolist() == [2] * 10


def test_fitting_a_finished_run_changes_nothing(digits, small_recipe, tmp_path):
    ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    assert ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu").finished
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_another_recipe_or_other_data_in_the_folder(trained, digits, small_recipe):
    with pytest.raises(RunError, match=r"objective\.loss"):
        ag.fit(digits, small_recipe.with_settings(["objective.loss=minimax"]), trained.folder, seed=3)
    with pytest.raises(RunError, match="other data"):
        ag.fit(digits.subset(range(60)), small_recipe, trained.folder, seed=3)


def test_another_seed_in_the_folder(digits, small_recipe, tmp_path):
    """Also where nothing of the data is drawn, and so the images are the same."""
    recipe = small_recipe.with_settings(["data.test_fraction=0"])
    ag.fit(digits, recipe, tmp_path / "run", seed=3, device="cpu")
    with pytest.raises(RunError, match="seed 3, not 4"):
        ag.fit(digits, recipe, tmp_path / "run", seed=4, device="cpu")
    assert ag.fit(digits, recipe, tmp_path / "run", seed=3, device="cpu").finished


def test_a_folder_that_is_no_run_is_never_replaced(digits, small_recipe, tree):
    for overwrite in (False, True):  # what would not help is not recommended either
        with pytest.raises(OutputError, match="not a run folder, so --overwrite leaves it alone"):
            ag.fit(digits, small_recipe, tree, overwrite=overwrite)
    assert (tree / "class_0" / "0.png").exists()


def test_starting_over_leaves_nothing_that_the_former_run_said(digits, small_recipe, tmp_path):
    folder = tmp_path / "run"
    ag.fit(digits, small_recipe, folder, seed=3, device="cpu")
    told = ("evaluate.json", "benchmark.json", "nearest.png", "benchmark.png", "report.html", "generator.onnx")
    for name in (*told, "synthetic.h5", "notes.txt"):
        (folder / name).write_text("of the former run")
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1").touch()
    ag.fit(digits, small_recipe, folder, seed=4, device="cpu", overwrite=True)
    assert not [name for name in (*told, "tensorboard") if (folder / name).exists()]
    assert (folder / "notes.txt").exists()
    assert (folder / "synthetic.h5").exists()


def test_a_setting_of_the_data_that_differs_is_named(trained, digits, small_recipe):
    words = r"from other data, split or seed, or with other settings \(data.size_px\); use --overwrite"
    with pytest.raises(RunError, match=words):
        ag.fit(digits, small_recipe.with_settings(["data.size_px=16"]), trained.folder, seed=3, device="cpu")


def test_looks_and_sheets_come_when_the_recipe_says_whatever_else_is_due(digits, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(
        [
            "training.updates=12",
            "training.status_updates=4",
            "training.quality_updates=3",
            "training.sheet_updates=5",
            "training.checkpoint_updates=8",
        ]
    )
    run = ag.fit(digits, recipe, tmp_path / "run", device="cpu")
    assert [event["updates"] for event in run.events()] == [3, 4, 5, 6, 8, 9, 10, 12]
    assert [event["updates"] for event in run.events() if "div" in event] == [3, 6, 9, 12]
    assert [path.stem for path in sorted((run.folder / "samples").iterdir())] == ["000005", "000010", "000012"]


def test_the_least_varied_class_is_one_with_images_enough_to_say(digits, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(["training.updates=4", "data.test_fraction=0"])
    rows = [np.flatnonzero(digits.labels == label)[: 12 if label else 3] for label in range(10)]
    uneven = digits.subset(np.concatenate(rows))
    named = [event for event in ag.fit(uneven, recipe, tmp_path / "a", device="cpu").events() if "div" in event]
    assert {event["div_worst_class"] for event in named} <= set("123456789")
    few = digits.subset(np.concatenate([mine[:5] for mine in rows]))
    unnamed = [event for event in ag.fit(few, recipe, tmp_path / "b", device="cpu").events() if "div" in event]
    assert unnamed
    assert {event.get("div_worst") for event in unnamed} == {None}


def test_a_path_is_read_as_the_recipe_wants_it(tree, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(["training.updates=1", "data.size_px=16"])
    by_path = ag.fit(tree, recipe, tmp_path / "a", device="cpu")
    assert (
        by_path.data.fingerprint()
        == ag.fit(ag.load(tree, size_px=16), recipe, tmp_path / "b", device="cpu").data.fingerprint()
    )
    file = tmp_path / "quick.toml"
    file.write_text("[training]\nupdates = 1\n[model]\ngenerator_width = 4\ndiscriminator_width = 4\n")
    assert ag.fit(tree, file, tmp_path / "c", device="cpu").recipe.name == "quick"


def test_what_is_drawn_by_who_looks_on_does_not_change_the_run(trained, digits, small_recipe, tmp_path):
    seen = ag.fit(
        digits, small_recipe, tmp_path / "run", seed=trained.seed, device="cpu", on_status=lambda status: torch.rand(3)
    )
    assert np.array_equal(seen.generate(1).images, trained.generate(1).images)


def test_a_killed_export_does_not_stand_in_the_way(digits, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(["training.updates=2"])
    ag.fit(digits, recipe, tmp_path / "run", device="cpu")
    litter = tmp_path / "run" / ".model.abc.part"
    litter.mkdir()
    (litter / "config.json").write_text("{}")
    assert ag.fit(digits, recipe, tmp_path / "run", device="cpu").finished
    assert not litter.exists()


def test_nothing_of_ours_moves_the_users_random_numbers(trained, digits, small_recipe, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ag.fit(digits, small_recipe.with_settings(["training.updates=2"]), tmp_path / "run", device="cpu").generate(1)
    assert torch.equal(torch.rand(3), expected)


def test_a_number_that_is_no_seed_is_one_line(trained, digits, tmp_path):
    for seed in (-1, 2**63, 1.0):
        with pytest.raises(DataError, match=f"seed {seed}: give 0 or more"):
            trained.generate(1, seed=seed)
        with pytest.raises(DataError, match=f"seed {seed}: give 0 or more"):
            ag.fit(digits, out=tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()


def test_whole_numbers_of_numpy_are_numbers(digits, small_recipe, tmp_path):
    settings = ["training.updates=2", "benchmark.steps=2", "benchmark.validation_folds=2"]
    run = ag.fit(digits, small_recipe.with_settings(settings), tmp_path / "run", seed=np.int64(1), device="cpu")
    wishes = [(run.counts(np.int64(5)), {}), (run.counts(1), {"seed": np.int64(3)}), ({np.int64(0): np.uint8(3)}, {})]
    made = [ag.write_samples(run, counts, tmp_path / "s.h5", overwrite=True, **words) for counts, words in wishes]
    assert made == [50, 10, 3]
    (only,) = run.sample({np.int64(2): np.int64(4)}, np.int64(3))
    assert np.array_equal(only.images, next(run.sample({2: 4}, 3)).images)
    assert ag.run_benchmark(run, arms=["real"], seed=np.int64(0)).protocol["seed"] == 0


def test_another_programs_run_json_is_no_run_and_notes_stay(digits, small_recipe, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "run.json").write_text('{"experiment": {}, "status": "COMPLETED"}')
    (theirs / "metrics.json").write_text("{}")
    with pytest.raises(OutputError, match="is not a run folder, so --overwrite leaves it alone"):
        ag.fit(digits, small_recipe, theirs, overwrite=True)
    assert (theirs / "metrics.json").exists()
    quick = small_recipe.with_settings(["training.updates=1"])
    ag.fit(digits, quick, tmp_path / "ours", device="cpu")
    (tmp_path / "ours" / "verdict.json").write_text("{}")
    ag.fit(digits, quick, tmp_path / "ours", device="cpu", overwrite=True, seed=1)
    assert (tmp_path / "ours" / "verdict.json").exists()
    (tmp_path / "ours" / "run.json").write_text("{")
    assert ag.fit(digits, quick, tmp_path / "ours", device="cpu", overwrite=True).finished


def test_trouble_before_the_first_checkpoint_is_not_forgotten(digits, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(["training.checkpoint_updates=1000"])
    ag.fit(digits, recipe, tmp_path / "run", device="cpu", should_stop=lambda: True)
    for name in ("checkpoint.safetensors", "checkpoint.json"):
        (tmp_path / "run" / name).unlink()
    rollback = Rollback(0, 30, "for a test", 0.5, 0.5)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**info, "rollbacks": [rollback.to_json()]}))
    run = ag.fit(digits, recipe, tmp_path / "run", device="cpu")
    assert run.finished
    assert run.info["rollbacks"] == [rollback.to_json()]


def test_further_columns_of_a_set_are_no_hindrance(digits, small_recipe, tmp_path):
    patients = replace(digits, extra={"patient": np.array(["p"] * len(digits)), "age": np.ones(len(digits))})
    run = ag.fit(patients, small_recipe, out=tmp_path / "run", device="cpu")
    assert sorted(map(bytes, run.data.images)) == sorted(map(bytes, digits.images))
    assert run.finished


def test_marks_that_leave_nothing_to_learn_from_are_refused(digits, small_recipe, tmp_path):
    for marks, words in (
        (np.ones(len(digits), np.int64), "every image is marked as a test image"),
        ((digits.labels == 3).astype(np.int64), "class '3' has no training image left"),
    ):
        with pytest.raises(DataError, match=words):
            ag.fit(replace(digits, split=marks), small_recipe, out=tmp_path / "run", device="cpu", as_marked=True)
    assert not (tmp_path / "run").exists()
