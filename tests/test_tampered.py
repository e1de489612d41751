"""Run folders that somebody changed, cut off, or made with a version to come: one line, whatever opens them."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests_support import made_up_report

import augmentgan as ag
from augmentgan.data import sheet
from augmentgan.data.hdf5 import write_hdf5
from augmentgan.errors import AugmentGANError, OutputError, RunError
from augmentgan.gan.run_folder import locked


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained.folder, tmp_path / "run")


def refused(call, *words):
    with pytest.raises(AugmentGANError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def change(folder, **values):
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, **values}))


ROLLBACK = {"updates": 20, "from_updates": 30, "reason": "x", "rate_generator": 0.5, "rate_discriminator": 0.5}


@pytest.mark.parametrize(
    "values",
    [
        {"recipe": {}},
        {"recipe": {"data": {"size_px": 10**9}}},
        {"recipe": None, "class_names": None},
        {"seed": "x"},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": float("nan")},
        {"class_names": "0123456789"},
        {"class_names": ["0"] * 10},
        {"class_names": ["a", "b"]},
        {"class_names": [str(number) for number in range(100_000)]},
        {"state": 3},
        {"rollbacks": [{"updates": "x"}]},
        {"rollbacks": [{**ROLLBACK, "rate_generator": "0.5"}]},
        {"rollbacks": [{**ROLLBACK, "rate_generator": 10**400}]},
        {"rollbacks": [{**ROLLBACK, "rate_discriminator": float("nan")}]},
        {"data_fingerprint": "`\n\n<img src=x>"},
        {"created": "yesterday"},
        {"created": None},
    ],
)
def test_a_tampered_run(folder, values):
    change(folder, **values)
    refused(lambda: ag.Run(folder, "cpu").generate(1))


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\x00", '"x"', "1e999"])
def test_a_run_json_that_is_none(folder, text):
    (folder / "run.json").write_text(text)
    refused(lambda: ag.Run(folder, "cpu"), "run.json cannot be used")


def test_a_run_that_returned_to_a_checkpoint_is_none_of_these(folder):
    change(folder, rollbacks=[ROLLBACK])
    assert len(ag.Run(folder, "cpu").generate(1)) == 10


def test_a_newer_run_says_so(folder):
    change(folder, format=2, surprise=1)
    refused(lambda: ag.Run(folder, "cpu"), "format 2", "version of augmentgan that made it")


def test_weights_of_other_shapes(folder):
    recipe = json.loads((folder / "run.json").read_text())["recipe"]
    recipe["model"]["generator_width"] = 16
    change(folder, recipe=recipe)
    refused(lambda: ag.Run(folder, "cpu").generate(1), "does not fit")


def retold(folder, alter, **numbers):
    from safetensors import safe_open

    path = folder / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    alter(tensors)
    save_file(tensors, path, {**metadata, **numbers})


def test_weights_that_are_no_numbers_make_no_samples(folder):
    def spoil(tensors):
        name = next(name for name in tensors if name.startswith("chosen.") and name.endswith("weight"))
        tensors[name].view(-1)[0] = float("nan")

    retold(folder, spoil)
    refused(lambda: ag.Run(folder, "cpu").generate(1), "not finite")


def test_a_checkpoint_that_cannot_be_opened_is_not_given_up(folder):
    """What a disk or its permissions do must not be mended by learning anew."""
    (folder / "checkpoint.safetensors").unlink()
    (folder / "checkpoint.safetensors").mkdir()
    with pytest.raises(
        RunError, match=r"checkpoint in .* cannot be read \(.+\); check the file, its permissions"
    ) as caught:
        ag.Run(folder, "cpu").generate(1)
    assert "overwrite" not in str(caught.value)


def test_images_that_cannot_be_read_are_not_called_lost(folder):
    (folder / "data.h5").write_bytes(b"no HDF5")
    with pytest.raises(RunError, match=r"data\.h5") as caught:
        ag.Run(folder, "cpu")
    assert "overwrite" not in str(caught.value)


@pytest.mark.parametrize("plan", ["0", "-1", str(2**60), "x"])
def test_a_plan_that_is_none(folder, plan):
    retold(folder, lambda tensors: None, chosen_plan=plan)
    refused(lambda: ag.Run(folder, "cpu").generate(1), "checkpoint")


@pytest.mark.parametrize(
    "name", ["random.cpu", "coverage.rows", "optimizer_generator.0.exp_avg", "average.to_image.bias"]
)
def test_a_checkpoint_that_lacks_something(folder, digits, small_recipe, name):
    retold(folder, lambda tensors: tensors.pop(name))
    recipe = small_recipe.with_settings(["training.updates=40"])
    refused(lambda: continued(folder, digits, recipe), "checkpoint")


@pytest.mark.parametrize(
    "spoil", [lambda latents: latents.double(), lambda latents: latents.log()], ids=["doubles", "not finite"]
)
def test_matched_latents_that_the_generator_cannot_take(folder, digits, small_recipe, spoil):
    retold(folder, lambda tensors: tensors.update({"coverage.latents": spoil(tensors["coverage.latents"])}))
    refused(lambda: continued(folder, digits, small_recipe.with_settings(["training.updates=44"])), "checkpoint")


@pytest.mark.parametrize("shape", [(), (3,), (10**4, 10)])
def test_a_random_state_of_another_shape(folder, digits, small_recipe, shape):
    retold(folder, lambda tensors: tensors.update({"random.cpu": torch.zeros(shape, dtype=torch.uint8)}))
    refused(lambda: continued(folder, digits, small_recipe), "checkpoint")


@pytest.mark.parametrize("name", ["exp_avg", "step"])
def test_an_optimiser_that_lost_its_moments(folder, digits, small_recipe, name):
    def forget(tensors):
        for key in [key for key in tensors if key.startswith("optimizer_generator.") and key.endswith(f".{name}")]:
            del tensors[key]

    retold(folder, forget)
    refused(lambda: continued(folder, digits, small_recipe.with_settings(["training.updates=40"])), "checkpoint")


def test_an_optimiser_without_any_state(folder, digits, small_recipe):
    def forget(tensors):
        for key in [key for key in tensors if key.startswith("optimizer_discriminator.")]:
            del tensors[key]

    retold(folder, forget)
    refused(lambda: continued(folder, digits, small_recipe.with_settings(["training.updates=40"])), "checkpoint")


def test_steps_that_are_many(folder, digits, small_recipe):
    retold(folder, lambda tensors: tensors.update({"optimizer_generator.0.step": torch.zeros(7)}))
    refused(lambda: continued(folder, digits, small_recipe.with_settings(["training.updates=40"])), "checkpoint")


def test_a_class_without_coverage_pairs(folder, digits, small_recipe):
    def forget(tensors):
        tensors["coverage.rows"] = torch.zeros_like(tensors["coverage.rows"])

    retold(folder, forget)
    refused(lambda: continued(folder, digits, small_recipe.with_settings(["training.updates=40"])), "checkpoint")


@pytest.mark.parametrize("rows", [[10**6], [-1], [0.5], [], [[1, 2, 3]]])
def test_coverage_pairs_of_other_data(folder, digits, small_recipe, rows):
    retold(folder, lambda tensors: tensors.update({"coverage.rows": torch.tensor(rows)}))
    refused(lambda: continued(folder, digits, small_recipe), "checkpoint")


def continued(folder, digits, recipe):
    ag.fit(digits, recipe, folder, seed=3, device="cpu")
    ag.Run(folder, "cpu").generate(1)


def test_data_that_is_not_the_runs(folder, trained):
    images = np.zeros((20, 16, 16, 3), np.uint8)
    write_hdf5(folder / "data.h5", ag.LabelledImages(images, np.arange(20) % 10, trained.class_names), overwrite=True)
    with pytest.raises(RunError, match=r"data\.h5 is not the data of run\.json"):
        ag.Run(folder, "cpu")


@pytest.mark.parametrize(
    "document",
    ["", "[]", "[" * 100_000, '{"protocol": {}, "runs": [], "comparisons": [], "verdict": {}, "class_names": []}'],
)
def test_a_benchmark_json_that_is_none(folder, document):
    (folder / "benchmark.json").write_text(document)
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "benchmark.json", "again")


EQUIVALENT = made_up_report(["real", "real+synthetic"]).to_json()["equivalents"][0]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("protocol.interval", None),
        ("protocol.sizes", "x"),
        ("verdict.text", None),
        ("verdict.arm", "real+mixup"),
        ("protocol.arms", []),
        ("runs", []),
        ("comparisons", [{}]),
        ("equivalents", [{**EQUIVALENT, "as_if": float("inf")}]),
    ],
)
def test_a_benchmark_json_that_was_cut(folder, place, value):
    """Also where only the page's template reads what is gone."""
    document = made_up_report(["real", "real+synthetic"]).to_json()
    *above, key = place.split(".")
    parent = document[above[0]] if above else document
    parent.pop(key)
    if value is not None:
        parent[key] = value
    (folder / "benchmark.json").write_text(json.dumps(document))
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "benchmark.json", "run augmentgan benchmark again")


