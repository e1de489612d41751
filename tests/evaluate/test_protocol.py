"""The protocol from scratch: one test set for all arms, nothing done twice, and what goes with what."""

import functools
import inspect
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from tests_support import PROTOCOL_RECIPE as RECIPE
from tests_support import mean_gain, measure

import augmentgan as ag
from augmentgan.data.draws import draws_of
from augmentgan.errors import DataError, RunError
from augmentgan.evaluate import benchmark_folder, piece, protocol, teachers, tuning
from augmentgan.evaluate.classifier import Setting


def test_the_document_and_that_nothing_finished_is_done_again(pool, quick, tmp_path, monkeypatch):
    report = measure(pool, tmp_path / "b", train_per_class=[4, 8])
    document = json.loads((tmp_path / "b" / "benchmark.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    assert [name for name, _ in quick] == ["4-r0", "8-r0", "4-r1", "8-r1"]  # a generator a draw
    assert len(report.runs) == 2 * 2 * 5
    assert {each.n for each in report.comparisons} == {2}
    assert len(report.equivalents) > 0
    quick.clear()
    for module in (piece, tuning):
        monkeypatch.setattr(module, "train_classifier", None)
    assert measure(pool, tmp_path / "b", train_per_class=[4, 8]).to_json() == report.to_json()
    assert quick == []
    monkeypatch.undo()
    with pytest.raises(RunError, match="another recipe; name another --out"):
        measure(pool, tmp_path / "b", recipe=RECIPE.with_settings(["benchmark.steps=21"]))


@pytest.mark.parametrize("tune", ["true", "false"])
def test_arms_of_real_images_alone_need_no_generator_and_no_teachers(pool, quick, tmp_path, monkeypatch, tune):
    monkeypatch.setattr(teachers, "Teachers", None)
    words = {"train_per_class": [4], "recipe": RECIPE.with_settings([f"benchmark.tune={tune}", "benchmark.teachers=1"])}
    report = measure(pool, tmp_path / "b", arms=["real", "real+classic"], **words)
    assert quick == []
    assert report.protocol["generators"] == 0
    with pytest.raises(RunError, match="has no generator yet"):
        benchmark_folder.first_fit(tmp_path / "b")


def test_an_arm_that_is_added_later_is_what_it_would_have_been(pool, quick, tmp_path):
    words = {"train_per_class": [4]}
    measure(pool, tmp_path / "b", arms=["real", "real+classic"], **words)
    assert quick == []
    added = measure(pool, tmp_path / "b", arms=["real", "real+classic+synthetic"], **words)
    assert [name for name, _ in quick] == ["4-r0", "4-r1"]
    at_once = measure(pool, tmp_path / "c", arms=["real+classic+synthetic", "real"], **words)
    of = {(row.arm, row.repeat): row.accuracy for row in at_once.runs}
    assert {(row.arm, row.repeat): row.accuracy for row in added.runs} == of
    assert added.protocol["generators"] == 2


def test_another_draw_of_the_same_median_is_another_piece(pool, quick, tmp_path):
    uneven = pool.subset(np.flatnonzero((pool.labels < 3) | (np.arange(len(pool)) % 40 < 10)))
    whole = measure(uneven, tmp_path / "b", arms=["real"])
    drawn = measure(uneven, tmp_path / "b", arms=["real"], train_per_class=[whole.train_per_class[0]])
    fresh = measure(uneven, tmp_path / "c", arms=["real"], train_per_class=[whole.train_per_class[0]])
    assert whole.train_per_class == drawn.train_per_class
    assert [row.accuracy for row in drawn.runs] == [row.accuracy for row in fresh.runs]
    assert (
        [row.minority for row in drawn.runs] == [row.minority for row in fresh.runs] != [r.minority for r in whole.runs]
    )


def test_it_says_whose_luck_is_in_the_interval(pool, quick, tmp_path, monkeypatch):
    """And has it there. Of 30 images a class, draws of 22 share enough to widen it, and draws of 26 too much for any."""
    given = {}

    def spied(function, *words, **named):
        given[function.__name__] = inspect.signature(function).bind(*words, **named).arguments.get("shared_training")
        return function(*words, **named)

    for function in (protocol.compare, protocol.intervals):
        monkeypatch.setattr(protocol, function.__name__, functools.partial(spied, function))
    recipe = RECIPE.with_settings(["benchmark.tune=false", "benchmark.steps=2"])
    fixed = replace(pool, split=(np.arange(len(pool)) % 4 == 0).astype(np.int64))
    for name, data, sizes, same, widened in (
        ("fixed", fixed, None, [30], []),
        ("both", fixed, [5, 30], [30], [5]),
        ("nearly", fixed, [22, 26], [26], [22]),
        ("drawn", fixed, [5], [], [5]),
        ("split", pool, None, [], []),
    ):
        found = measure(data, tmp_path / name, recipe=recipe, arms=["real"], train_per_class=sizes).protocol
        assert found["same_training_images"] == same
        assert all(
            f"with {size} a class the training images are (nearly) the same" in found["interval"] for size in same
        )
        assert ("(nearly) the same" in found["interval"]) == bool(same)
        # the drawn part of what there is, give or take four standard deviations of the mean over ten classes
        shared = [
            pytest.approx(size / 30, abs=4 * (1 - size / 30) / (29 * 10) ** 0.5) if size in widened else 0.0
            for size in sizes or [30]
        ]
        assert found["shared_training_images"] == shared
        assert ("which widens it" in found["interval"]) == bool(widened)
        assert all(f"% with {size} a class), which widens it" in found["interval"] for size in widened)
        of_size = dict(zip(found["sizes"]["train_per_class"], shared, strict=True))
        assert (given["compare"], given["intervals"]) == (of_size, of_size)


def test_every_size_says_how_samples_enter_it(pool, quick, tmp_path):
    """Of three images a class the draw is even; of 32, five classes have ten times as many as the others."""
    uneven = pool.subset(np.flatnonzero((pool.labels < 5) | (np.arange(len(pool)) % 40 < 4)))
    report = measure(uneven, tmp_path / "b", arms=["real"], train_per_class=[3, 32])
    small, large = report.protocol["by_size"]
    assert [small["train_per_class"], large["train_per_class"]] == [3, 32]
    assert (small["mixing"]["share"], large["mixing"]["share"]) == (0.5, 0.8)
    assert [each["recipe"]["benchmark"]["synthetic_share"] for each in (small, large)] == [0.5, 0.8]
    assert small["mixing"] == report.protocol["mixing"]


def test_a_killed_benchmark_goes_on(pool, quick, tmp_path):
    def stop(row):
        if (row.repeat, row.arm) == (1, "real+synthetic"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(pool, tmp_path / "b", train_per_class=[4], on_row=stop)
    assert [name for name, _ in quick] == ["4-r0", "4-r1"]
    found = measure(pool, tmp_path / "b", train_per_class=[4])
    assert [name for name, _ in quick] == ["4-r0", "4-r1", "4-r1"]  # the first repeat asks for no samples again
    whole = measure(pool, tmp_path / "whole", train_per_class=[4])
    assert [row.accuracy for row in found.runs] == [row.accuracy for row in whole.runs]


def test_more_repeats_and_arms_of_the_generators_that_are_there(tmp_path, small_recipe):
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:12] for label in range(3)])
    few = ag.LabelledImages(data.images[rows], data.labels[rows], tuple("abc"))
    recipe = small_recipe.with_settings(["training.updates=1", "benchmark.steps=2", "benchmark.synthetic_per_class=4"])
    words = {"recipe": recipe, "train_per_class": [4]}
    measure(few, tmp_path / "b", repeats=2, arms=["synthetic"], **words)
    before = (tmp_path / "b" / "fits" / "4-r0" / "checkpoint.safetensors").stat().st_mtime_ns
    report = measure(few, tmp_path / "b", repeats=3, arms=["synthetic", "real+synthetic"], **words)
    assert {row.repeat for row in report.runs if row.arm == "real+synthetic"} == {0, 1, 2}
    fits = [ag.Run(tmp_path / "b" / "fits" / f"4-r{repeat}") for repeat in range(3)]
    assert [run.info["seed"] for run in fits] == [0, 1, 2]
    assert (tmp_path / "b" / "fits" / "4-r0" / "checkpoint.safetensors").stat().st_mtime_ns == before


