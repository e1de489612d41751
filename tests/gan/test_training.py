"""The game: who learns when, with every loss; the average."""

import math

import pytest
import torch

import augmentgan as ag
from augmentgan.gan import augment, objectives
from augmentgan.gan.checkpoint import restore_checkpoint, save_checkpoint
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

CPU = torch.device("cpu")


def trainer_of(digits, small_recipe, *settings):
    recipe = small_recipe.with_settings(settings)
    return Trainer(recipe.resolve(DataFacts(8, 1, len(digits), 10)), digits, 0, CPU)


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize(
    "settings",
    [
        ["objective.loss=minimax"],
        ["objective.loss=non-saturating", "objective.r1_weight=1.0", "model.spectral_norm=false"],
        ["objective.loss=non-saturating", "objective.label_smoothing=0.1"],
        ["objective.loss=hinge", "coverage.weight=0"],
        ["objective.loss=hinge", "model.minibatch_stddev=false", "augment.colour=true", "augment.affine=0.2"],
        ["objective.loss=least-squares", "augment.translation=0", "augment.cutout=0"],
        ["objective.loss=wasserstein", "training.n_discriminator_updates=3", "model.spectral_norm=false"],
        ["objective.class_weight=0.1", "training.precision=bfloat16"],
    ],
)
def test_both_players_learn(digits, small_recipe, settings):
    trainer = trainer_of(digits, small_recipe, *settings)
    before = weights(trainer.generator), weights(trainer.discriminator)
    for _ in range(3):
        trainer.update()
    status = trainer.status()
    assert not torch.equal(before[0], weights(trainer.generator))
    assert not torch.equal(before[1], weights(trainer.discriminator))
    assert all(math.isfinite(value) for value in (status.loss_d, status.loss_g))
    assert 0 <= status.d_real <= 1
    assert status.images == 3 * 20 * trainer.recipe.training.n_discriminator_updates
    assert (status.loss_coverage is None) == (trainer.recipe.coverage.weight == 0)


def test_each_player_is_frozen_in_the_others_turn(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe)
    trainer.update()
    generator, discriminator = weights(trainer.generator), weights(trainer.discriminator)
    trainer.coverage.match(trainer.generator)
    labels, rows, latents, target_rows = trainer._drawn()
    real, targets = trainer.batches.real_images(rows), trainer.batches.real_images(target_rows)
    fake = trainer.generator(latents, labels)
    trainer._discriminator_update(real, fake.detach(), labels)
    assert torch.equal(generator, weights(trainer.generator))
    assert not torch.equal(discriminator, weights(trainer.discriminator))
    discriminator = weights(trainer.discriminator)
    trainer.discriminator.zero_grad(set_to_none=True)
    trainer._generator_update(fake, labels, targets)
    assert torch.equal(discriminator, weights(trainer.discriminator))
    assert all(weight.grad is None for weight in trainer.discriminator.parameters())
    assert not torch.equal(generator, weights(trainer.generator))


def test_matched_latents_stand_beside_the_images_that_they_should_give(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe, "coverage.latent_noise=0")
    trainer.coverage.match(trainer.generator)
    labels, _, latents, target_rows = trainer._drawn()
    assert len(target_rows) == trainer._n_matched > 0
    of_row = dict(zip(trainer.coverage.rows.tolist(), trainer.coverage.latents, strict=True))
    for latent, row in zip(latents, target_rows.tolist(), strict=False):
        assert torch.equal(latent, of_row[row])
    assert torch.equal(trainer.batches.labels[target_rows], labels[: len(target_rows)])


@pytest.mark.parametrize(
    ("batch", "share", "n_matched"), [(8, 0.5, 4), (8, 0.9, 4), (8, 1.0, 8), (8, 0.1, 4), (64, 0.5, 32)]
)
def test_some_latents_stay_free_in_the_smallest_batch(digits, small_recipe, batch, share, n_matched):
    trainer = trainer_of(digits, small_recipe, f"training.batch_images={batch}", f"coverage.share={share}")
    trainer.update()  # so that there are pairs
    *_, latents, target_rows = trainer._drawn()
    assert (len(latents), len(target_rows)) == (batch, n_matched)


def test_the_coverage_term_is_in_the_generators_gradient(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe, "coverage.weight=7")
    trainer.coverage.match(trainer.generator)
    trainer.optimizer_generator.step = lambda: None
    labels, _, latents, target_rows = trainer._drawn()
    targets = trainer.batches.real_images(target_rows)

    def gradients(of):
        torch.manual_seed(1)  # the same augmentation
        trainer._generator_update(trainer.generator(latents, labels), labels, of)
        return torch.cat([weight.grad.flatten() for weight in trainer.generator.parameters()])

    with_term, without = gradients(targets), gradients(targets[:0])
    term = torch.nn.functional.mse_loss(trainer.generator(latents, labels)[: len(targets)], targets)
    alone = torch.autograd.grad(7 * term, list(trainer.generator.parameters()))
    torch.testing.assert_close(with_term - without, torch.cat([each.flatten() for each in alone]), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "hinge", "least-squares", "wasserstein"])
