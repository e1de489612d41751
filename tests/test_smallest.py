"""Two classes of two images each, the least that README asks for: everything goes through, and claims nothing."""

import json

import numpy as np
import pytest
from tests_support import measure

import augmentgan as ag


@pytest.fixture(scope="module")
def least():
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:2] for label in (0, 1)])
    return ag.LabelledImages(data.images[rows], data.labels[rows], ("a", "b"))


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return small_recipe.with_settings(
        [
            "training.updates=4",
            "training.quality_updates=2",
            "benchmark.steps=2",
            "benchmark.synthetic_per_class=4",
        ]
    )


def finite(path):
    """A document that holds neither NaN nor Infinity, which are no JSON."""

    def refuse(word):
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_run_of_two_images_a_class(least, recipe, tmp_path):
    run = ag.fit(least, recipe, tmp_path / "run", device="cpu")
    assert run.train.counts.tolist() == run.test.counts.tolist() == [1, 1]
    assert run.generate(3).counts.tolist() == [3, 3]
    assert ag.write_samples(run, run.counts(3), tmp_path / "s.h5") == 6
    found = ag.evaluate_run(run, per_class=10, device="cpu")
    assert found.memorised_fraction is None  # of one image a class nothing can be said
    assert found.diversity_per_class == [None, None]
    finite(run.folder / "evaluate.json")
    report = ag.run_benchmark(run, device="cpu")
    assert report.verdict.outcome == "no evidence"
    assert finite(run.folder / "benchmark.json")["verdict"]["outcome"] == "no evidence"
    assert ag.write_report(run).exists()


def test_a_benchmark_from_scratch_of_two_images_a_class(least, recipe, tmp_path):
    report = measure(least, tmp_path / "b", recipe=recipe)
    assert report.protocol["sizes"]["counts"] == [[1, 1]]
    assert report.verdict.outcome == "no evidence"
    assert finite(tmp_path / "b" / "benchmark.json")["verdict"]["outcome"] == "no evidence"
    assert ag.write_report(tmp_path / "b").exists()
