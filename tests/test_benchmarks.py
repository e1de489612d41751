"""The scripts in `benchmarks/` do what they claim to: the textbook's networks are ours, sweeps forget nothing, tables say what results do."""

import dataclasses
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests_support import made_up_report

import augmentgan as ag
from augmentgan.evaluate import tuning
from augmentgan.evaluate.arms import IMBALANCED_ARMS, Arm
from augmentgan.evaluate.classifier import Setting
from augmentgan.gan.networks import build_discriminator, build_generator
from augmentgan.recipe import DataFacts, Recipe

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Gives the module of that name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            sys.modules.pop(name)


@pytest.fixture
def textbook(script):
    return script("textbook")


@pytest.fixture
def results(script, monkeypatch, tmp_path):
    """An empty folder of results."""
    monkeypatch.setattr(script("_environment"), "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def recipe():
    return Recipe().with_settings(["model.discriminator_width=8"]).resolve(DataFacts(16, 3, 100, 5))


def test_textbook_generator_is_ours(textbook, recipe):
    ours, theirs = build_generator(recipe, 5), textbook.Generator(recipe, 5)
    theirs.label.load_state_dict(ours.label.state_dict())
    # ours lays the dense layer's output out as channels last, theirs as channels first
    base, wide = ours.base, ours.dense.out_features // ours.base**2
    weight = ours.dense.weight.detach().view(base, base, wide, -1).permute(2, 0, 1, 3).reshape(base * base * wide, -1)
    theirs.dense.load_state_dict({"weight": weight})
    for mine, other in zip(ours.up, theirs.up, strict=True):
        other.load_state_dict(mine.state_dict())
    theirs.to_image.load_state_dict(ours.to_image.state_dict())
    latents, labels = torch.randn(16, recipe.model.latent_dim), torch.arange(16) % 5
    torch.testing.assert_close(ours(latents, labels), theirs(latents, labels), atol=1e-4, rtol=1e-4)


def test_textbook_discriminator_is_ours(textbook, recipe):
    ours, theirs = build_discriminator(recipe, 5), textbook.Discriminator(recipe, 5)
    pairs = [*zip(ours.down, theirs.down, strict=True), (ours.last, theirs.last), (ours.to_logit, theirs.to_logit)]
    for mine, other in [*pairs, (ours.label, theirs.label)]:
        with torch.no_grad():
            other.parametrizations.weight.original.copy_(mine.weight)
            if getattr(mine, "bias", None) is not None:
                other.bias.copy_(mine.bias)
    images, labels = torch.randn(8, 3, 16, 16), torch.tensor([0] * 4 + [3] * 4)
    for _ in range(500):  # power iterations, until both have the same singular values
        mine, other = ours(images, labels), theirs(images, labels)
    torch.testing.assert_close(mine, other, atol=1e-2, rtol=1e-2)


def test_textbook_shows_images_with_their_own_labels(textbook, recipe, monkeypatch):
    labels = np.random.default_rng(0).permutation(np.arange(100) % 5)
    images = np.tile((50 * labels).astype(np.uint8)[:, None, None, None], (1, 16, 16, 3))
    loop = textbook.Textbook(recipe, ag.LabelledImages(images, labels, tuple("abcde")), torch.device("cpu"))
    monkeypatch.setattr(loop, "augment", lambda images: images)
    shown = []
    loop.discriminator.register_forward_pre_hook(lambda module, given: shown.append(given))
    loop()
    real, of_class = shown[0]
    assert (
        ((real[:, 0, 0, 0] + 1) * 127.5 / 50).round().long().tolist() == of_class.tolist() == sorted(of_class.tolist())
    )


def test_samples_of_uneven_sets_are_told_over_what_draws_as_evenly(script, monkeypatch):
    tables = script("protocol_tables")
    report = made_up_report(IMBALANCED_ARMS, imbalanced=True)
    means = {arm: {"mean": mean, "sd": sd} for arm, (mean, sd) in report.summary().items()}
    document = report.to_json()
    document["protocol"]["imbalance"] = "step:50:1"
    result = {"data": "mnist.h5", "summary": {"20": {"balanced_accuracy": means}}, "benchmark": document}
    monkeypatch.setattr(tables, "cases", lambda: iter([("mnist-step", result)]))
    gain = IMBALANCED_ARMS.index("real+synthetic") - IMBALANCED_ARMS.index("real+oversampling")
    real, even = (f"{100 * means[arm]['mean']:.1f}" for arm in ("real", "real+oversampling"))
    assert f"| {real} | {gain:+.1f} (-20.0 to +20.0) over {even} drawn evenly |" in tables.headline()
    assert f"| {gain:+.1f} (-20.0 to +20.0) over real+oversampling |" in tables.protocol()


def test_data_are_loaded_as_the_recipe_wants_them(script, digits, tmp_path):
    ag.save(digits, tmp_path / "data.h5")
    recipe = Recipe().with_settings(["data.channels=3", "data.size_px=16"])
    assert script("_environment").load(tmp_path / "data.h5", recipe).images.shape[1:] == (16, 16, 3)


def test_a_result_in_pieces_keeps_what_was_in_it(script, results, monkeypatch):
    environment = script("_environment")
    monkeypatch.setattr(sys, "argv", ["mixing.py", "sweep", "--seeds", "2"])
    environment.write("sweep", {"command": "the first", "rows": [1], "note": "by hand", "versions": "old"})
    for rows in ([1, 2], [1, 2, 3]):
        environment.extend("sweep", rows=rows)
    found = environment.read("sweep")
    second = "python benchmarks/mixing.py sweep --seeds 2"
    assert (found["note"], found["rows"], found["command"]) == ("by hand", [1, 2, 3], second)
    assert found["commands"] == ["the first", second]
    assert found["versions"]["augmentgan"] == ag.__version__
    environment.extend("new", rows=[])
    assert environment.read("new")["commands"] == [second]
    monkeypatch.setattr(sys, "argv", ["mixing.py", "sweep", "--seeds", "3"])
    environment.extend("sweep", rows=[])
    assert environment.read("sweep")["commands"] == ["the first", second, second.replace("2", "3")]


def test_finished_runs_are_judged_as_they_are_longer_and_otherwise(script, results, trained, tmp_path, monkeypatch):
    ablation = script("ablation")
    ag.save(ag.digits(), tmp_path / "data.h5")
    shutil.copytree(trained.folder, tmp_path / "runs" / "0")
    seen = {}

    class Evaluator:
        def __init__(self, train, test, *_, **__):
            seen["held out"] = test

        def __call__(self, *_):
            return SimpleNamespace(to_json=dict)

    monkeypatch.setattr(ablation, "Evaluator", Evaluator)
    monkeypatch.setattr(ablation, "samples_to_judge", lambda run: seen.setdefault("runs", []).append(run) or ())
    monkeypatch.setattr(ablation, "summary", lambda row: {})
    words = [str(tmp_path / "data.h5"), "sweep", "--fits", str(tmp_path / "runs"), "--seeds", "1", "--development"]
    words += ["--variant", "itself", "--variant", "longer: training.updates=60"]
    words += ["--variant", "otherwise: training.updates=60 objective.class_weight=0", "--keep", str(tmp_path / "kept")]
    monkeypatch.setattr(sys, "argv", ["ablation.py", *words])
    ablation.main()
    itself, longer, otherwise = seen["runs"]
    assert [run.generator_version["updates"] for run in seen["runs"]] == [40, 60, 60]
    assert ag.Run(itself.folder, "cpu").recipe.training.updates == 40  # it was left alone
    assert longer.events()[: len(itself.events())] == itself.events()
    assert otherwise.recipe.objective.class_weight == 0
    for run in (longer, otherwise):
        assert (run.train.images == trained.train.images).all()
    held_out = {image.tobytes() for image in seen["held out"].images}
    assert held_out
    assert not held_out & {image.tobytes() for part in (trained.train, trained.test) for image in part.images}


@pytest.mark.parametrize(("n_a_class", "fewer"), [(20, False), (100, True)])
def test_cases_with_fewer_updates_than_the_default_has_now_are_marked(script, n_a_class, fewer):
    recipe = Recipe().resolve(DataFacts(28, 1, 1000, 10)).model_dump()
    recipe["training"]["updates"] = 3000
    protocol = {
        "sizes": {"counts": [[2] * 10, [n_a_class] * 10]},
        "by_size": [{"train_per_class": size, "recipe": recipe} for size in (2, n_a_class)],
    }
    mark = script("protocol_tables")._shorter({"protocol": protocol}, str(n_a_class))
    assert mark == (" \u2021" if fewer else "")


def test_a_sweep_of_mixings_goes_on_and_asks_the_teachers_of_each(script, results, trained, tmp_path, monkeypatch):
    mixing = script("mixing")
    ag.save(ag.digits(), tmp_path / "data.h5")
    asked = []
    monkeypatch.setattr(
        mixing, "apply_policy", lambda real, synthetic, section, *_: asked.append(section) or synthetic.subset([0])
    )
    seen = []
    train = mixing.train_classifier
    monkeypatch.setattr(
        mixing,
        "train_classifier",
        lambda arm, real, offered, *rest: seen.append(offered) or train(arm, real, offered, *rest),
    )

    def sweep(*variants):
        words = ["mixing.py", "sweep", str(tmp_path / "data.h5"), str(trained.folder), "--seeds", "1"]
        monkeypatch.setattr(sys, "argv", words + [word for each in variants for word in ("--variant", each)])
        mixing.main()
        return script("_environment").read("sweep")

    first = sweep("plain")
    found = sweep("plain", "weights: teachers=2", "other steps: teachers=2 classifier=small-cnn teachers_keep=0.5")
    assert [row["variant"] for row in found["rows"]] == [
        "without synthetic images, 20 steps", "plain", "weights", "other steps"
    ]  # fmt: skip
    assert len(found["commands"]) == 2
    assert found["commands"][0] == first["command"]
    assert [(section.teachers, section.teachers_keep) for section in asked] == [(0, 1.0), (2, 1.0), (2, 0.5)]
    assert [len(offered) for offered in seen[1:]] == [1, 1, 1]


def test_tables_take_no_rival_for_another(script, results):
    rows = [
        {
            "run": "r",
            "steps": 9,
            "seed": 0,
            "balanced_accuracy": 0.5,
            "minority_recall": None,
            "arm": arm,
            "variant": variant,
        }
        for arm, variant in (
            ("real", "without, 9 steps"),
            ("real+synthetic", "half"),
            ("real+classic", "without, 9 steps"),
        )
    ]
    script("_environment").write("sweep", {"rows": rows[:2]})
    assert "| `real+synthetic` | half | 1 | 1 | 50.0 | 50.0 | +0.0 |" in script("tables").mixing("sweep")
    script("_environment").write("sweep", {"rows": rows})
    with pytest.raises(AssertionError, match="rivals of several arms"):
        script("tables").mixing("sweep")


def test_a_table_without_its_result_is_an_error(script, results):
    tables = script("tables")
    for make in (lambda: tables.sweep("lost", ""), lambda: tables.mixing("lost"), tables.updates,
                 tables.defaults, tables.loops, tables.speed, tables.leaks, tables.validation_bias):  # fmt: skip
        with pytest.raises(FileNotFoundError):
            make()


def test_classifiers_that_learned_from_more_samples_are_marked(script):
    row = {"diversity_per_class": [1.0], "near_per_class": [1.0], "label_agreement": 0.9, "memorised_fraction": 0.0}
    row |= {"synthetic_only_accuracy": 0.8, "real_only_accuracy": 0.7, "n_samples": 200}
    cells = script("tables").judged_cells
    more = row | {"n_samples_learned": 1000}
    assert "| 0.0 % | 80.0 % | 70.0 % |" in cells([row, row | {"n_samples_learned": 200}])
    assert "| 0.0 % | 80.0 %\u2020 | 70.0 % |" in cells([more, more])
    with pytest.raises(AssertionError, match="different numbers of samples"):
        cells([row, more])


@pytest.fixture
def chosen(monkeypatch):
    """Lets every draw choose no classical augmentation and a given share; a record of the scores, by tuner and candidate."""
    share, scores = [0.5], {}
    score = tuning.Tuner._score

    def record(self, candidate):
        found = score(self, candidate)
        scores[self._name, candidate] = found.mean()
        return found

    def choose(self, arm, settings, margin=0.0):
        for each in settings:
            self._score(tuning.simplest(arm, each, imbalanced=self._imbalanced, even=True))
        wanted = dataclasses.replace(settings[0], strength=0.0 if arm.classic else settings[0].strength)
        return dataclasses.replace(wanted, share=share[0]) if arm.uses_synthetic else wanted

    monkeypatch.setattr(tuning.Tuner, "_score", record)
    monkeypatch.setattr(tuning.Tuner, "_choose", choose)
    return share, scores


def benchmark(out, small_recipe, **words):
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:20] for label in range(3)])
    data = ag.LabelledImages(data.images[rows], data.labels[rows], tuple("abc"))
    recipe = small_recipe.with_settings(["training.updates=1", "benchmark.steps=4"])
    return ag.run_benchmark(data, recipe=recipe, out=out, device="cpu", **words)