def test_the_generators_gradient_is_that_of_its_loss_on_what_the_discriminator_is_shown(digits, small_recipe, loss):
    trainer = trainer_of(
        digits, small_recipe, "coverage.weight=0", "objective.class_weight=0", f"objective.loss={loss}"
    )
    trainer.optimizer_generator.step = lambda: None
    labels, _, latents, no_rows = trainer._drawn()
    torch.manual_seed(1)  # the same augmentation
    fake = trainer.generator(latents, labels)
    trainer._generator_update(fake, labels, trainer.batches.real_images(no_rows))
    found = torch.cat([weight.grad.flatten() for weight in trainer.generator.parameters()])
    torch.manual_seed(1)
    fake = trainer.generator(latents, labels)
    seen = augment.apply(augment.draw(trainer.recipe.augment, len(fake), fake.shape[-1], CPU), fake)
    assert not torch.equal(seen, fake)
    alone = objectives.generator_loss(trainer.recipe.objective, trainer.discriminator(seen, labels))
    expected = torch.autograd.grad(alone, list(trainer.generator.parameters()))
    assert found.abs().max() > 0
    torch.testing.assert_close(found, torch.cat([each.flatten() for each in expected]))


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "hinge", "least-squares", "wasserstein"])
def test_the_generator_learns_to_be_taken_for_real(digits, small_recipe, loss):
    """By a discriminator that stands still; a logit that rises is more real in every game but least squares, whose goal is 1."""
    trainer = trainer_of(
        digits, small_recipe, "coverage.weight=0", "augment.translation=0", "augment.cutout=0", f"objective.loss={loss}"
    )
    labels, _, latents, no_rows = trainer._drawn()
    targets = trainer.batches.real_images(no_rows)

    def distance_to_real():
        with torch.no_grad():
            logits = trainer.discriminator(trainer.generator(latents, labels), labels)
        return (logits - 1).square().mean() if loss == "least-squares" else -logits.mean()

    trainer.discriminator.requires_grad_(False)
    before = distance_to_real()
    for _ in range(10):
        trainer._generator_update(trainer.generator(latents, labels), labels, targets)
    assert distance_to_real() < before


def test_the_discriminator_learns_classes_from_real_images_alone(digits, small_recipe):
    def of_fakes(fake_of):
        trainer = trainer_of(digits, small_recipe, "objective.class_weight=1", "objective.loss=wasserstein")
        labels, rows, latents, _ = trainer._drawn()
        real = trainer.batches.real_images(rows)
        trainer._discriminator_update(real, fake_of(trainer.generator(latents, labels).detach()), labels)
        return trainer.discriminator.to_classes.weight.detach()

    torch.testing.assert_close(of_fakes(lambda fake: fake), of_fakes(lambda fake: fake.flip(0) * 0.1))


def test_both_players_lower_the_class_loss(digits, small_recipe):
    rates = [f"training.learning_rate_{player}=0.01" for player in ("generator", "discriminator")]
    labels = torch.arange(10).repeat_interleave(8)
    shares = {}
    for weight in (10, 0.001):
        trainer = trainer_of(digits, small_recipe, "coverage.weight=0", *rates, f"objective.class_weight={weight}")
        for _ in range(200):
            trainer.update()
        with torch.no_grad():
            real = trainer.batches.real_images(trainer.batches.rows_of(labels, 4))
            fake = trainer.generator(torch.randn(80, trainer.recipe.model.latent_dim), labels)
            named = (
                trainer.discriminator.logits_and_classes(images, labels)[1].argmax(dim=1) for images in (real, fake)
            )
            shares[weight] = [(each == labels).float().mean().item() for each in named]
    assert min(shares[10]) > 0.5, shares
    assert shares[10][1] > shares[0.001][1] + 0.3, shares


def test_without_weight_no_classes_are_named(digits, small_recipe):
    assert trainer_of(digits, small_recipe, "objective.class_weight=0").discriminator.to_classes is None
    assert trainer_of(digits, small_recipe, "objective.class_weight=0.1").discriminator.to_classes is not None


def test_each_player_learns_through_the_augmentation(digits, small_recipe, monkeypatch):
    """With one that shows nothing of an image, real is as fake, and the generator hears nothing."""
    trainer = trainer_of(digits, small_recipe, "coverage.weight=0", "objective.class_weight=0")
    monkeypatch.setattr(augment, "apply", lambda drawn, images: 0 * images)
    generator = weights(trainer.generator)
    for _ in range(3):
        trainer.update()
    status = trainer.status()
    assert status.d_real == pytest.approx(status.d_fake, abs=1e-6)
    assert torch.equal(generator, weights(trainer.generator))


def test_the_average_follows_with_a_ramp(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe)
    start = weights(trainer.ema)
    trainer.update()
    moved = weights(trainer.generator)
    decay = 1 / 10  # the ramp's first value, far below average_decay
    torch.testing.assert_close(weights(trainer.ema), decay * start + (1 - decay) * moved)