def test_a_benchmark_json_with_numbers_that_are_none(folder, tmp_path):
    document = made_up_report(["real", "real+synthetic"]).to_json()
    document["protocol"]["sizes"]["test"] = float("inf")
    (folder / "benchmark.json").write_text(json.dumps(document))
    refused(lambda: ag.export_run(ag.Run(folder, "cpu"), "safetensors", tmp_path / "model"), "benchmark.json", "again")


def test_a_benchmark_json_that_lacks_repeats(folder):
    document = made_up_report(["real", "real+synthetic"]).to_json()
    document["runs"].pop()
    (folder / "benchmark.json").write_text(json.dumps(document))
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "benchmark.json", "fewer than two repeats")


@pytest.mark.parametrize("measured", [False, True])
def test_a_run_json_that_the_page_cannot_show(folder, measured):
    """A benchmark beside it is not to blame: nobody should make it again, and for nothing."""
    change(folder, versions=3)
    if measured:
        (folder / "benchmark.json").write_text(json.dumps(made_up_report(["real", "real+synthetic"]).to_json()))
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "events.jsonl", "fit again")


def test_events_that_make_no_sense_are_passed_over(folder):
    good = (folder / "events.jsonl").read_text()
    bad = [
        '{"updates": 1, "loss_d": "x"',
        '{"updates": true}',
        "[" * 100_000,
        '{"updates": 3, "loss_d": NaN}',
        "\ufffd",
    ]
    bad += [json.dumps({"updates": 40, "seconds": "x"}), json.dumps({"updates": 1, "loss_d": {}})]
    bad += [json.dumps({"updates": 2, "loss_d": [1]}), json.dumps({"updates": 10**400})]
    (folder / "events.jsonl").write_text("\n".join(bad) + "\n" + good)
    run = ag.Run(folder, "cpu")
    assert [event["updates"] for event in run.events()] == [10, 20, 30, 40]
    ag.write_report(run)


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("content", [EPS, "", "\x89PNG\r\n\x1a\n"], ids=["a program", "empty", "cut off"])
def test_sample_sheets_are_pictures_and_no_programs(folder, tmp_path, monkeypatch, content):
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    (folder / "samples" / "000020.png").write_text(content, encoding="latin-1")
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "000020.png")
    assert not (tmp_path / "called").exists()


