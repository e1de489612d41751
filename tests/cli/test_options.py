"""What several commands do with the options that they share."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import typer.testing

import augmentgan as ag
from augmentgan.cli.app import app
from augmentgan.cli.options import images_for, open_run, recipe_for
from augmentgan.errors import DataError, RecipeError


@pytest.fixture
def split_file(digits, tmp_path):
    """Digits that bring a test part of their own: every third image."""
    ag.save(replace(digits, split=np.arange(len(digits)) % 3 // 2), tmp_path / "split.h5")
    return tmp_path / "split.h5"


def test_a_share_that_does_nothing_is_said_to(split_file, capsys):
    options = {"test": None, "skip_bad": False}
    assert len(images_for(ag.Recipe(), split_file, test_fraction=0.3, **options)) == 120
    assert "--test-fraction is passed over" in capsys.readouterr().err
    images_for(ag.Recipe(), split_file, test_fraction=None, **options)
    assert "--test-fraction" not in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_said_to_be(trained, tmp_path, capsys):
    open_run(trained.folder, "cpu")
    assert not capsys.readouterr().err
    half = shutil.copytree(trained.folder, tmp_path / "half")
    info = json.loads((half / "run.json").read_text())
    info["state"], info["recipe"]["training"]["updates"] = "stopped", 80
    (half / "run.json").write_text(json.dumps(info))
    open_run(half, "cpu")
    assert "has made 40 of 80 updates" in capsys.readouterr().err


def test_a_share_and_a_test_set_exclude_each_other(split_file):
    with pytest.raises(DataError, match="leave one of them out"):
        images_for(ag.Recipe(), split_file, test=split_file, test_fraction=0.3, skip_bad=False)


def test_options_that_stand_for_a_key_come_last_and_are_named_in_a_mistake():
    named = {"--updates": ("training.updates", 30), "--test-fraction": ("data.test_fraction", None)}
    chosen = recipe_for("digits", ["training.updates=20", "data.test_fraction=0.4"], named)
    assert (chosen.training.updates, chosen.data.test_fraction) == (30, 0.4)
    with pytest.raises(RecipeError, match=r"^--updates 0: "):
        recipe_for(None, None, {"--updates": ("training.updates", 0)})
    with pytest.raises(RecipeError, match=r"^--set: training.updates = 0: "):
        recipe_for(None, ["training.updates=0"], named)


@pytest.mark.parametrize("words", [["inspect"], ["fit", "--dry-run"], ["fit", "{data}", "--dry-run", "--test"]])
def test_what_cannot_be_read_is_no_usage_error(tree, monkeypatch, words):
    """Click would ask first, and answer with its own words and status 2 where reading gives one line and status 1."""
    monkeypatch.setattr(os, "access", lambda path, mode, **words: mode != os.R_OK)
    command = [word.format(data=tree) for word in words]
    done = typer.testing.CliRunner().invoke(app, [*command, str(tree)])
    assert done.exit_code in (0, 1), done.output  # the last has the same images on both sides
