"""The networks: shapes for every size, conditioning, spectral norm, and exact pixel conversion."""

import copy

import pytest
import torch
import torch.nn.functional as F

from augmentgan.gan import networks
from augmentgan.gan.networks import Discriminator, Generator, SpectralNorm
from augmentgan.gan.normalisation import EPSILON, ConditionalBatchNorm, calibrate
from augmentgan.sections import SIZES


def generator(size_px=8, channels=1, n_classes=3):
    return Generator(size_px=size_px, channels=channels, n_classes=n_classes, latent_dim=5, label_dim=4, width=4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size_px", SIZES)
def test_every_size(size_px, channels):
    forger = generator(size_px, channels)
    detective = Discriminator(size_px=size_px, channels=channels, n_classes=3, width=4)
    labels = torch.tensor([0, 0, 0, 0, 2, 2, 2, 2])
    images = forger(torch.randn(8, 5), labels)
    assert images.shape == (8, channels, size_px, size_px)
    assert images.abs().max() <= 1
    logits = detective(images, labels)
    assert logits.shape == (8,)
    logits.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in forger.parameters())


def test_a_thousand_classes():
    labels = torch.arange(0, 1000, 125).repeat_interleave(4)
    images = generator(n_classes=1000)(torch.randn(32, 5), labels)
    assert Discriminator(size_px=8, channels=1, n_classes=1000, width=4)(images, labels).shape == (32,)


def test_truncation_is_for_samples_only():
    forger = generator()
    short = copy.deepcopy(forger)
    short.truncation = 0.5
    latents, labels = torch.randn(8, 5), torch.tensor([0, 0, 0, 0, 2, 2, 2, 2])
    assert torch.equal(short(latents, labels), forger(latents, labels))
    assert torch.equal(short.eval()(latents, labels), forger.eval()(latents * 0.5, labels))


def test_all_256_levels_survive_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    unit = networks.to_unit(levels)
    assert unit.shape == (1, 1, 16, 16)
    assert (unit.min().item(), unit.max().item()) == pytest.approx((-1, 1))
    assert (networks.to_uint8(unit) == levels).all()


def test_the_class_changes_the_image_and_the_latent_too():
    forger = generator()
    latents = torch.randn(2, 5)
    same, other = (forger(latents, torch.tensor(labels)) for labels in ([0, 0], [1, 1]))
    assert not torch.allclose(same, other)
    assert not torch.allclose(same[0], same[1])


def test_the_discriminator_judges_the_class():
    """Projection: the logit is psi(phi) + <embedding of the class, phi>, so two classes differ by an inner product."""
    detective = Discriminator(size_px=8, channels=1, n_classes=3, width=4, minibatch_stddev=False)
    images = torch.randn(1, 1, 8, 8).repeat(3, 1, 1, 1)
    assert len(detective(images, torch.arange(3)).unique()) == 3


def test_the_discriminator_names_classes_where_asked():
    images, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    plain = Discriminator(size_px=8, channels=1, n_classes=3, width=4)
    assert plain.logits_and_classes(images, labels)[1] is None
    naming = Discriminator(size_px=8, channels=1, n_classes=3, width=4, with_class_head=True).eval()
    logits, class_logits = naming.logits_and_classes(images, labels)
    assert torch.equal(logits, naming(images, labels))
    assert class_logits.shape == (4, 3)
    other = naming.logits_and_classes(images, labels + 1)
    assert torch.equal(class_logits, other[1])  # named from the image alone
    assert not torch.equal(logits, other[0])


@pytest.mark.parametrize("shape", [(6, 10), (8, 3, 4, 4)])
def test_spectral_norm_makes_the_largest_singular_value_one(shape):
    weight = torch.nn.Parameter(torch.randn(shape))
    normalise = SpectralNorm(weight).train()
    for _ in range(200):
        normalise(weight)
    largest = torch.linalg.matrix_norm(normalise(weight).flatten(1), ord=2)
    assert largest.item() == pytest.approx(1, abs=1e-3)


def test_frozen_weights_are_not_iterated():
    weight = torch.nn.Parameter(torch.randn(6, 10))
    normalise = SpectralNorm(weight).train()
    before = normalise.u.clone()
    weight.requires_grad_(False)
    normalise(weight)
    assert (normalise.u == before).all()