def test_a_sheet_larger_than_any_of_ours_is_not_unpacked(folder, monkeypatch):
    monkeypatch.setattr(sheet, "MOST_SHEET_PIXELS", 1000)
    refused(lambda: ag.write_report(ag.Run(folder, "cpu")), "pixels", "at most 1,000 are read")


@pytest.mark.parametrize(
    "name", ["events.jsonl", "samples", ".lock", "run.json", "tensorboard", "protocol.json", "fits"]
)
def test_links_in_a_run_folder_are_not_written_through(folder, digits, small_recipe, tmp_path, name):
    """A folder from a stranger: what the link names lies outside, and may not be there yet."""
    if (folder / name).exists():
        (folder / name).rename(tmp_path / "elsewhere")
    there = sorted(tmp_path.glob("elsewhere/*"))
    for target in (tmp_path / "elsewhere", tmp_path / "not_yet"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        refused(lambda: longer(folder, digits, small_recipe))
        with pytest.raises(OutputError, match=f"{re.escape(name)}' is a link"), locked(folder, "run"):
            pass
    assert not (tmp_path / "not_yet").exists()
    assert sorted(tmp_path.glob("elsewhere/*")) == there


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["run.json", "checkpoint.safetensors", "data.h5", "benchmark.json", "events.jsonl"])
def test_pipes_in_a_run_folder_are_not_waited_for(folder, digits, small_recipe, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(lambda: longer(folder, digits, small_recipe))
    if name == "events.jsonl":  # without it there are no curves, and all the rest
        ag.write_report(ag.Run(folder, "cpu"))
    else:
        refused(lambda: ag.write_report(ag.Run(folder, "cpu")), name.removesuffix(".safetensors"))


def longer(folder, digits, recipe):
    ag.fit(digits, recipe.with_settings(["training.updates=44"]), folder, seed=3, device="cpu")
