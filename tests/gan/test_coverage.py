"""The coverage term: matching finds the nearest sample, and pairs stay together. (`test_training` sees the term at work.)"""

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.gan.batches import BalancedBatches
from augmentgan.gan.coverage import Coverage, coverage_loss
from augmentgan.gan.networks import GROUP, to_unit
from augmentgan.sections import CoverageSection


class Painter(torch.nn.Module):
    """A generator whose image has the brightness of its first latent."""

    def forward(self, latents, labels):
        return latents[:, 0].tanh().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def coverage_of(levels, **section):
    images = np.zeros((len(levels), 8, 8, 1), np.uint8) + np.array(levels, np.uint8)[:, None, None, None]
    data = ag.LabelledImages(images, np.arange(len(levels)) % 2, ("a", "b"))
    batches = BalancedBatches(
        data, torch.full((data.n_classes,), 1 / data.n_classes).double(), seed=0, device=torch.device("cpu")
    )
    return Coverage(CoverageSection(**section), batches, latent_dim=3), batches


def test_every_real_image_gets_a_near_latent():
    coverage, batches = coverage_of([60, 80, 100, 120, 140, 160], latents_per_image=200)
    coverage.match(Painter())
    wanted = to_unit(batches.images[coverage.rows])[:, 0, 0, 0]
    assert (coverage.latents[:, 0].tanh() - wanted).abs().max() < 0.05


def test_pairs_belong_together_and_to_their_label():
    coverage, batches = coverage_of([60, 80, 100, 120, 140, 160], latents_per_image=200, latent_noise=0.0)
    coverage.match(Painter())
    latents, rows = coverage.draw(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    real = to_unit(batches.images[rows])
    assert (latents[:, 0].tanh() - real[:, 0, 0, 0]).abs().max() < 0.05
    levels = ((real[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
    assert set(levels[:4]) <= {60, 100, 140}
    assert set(levels[4:]) <= {80, 120, 160}


def test_every_pair_of_a_class_is_handed_out():
    coverage, batches = coverage_of([60, 80, 100, 120, 140, 160])
    coverage.match(Painter())
    _, rows = coverage.draw(torch.zeros(200, dtype=torch.int64))
    assert set(batches.images[rows][:, 0, 0, 0].tolist()) == {60, 100, 140}


def test_latents_are_handed_out_with_the_noise_that_is_asked_for():
    coverage, _ = coverage_of([60, 80], latent_noise=0.3)
    coverage.match(Painter())
    latents, _ = coverage.draw(torch.zeros(5000, dtype=torch.int64))
    spread = (latents - coverage.latents[0]).std(dim=0)
    torch.testing.assert_close(spread, torch.full((3,), 0.3), atol=0.02, rtol=0)


def test_of_many_images_some_of_each_class_are_matched_and_others_the_next_time():
    coverage, batches = coverage_of([100] * 600, latents_per_image=1)
    pools = []
    for _ in range(2):
        coverage.match(Painter())
        assert torch.bincount(batches.labels[coverage.rows]).tolist() == [128, 128]
        assert len(coverage.latents) == 256
        pools.append(set(coverage.rows.tolist()))
    assert pools[0] != pools[1]


@pytest.mark.parametrize(("n_classes", "of_each"), [(10, 20), (2, 4), (100, 20), (300, 5)])
def test_no_pair_comes_twice_in_a_group(n_classes, of_each):
    """As in a group of real images: what varies less than these looks collapsed to the discriminator."""
    n = n_classes * of_each
    images = np.zeros((n, 8, 8, 1), np.uint8) + (np.arange(n) % 251).astype(np.uint8)[:, None, None, None]
    data = ag.LabelledImages(images, np.arange(n) % n_classes, tuple(f"{k:03}" for k in range(n_classes)))
    shares = torch.full((n_classes,), 1 / n_classes).double()
    batches = BalancedBatches(data, shares, seed=0, device=torch.device("cpu"))
    coverage = Coverage(CoverageSection(latents_per_image=1), batches, latent_dim=3)
    coverage.match(Painter())
    labels = torch.arange(n_classes).repeat_interleave(GROUP).repeat(20)
    _, rows = coverage.draw(labels)
    assert (batches.labels[rows] == labels).all()
    assert all(len(set(group)) == GROUP for group in rows.view(-1, GROUP).tolist())


def test_when_it_is_due():
    coverage, _ = coverage_of([1, 2], refresh_updates=50)
    assert [update for update in range(120) if coverage.due(update)] == [0, 50, 100]
    off, _ = coverage_of([1, 2], weight=0.0)
    assert not off.due(0)


def test_loss_is_the_mean_squared_error():
    assert coverage_loss(torch.full((2, 1, 8, 8), 0.5), torch.zeros(2, 1, 8, 8)).item() == 0.25
