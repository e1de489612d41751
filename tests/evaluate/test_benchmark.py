"""The benchmark can say all three things, and says the right one."""

import json

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.errors import DataError
from augmentgan.evaluate.benchmark import Comparison, judge
from augmentgan.evaluate.classifier import predict, train_classifier
from augmentgan.evaluate.mixing import ARMS, Arm
from augmentgan.recipe import BenchmarkSection


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """A benchmark of a copy of the trained run."""
    import shutil

    folder = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(trained.folder, folder)
    return ag.Run(folder, "cpu"), ag.run_benchmark(ag.Run(folder, "cpu"))


def test_the_document_is_the_contracts(measured):
    run, report = measured
    document = json.loads((run.folder / "benchmark.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    assert {"arms", "repeats", "budget", "classifier", "sizes"} <= document["protocol"].keys()
    assert document["protocol"]["arms"] == list(ARMS)
    assert len(document["runs"]) == 2 * len(ARMS)
    row = document["runs"][0]
    assert {"arm", "train_per_class", "repeat", "accuracy", "balanced_accuracy", "recall_per_class", "time_s"} <= set(
        row
    )
    assert row["balanced_accuracy"] == pytest.approx(np.mean(row["recall_per_class"]))
    comparison = document["comparisons"][0]
    keys = {"arm", "baseline", "train_per_class", "metric", "mean_difference", "ci95", "n"}
    assert keys <= set(comparison)
    assert {each["baseline"] for each in document["comparisons"]} == {"real", "real+classic"}
    assert document["verdict"]["outcome"] in ("helps", "no evidence", "hurts")


def test_it_repeats_itself(measured):
    run, report = measured
    again = ag.run_benchmark(run)
    assert [row.accuracy for row in again.runs] == [row.accuracy for row in report.runs]


def test_an_interrupted_benchmark_goes_on_where_it_stopped(measured, monkeypatch):
    from augmentgan.evaluate import benchmark

    run, report = measured
    train, trained_arms = benchmark.train_classifier, []

    def counted(arm, *words):
        if len(trained_arms) == 4:
            raise KeyboardInterrupt
        trained_arms.append(arm.name)
        return train(arm, *words)

    monkeypatch.setattr(benchmark, "train_classifier", counted)
    with pytest.raises(KeyboardInterrupt):
        ag.run_benchmark(run)
    assert (run.folder / "benchmark.partial.json").exists()
    monkeypatch.setattr(
        benchmark, "train_classifier", lambda arm, *words: trained_arms.append(arm.name) or train(arm, *words)
    )
    again = ag.run_benchmark(run)
    assert len(trained_arms) == 2 * len(ARMS)
    assert [row.accuracy for row in again.runs] == [row.accuracy for row in report.runs]
    assert again.verdict == report.verdict
    assert not (run.folder / "benchmark.partial.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": {}, "rows": {"real 0": 1}}'])
def test_a_damaged_record_of_finished_classifiers_is_passed_over(measured, content):
    run, report = measured
    (run.folder / "benchmark.partial.json").write_text(content)
    assert [row.accuracy for row in ag.run_benchmark(run).runs] == [row.accuracy for row in report.runs]


@pytest.mark.parametrize(
    ("interval", "outcome"), [((0.01, 0.05), "helps"), ((-0.02, 0.03), "no evidence"), ((-0.05, -0.01), "hurts")]
)
def test_verdicts(interval, outcome):
    mean = sum(interval) / 2
    rows = [Comparison("real+classic+synthetic", "real+classic", 20, "balanced_accuracy", mean, interval, 5)]
    verdict = judge(rows)
    assert verdict.outcome == outcome
    assert verdict.baseline == "real+classic"
    assert f"{100 * mean:+.1f} points" in verdict.text


def test_without_a_pair_of_arms_there_is_no_evidence():
    assert judge([]).outcome == "no evidence"


def labelled(images, labels):
    return ag.LabelledImages(images.astype(np.uint8), labels, ("dark", "bright"))


def test_synthetic_images_with_swapped_labels_hurt_and_good_ones_do_not():
    """The scenario behind the verdict, through the real classifier."""
    random = np.random.default_rng(0)

    def draw(n):
        labels = np.arange(n) % 2
        return labelled(random.normal(100 + 60 * labels[:, None, None, None], 20, (n, 8, 8, 1)).clip(0, 255), labels)

    real, test, good = draw(20), draw(200), draw(100)
    swapped = labelled(good.images, 1 - good.labels)
    section = BenchmarkSection(batch_images=20, synthetic_until=1.0)

    def accuracy(name, synthetic):
        network = train_classifier(Arm(name), real, synthetic, section, 60, 0, torch.device("cpu"))
        return (predict(network, test).numpy() == test.labels).mean()

    assert accuracy("real", good) > 0.95
    assert accuracy("synthetic", good) > 0.95
    assert accuracy("synthetic", swapped) < 0.05
    assert accuracy("real+synthetic", swapped) < accuracy("real+synthetic", good)


def test_arms_with_one_seed_start_from_the_same_weights(digits):
    section = BenchmarkSection()
    first, second = (
        train_classifier(Arm(name), digits, digits, section, 0, 5, torch.device("cpu"))
        for name in ("real", "synthetic")
    )
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_wishes_it_cannot_meet(trained, digits, small_recipe, tmp_path):
    with pytest.raises(DataError, match="at least 2"):
        ag.run_benchmark(trained, repeats=1)
    with pytest.raises(DataError, match="arm 'reel' is not known"):
        ag.run_benchmark(trained, arms=["reel"])
    untested = ag.fit(
        digits,
        small_recipe.with_settings(["data.test_fraction=0", "training.updates=1", "coverage.weight=0"]),
        tmp_path / "untested",
        device="cpu",
    )
    with pytest.raises(DataError, match="no test images"):
        ag.run_benchmark(untested)
