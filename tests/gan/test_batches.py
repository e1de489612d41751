"""Class-balanced batches."""

import math
import weakref

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.gan.batches import BalancedBatches, class_shares, classes_at, drawn_in_runs
from augmentgan.sections import ResolvedTrainingSection

TRAINING = ResolvedTrainingSection(updates=10)  # too short for any image to be shown too often


def batches_of(counts, training=TRAINING):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    data = ag.LabelledImages(images[order], labels[order], tuple("abcdefgh"[: len(counts)]))
    return BalancedBatches(data, class_shares(data.counts, training), seed=1, device=torch.device("cpu"))


def test_a_class_of_five_comes_up_as_often_as_one_of_a_hundred():
    batches = batches_of([100, 5, 30])
    seen = torch.cat([batches.labels_at(position, 24, 4) for position in range(30)])
    counts = torch.bincount(seen)
    assert counts.max() - counts.min() <= 4
    assert (seen.view(-1, 4) == seen.view(-1, 4)[:, :1]).all()  # groups of one class, for the minibatch statistic


@pytest.mark.parametrize("n_classes", [2, 7, 10, 100, 999])
def test_even_shares_deal_every_class_once_a_turn(n_classes):
    shares = class_shares(np.full(n_classes, 50), TRAINING)
    for place in (1e-9, 0.5, 1 - 1e-9):
        points = (torch.randperm(n_classes) + torch.tensor(place, dtype=torch.float64)) / n_classes
        assert classes_at(points, shares).sort().values.equal(torch.arange(n_classes))


def test_no_image_is_shown_more_often_than_the_recipe_says_and_the_others_share_what_is_left():
    training = ResolvedTrainingSection(updates=1000, batch_images=64, most_shown=500)
    shares = class_shares(np.array([100, 3, 30, 40]), training)
    shown = shares * 1000 * 64
    assert shown[1].item() == pytest.approx(3 * 500)
    assert shown[2].item() == pytest.approx(30 * 500)
    assert shares.sum().item() == pytest.approx(1)
    assert shown[3].item() == pytest.approx(40 * 500)  # in its turn it is too small for an even part of what is left
    assert shown[0].item() == pytest.approx(64_000 - 73 * 500)


def test_where_every_class_is_too_small_each_has_its_part_of_the_images():
    training = ResolvedTrainingSection(updates=1000, batch_images=64, most_shown=10)
    assert class_shares(np.array([30, 10]), training).tolist() == pytest.approx([0.75, 0.25])


def test_batches_hold_the_classes_in_their_shares():
    training = ResolvedTrainingSection(updates=1000, batch_images=64, most_shown=500)
    batches = batches_of([100, 3, 30, 40], training)
    seen = torch.cat([batches.labels_at(position, 64, 4) for position in range(1000)])
    assert (torch.bincount(seen) / len(seen)).tolist() == pytest.approx(batches.shares.tolist(), abs=0.004)


def test_rows_have_the_label_and_differ_within_a_group():
    batches = batches_of([100, 4, 30])
    labels = batches.labels_at(0, 48, 4)
    for _ in range(20):
        rows = batches.rows_of(labels, 4)
        assert (batches.labels[rows] == labels).all()
        assert all(len(group.unique()) == 4 for group in rows.view(-1, 4))


def test_every_subset_of_a_class_is_as_likely_as_another():
    # neighbours in the files are often look-alikes, and must not come together more often than others do
    torch.manual_seed(0)
    n, group, runs = 7, 4, 35_000
    drawn = drawn_in_runs(torch.full((runs,), 10), torch.full((runs,), n), group).reshape(runs, group) - 10
    _, counts = torch.unique((2**drawn).sum(1), return_counts=True)
    assert len(counts) == math.comb(n, group)
    # chi-squared with 34 degrees of freedom stays below 73.5 in all but one of 10,000 such samples
    expected = runs / math.comb(n, group)
    assert float(((counts - expected) ** 2 / expected).sum()) < 73.5


def test_a_class_of_three_gives_each_image_before_one_comes_again():
    torch.manual_seed(0)
    drawn = drawn_in_runs(torch.zeros(3000, dtype=torch.long), torch.full((3000,), 3), 4).reshape(3000, 4)
    assert (drawn.sort(dim=1).values.diff(dim=1) == 0).sum(1).eq(1).all()
    assert (torch.bincount(drawn.flatten()) / 4000).tolist() == pytest.approx([1, 1, 1], abs=0.05)


def test_every_image_is_used():
    batches = batches_of([20, 5, 1])
    seen = {int(row) for position in range(200) for row in batches.rows_of(batches.labels_at(position, 12, 4), 4)}
    assert seen == set(range(26))


def test_classes_of_an_update_depend_on_seed_and_number_alone():
    first, second = batches_of([5, 5, 5]), batches_of([5, 5, 5])
    for position in range(10):
        first.labels_at(position, 12, 4)
    assert (first.labels_at(10, 12, 4) == second.labels_at(10, 12, 4)).all()


def test_images_arrive_in_the_unit_range():
    batches = batches_of([3, 3])
    images = batches.real_images(torch.tensor([5]))
    assert images.shape == (1, 1, 8, 8)
    assert torch.equal(images, ((batches.images[5].permute(2, 0, 1)[None].float()) / 127.5 - 1))


def test_images_go_with_their_batches():
    batches = batches_of([5, 5])
    batches.labels_at(0, 8, 4)
    images = weakref.ref(batches.images)
    del batches  # at once: a GPU's memory must not wait for the garbage collector
    assert images() is None
