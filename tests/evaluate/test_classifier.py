"""A classifier is trained as its arm and its setting say: the arms would differ in name alone otherwise."""

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.evaluate import classifier
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import Setting, train_classifier
from augmentgan.recipe import DataFacts

CPU = torch.device("cpu")
STEPS = 4


@pytest.fixture(scope="module")
def sets():
    """Uneven real images of two classes, and samples."""
    random = np.random.default_rng(0)
    real = ag.LabelledImages(
        random.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8), np.repeat([0, 1], [24, 6]), ("a", "b")
    )
    samples = ag.LabelledImages(
        random.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8), np.repeat([0, 1], 10), ("a", "b")
    )
    return real, samples


def trained(sets, arm, setting=None, *settings):
    recipe = ag.Recipe().with_settings(["benchmark.batch_images=8", *settings])
    section = recipe.resolve(DataFacts(8, 1, 30, 2, 4.0)).benchmark
    return train_classifier(Arm(arm), *sets, section, STEPS, 0, CPU, setting or Setting())


def weights(network):
    return torch.cat([weight.flatten() for weight in network.parameters()])


@pytest.fixture
def calls(monkeypatch):
    """What the trainer asks of augmentation, blending and the optimiser."""
    seen = {"classic": [], "blend": [], "decay": []}
    augmentation, blend, adamw = classifier.classic_augmentation, classifier.blend_pairs, torch.optim.AdamW

    def classic(images, random, strength, *, flips):
        seen["classic"].append((strength, flips))
        return augmentation(images, random, strength, flips=flips)

    def blended(images, targets, method):
        seen["blend"].append(method)
        return blend(images, targets, method)

    def optimizer(*words, **named):
        seen["decay"].append(named["weight_decay"])
        return adamw(*words, **named)

    monkeypatch.setattr(classifier, "classic_augmentation", classic)
    monkeypatch.setattr(classifier, "blend_pairs", blended)
    monkeypatch.setattr(torch.optim, "AdamW", optimizer)
    return seen


def test_classical_augmentation_is_done_in_every_step_as_it_was_tuned(sets, calls):
    trained(sets, "real+classic", Setting(strength=0.5, flips=True))
    assert calls["classic"] == [(0.5, True)] * STEPS
    trained(sets, "real", Setting(strength=0.5, flips=True))
    assert len(calls["classic"]) == STEPS


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_pairs_are_blended_in_every_step(sets, calls, method):
    trained(sets, f"real+{method}")
    assert calls["blend"] == [method] * STEPS
    trained(sets, "real")
    assert len(calls["blend"]) == STEPS


def test_weight_decay_is_the_tuned_one(sets, calls):
    trained(sets, "real", Setting(weight_decay=0.5))
    assert calls["decay"] == [0.5]


def test_class_weights_weigh(sets):
    """The same images in the same order, and yet another network."""
    assert not torch.equal(weights(trained(sets, "real")), weights(trained(sets, "real+class-weights")))
    assert torch.equal(weights(trained(sets, "real")), weights(trained(sets, "real")))


@pytest.mark.parametrize(("until", "takes_part"), [(0.5, [True, True, False, False]), (1.0, [True] * STEPS)])
def test_samples_take_part_for_their_share_of_the_steps(sets, monkeypatch, until, takes_part):
    announced = []
    monkeypatch.setattr(classifier, "announce_synthetic", lambda network, n: announced.append(n))
    trained(sets, "real+synthetic", Setting(share=0.5), f"benchmark.synthetic_until={until}")
    assert [n > 0 for n in announced] == takes_part


def test_the_share_is_the_tuned_one(sets, monkeypatch):
    announced = []
    monkeypatch.setattr(classifier, "announce_synthetic", lambda network, n: announced.append(n))
    for share, most in ((0.25, 3), (1.0, 8), (0.0, 0)):
        announced.clear()
        trained(sets, "real+synthetic", Setting(share=share), "benchmark.synthetic_until=1")
        assert max(announced) <= most
        assert bool(max(announced)) is bool(share)
