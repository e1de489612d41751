"""A classifier is trained as its arm and its setting say: the arms would differ in name alone otherwise."""

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.evaluate import classifier
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import Setting, predict, train_classifier
from augmentgan.recipe import DataFacts
from augmentgan.sections import ResolvedBenchmarkSection

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


@pytest.mark.parametrize(("until", "n"), [(0.0, 0), (0.5, 2), (1.0, STEPS)])
def test_classical_augmentation_is_done_for_its_part_of_the_steps_as_it_was_tuned(sets, calls, until, n):
    wish = f"benchmark.classic_until={until}"
    trained(sets, "real+classic", Setting(strength=0.5, flips=True), wish)
    assert calls["classic"] == [(0.5, True)] * n
    trained(sets, "real", Setting(strength=0.5, flips=True), wish)
    assert len(calls["classic"]) == n


def test_the_last_steps_are_on_images_as_they_are(sets, monkeypatch):
    seen = []
    monkeypatch.setattr(
        classifier, "classic_augmentation", lambda images, *words, **named: torch.full_like(images, 0.123)
    )
    build = classifier.build_classifier

    def watched(*words):
        network = build(*words)
        network.register_forward_pre_hook(lambda module, given: seen.append(bool((given[0] == 0.123).all())))
        return network

    monkeypatch.setattr(classifier, "build_classifier", watched)
    trained(sets, "real+classic", Setting(), "benchmark.classic_until=0.5")
    assert seen == [True, True, False, False]


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
    monkeypatch.setattr(classifier, "set_n_synthetic", lambda network, n: announced.append(n))
    trained(sets, "real+synthetic", Setting(share=0.5), f"benchmark.synthetic_until={until}")
    assert [n > 0 for n in announced] == takes_part


def test_the_share_is_the_tuned_one(sets, monkeypatch):
    announced = []
    monkeypatch.setattr(classifier, "set_n_synthetic", lambda network, n: announced.append(n))
    for share, most in ((0.25, 3), (1.0, 8), (0.0, 0)):
        announced.clear()
        trained(sets, "real+synthetic", Setting(share=share), "benchmark.synthetic_until=1")
        assert max(announced) <= most
        assert bool(max(announced)) is bool(share)


def test_samples_alone_are_judged_by_their_own_statistics(digits):
    section = ResolvedBenchmarkSection(
        steps=150, separate_statistics=True, synthetic_share=0.5, synthetic_until=0.5, classic_until=0.5
    )
    network = train_classifier(
        Arm("synthetic"), digits, digits, section, 150, 0, torch.device("cpu"), Setting(share=0.5)
    )
    assert (predict(network, digits).numpy() == digits.labels).mean() > 0.6


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
    section = ResolvedBenchmarkSection(
        batch_images=20, steps=1, synthetic_share=0.5, synthetic_until=1.0, classic_until=0.5
    )

    def accuracy(name, synthetic):
        network = train_classifier(Arm(name), real, synthetic, section, 60, 0, torch.device("cpu"))
        return (predict(network, test).numpy() == test.labels).mean()

    assert accuracy("real", good) > 0.95
    assert accuracy("synthetic", good) > 0.95
    assert accuracy("synthetic", swapped) < 0.05
    assert accuracy("real+synthetic", swapped) < accuracy("real+synthetic", good)


def test_arms_with_one_seed_start_from_the_same_weights(digits):
    section = ResolvedBenchmarkSection(steps=1, synthetic_share=0.5, synthetic_until=0.5, classic_until=0.5)
    first, second = (
        train_classifier(Arm(name), digits, digits, section, 0, 5, torch.device("cpu"))
        for name in ("real", "synthetic")
    )
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_each_of_a_blended_pair_has_the_weight_of_its_own_class(sets, monkeypatch, method):
    seen, loss = [], torch.nn.functional.cross_entropy

    def cross_entropy(logits, targets):
        seen.append(targets)
        return loss(logits, targets)

    def half(images, targets, method):
        return (images + images.roll(1, 0)) / 2, (targets + targets.roll(1, 0)) / 2

    monkeypatch.setattr(classifier, "blend_pairs", half)
    monkeypatch.setattr(classifier.F, "cross_entropy", cross_entropy)
    trained(sets, f"real+class-weights+{method}")
    weight = 30 / (2 * torch.tensor([24.0, 6.0]))
    pairs = torch.stack([weight * torch.tensor(pair) for pair in ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0])])
    assert len(seen) == STEPS
    assert all((row - pairs).abs().sum(dim=1).min() < 1e-6 for targets in seen for row in targets)
    assert any(torch.allclose(row, pairs[1]) for targets in seen for row in targets)
