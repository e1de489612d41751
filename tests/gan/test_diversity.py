"""div and near tell collapse from copying from variety."""

import numpy as np
import pytest
import torch

from augmentgan.gan.diversity import NearestReal, PixelDistances, diversity


@pytest.fixture
def real():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8), np.arange(40) % 2


def test_fresh_images_of_the_same_kind(real):
    fresh = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    found = diversity(*real, fresh, real[1], 2)
    assert found.div == pytest.approx(1, abs=0.05)
    assert found.near == pytest.approx(1, abs=0.05)


def test_a_collapsed_class_shows(real):
    images = real[0].copy()
    images[real[1] == 1] = images[1]
    found = diversity(*real, images, real[1], 2)
    assert found.div_per_class[0] == pytest.approx(1)
    assert found.div_per_class[1] == 0


def test_copies_are_near(real):
    assert diversity(*real, real[0], real[1], 2).near == pytest.approx(0, abs=1e-2)


def test_a_real_image_that_is_there_twice_counts_once(real):
    samples = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    once = diversity(*real, samples, real[1], 2)
    for again in (slice(None), slice(10)):
        images, labels = (np.concatenate([each, each[again]]) for each in real)
        twice = diversity(images, labels, samples, real[1], 2)
        assert twice.div_per_class.tolist() == once.div_per_class.tolist()
        assert twice.near_per_class.tolist() == once.near_per_class.tolist()


def test_of_many_images_those_compared_are_spread_over_the_class():
    images = np.random.default_rng(0).integers(0, 256, (600, 4, 4, 1), dtype=np.uint8)
    images[:300] = images[:300] // 64  # the first half is darker and more alike
    labels = np.zeros(600, dtype=np.int64)
    assert diversity(images, labels, images, labels, 1).div == 1
    assert diversity(images, labels, images[:300], labels[:300], 1).div < 0.1


def test_a_class_with_one_real_image_has_no_figure(real):
    keep = np.r_[0, np.flatnonzero(real[1] == 1)]
    found = diversity(real[0][keep], real[1][keep], *real, 2)
    assert np.isnan(found.div_per_class[0])
    assert found.div == found.div_per_class[1]


def test_nearest_real(real):
    images = real[0][[7, 3]].astype(int)
    images[1, ..., 0] += np.where(images[1, ..., 0] < 128, 10, -10)
    distances, rows = NearestReal(real[0])(images.astype(np.uint8))
    assert rows.tolist() == [7, 3]
    assert distances.tolist() == pytest.approx([0, 10], abs=0.1)


def test_nearest_real_in_parts(real, monkeypatch):
    images = real[0][::-1].copy()
    whole = NearestReal(real[0])(images)
    monkeypatch.setattr("augmentgan.gan.diversity._PART", 3)
    in_parts = NearestReal(real[0])(images)
    assert np.array_equal(whole[0], in_parts[0])
    assert np.array_equal(whole[1], in_parts[1])
    assert [len(each) for each in NearestReal(real[0])(images[:0])] == [0, 0]


@pytest.mark.parametrize("capability", ["AVX512", "DEFAULT"])
def test_pixel_distances_are_exact_on_every_processor(monkeypatch, capability):
    if capability != torch.backends.cpu.get_cpu_capability():
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (9, 128, 128, 3), dtype=np.uint8)
    real[0], real[1] = 0, 255
    images = np.concatenate([real[:3], random.integers(0, 256, (4, 128, 128, 3), dtype=np.uint8)])
    expected = np.square(images[:, None].astype(np.int64) - real[None].astype(np.int64)).sum(axis=(2, 3, 4))
    assert (PixelDistances(real)(images).numpy() == expected).all()
