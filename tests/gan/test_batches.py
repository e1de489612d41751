"""Class-balanced batches."""

import numpy as np
import torch

import augmentgan as ag
from augmentgan.gan.batches import BalancedBatches


def batches_of(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 8, 8, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    data = ag.LabelledImages(images[order], labels[order], tuple("abcdefgh"[: len(counts)]))
    return BalancedBatches(data, seed=1, device=torch.device("cpu"))


def test_a_class_of_five_comes_up_as_often_as_one_of_a_hundred():
    batches = batches_of([100, 5, 30])
    seen = torch.cat([batches.labels_at(position, 24, 4) for position in range(30)])
    counts = torch.bincount(seen)
    assert counts.max() - counts.min() <= 4
    assert (seen.view(-1, 4) == seen.view(-1, 4)[:, :1]).all()  # groups of one class, for the minibatch statistic


def test_rows_have_the_label_and_differ_within_a_group():
    batches = batches_of([100, 4, 30])
    labels = batches.labels_at(0, 48, 4)
    for _ in range(20):
        rows = batches.rows_of(labels, 4)
        assert (batches.labels[rows] == labels).all()
        assert all(len(group.unique()) == 4 for group in rows.view(-1, 4))


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