def test_the_runs_of_a_benchmark_hold_the_training_images_of_their_draws_and_no_others(tmp_path, small_recipe):
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:12] for label in range(3)])
    few = ag.LabelledImages(data.images[rows], data.labels[rows], tuple("abc"))
    recipe = small_recipe.with_settings(
        ["training.updates=1", "benchmark.steps=2", "benchmark.synthetic_per_class=4", "benchmark.cross_fit=true"]
    )
    measure(few, tmp_path / "b", recipe=recipe, train_per_class=[4], arms=["real+synthetic"])
    draws = draws_of(few, [4], 2, test_fraction=recipe.data.test_fraction)
    held = {draw.name: sorted(image.tobytes() for image in few.images[draw.train]) for draw in draws}
    found = {}
    for folder in (tmp_path / "b" / "fits").iterdir():
        run = ag.Run(folder)
        assert len(run.test) == 0
        found[folder.name] = sorted(image.tobytes() for image in run.train.images)
    for name, images in held.items():
        assert found.pop(name) == images
        folds = [found.pop(f"{name}-fold{fold}") for fold in range(2)]
        assert sorted(folds[0] + folds[1]) == images
    assert not found


def test_what_an_arm_has_chosen_is_what_it_is_trained_with(pool, quick, tmp_path, monkeypatch):
    chosen, trained, train = Setting(0.123, strength=0.7, share=0.4), [], piece.train_classifier

    def recorded(*words):
        trained.append(words[-1])
        return train(*words)

    monkeypatch.setattr(tuning.Tuner, "setting_of", lambda tuner, arm: chosen)
    monkeypatch.setattr(piece, "train_classifier", recorded)
    report = measure(pool, tmp_path / "b", train_per_class=[4], arms=["real+classic+synthetic"])
    rows = {row.arm: row.setting for row in report.runs}
    assert rows["real+classic+synthetic"] == asdict(chosen)
    # what plays no part in an arm is not said of it
    assert rows["real+classic"] == asdict(replace(chosen, share=0.0))
    assert rows["real"] == asdict(replace(chosen, share=0.0, strength=0.0))
    assert {each.weight_decay for each in trained} == {0.123}
    assert (chosen.strength, chosen.share) in {(each.strength, each.share) for each in trained}