def test_within_class_stddev_sees_collapse():
    features = torch.randn(8, 3, 4, 4)
    features[4:] = features[4]  # the second group is one image four times
    stddev = networks.within_class_stddev(features)
    assert stddev.shape == (8,)
    assert stddev[4:].max() < 1e-3
    expected = features[:4].flatten(1).std(dim=0, unbiased=False).mean()
    assert stddev[0].item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_minibatch_statistic_has_the_gradients_of_its_formula_once_and_twice(channels_last):
    def formula(x):
        return (
            x.flatten(1)
            .unflatten(0, (-1, 4))
            .var(dim=1, correction=0)
            .add(1e-8)
            .sqrt()
            .mean(dim=1)
            .repeat_interleave(4)
        )

    random = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, 4, 5, generator=random)
    x = (x.contiguous(memory_format=torch.channels_last) if channels_last else x).requires_grad_()
    gradient = torch.randn(8, generator=random)
    (once,) = torch.autograd.grad(networks.within_class_stddev(x), x, gradient)
    torch.testing.assert_close(once, torch.autograd.grad(formula(x), x, gradient)[0])

    def penalty(statistic):
        (of_x,) = torch.autograd.grad((statistic(x.square()) * gradient).sum(), x, create_graph=True)
        return torch.autograd.grad(of_x.square().sum(), x)[0]

    torch.testing.assert_close(penalty(networks.within_class_stddev), penalty(formula), rtol=1e-3, atol=1e-5)


def test_calibrated_statistics_are_those_of_the_batches():
    forger = generator()
    latents, labels = torch.randn(64, 5), torch.arange(64) % 3
    in_training = forger.train()(latents, labels)
    calibrate(forger, [(latents, labels)])
    assert not forger.training
    torch.testing.assert_close(forger(latents, labels), in_training, atol=2e-2, rtol=0)


def test_the_minibatch_statistic_enters_as_one_more_channel():
    """The last convolution over (features, statistic) is what it is for one concatenated map."""
    weight, features = torch.randn(5, 4, 3, 3), torch.randn(8, 3, 6, 6)
    stddev = networks.within_class_stddev(features)
    whole = torch.cat([features, stddev.view(8, 1, 1, 1).expand(8, 1, 6, 6)], dim=1)
    in_parts = torch.nn.functional.conv2d(features, weight[:, :3], padding=1)
    in_parts = networks._plus_convolved_constant(in_parts, stddev, weight[:, 3:])
    torch.testing.assert_close(in_parts, torch.nn.functional.conv2d(whole, weight, padding=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size_px", [8, 28, 64])
def test_a_fresh_generator_is_not_saturated(size_px):
    """Where tanh is flat no gradient comes through: images start grey, not black and white."""
    forger = Generator(size_px=size_px, channels=3, n_classes=2, latent_dim=16, label_dim=4, width=16)
    images = forger(torch.randn(64, 16), torch.arange(64) % 2)
    assert images.abs().mean() < 0.4


def test_normalisation_with_its_own_gradient_is_torchs():
    random = torch.Generator().manual_seed(0)
    norm = ConditionalBatchNorm(5, 3).double()
    with torch.no_grad():
        norm.scale.weight.normal_(generator=random)
        norm.shift.weight.normal_(generator=random)
    x = (3 * torch.randn(6, 5, 4, 7, generator=random, dtype=torch.float64) + 1).requires_grad_()
    gradient = torch.randn(6, 5, 4, 7, generator=random, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    plain = F.batch_norm(x, None, None, training=True, eps=EPSILON)
    expected = F.relu(plain * norm.scale(labels)[..., None, None] + norm.shift(labels)[..., None, None])
    inputs = (x, norm.scale.weight, norm.shift.weight)
    torch.testing.assert_close(norm(x, labels), expected)
    for mine, theirs in zip(
        torch.autograd.grad(norm(x, labels), inputs, gradient),
        torch.autograd.grad(expected, inputs, gradient),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad():  # without a gradient it takes another way
        torch.testing.assert_close(norm(x, labels), expected.detach())
