"""The losses of the game between discriminator and generator, as plain functions of logits.

The article's game (Goodfellow et al. 2014, arXiv 1406.2661, equation 1) is

    min over G, max over D of V(G, D) = E[log D(x)] + E[log(1 - D(G(z)))],    D = sigmoid(logit).

Every loss here is minimised by its own player, so the discriminator's is -V. Logits are float32 of shape (n,); each
function returns a scalar.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from augmentgan.sections import ObjectiveSection


def discriminator_loss(objective: ObjectiveSection, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss from the logits of real and fake images."""
    target = 1.0 - objective.label_smoothing
    match objective.loss:
        case "minimax" | "non-saturating":
            return minimax_discriminator(real, fake, target)
        case "hinge":
            return hinge_discriminator(real, fake)
        case "least-squares":
            return least_squares_discriminator(real, fake, target)
        case "wasserstein":
            return wasserstein_discriminator(real, fake)


def generator_loss(objective: ObjectiveSection, fake: Tensor) -> Tensor:
    """The generator's loss from the logits of its images."""
    match objective.loss:
        case "minimax":
            return minimax_generator(fake)
        case "non-saturating":
            return non_saturating_generator(fake)
        case "least-squares":
            return least_squares_generator(fake)
        case "hinge" | "wasserstein":
            return mean_logit_generator(fake)


def minimax_discriminator(real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """-V(G, D): binary cross-entropy, real against `target`, fake against 0 (Goodfellow et al. 2014, equation 1).

    A target below 1 is one-sided label smoothing (Salimans et al. 2016, arXiv 1606.03498, section 3.4).
    """
    # -[t log D + (1 - t) log(1 - D)] = softplus(logit) - t logit
    return (F.softplus(real) - target * real).mean() + F.softplus(fake).mean()


def minimax_generator(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))]: the game as written; its gradient vanishes where the discriminator is sure."""
    return -F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log D(G(z))]: the same fixed point, a strong gradient where needed (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss (Lim & Ye 2017, arXiv 1705.02894): only logits inside the margin are still pushed."""
    return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()


def mean_logit_generator(fake: Tensor) -> Tensor:
    """-E[logit]: the generator's side of the hinge and of the Wasserstein game."""
    return -fake.mean()


def least_squares_discriminator(real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """Least squares, targets `target` and 0 (Mao et al. 2017, arXiv 1611.04076, equation 9)."""
    return 0.5 * (real - target).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """Least squares towards the target 1 (Mao et al. 2017, equation 9)."""
    return 0.5 * (fake - 1.0).square().mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-(E[f(x)] - E[f(G(z))]): the critic's view of the earth mover distance (Arjovsky et al. 2017, 1701.07875)."""
    return fake.mean() - real.mean()


def squared_gradient_norm(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of d logit / d image for each image, shape (n,), itself differentiable; where an image has several logits, of their mean."""
    judged = logits.reshape(len(images), -1).mean(dim=1)
    (gradient,) = torch.autograd.grad(judged.sum(), images, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3))


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Half the mean squared gradient on real images (Mescheder et al. 2018, arXiv 1801.04406, equation 9)."""
    return 0.5 * squared_gradient_norm(logits, images).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared distance of the gradient's norm from 1 (Gulrajani et al. 2017, arXiv 1704.00028, equation 3)."""
    return ((squared_gradient_norm(logits, images) + 1e-12).sqrt() - 1.0).square().mean()


def lecam_penalty(real: Tensor, fake: Tensor, anchors: Tensor) -> Tensor:
    """Mean squared distance of real logits from the fake ones' running mean and of fake from real's, where they exceed it.

    From Tseng et al. 2021 (arXiv 2104.03310, equation 4): a discriminator that is sure of few images is pulled
    back, so that it goes on teaching. Only logits beyond the other side's mean count, as in the authors' practice.

    Args:
        real: logits (n,).
        fake: logits (n,).
        anchors: (2,) running means of real and of fake logits.
    """
    return F.relu(real - anchors[1]).square().mean() + F.relu(anchors[0] - fake).square().mean()


def class_loss(class_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the classes that the discriminator names (Odena et al. 2017, arXiv 1610.09585, equation 3).

    The discriminator minimises it on real images alone, whose labels are true; the generator on its own images. (The source has both
    players minimise it on both.)

    Args:
        class_logits: logits of the classes, (n, k).
        labels: (n,).
    """
    return F.cross_entropy(class_logits, labels)


def probabilities(objective: ObjectiveSection, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Mean D(x) and D(G(z)) as probabilities, for people to watch; at the fixed point they are equal (0.5, but for hinge and smoothed labels).

    Cross-entropy and hinge: the sigmoid of the logit (for the hinge a reading, not an estimate). Least squares:
    the output itself, cut to [0, 1]. Wasserstein: a critic has no zero, so logits are taken relative to their midpoint.
    """
    if objective.loss == "least-squares":
        return real.clamp(0, 1).mean(), fake.clamp(0, 1).mean()
    if objective.loss == "wasserstein":
        middle = 0.5 * (real.mean() + fake.mean())
        real, fake = real - middle, fake - middle
    return torch.sigmoid(real).mean(), torch.sigmoid(fake).mean()