def test_what_chooses_none_is_its_parent_also_after_an_interruption(pool, quick, tmp_path, monkeypatch):
    """Not one trained again, whose difference would be noise instead of nothing."""
    monkeypatch.setattr(tuning.Tuner, "setting_of", lambda tuner, arm: Setting(share=0.0))
    words = {"train_per_class": [4], "arms": ["real", "real+synthetic"]}

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(pool, tmp_path / "b", **words, on_row=stop)
    trained, train = [], piece.train_classifier
    monkeypatch.setattr(piece, "train_classifier", lambda *given: trained.append(given[0].name) or train(*given))
    report = measure(pool, tmp_path / "b", **words)
    assert trained == ["real"]  # of the second repeat; the first has it
    (difference,) = [
        each for each in report.comparisons if (each.arm, each.metric) == ("real+synthetic", "balanced_accuracy")
    ]
    assert difference.mean_difference == 0


def test_test_images_are_known_again_in_another_repeat(pool, quick, tmp_path, monkeypatch):
    """Intervals ask which images the repeats share."""
    seen, run = [], protocol.run_piece
    monkeypatch.setattr(protocol, "run_piece", lambda piece, *words: seen.append(piece) or run(piece, *words))
    recipe = RECIPE.with_settings(["benchmark.tune=false"])
    measure(pool, tmp_path / "b", train_per_class=[4], arms=["real"], recipe=recipe)
    assert len(seen) == 2
    for each in seen:
        assert np.array_equal(pool.images[each.test_rows], each.test.images)


