"""A run folder that is opened: what is in it, what is no run, and what samples come from."""

import json
import os
import shutil

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.errors import DataError, RunError
from augmentgan.gan.run import model_fingerprint, newest_run
from augmentgan.names import run_folders


def test_the_folder_holds_what_the_contract_names(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert {"run.json", "split.json", "checkpoint.safetensors", "checkpoint.json", "events.jsonl", "samples"} <= names
    info = json.loads((trained.folder / "run.json").read_text())
    assert info["state"] == "finished"
    assert info["counts"]["train"] == trained.train.counts.tolist()
    assert "auto" not in json.dumps({**info["recipe"], "name": "", "description": ""})
    events = trained.events()
    assert [event["updates"] for event in events] == [10, 20, 30, 40]
    assert {"images", "seconds", "images_per_s", "loss_d", "loss_g", "d_real", "d_fake"} <= events[0].keys()
    assert {"div", "near"} <= events[-1].keys()
    assert [path.name for path in sorted((trained.folder / "samples").iterdir())] == ["000020.png", "000040.png"]


def test_the_parts_of_a_split_share_no_image(trained, digits):
    split = json.loads((trained.folder / "split.json").read_text())
    assert not set(split["train"]) & set(split["test"])
    assert (trained.test.images == digits.images[split["test"]]).all()
    seen = {image.tobytes() for image in trained.train.images}
    assert not any(image.tobytes() in seen for image in trained.test.images)


def test_an_opened_run_speaks_of_the_generator_that_it_has_loaded(trained, digits, small_recipe, tmp_path):
    run = ag.fit(digits, small_recipe.with_settings(["training.updates=13"]), tmp_path / "run", seed=3, device="cpu")
    before = run.generate(1).images
    ag.fit(digits, small_recipe, run.folder, seed=3, device="cpu")
    assert np.array_equal(run.generate(1).images, before)
    assert (run.generator_version, run.events()[-1]["updates"]) == ({"updates": 13, "chosen_updates": 13}, 13)
    assert "13 updates" in run.provenance()["command"]
    now = ag.Run(run.folder, "cpu")
    assert now.generator_version == ag.Run(trained.folder, "cpu").generator_version
    assert run.provenance()["model_fingerprint"] != now.provenance()["model_fingerprint"]


def test_the_fingerprint_is_of_weights_and_not_of_what_is_measured_with_them(trained):
    """Statistics are summed by so many threads, whose number changes their last digits."""
    run = ag.Run(trained.folder, "cpu")
    before = model_fingerprint(run.generator)
    run.generator.norm[0].running_mean += 1e-7
    assert model_fingerprint(run.generator) == before
    run.generator.to_image.bias.data += 1e-7
    assert model_fingerprint(run.generator) != before


def test_opening_what_is_no_run(tmp_path, trained):
    with pytest.raises(RunError, match="not a run folder"):
        ag.Run(tmp_path)
    with pytest.raises(RunError, match="no run under"):
        newest_run(tmp_path)
    assert newest_run(trained.folder.parent) == trained.folder


def test_the_newest_run_is_one_that_can_be_used(trained, tmp_path):
    for name in ("good", "just-begun"):
        shutil.copytree(trained.folder, tmp_path / name)
    (tmp_path / "just-begun" / "checkpoint.safetensors").unlink()
    (tmp_path / "just-begun" / "run.json").touch()
    assert newest_run(tmp_path).name == "good"
    shutil.rmtree(tmp_path / "good")
    assert newest_run(tmp_path).name == "just-begun"


def test_runs_are_found_at_any_depth_and_a_benchmarks_generators_are_not_among_them(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "runs" / "first" / "small")
    (tmp_path / "runs" / "benchmark").mkdir()
    (tmp_path / "runs" / "benchmark" / "protocol.json").write_text("{}")
    shutil.copytree(trained.folder, tmp_path / "runs" / "benchmark" / "fits" / "20-r0")
    shutil.copytree(trained.folder, tmp_path / "runs" / "first" / "small" / "inside")
    assert run_folders(tmp_path / "runs") == [tmp_path / "runs" / "first" / "small"]
    (tmp_path / "runs" / "run.json").write_text("{}")  # of a fit --out runs, which hides none of the others
    if os.name != "nt":
        shutil.copytree(trained.folder, tmp_path / "elsewhere")
        (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        assert tmp_path / "runs" / "linked" in run_folders(tmp_path / "runs")
        (tmp_path / "runs" / "linked").unlink()
    assert run_folders(tmp_path / "runs") == [tmp_path / "runs" / "first" / "small"]
    assert newest_run(tmp_path / "runs") == tmp_path / "runs" / "first" / "small"


def test_the_newest_run_is_the_one_that_learned_last(trained, tmp_path):
    """Which need not be the one that began, or ended, last."""
    for name, began, saved in (("learning", 100, 400), ("ended", 300, 290)):
        folder = shutil.copytree(trained.folder, tmp_path / name)
        for file in folder.iterdir():
            os.utime(file, (began, began))
        os.utime(folder / "checkpoint.json", (saved, saved))
    assert newest_run(tmp_path).name == "learning"


@pytest.mark.parametrize("damage", ["truncated", "missing", "other format"])
def test_damaged_checkpoints(trained, tmp_path, damage):
    import shutil

    from safetensors.torch import save_file

    folder = tmp_path / "copy"
    shutil.copytree(trained.folder, folder)
    path = folder / "checkpoint.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "missing":
        path.unlink()
    else:
        save_file({"a": torch.zeros(1)}, path, {"format": "99"})
    with pytest.raises(RunError, match="checkpoint") as caught:
        ag.Run(folder).generate(1)
    assert "\n" not in str(caught.value)


def test_wishes(trained):
    with pytest.raises(DataError, match="one of the two"):
        trained.counts(5, "max")
    with pytest.raises(DataError, match="class '77' is not known"):
        trained.counts(5, classes="77")
    with pytest.raises(DataError, match="not a whole number"):
        trained.counts(2.5)


def test_truncated_samples_of_the_same_weights_vary_less(trained, digits, small_recipe, tmp_path):
    recipe = small_recipe.with_settings(["model.truncation=0.5"])
    short = ag.fit(digits, recipe, tmp_path / "short", seed=trained.seed, device="cpu")
    for one, other in zip(trained.generator.parameters(), short.generator.parameters(), strict=True):
        assert torch.equal(one, other)
    spread = [run.generate(20).images.reshape(10, 20, -1).std(axis=1).mean() for run in (trained, short)]
    assert spread[1] < 0.9 * spread[0]


def test_the_run_samples_on_the_device_that_it_learned_on(digits, small_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)  # "auto" would be another
    run = ag.fit(digits, small_recipe.with_settings(["training.updates=2"]), tmp_path / "run", device="cpu")
    assert run.generator.to_image.weight.device.type == "cpu"


def test_samples_of_no_class_or_fewer_than_none_are_refused(trained):
    with pytest.raises(DataError, match=r"labels \[99\] are not all of the run's 10"):
        trained.sample({99: 2})
    with pytest.raises(DataError, match="class '0': -3 samples are asked for; give 0 to 1,000,000,000"):
        trained.sample({0: -3, 1: 5})


def test_what_samples_come_from_is_known_after_a_kill(trained, tmp_path):
    """run.json is only written at an end that was seen coming; the checkpoint knows."""
    copied = tmp_path / "run"
    shutil.copytree(trained.folder, copied)
    info = json.loads((copied / "run.json").read_text())
    chosen = info.pop("chosen_updates")
    (copied / "run.json").write_text(json.dumps({**info, "state": "started"}))
    with (copied / "events.jsonl").open("a") as file:  # told after the checkpoint was written
        file.write(json.dumps({**trained.statuses()[-1], "updates": 47}) + "\n")
    run = ag.Run(copied, "cpu")
    assert run.generator_version == trained.generator_version == {"updates": 40, "chosen_updates": chosen}
    (copied / "run.json").write_text(json.dumps({**info, "chosen_updates": 10}))
    assert ag.Run(copied, "cpu").generator_version == trained.generator_version


def test_a_recipe_of_before_a_key_is_repeated_as_it_was(trained, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(trained.folder, copied)
    info = json.loads((copied / "run.json").read_text())
    del info["recipe"]["objective"]["class_weight"]
    (copied / "run.json").write_text(json.dumps(info))
    assert ag.Run(copied, "cpu").recipe.objective.class_weight == 0