def test_a_perfect_guesser_reads_one_half(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe, "objective.loss=non-saturating", "model.spectral_norm=false")
    with torch.no_grad():
        for weight in trainer.discriminator.parameters():
            weight.zero_()
    trainer.update()
    status = trainer.status()
    assert (status.d_real, status.d_fake) == pytest.approx((0.5, 0.5))
    assert status.loss_d == pytest.approx(2 * math.log(2))


def test_many_classes_in_a_small_batch(small_recipe):
    import numpy as np

    data = ag.LabelledImages(
        np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), dtype=np.uint8),
        np.repeat(np.arange(60), 2),
        tuple(f"c{label}" for label in range(60)),
    )
    recipe = small_recipe.resolve(DataFacts(8, 3, 120, 60))
    trainer = Trainer(recipe, data, 0, CPU)
    trainer.update()
    assert math.isfinite(trainer.status().loss_g)


def test_the_discriminator_learns_to_tell_real_from_generated(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe, "augment.translation=0", "augment.cutout=0", "augment.colour=false")
    labels, rows, *_ = trainer._drawn()
    real = trainer.batches.real_images(rows)
    for _ in range(30):
        _, logits_real, logits_fake = trainer._discriminator_update(real, -real, labels)
    assert logits_real.mean() > logits_fake.mean()


def slopes(trainer, images, labels):
    """Norms of the gradient of the logits at images (n,)."""
    images = images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(trainer.discriminator(images, labels).sum(), images)
    return gradient.flatten(1).norm(dim=1)


def steepness(trainer, real, fake, labels):
    return slopes(trainer, real, labels).mean().item()


def certainty(trainer, real, fake, labels):
    """How far, squared, real logits lie above the mean of fake ones, and fake ones below that of real ones."""
    with torch.no_grad():
        of_real, of_fake = trainer.discriminator(real, labels), trainer.discriminator(fake, labels)
    return ((of_real - of_fake.mean()).relu().square() + (of_real.mean() - of_fake).relu().square()).mean().item()


def distance_of_slopes_from_1(trainer, real, fake, labels):
    return (slopes(trainer, torch.lerp(real, fake, 0.5), labels) - 1).abs().mean().item()


@pytest.mark.parametrize(
    ("setting", "lowered", "more"),
    [
        ("objective.r1_weight", steepness, []),
        ("objective.lecam_weight", certainty, []),
        ("objective.gradient_penalty_weight", distance_of_slopes_from_1, ["objective.loss=wasserstein"]),
    ],
)
def test_a_penalty_lowers_what_it_punishes(digits, small_recipe, setting, lowered, more):
    found = {}
    for weight in (0, 10):
        trainer = trainer_of(
            digits,
            small_recipe,
            "model.spectral_norm=false",
            "augment.translation=0",
            "augment.cutout=0",
            f"{setting}={weight}",
            *more,
        )
        labels, rows, *_ = trainer._drawn()
        real = trainer.batches.real_images(rows)
        fake = real.flip(2)
        for _ in range(40):
            trainer._discriminator_update(real, fake, labels)
        found[weight] = lowered(trainer, real, fake, labels)
    assert found[10] < 0.7 * found[0], found


def test_a_checkpoint_keeps_what_cannot_be_learned_again(digits, small_recipe, tmp_path):
    trainer = trainer_of(digits, small_recipe, "objective.lecam_weight=1")
    for _ in range(3):
        trainer.update()
    trainer.seconds, trainer.chosen_updates = 12.5, 2
    save_checkpoint(trainer, tmp_path)
    other = trainer_of(digits, small_recipe, "objective.lecam_weight=1")
    restore_checkpoint(other, tmp_path)
    assert (other.updates, other.seconds, other.chosen_updates) == (3, 12.5, 2)
    assert trainer.anchors.any()
    assert torch.equal(other.anchors, trainer.anchors)
    for name in ("generator", "discriminator", "ema", "chosen"):
        assert torch.equal(weights(getattr(other, name)), weights(getattr(trainer, name)))


def test_optimisers_are_the_recipes(digits, small_recipe):
    trainer = trainer_of(
        digits,
        small_recipe,
        "training.learning_rate_generator=1e-4",
        "training.learning_rate_discriminator=3e-4",
        "training.beta1=0.3",
        "training.beta2=0.9",
    )
    for optimizer, rate in ((trainer.optimizer_generator, 1e-4), (trainer.optimizer_discriminator, 3e-4)):
        (group,) = optimizer.param_groups
        assert float(group["lr"]) == pytest.approx(rate)
        assert group["betas"] == (0.3, 0.9)


def test_the_averages_memory_is_the_recipes(digits, small_recipe):
    trainer = trainer_of(digits, small_recipe, "training.average_decay=0")
    trainer.update()
    assert torch.equal(weights(trainer.ema), weights(trainer.generator))
    longer = trainer_of(digits, small_recipe, "training.average_decay=0.999")
    longer.update()
    assert not torch.equal(weights(longer.ema), weights(longer.generator))