@pytest.mark.parametrize(
    ("arm", "setting", "n"),
    [
        ("synthetic", "benchmark.tune=true", 2),
        ("real+fill", "benchmark.tune=false", 2),
        ("real+fill", "benchmark.synthetic_share=0", 2),
    ],
)
def test_generators_beside_the_own_are_learned_only_where_a_share_is_chosen(pool, quick, tmp_path, arm, setting, n):
    recipe = RECIPE.with_settings(["benchmark.cross_fit=true", setting])
    measure(pool, tmp_path / "b", recipe=recipe, train_per_class=[10], arms=[arm])
    assert len(quick) == n


def test_cross_fitting_with_a_class_of_few_images(pool, quick, tmp_path):
    recipe = RECIPE.with_settings(["benchmark.cross_fit=true"])
    measure(pool, tmp_path / "b", recipe=recipe, train_per_class=[20], imbalance="7:1", arms=["real+classic+synthetic"])
    assert min(part.counts.min() for _, part in quick) == 2


def test_imbalanced_arms(pool, quick, tmp_path):
    report = measure(
        pool,
        tmp_path / "b",
        train_per_class=[20],
        imbalance="5:1",
        recipe=RECIPE.with_settings(["benchmark.tune=false"]),
        arms=["real+oversampling+classic", "real+classic+fill", "real+class-weights"],
    )
    assert report.protocol["imbalanced"]
    assert {each.metric for each in report.comparisons} == {"accuracy", "balanced_accuracy", "minority_recall"}
    for each in report.comparisons:
        assert each.mean_difference == pytest.approx(mean_gain(report, each))
    assert all(len(row.minority) == 5 for row in report.runs)
    assert report.verdict.baseline == "real+oversampling+classic"
    assert report.verdict.arm == "real+classic+fill"


@pytest.mark.parametrize(("per_class", "trained"), [(None, ["real", "real+oversampling"]), ([20], ["real"])])
def test_oversampling_is_trained_as_such_wherever_it_changes_anything(
    pool, quick, tmp_path, monkeypatch, per_class, trained
):
    """Of 32 images a class one class has 24, which is not imbalanced; drawn to 20 all are equal."""
    mildly = pool.subset(np.flatnonzero((pool.labels > 0) | (np.arange(len(pool)) % 40 < 30)))
    given, train = [], piece.train_classifier
    monkeypatch.setattr(piece, "train_classifier", lambda arm, *rest: given.append(arm.name) or train(arm, *rest))
    recipe = RECIPE.with_settings(["benchmark.tune=false"])
    report = measure(
        mildly, tmp_path / "b", recipe=recipe, arms=["real+oversampling"], train_per_class=per_class, seed=1
    )
    assert not report.protocol["imbalanced"]
    assert given == trained * 2


@pytest.fixture
def uneven(pool):
    """Two classes of 40 and 16: [4, 4], [18, 13] and, imbalanced, [32, 13] of them are drawn at sizes 4, 18 and 32."""
    return ag.LabelledImages(pool.images[24:80], np.repeat([1, 0], [16, 40]), ("a", "b"))


def test_one_imbalanced_size_gives_every_size_the_rival_that_it_is_compared_with(uneven, quick, tmp_path, monkeypatch):
    found, simplest = {}, piece.simplest

    def spied(arm, setting, **words):
        candidate = simplest(arm, setting, **words)
        found.setdefault(arm.name, []).append(candidate.arm.name)
        return candidate

    monkeypatch.setattr(piece, "simplest", spied)
    recipe = RECIPE.with_settings(["benchmark.tune=false", "benchmark.synthetic_share=0", "benchmark.steps=2"])
    words = {"recipe": recipe, "arms": ["real+synthetic"]}
    report = measure(uneven, tmp_path / "b", train_per_class=[4, 18, 32], **words)
    assert report.protocol["imbalanced"]
    # of even classes oversampling is no change
    assert (
        found["real+synthetic"] == found["real+oversampling"] == ["real", "real+oversampling", "real+oversampling"] * 2
    )
    found.clear()
    assert not measure(uneven, tmp_path / "c", train_per_class=[4, 18], **words).protocol["imbalanced"]
    assert found == {"real": ["real"] * 4, "real+synthetic": ["real"] * 4}