@pytest.mark.parametrize(("sizes", "names", "share"), [([5], ["5-r0", "5-r1"], 0.5), (None, ["all-r0", "all-r1"], 0.0)])
def test_what_validation_promised_is_found_under_the_simplest_name(
    script, small_recipe, tmp_path, chosen, sizes, names, share
):
    bias = script("validation_bias")
    chosen[0][0], scores = share, chosen[1]
    report = benchmark(tmp_path / "case", small_recipe, train_per_class=sizes)
    parts = bias.parts_of(tmp_path / "case")
    draws = dict(bias.draws_of(tmp_path / "case"))
    assert list(draws) == names
    tested = {(row.repeat, row.arm): row.balanced_accuracy for row in report.runs}
    for repeat, (draw, counts) in enumerate(draws.items()):
        for arm in bias.ARMS:
            row = bias.row_of(parts, draw, counts, arm)
            promised, of_none = (
                scores[f"{draw}-tuning", tuning.Candidate(Arm(name), Setting(strength=0.0, share=each))]
                for name, each in ((("real+synthetic", 0.5) if share else ("real", 0.0)), ("real", 0.0))
            )
            assert row["validation"] == pytest.approx(promised - of_none)
            assert row["test"] == tested[repeat, arm.name] - tested[repeat, arm.name.replace("+synthetic", "")]
            assert (row["repeat"], row["arm"], row["share"]) == (repeat, arm.name, share)


