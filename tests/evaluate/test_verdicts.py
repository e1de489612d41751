"""Whole benchmarks from scratch whose answer is known beforehand, all the way to the exit status; samples alone are made up."""

import json
import sys

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.cli.app import main
from augmentgan.evaluate import protocol

SETTINGS = {
    "benchmark.steps": 120,
    "benchmark.repeats": 5,
    "benchmark.tune": "false",
    "benchmark.batch_images": 20,
    "benchmark.synthetic_share": 0.8,
    "benchmark.synthetic_until": 1,
    "data.test_fraction": 0.5,
}


@pytest.fixture(scope="module")
def halves():
    """90 of each digit for the benchmark, and the others, which it never sees."""
    data = ag.digits()
    first = np.concatenate([np.flatnonzero(data.labels == label)[:90] for label in range(10)])
    return data.subset(first), data.subset(np.setdiff1d(np.arange(len(data)), first))


@pytest.fixture
def checked(halves, tmp_path, monkeypatch, capsys):
    """Exit status and verdict of `benchmark --check` on two real images of each digit; samples are lightly noised others, with each label moved on by so many."""

    def benchmark(move):
        ours, others = halves

        def samples(real, recipe, out, name, seed, *rest):
            noisy = others.images + np.random.default_rng(seed).normal(0, 10, others.images.shape)
            return ag.LabelledImages(noisy.clip(0, 255).astype(np.uint8), (others.labels + move) % 10, real.class_names)

        monkeypatch.setattr(protocol, "_samples", samples)
        ag.save(ours, tmp_path / "ours.h5")
        words = ["benchmark", tmp_path / "ours.h5", "--out", tmp_path / "b", "--arms", "real+synthetic", "--check"]
        words += ["--train-per-class", 2, "--json", "--device", "cpu", "--processes", 1]
        for key, value in SETTINGS.items():
            words += ["--set", f"{key}={value}"]
        monkeypatch.setattr(sys, "argv", ["augmentgan", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, json.loads(capsys.readouterr().out)["verdict"]

    return benchmark


def test_samples_with_wrong_labels_hurt(checked):
    """By some 65 points, with an interval that reaches 4 to either side."""
    status, verdict = checked(move=1)
    assert (status, verdict["outcome"], verdict["arm"], verdict["baseline"]) == (3, "hurts", "real+synthetic", "real")
    assert verdict["text"].startswith("Hurts: synthetic images change balanced accuracy by -")


def test_samples_as_good_as_unseen_real_images_help(checked):
    """By some 17 points, with an interval that reaches 6 to either side; the same benchmark but for the labels."""
    status, verdict = checked(move=0)
    assert (status, verdict["outcome"], verdict["arm"], verdict["baseline"]) == (0, "helps", "real+synthetic", "real")
    assert verdict["text"].startswith("Helps: synthetic images add +")
