"""Near copies of training images are found in large classes and in small ones, and fresh real images are let through."""

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.evaluate.copies import CopyJudge, copy_threshold
from augmentgan.gan.diversity import PixelDistances

SIZES = np.array([100, 100, 100, 30, 30, 30, 30, 4, 4, 4])


@pytest.fixture(scope="module")
def drawings():
    """Uneven draws of real digits: training images, a quarter as many held-out ones, and fresh ones that nobody saw."""
    data = ag.digits()
    drawn = []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(len(data))
        parts = [[], [], []]
        for label, n in enumerate(SIZES.tolist()):
            own = order[data.labels[order] == label]
            for part, rows in zip(parts, np.split(own[: n + n // 4 + 40], [n, n + n // 4]), strict=True):
                part.append(rows)
        drawn.append([data.subset(np.concatenate(rows)) for rows in parts])
    return drawn


def share(judges_and_images, sizes, copies):
    """Mean share of copies among images of classes of these sizes."""
    found = [copies(judge, images)[np.isin(SIZES[images.labels], sizes)] for judge, images in judges_and_images]
    return np.concatenate(found).mean()


def test_fresh_images_of_small_classes_are_no_copies(drawings):
    """Where one threshold for all classes takes several times as many for copies as it should."""
    judges = [CopyJudge(train, test) for train, test, _ in drawings]
    fresh = [(judge, images) for judge, (_, _, images) in zip(judges, drawings, strict=True)]
    one = {id(judge): one_threshold(judge, test) for judge, (_, test, _) in zip(judges, drawings, strict=True)}

    def as_before(judge, images):
        return judge.ratios(images.images, images.labels) < one[id(judge)]

    def as_now(judge, images):
        return judge.copies(images.images, images.labels)

    assert share(fresh, [4], as_now) < min(0.015, share(fresh, [4], as_before) / 2)
    assert share(fresh, [100], as_now) < 0.02


def test_about_one_fresh_image_in_a_hundred_is_a_copy():
    """Neither more nor less, for with fewer of them copies are missed."""
    data, shares = ag.digits(), []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(data))
        parts = [np.split(order[data.labels[order] == label], [30, 50]) for label in range(10)]
        train, test, fresh = (data.subset(np.concatenate(rows)) for rows in zip(*parts, strict=True))
        shares.append(CopyJudge(train, test).copies(fresh.images, fresh.labels).mean())
    # logits of digits are not quite normal, which gives 0.009; the mean of 20 draws has a standard error of 0.0008
    assert 0.005 < np.mean(shares) < 0.015


def one_threshold(judge, test):
    ratios = judge.ratios(test.images, test.labels)
    return copy_threshold(ratios[~np.isnan(ratios)])


def test_copies_are_found_in_classes_of_every_size(drawings):
    for train, test, _ in drawings[:3]:
        judge = CopyJudge(train, test)
        noise = np.random.default_rng(0).integers(-8, 9, train.images.shape)
        copies = (train.images.astype(int) + noise).clip(0, 255).astype(np.uint8)
        found = judge.copies(copies, train.labels)
        assert all(found[SIZES[train.labels] == n].mean() > 0.95 for n in np.unique(SIZES))


def test_the_more_a_copy_is_blended_with_another_image_the_less_is_it_one(drawings):
    """With a fifth of another image most are still found, with half of it none; draws differ by 0.05 from one another."""
    parts, found = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), []
    for train, test, fresh in drawings[:3]:
        judge, random = CopyJudge(train, test), np.random.default_rng(0)
        another = [random.choice(np.flatnonzero(fresh.labels == label)) for label in train.labels]
        for part in parts:
            blended = (1 - part) * train.images + part * fresh.images[another]
            found.append(judge.copies(blended.round().astype(np.uint8), train.labels))
    shares = [np.concatenate(found[k :: len(parts)]).mean() for k in range(len(parts))]
    assert shares == sorted(shares, reverse=True)
    assert min(shares[:2]) > 0.95
    assert shares[2] > 0.6
    assert shares[-1] < 0.05


def test_even_classes_have_one_threshold(drawings):
    """That of all held-out images, measured as they are."""
    train, test, _ = drawings[0]
    rows = [np.flatnonzero(train.labels == label)[:30] for label in range(7)]
    even = train.subset(np.concatenate(rows))
    held_out = test.subset(np.flatnonzero(test.labels < 7))
    judge = CopyJudge(even, held_out)
    assert judge.thresholds[:7].tolist() == [one_threshold(judge, held_out)] * 7
    assert np.isnan(judge.thresholds[7:]).all()


def test_of_many_sizes_some_share_a_threshold(drawings, monkeypatch):
    train, test, _ = drawings[0]
    exact = CopyJudge(train, test).thresholds
    monkeypatch.setattr("augmentgan.evaluate.copies._MOST_SIZES", 2)
    shared = CopyJudge(train, test).thresholds
    assert shared[SIZES == 100] == pytest.approx(exact[SIZES == 100])
    assert len({*shared[SIZES < 100]}) == 1  # a class of 30 has that of the next smaller size


@pytest.mark.parametrize("pairs", [1, 250, 999])
def test_the_answers_do_not_depend_on_how_many_distances_are_held_at_once(drawings, monkeypatch, pairs):
    train, test, fresh = drawings[1]
    train = train.subset(np.arange(1, len(train)))  # 99 images in a class: odd numbers of draws too
    whole = CopyJudge(train, test)
    ratios = whole.ratios(fresh.images, fresh.labels)
    monkeypatch.setattr("augmentgan.evaluate.copies._PAIRS", pairs)
    held, distances = [], PixelDistances.__call__
    monkeypatch.setattr(PixelDistances, "__call__", lambda *words: held.append(distances(*words)) or held[-1])
    parts = CopyJudge(train, test)
    assert np.array_equal(parts.thresholds, whole.thresholds)
    assert np.array_equal(parts.ratios(fresh.images, fresh.labels), ratios)
    assert all(each.numel() <= pairs or len(each) == 1 for each in held)


def test_a_class_with_one_training_image_is_not_judged(drawings):
    train, test, fresh = drawings[0]
    one = train.subset(np.delete(np.arange(len(train)), np.flatnonzero(train.labels == 3)[1:]))
    judge = CopyJudge(one, test)
    assert [label for label in range(10) if not judge.knows(label)] == [3]
    unknown = np.isnan(judge.ratios(fresh.images, fresh.labels))
    assert unknown.tolist() == (fresh.labels == 3).tolist()
    assert not judge.copies(fresh.images, fresh.labels)[fresh.labels == 3].any()


def test_nothing_is_a_copy_where_nothing_was_held_out(drawings):
    train, test, _ = drawings[0]
    judge = CopyJudge(train, test.subset(np.arange(9)))
    assert judge.threshold is None
    assert not judge.copies(train.images, train.labels).any()


def test_copies_are_found_where_training_images_are_there_several_times(drawings):
    """As in a set that was evened out by copying: what hides a copy is no other image, but the same one again."""
    train, test, _ = drawings[0]
    once, often = CopyJudge(train, test), CopyJudge(train.subset(np.tile(np.arange(len(train)), 6)), test)
    assert often.thresholds == pytest.approx(once.thresholds)
    noise = np.random.default_rng(0).integers(-2, 3, train.images.shape)
    copies = (train.images.astype(int) + noise).clip(0, 255).astype(np.uint8)
    assert often.copies(copies, train.labels).mean() > 0.95
