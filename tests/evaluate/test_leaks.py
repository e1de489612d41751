"""Attempts to leak: test images into what learns, validation images into what is chosen on them, test labels into choices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests_support import PROTOCOL_RECIPE as RECIPE
from tests_support import measure, near_pairs

from augmentgan.data.draws import draws_of
from augmentgan.evaluate import piece, protocol, teachers, tuning


@pytest.fixture
def stamped(quick, monkeypatch):
    """As `quick`, with a column in which each sample says whose generator made it."""
    samples = protocol._samples

    def by_name(real, recipe, out, name, *rest):
        made = samples(real, recipe, out, name, *rest)
        return replace(made, extra={"generator": np.full(len(made), name)})

    monkeypatch.setattr(protocol, "_samples", by_name)
    return quick


def generator_of(samples):
    """The one generator that made them."""
    (name,) = set(samples.extra["generator"].tolist())
    return name


def test_no_test_image_reaches_a_generator(pool, quick, tmp_path):
    """Neither itself, nor a copy, nor one of its group, nor a brightened and compressed double."""
    random = np.random.default_rng(0)
    images, group = pool.images.copy(), np.arange(len(pool))
    images[1::40] = images[0::40]  # a copy in each class
    images[2::40] = (images[3::40] * 0.9 + random.normal(0, 1, images[3::40].shape)).clip(0, 255).astype(np.uint8)
    group[4::40] = group[5::40]
    data = replace(pool, images=images, group=group)
    recipe = RECIPE.with_settings(["benchmark.tune=false"])
    measure(data, tmp_path / "b", train_per_class=[30], arms=["synthetic"], recipe=recipe)
    assert quick
    for draw in draws_of(data, [30], 2, test_fraction=0.2):
        real = next(each for name, each in quick if name == draw.name)
        test = data.subset(draw.test)
        assert not {image.tobytes() for image in real.images} & {image.tobytes() for image in test.images}
        assert len(near_pairs(real.images, test.images)) == 0
        assert not set(data.group[draw.test]) & set(data.group[draw.train])
        assert real.split is None
    assert len(near_pairs(data.images)) >= 2 * 10  # there was something to catch


def test_cross_fitted_shares_are_chosen_with_generators_that_never_saw_the_validation_images(
    pool, stamped, tmp_path, monkeypatch
):
    quick, tuned, train = stamped, [], tuning.train_classifier

    def spy(arm, real, synthetic, *rest):
        tuned.append((arm, real, synthetic))
        return train(arm, real, synthetic, *rest)

    monkeypatch.setattr(tuning, "train_classifier", spy)
    recipe = RECIPE.with_settings(["benchmark.cross_fit=true"])
    report = measure(pool, tmp_path / "b", recipe=recipe, train_per_class=[10], arms=["real+synthetic"])
    assert report.protocol["cross_fit"]
    assert len(quick) == 6
    assert report.protocol["generators"] == 2  # those of the draws themselves
    parts = {name: part.images.tolist() for name, part in quick}
    assert set(parts) == {f"10-r{repeat}{fold}" for repeat in range(2) for fold in ("", "-fold0", "-fold1")}
    for repeat in range(2):
        whole, first, second = (parts[f"10-r{repeat}{fold}"] for fold in ("", "-fold0", "-fold1"))
        assert len(first) + len(second) == len(whole)
        assert not any(image in second for image in first)
    mixed = [(real, synthetic) for arm, real, synthetic in tuned if arm.uses_synthetic]
    assert len(mixed) == 2 * 2 * 2  # repeats, shares, folds
    for real, synthetic in mixed:
        # what the generator was given is what the classifier may learn from
        assert real.images.tolist() == parts[generator_of(synthetic)]
        assert len(synthetic) == 100
    assert {generator_of(synthetic) for _, synthetic in mixed} == {name for name in parts if "fold" in name}
    measure(pool, tmp_path / "b", recipe=recipe, train_per_class=[10], arms=["real+synthetic"])
    assert len(quick) == 6


def test_cross_fitted_samples_are_judged_by_teachers_that_never_saw_the_validation_images(
    pool, stamped, tmp_path, monkeypatch
):
    learned_from, judged, trained = {}, {}, []
    teach, look = teachers.train_classifier, teachers.logits_of

    def taught(arm, real, synthetic, *rest):
        assert len(synthetic) == 0
        network = teach(arm, real, synthetic, *rest)
        learned_from[network] = real
        return network

    def looked(network, samples):
        logits = look(network, samples)
        name = generator_of(samples)
        assert name not in judged
        judged[name] = learned_from[network], samples, logits
        return logits

    monkeypatch.setattr(teachers, "train_classifier", taught)
    monkeypatch.setattr(teachers, "logits_of", looked)
    for module in (piece, tuning):

        def spy(arm, real, synthetic, *rest, train=module.train_classifier):
            trained.append((arm, real, synthetic))
            return train(arm, real, synthetic, *rest)

        monkeypatch.setattr(module, "train_classifier", spy)
    settings = ["cross_fit=true", "teachers=1", "teachers_keep=0.5", "steps=8"]
    recipe = RECIPE.with_settings([f"benchmark.{setting}" for setting in settings])
    measure(pool, tmp_path / "b", recipe=recipe, train_per_class=[10], arms=["real+synthetic", "synthetic"])
    parts = {name: part.images.tolist() for name, part in stamped}
    assert len(parts) == 2 * (1 + 2)  # repeats, the draw and what is left of it without a fold
    assert set(judged) == set(parts)
    for name, (real, _, _) in judged.items():
        assert real.images.tolist() == parts[name]
    assert len(learned_from) == len(parts)
    mixed = [(real, synthetic) for arm, real, synthetic in trained if arm.uses_synthetic]
    # those of the draws themselves at least in the arm of samples alone, which no share of zero takes out
    assert {generator_of(synthetic) for _, synthetic in mixed} == set(parts)
    for real, synthetic in mixed:
        name = generator_of(synthetic)
        assert real.images.tolist() == parts[name]
        _, samples, logits = judged[name]
        seen = logits.softmax(dim=1)[torch.arange(len(samples)), torch.from_numpy(samples.labels)].numpy()
        for label in range(10):
            best = np.sort(seen[samples.labels == label])[5:]  # of ten
            np.testing.assert_array_equal(np.sort(synthetic.extra["weight"][synthetic.labels == label]), best)


def test_a_test_image_placed_in_training_is_dropped_and_reported(pool, quick, tmp_path):
    split = (np.arange(len(pool)) % 4 == 0).astype(np.int64)
    images = pool.images.copy()
    images[1], images[2] = images[0], (images[4] * 0.95).astype(np.uint8)  # rows 0 and 4 are test images
    data = replace(pool, images=images, split=split)
    report = measure(data, tmp_path / "b", recipe=RECIPE.with_settings(["benchmark.tune=false"]), arms=["synthetic"])
    assert report.protocol["dropped"] == 2
    for _, real in quick:
        kept = {image.tobytes() for image in real.images}
        assert len(real) == 300 - 2
        assert images[1].tobytes() not in kept
        assert images[2].tobytes() not in kept


def test_test_labels_change_no_choice(pool, quick, tmp_path):
    """Those of training images change some: there are choices to change."""
    split = (np.arange(len(pool)) % 4 == 0).astype(np.int64)
    found = {}
    for name, part in (("true", None), ("test", 1), ("training", 0)):
        labels = pool.labels.copy()
        if part is not None:
            labels[split == part] = np.random.default_rng(0).permutation(labels[split == part])
        found[name] = measure(replace(pool, labels=labels, split=split), tmp_path / name, train_per_class=[6])
    settings = {name: [row.setting for row in report.runs] for name, report in found.items()}
    assert settings["test"] == settings["true"] != settings["training"]
    accuracies = {name: np.mean([row.accuracy for row in report.runs]) for name, report in found.items()}
    assert accuracies["test"] < accuracies["true"]