def test_draws_without_a_promise_are_named(script, results, small_recipe, tmp_path, chosen, monkeypatch, capsys):
    def stop(row):
        if (row.repeat, row.arm) == (1, "real+synthetic"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(tmp_path / "stopped", small_recipe, train_per_class=[5], on_row=stop)
    lost = next((tmp_path / "stopped").glob("benchmark.parts/*/5-r0-tuning-real_synthetic-*share_0.5*"))
    lost.unlink()
    benchmark(tmp_path / "uneven", small_recipe, train_per_class=[8], imbalance="4:1", arms=["real+synthetic"])
    monkeypatch.setattr(sys, "argv", ["x.py", "bias", "--work", str(tmp_path / "stopped"), str(tmp_path / "uneven")])
    bias = script("validation_bias")
    bias.main()
    found = json.loads((results / "bias.json").read_text())
    assert [(row["repeat"], row["arm"]) for row in found["rows"]] == [(1, "real+synthetic")]
    reasons = [(each["draw"], each["arm"], each["because"][:33]) for each in found["left_out"]]
    assert reasons == [
        ("5-r0", "real+synthetic", "no validation score of real+synth"),
        ("5-r0", "real+classic+synthetic", "no validation score of real+synth"),
        ("5-r1", "real+classic+synthetic", "real+classic+synthetic is not fin"),
        *((f"8-r{k}", arm.name, "classes are uneven, so that accur") for k in (0, 1) for arm in bias.ARMS),
    ]
    said = capsys.readouterr().out
    assert "7 left out" in said
    assert "stopped 5-r1 real+classic+synthetic: real+classic+synthetic is not finished" in said


def test_bounds_are_of_the_protocols_that_need_them(script):
    """Those whose sets bring their split, from before intervals allowed for images that two draws share."""
    wanted = {
        (case, size)
        for case, result in script("protocol_tables").cases()
        for protocol in [result["benchmark"]["protocol"]]
        for size in protocol["sizes"]["train_per_class"]
        if protocol["split"] == "the data's own" and "shared_training_images" not in protocol
    }
    rows = script("_environment").read("shared-luck")["rows"]
    assert {(row["case"], row["train_per_class"]) for row in rows} == wanted
