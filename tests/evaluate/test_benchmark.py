"""The benchmark of a run: its document, equal chances for all arms, and nothing that is finished done again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests_support import mean_gain

import augmentgan as ag
from augmentgan.errors import DataError, OutputError, RunError
from augmentgan.evaluate import on_run
from augmentgan.evaluate.arms import ARMS, Arm, chosen_arms
from augmentgan.evaluate.evaluation import n_classifiers


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
    sizes, counts = document["protocol"]["sizes"], run.train.counts
    assert (sizes["train"], sizes["counts"]) == ([len(run.train)], [counts.tolist()])  # lists, as from scratch
    assert sizes["train_per_class"] == report.train_per_class == [int(np.median(counts))]
    assert len(document["runs"]) == 2 * len(ARMS)
    row = document["runs"][0]
    assert {"arm", "train_per_class", "repeat", "accuracy", "balanced_accuracy", "recall_per_class", "time_s"} <= set(
        row
    )
    assert row["balanced_accuracy"] == pytest.approx(np.mean(row["recall_per_class"]))
    comparison = document["comparisons"][0]
    assert {"macro_f1", "worst_recall", "ece", "setting"} <= set(row)
    assert row["worst_recall"] == min(row["recall_per_class"])
    keys = {"arm", "baseline", "train_per_class", "metric", "mean_difference", "ci95", "n", "p_value", "p_holm"}
    assert keys <= set(comparison)
    assert {each["baseline"] for each in document["comparisons"]} == {"real", "real+classic"}
    assert document["verdict"]["outcome"] in ("helps", "no evidence", "hurts")
    assert {row["setting"]["share"] for row in document["runs"] if row["arm"] == "synthetic"} == {1.0}
    assert {row["setting"]["share"] for row in document["runs"] if row["arm"] == "real"} == {0.0}
    assert [each["arm"] for each in document["intervals"]] == list(ARMS)
    for each in document["intervals"]:
        assert (each["train_per_class"], each["metric"]) == (row["train_per_class"], "balanced_accuracy")
        assert each["mean"] == pytest.approx(report.summary()[each["arm"]][0])
        assert each["ci95"][0] <= each["mean"] <= each["ci95"][1]


def test_differences_are_those_of_the_rows(measured):
    _, report = measured
    assert {each.metric for each in report.comparisons} == {"accuracy", "balanced_accuracy"}
    assert any(each.mean_difference for each in report.comparisons)
    for each in report.comparisons:
        assert each.mean_difference == pytest.approx(mean_gain(report, each))


def test_what_is_kept_of_a_benchmark_depends_on_generator_settings_and_seed(measured, monkeypatch):
    run, _ = measured
    keys = []

    class Asked(Exception):
        pass

    def asked(folder, key):
        keys.append(key)
        raise Asked

    monkeypatch.setattr(on_run, "FinishedParts", asked)
    for words in ({}, {"seed": 1}, {"classifier": "resnet18"}, {"repeats": 5}):
        with pytest.raises(Asked):
            ag.run_benchmark(run, **words)
    monkeypatch.setattr(on_run, "model_fingerprint", lambda generator: "another")
    with pytest.raises(Asked):
        ag.run_benchmark(run)
    first, seed, classifier, repeats, generator = keys
    assert all(each != first for each in (seed, classifier, generator))
    assert repeats == first  # more of them go on with what there is


def test_as_many_samples_are_offered_as_is_said(measured, monkeypatch):
    run, report = measured
    generate, offered = ag.Run.generate, []
    monkeypatch.setattr(ag.Run, "generate", lambda run, n: offered.append(n) or generate(run, n))
    ag.run_benchmark(ag.Run(run.folder, "cpu"), arms=["synthetic"], overwrite=True)
    said = report.protocol["sizes"]["synthetic"]
    assert [n * run.train.n_classes for n in offered] == [said]


def test_it_repeats_itself(measured):
    run, report = measured
    again = ag.run_benchmark(run, overwrite=True)  # without, it would read what is kept
    assert [row.accuracy for row in again.runs] == [row.accuracy for row in report.runs]


def test_every_repeat_chooses_on_folds_of_its_own(measured, monkeypatch):
    from augmentgan.evaluate import tuning

    run, _ = measured
    folds, found = tuning.validation_folds, []
    monkeypatch.setattr(tuning, "validation_folds", lambda *words: found.append(folds(*words)) or found[-1])
    ag.run_benchmark(run, overwrite=True)
    assert len(found) == 2
    assert not np.array_equal(*found)


def test_all_arms_of_a_repeat_take_the_same_steps_from_the_same_weights(measured, monkeypatch):
    from augmentgan.evaluate import piece

    run, _ = measured
    untuned = run.recipe.with_values("benchmark", tune=False)  # no arm may choose to do without samples
    train, given = piece.train_classifier, []

    def watched(arm, real, synthetic, section, steps, seed, *rest):
        given.append((seed, arm.name, steps))
        return train(arm, real, synthetic, section, steps, seed, *rest)

    monkeypatch.setattr(piece, "train_classifier", watched)
    ag.run_benchmark(run, recipe=untuned, seed=3, overwrite=True)
    assert sorted((seed, name) for seed, name, _ in given) == sorted((seed, name) for seed in (3, 4) for name in ARMS)
    assert {steps for *_, steps in given} == {run.recipe.benchmark.steps}


def test_a_recipe_that_differs_in_more_than_the_benchmark_is_refused_for_a_run(measured):
    run, _ = measured
    for recipe in (run.recipe.with_settings(["objective.loss=non-saturating"]), ag.Recipe()):
        with pytest.raises(ag.AugmentGANError, match="only the settings of the benchmark can be changed"):
            ag.run_benchmark(run, recipe=recipe)


def test_an_interrupted_benchmark_goes_on_where_it_stopped(measured, monkeypatch):
    from augmentgan.evaluate import piece, tuning

    run, report = measured
    train, trained = piece.train_classifier, []

    def counted(*words, stop_after=None):
        if stop_after is not None and len(trained) == stop_after:
            raise KeyboardInterrupt
        trained.append(words[0].name)
        return train(*words)

    def watch(stop_after):
        trained.clear()
        for module in (piece, tuning):
            monkeypatch.setattr(module, "train_classifier", lambda *words: counted(*words, stop_after=stop_after))

    watch(None)
    ag.run_benchmark(run, overwrite=True)
    in_all = len(trained)
    assert in_all
    for stop_after, overwrite in ((3, True), (in_all // 2, False)):
        watch(stop_after)
        with pytest.raises(KeyboardInterrupt):
            ag.run_benchmark(run, overwrite=overwrite)
    done_before = 3 // 2 * 2 + in_all // 2  # of the first three fits, one candidate's two folds were whole
    watch(None)
    again = ag.run_benchmark(run)
    assert len(trained) <= in_all - done_before + 2  # an interrupted candidate loses its first fold, twice
    assert [row.accuracy for row in again.runs] == [row.accuracy for row in report.runs]
    assert again.verdict == report.verdict


def test_a_finished_benchmark_of_a_run_can_be_added_to(measured, monkeypatch):
    """Also after one of fewer arms: nothing that was finished is trained again, and nothing of it is lost."""
    from augmentgan.evaluate import piece, tuning

    run, report = measured
    ag.run_benchmark(run)
    ag.run_benchmark(run, arms=["real"])
    assert {row["arm"] for row in json.loads((run.folder / "benchmark.json").read_text())["runs"]} == {"real"}
    with monkeypatch.context() as patched:
        for module in (piece, tuning):
            patched.setattr(module, "train_classifier", None)
        whole = ag.run_benchmark(run)
    assert [replace(row, time_s=0) for row in whole.runs] == [replace(row, time_s=0) for row in report.runs]
    assert (whole.comparisons, whole.intervals) == (report.comparisons, report.intervals)
    more = ag.run_benchmark(run, arms=["real"], repeats=3)
    assert [row.accuracy for row in more.runs[:2]] == [row.accuracy for row in report.runs if row.arm == "real"]


def test_another_setting_leaves_alone_what_is_finished(measured):
    run, _ = measured
    ag.run_benchmark(run, arms=["real"], overwrite=True)
    parts = {path: path.read_bytes() for path in (run.folder / "benchmark.parts").rglob("*.json")}
    assert parts
    for overwrite in (False, True):
        ag.run_benchmark(run, arms=["real"], seed=7, overwrite=overwrite)
        assert all(path.read_bytes() == content for path, content in parts.items())


def test_two_at_once_do_not_measure_one_run(measured):
    run, _ = measured
    refused = []

    def second(done):
        for measure in (ag.run_benchmark, ag.evaluate_run):
            with pytest.raises(RunError, match="is being written by another process"):
                measure(run)
            refused.append(measure)

    again = ag.run_benchmark(run, arms=["real"], on_row=second)
    assert len(refused) == 2 * len(again.runs)
    refused.clear()
    ag.evaluate_run(run, per_class=10, on_step=second)
    assert len(refused) == 2 * n_classifiers(run)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_trained(measured, monkeypatch):
    from augmentgan.evaluate import evaluation, piece, tuning

    run, _ = measured
    for module in (evaluation, piece, tuning):
        monkeypatch.setattr(module, "train_classifier", None)
    monkeypatch.setattr(ag.Run, "generate", None)

    def acquire(lock):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    for measure in (ag.run_benchmark, ag.evaluate_run):
        with pytest.raises(OutputError, match=r"cannot write in run folder .*Read-only"):
            measure(run)


def _is_of_seed_0(path):
    return json.loads(path.read_text())["key"]["seed"] == 0


def _value(change):
    return lambda document: {**document, "value": change(document["value"])}


def _predicted(change):
    return _value(lambda value: {**value, "predicted": change(value["predicted"])})


SPOILED = {
    "no document": lambda document: [],
    "no value": lambda document: {"key": document["key"]},
    "another key": lambda document: {**document, "key": {}},
    "a number": _value(lambda value: 1),
    "nothing": _value(lambda value: None),
    "no row": _value(lambda value: {**value, "row": "real"}),
    "an empty row": _value(lambda value: {**value, "row": {}}),
    "another arm": _value(lambda value: {**value, "row": {**value["row"], "arm": "real+classic"}}),
    "another repeat": _value(lambda value: {**value, "row": {**value["row"], "repeat": 1}}),
    "a class without recall": _value(lambda value: {**value, "row": {**value["row"], "recall_per_class": []}}),
    "a figure beyond 1": _value(lambda value: {**value, "row": {**value["row"], "balanced_accuracy": 5.0}}),
    "a figure that is none": _value(lambda value: {**value, "row": {**value["row"], "ece": float("nan")}}),
    "a figure in words": _value(lambda value: {**value, "row": {**value["row"], "accuracy": "high"}}),
    "no predictions": _predicted(lambda predicted: None),
    "a prediction too few": _predicted(lambda predicted: predicted[1:]),
    "a prediction too many": _predicted(lambda predicted: [*predicted, 0]),
    "a class too high": _predicted(lambda predicted: [10, *predicted[1:]]),
    "a class below 0": _predicted(lambda predicted: [-1, *predicted[1:]]),
    "half a class": _predicted(lambda predicted: [0.5, *predicted[1:]]),
    "a column": _predicted(lambda predicted: [[label] for label in predicted]),
    "a ragged list": _predicted(lambda predicted: [[0, 1], *predicted[1:]]),
}


@pytest.mark.parametrize("spoiled", ["", "{", *SPOILED])
def test_a_damaged_record_of_a_finished_classifier_is_passed_over(measured, monkeypatch, spoiled):
    """What it was of is trained again, nothing else is, and the record is as it was."""
    from augmentgan.evaluate import piece

    run, _ = measured
    train, trained = piece.train_classifier, []
    whole = ag.run_benchmark(run, arms=["real"])
    (kept,) = (path for path in (run.folder / "benchmark.parts").rglob("run-r0-real.json") if _is_of_seed_0(path))
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps(SPOILED[spoiled](document)) if spoiled in SPOILED else spoiled)
    monkeypatch.setattr(piece, "train_classifier", lambda *words: trained.append(words[0].name) or train(*words))
    again = ag.run_benchmark(run, arms=["real"])
    assert trained == ["real"]
    assert [replace(row, time_s=0) for row in again.runs] == [replace(row, time_s=0) for row in whole.runs]
    assert again.intervals == whole.intervals
    mended = json.loads(kept.read_text())
    assert (mended["key"], mended["value"]["predicted"]) == (document["key"], document["value"]["predicted"])


@pytest.mark.parametrize("imbalanced", [False, True])
def test_the_rival_of_every_arm_is_run_with_it(imbalanced):
    def names(asked):
        return [arm.name for arm in chosen_arms(asked, imbalanced=imbalanced)]

    for name in ("real+classic+synthetic", "real+fill", "real+mixup+synthetic"):
        rival, plain = (Arm(name).without_synthetic(imbalanced=each).name for each in (imbalanced, False))
        assert names([name]) == list(dict.fromkeys(["real", rival, plain, name]))
        assert names([name, plain, "real+classic", rival]) == list(
            dict.fromkeys(["real", name, plain, "real+classic", rival])
        )
    assert names(["synthetic", "real+classic"]) == ["real", "synthetic", "real+classic"]


def test_a_question_asked_both_ways_is_corrected_for_once(measured):
    _, report = measured
    rows = [each for each in report.comparisons if each.metric == "balanced_accuracy"]
    by_pair = {(each.arm, each.baseline): each for each in rows}
    one, other = by_pair["real+classic", "real"], by_pair["real", "real+classic"]
    assert (one.p_value, one.p_holm) == (pytest.approx(other.p_value), pytest.approx(other.p_holm))
    least = min(rows, key=lambda each: each.p_value)
    n_pairs = len({frozenset(pair) for pair in by_pair})
    assert n_pairs < len(rows)
    assert least.p_holm == pytest.approx(min(1, n_pairs * least.p_value))


def test_wishes_it_cannot_meet(trained, digits, small_recipe, tmp_path):
    with pytest.raises(DataError, match="at least 2"):
        ag.run_benchmark(trained, repeats=1)
    with pytest.raises(DataError, match="arm 'reel' is not known"):
        ag.run_benchmark(trained, arms=["reel"])
    for data in (trained, digits):
        for seed in (-1, 2**64 - 1):
            with pytest.raises(DataError, match=f"seed {seed}: give 0 or more"):
                ag.run_benchmark(data, seed=seed, **({"out": tmp_path / "none"} if data is digits else {}))
        with pytest.raises(DataError, match=r"of 2\*\*63 - 2 at most, for 2 repeats count on from it"):
            ag.run_benchmark(data, seed=2**63 - 1, repeats=2, **({"out": tmp_path / "none"} if data is digits else {}))
    assert not (tmp_path / "none").exists()
    untested = ag.fit(
        digits,
        small_recipe.with_settings(["data.test_fraction=0", "training.updates=1", "coverage.weight=0"]),
        tmp_path / "untested",
        device="cpu",
    )
    with pytest.raises(DataError, match="no test images"):
        ag.run_benchmark(untested)
