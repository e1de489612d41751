"""The losses against the mathematics they stand for."""

import math

import pytest
import torch

from augmentgan.gan import objectives
from augmentgan.sections import ObjectiveSection

LOSSES = ["minimax", "non-saturating", "hinge", "least-squares", "wasserstein"]


def test_minimax_is_minus_v():
    real, fake = torch.randn(64), torch.randn(64)
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    value = torch.log(d_real).mean() + torch.log(1 - d_fake).mean()
    torch.testing.assert_close(objectives.minimax_discriminator(real, fake), -value)
    torch.testing.assert_close(objectives.minimax_generator(fake), torch.log(1 - d_fake).mean())
    torch.testing.assert_close(objectives.non_saturating_generator(fake), -torch.log(d_fake).mean())


@pytest.mark.parametrize(
    ("loss", "smoothing", "of_discriminator", "of_generator"),
    [
        # inside the margin are one real and one fake logit: (0 + 2) / 2 + (0 + 1.5) / 2
        ("hinge", 0.0, 1.75, 1.25),
        # (1 + 4) / 4 + (9 + 0.25) / 4, and (16 + 0.25) / 4
        ("least-squares", 0.0, 3.5625, 4.0625),
        ("least-squares", 0.1, (1.21 + 3.61) / 4 + 2.3125, 4.0625),
        ("wasserstein", 0.0, -1.75, 1.25),
    ],
)
def test_losses_worked_out_by_hand(loss, smoothing, of_discriminator, of_generator):
    objective = ObjectiveSection(loss=loss, label_smoothing=smoothing)
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([-3.0, 0.5])
    assert objectives.discriminator_loss(objective, real, fake).item() == pytest.approx(of_discriminator)
    assert objectives.generator_loss(objective, fake).item() == pytest.approx(of_generator)


def test_lecam_holds_each_side_to_the_others_mean():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([-3.0, 0.5])
    anchors = torch.tensor([1.5, -0.5])  # of real and of fake
    # real beyond the fake ones' mean: 2.5 and 0; fake below the real ones' mean: 4.5 and 1
    assert objectives.lecam_penalty(real, fake, anchors).item() == pytest.approx((6.25 + 20.25 + 1) / 2)


def test_discriminator_that_can_only_guess_pays_two_log_two():
    nothing = torch.zeros(8)
    assert objectives.minimax_discriminator(nothing, nothing).item() == pytest.approx(2 * math.log(2))


def test_best_discriminator_is_the_density_ratio_and_its_value_is_jensen_shannon():
    """Goodfellow et al. 2014, proposition 1 and theorem 1, on two distributions over three outcomes."""
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.6])
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (p * torch.nn.functional.softplus(-logits)).sum() + (q * torch.nn.functional.softplus(logits)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(torch.sigmoid(logits), p / (p + q), atol=1e-3, rtol=0)
    m = (p + q) / 2
    jensen_shannon = 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    assert -loss().item() == pytest.approx(2 * jensen_shannon.item() - math.log(4), abs=1e-5)


def test_saturation():
    """Where the discriminator is sure, the minimax gradient vanishes and the non-saturating one does not."""
    sure = torch.tensor([-12.0], requires_grad=True)
    (weak,) = torch.autograd.grad(objectives.minimax_generator(sure), sure)
    (strong,) = torch.autograd.grad(objectives.non_saturating_generator(sure), sure)
    assert abs(weak.item()) < 1e-4
    assert abs(strong.item()) > 0.99


@pytest.mark.parametrize("loss", LOSSES)
def test_each_player_gains_by_pulling_its_way(loss):
    objective = ObjectiveSection(loss=loss)
    # inside hinge's margin and between the two targets of least squares, where every loss still pulls
    real = torch.linspace(0.05, 0.95, 16).requires_grad_()
    fake = torch.linspace(0.05, 0.95, 16).requires_grad_()
    for_real, for_fake = torch.autograd.grad(objectives.discriminator_loss(objective, real, fake), (real, fake))
    assert (for_real < 0).all()  # a step against the gradient raises real logits
    assert (for_fake > 0).all()
    (for_generator,) = torch.autograd.grad(objectives.generator_loss(objective, fake), fake)
    assert (for_generator < 0).all()


def test_class_loss_is_the_logarithm_of_the_named_classs_probability():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    found = objectives.class_loss(probabilities.log() + 5, torch.tensor([0, 2]))
    assert found.item() == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2)


def test_label_smoothing_moves_the_best_answer_to_the_target():
    objective = ObjectiveSection(loss="non-saturating", label_smoothing=0.1)
    at_target = torch.logit(torch.tensor([0.9])).requires_grad_()
    loss = objectives.discriminator_loss(objective, at_target, torch.zeros(1))
    (gradient,) = torch.autograd.grad(loss, at_target)
    assert gradient.item() == pytest.approx(0, abs=1e-6)


def test_penalties_on_a_linear_critic():
    """For f(x) = <w, x> the gradient is w everywhere."""
    weight = torch.randn(3, 4, 4)
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    logits = (images * weight).sum(dim=(1, 2, 3))
    squared = weight.square().sum()
    torch.testing.assert_close(objectives.r1_penalty(logits, images), squared / 2)
    torch.testing.assert_close(objectives.gradient_penalty(logits, images), (squared.sqrt() - 1) ** 2)


def test_penalties_of_several_heads_are_of_the_answer_that_counts():
    """Losses are of the mean over heads, and so is the slope."""
    images = torch.randn(5, 3, 4, 4, requires_grad=True)
    one = images.sum(dim=(1, 2, 3))
    heads = torch.stack([one, 2 * one, 6 * one], dim=1)
    torch.testing.assert_close(objectives.r1_penalty(heads, images), objectives.r1_penalty(3 * one, images))
    torch.testing.assert_close(objectives.gradient_penalty(heads, images), objectives.gradient_penalty(3 * one, images))


@pytest.mark.parametrize("loss", LOSSES)
def test_probabilities_are_probabilities(loss):
    d_real, d_fake = objectives.probabilities(ObjectiveSection(loss=loss), torch.randn(32) + 2, torch.randn(32) - 2)
    assert 0 <= d_fake < d_real <= 1


def test_least_squares_reading_is_the_output_itself():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    d_real, d_fake = objectives.probabilities(ObjectiveSection(loss="least-squares"), real, fake)
    assert (d_real.item(), d_fake.item()) == (0.75, 0.25)


def test_wasserstein_reading_is_half_where_the_critic_cannot_tell():
    same = torch.randn(64) + 5  # a critic's level means nothing
    d_real, d_fake = objectives.probabilities(ObjectiveSection(loss="wasserstein"), same, same)
    assert d_real.item() == pytest.approx(d_fake.item())
    assert 0.3 < d_real.item() < 0.7
