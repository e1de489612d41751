"""The rule for near duplicates finds doubles and leaves different images alone."""

import tracemalloc

import numpy as np
import pytest
from tests_support import near_pairs

import augmentgan as ag
from augmentgan.data import duplicates


@pytest.fixture(scope="module")
def images():
    return ag.digits().images[:300]


def every_pair(images):
    pixels = images.reshape(len(images), -1).astype(float)
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True)
    distances = ((pixels[:, None] - pixels[None]) ** 2).mean(axis=2)
    return {(i, j) for i, j in np.argwhere(distances <= 0.1**2) if i < j}


@pytest.mark.parametrize(
    "change",
    [
        lambda x, random: x,
        lambda x, random: 0.8 * x + 20,
        lambda x, random: x + random.normal(0, 4, x.shape),
    ],
    ids=["same", "brightness and contrast", "noise"],
)
def test_doubles_are_found(images, change):
    changed = change(images[:50].astype(float), np.random.default_rng(0)).clip(0, 255).astype(np.uint8)
    pairs = near_pairs(images, changed)
    assert {(k, k) for k in range(50)} <= {tuple(pair) for pair in pairs}


def test_different_digits_are_not_doubles(images):
    assert len(near_pairs(images)) == 0
    shifted = np.roll(images, 1, axis=2)
    assert len(near_pairs(images, shifted)) == 0


def test_the_cheap_test_loses_no_pair(images):
    """Against every pair, in full."""
    random = np.random.default_rng(0)
    both = np.concatenate([images, (images + random.normal(0, 10, images.shape)).clip(0, 255).astype(np.uint8)])
    expected = every_pair(both)
    assert {tuple(pair) for pair in near_pairs(both)} == expected
    assert 0 < len(expected) < len(images)


@pytest.mark.parametrize("side", [5, 7, 11, 13, 31, 101])
def test_no_pair_is_lost_whatever_the_size(side):
    random = np.random.default_rng(side)
    images = random.integers(40, 200, (30, side, side + 2, 3), dtype=np.uint8)
    images[15:] = np.clip(images[:15] + random.normal(0, 4, images[:15].shape), 0, 255)
    found = near_pairs(images)
    assert {tuple(pair) for pair in found} == every_pair(images)
    assert len(found) >= 5


def test_beside_the_standardised_images_no_copy_of_them_is_made():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (300, 8, 8, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    images[299], images[150] = images[0], images[100]
    tracemalloc.start()
    try:
        found = near_pairs(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.tolist() == [[0, 299], [100, 150]]
    assert peak < 1.75 * 4 * images.size


def test_flat_images_are_left_to_the_test_for_identical_pixels():
    flat = np.full((4, 8, 8, 3), 200, np.uint8)
    assert near_pairs(flat).shape == (0, 2)


def test_frames_of_a_film(monkeypatch):
    """All look alike, about half of the pairs are near doubles, and many so nearly that rounding could decide."""
    random = np.random.default_rng(0)
    scene = random.integers(40, 200, (1, 12, 12, 3)).astype(float)
    noise = random.uniform(2, 4.5, (150, 1, 1, 1)) * random.standard_normal((150, 12, 12, 3))
    frames = (scene + noise).clip(0, 255).astype(np.uint8)
    expected = every_pair(frames)
    assert 0.3 < len(expected) / (150 * 149 / 2) < 0.7
    monkeypatch.setattr(duplicates, "_ROWS_MULTIPLIED", 64)  # several parts
    assert {tuple(pair) for pair in near_pairs(frames)} == expected
    monkeypatch.setattr(duplicates, "_DENSE", 2.0)  # never by a product
    assert {tuple(pair) for pair in near_pairs(frames)} == expected