def test_a_size_that_makes_a_benchmark_imbalanced_may_be_added_later(uneven, quick, tmp_path):
    words = {"recipe": RECIPE.with_settings(["benchmark.synthetic_share=0"]), "arms": ["real+synthetic"]}
    measure(uneven, tmp_path / "b", train_per_class=[18], **words)
    added = measure(uneven, tmp_path / "b", train_per_class=[18, 32], **words)
    at_once = measure(uneven, tmp_path / "c", train_per_class=[18, 32], **words)
    assert [replace(row, time_s=0) for row in added.runs] == [replace(row, time_s=0) for row in at_once.runs]


def test_what_belongs_to_data_is_refused_for_a_run(trained):
    for words in ({"train_per_class": [5]}, {"on_progress": print}):
        with pytest.raises(DataError, match=f"{next(iter(words))} is for a benchmark from scratch"):
            ag.run_benchmark(trained, **words)


def test_the_recipes_size_counts_where_none_is_given(pool, quick, tmp_path):
    recipe = RECIPE.with_settings(["data.train_per_class=5"])
    report = measure(pool, tmp_path / "b", recipe=recipe, arms=["real"])
    assert list(report.train_per_class) == [5]
    (found,) = report.protocol["by_size"]
    assert found["recipe"]["data"]["train_per_class"] == 5
    report = measure(pool, tmp_path / "c", recipe=recipe, arms=["real"], train_per_class=[10])
    (found,) = report.protocol["by_size"]
    assert found["recipe"]["data"]["train_per_class"] == 10


def test_sizes_and_seed_may_be_whole_numbers_of_numpy(pool, quick, tmp_path):
    sizes, seed = np.array([3, 5]), np.int64(1)
    report = measure(pool, tmp_path / "b", arms=["real"], train_per_class=sizes, seed=seed)
    assert list(report.train_per_class) == [3, 5]
    assert json.loads((tmp_path / "b" / "benchmark.json").read_text())["protocol"]["seed"] == 1


def test_a_draw_that_happens_to_be_grey_has_samples_like_the_others(tmp_path, small_recipe):
    """One coloured image among grey ones makes the set a coloured one. Here it is a test image, so that no draw has it."""
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:12] for label in range(3)])
    images = data.images[rows].repeat(3, axis=3)
    images[0, 0, 0] = (255, 0, 0)
    tested = (np.arange(36) % 3 == 0).astype(np.int64)
    coloured = ag.LabelledImages(images, data.labels[rows], tuple("abc"), split=tested)
    recipe = small_recipe.with_settings(["training.updates=1", "benchmark.steps=2", "benchmark.synthetic_per_class=4"])
    report = measure(coloured, tmp_path / "b", recipe=recipe, arms=["real+synthetic"], train_per_class=[4])
    assert {row.arm for row in report.runs} == {"real", "real+synthetic"}
    fits = [ag.Run(tmp_path / "b" / "fits" / f"4-r{repeat}") for repeat in range(2)]
    for run in fits:
        assert (run.train.images == run.train.images[..., :1]).all()  # grey they are
        assert run.recipe.data.channels == run.train.channels == run.generate(1).channels == 3


def test_a_class_of_two_images_has_one_to_learn_from(tmp_path, small_recipe):
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:n] for label, n in enumerate((12, 12, 2))])
    few = ag.LabelledImages(data.images[rows], data.labels[rows], tuple("abc"))
    recipe = small_recipe.with_settings(["training.updates=1", "benchmark.steps=2", "benchmark.synthetic_per_class=4"])
    report = measure(few, tmp_path / "b", recipe=recipe, arms=["real+synthetic"])
    assert [row.arm for row in report.runs if row.repeat == 0] == ["real", "real+oversampling", "real+synthetic"]


def test_a_classifier_that_cannot_be_had_is_told_before_anything_is_learned(pool, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("augmentgan.evaluate.classifier.require_backbone", lambda purpose: None)
    with pytest.raises(DataError, match="mixup blends pixels"):
        measure(pool, tmp_path / "b", arms=["real+mixup"], classifier="pretrained", train_per_class=[5])
    assert not (tmp_path / "b").exists()
    assert quick == []
