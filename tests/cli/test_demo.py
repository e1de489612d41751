"""`augmentgan demo`, the first command that README has people type, with a recipe that takes seconds."""

import json
import sys
from html import unescape
from pathlib import Path

import h5py
import numpy as np
import pytest

from augmentgan import recipe
from augmentgan.cli.app import main

QUICK = [
    "data.train_per_class=6",
    "training.updates=12",
    "training.batch_images=20",
    "training.quality_updates=12",
    "training.sheet_updates=6",
    "model.generator_width=8",
    "model.discriminator_width=8",
    "benchmark.steps=5",
    "benchmark.repeats=2",
    "benchmark.synthetic_per_class=10",
    "benchmark.tune=false",
]


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """A command, as if typed in an empty folder; gives what it said on stdout, and a quiet one says nothing elsewhere."""
    load_recipe = recipe.load_recipe

    def quick(name):
        assert name == "digits"
        return load_recipe(name).with_settings(QUICK)

    monkeypatch.setattr(recipe, "load_recipe", quick)
    monkeypatch.chdir(tmp_path)

    def said(*words):
        monkeypatch.setattr(sys, "argv", ["augmentgan", *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        assert end.value.code == 0, told.err
        assert bool(told.err) != ("--quiet" in words)
        return told.out

    return said


def rows_of(file):
    with h5py.File(file) as opened:
        return {name: opened[name][:] for name in ("images", "labels", "sample_index")}


def test_the_demo_can_be_repeated_and_leaves_what_was_generated_alone(typed):
    first = json.loads(typed("demo", "--json", "--device", "cpu", "--quiet"))
    assert Path(first["run"]) == Path("runs/demo")
    run, samples, sheet, page = (Path(first[name]) for name in ("run", "samples", "sheet", "page"))
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    assert first["benchmark"] == json.loads((run / "benchmark.json").read_text())
    assert sheet.read_bytes().startswith(b"\x89PNG")
    verdict = first["benchmark"]["verdict"]["text"]
    assert verdict in unescape(page.read_text(encoding="utf-8"))
    made = rows_of(samples)
    assert np.bincount(made["labels"]).tolist() == [10] * 10

    typed("generate", "--per-class", "3", "--device", "cpu")  # of the newest run
    mine = (run / "synthetic.h5").read_bytes()
    learned = (run / "checkpoint.safetensors").read_bytes()
    samples.unlink()
    again = json.loads(typed("demo", "--json", "--device", "cpu"))
    assert [again[name] for name in ("run", "samples", "sheet", "page")] == [*map(str, (run, samples, sheet, page))]
    assert again["benchmark"]["runs"] == first["benchmark"]["runs"]  # times, too: nothing was trained anew
    assert (run / "checkpoint.safetensors").read_bytes() == learned
    assert (run / "synthetic.h5").read_bytes() == mine
    for name, column in rows_of(samples).items():
        np.testing.assert_array_equal(column, made[name])

    told = typed("demo", "--device", "cpu", "--quiet")
    assert verdict in told
    for name, file in (("samples", samples), ("sample sheet", sheet), ("page", page)):
        assert f"\n{name:12} {file}\n" in told
