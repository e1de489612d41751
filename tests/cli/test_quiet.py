"""--quiet leaves stderr to mistakes: nothing at all where a command is done, one line where it is not (`demo`: test_demo.py)."""

import shutil
import sys

import pytest

from augmentgan.cli.app import main

QUICK = ["--set", "benchmark.steps=2", "--set", "benchmark.tune=false"]
SMALL = [
    *QUICK,
    *(word for key in ("generator_width=8", "discriminator_width=8") for word in ("--set", f"model.{key}")),
]


@pytest.fixture
def told(trained, tree, tmp_path, monkeypatch, capfd):
    """Exit status, stdout and stderr of a quiet command in a folder that holds images in tree/ and a finished run."""
    shutil.copytree(trained.folder, tmp_path / "run")
    monkeypatch.chdir(tmp_path)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["augmentgan", *words, "--quiet"])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capfd.readouterr()

    return typed


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["words", "json"])
@pytest.mark.parametrize(
    "words",
    [
        ["fit", "tree", "--updates", "3", "--device", "cpu", *SMALL],
        ["generate", "--run", "run", "--per-class", "2", "--out", "samples.h5", "--device", "cpu"],
        ["benchmark", "--run", "run", "--arms", "real", "--repeats", "2", "--device", "cpu", *QUICK],
        ["evaluate", "--run", "run", "--per-class", "10", "--device", "cpu"],
        ["export", "--run", "run", "--format", "safetensors", "--out", "model"],
        ["data", "digits", "digits.h5"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_is_done_leaves_stderr_empty(told, words, json):
    status, out, error = told(*words, *json)
    assert (status, error) == (0, "")
    assert out


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "nowhere"],
        ["generate", "--run", "run", "--per-class", "0"],
        ["benchmark", "--run", "run", "--arms", "reel"],
        ["benchmark", "nowhere"],
        ["evaluate", "--run", "run", "--features", "vgg"],
        ["export", "--run", "run", "--format", "pickle"],
        ["data", "mnits", "out.h5"],
        ["demo", "--device", "tpu"],
    ],
    ids=lambda words: words[0],
)
def test_a_mistake_is_one_line_of_stderr_and_no_more(told, words):
    status, out, error = told(*words)
    assert (status, out) == (1, "")
    (line,) = error.splitlines()
    assert line.startswith("error: ")
