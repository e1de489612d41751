"""The split keeps test images unseen, whatever the data look like."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.data import split
from augmentgan.data.plan import plan_fit
from augmentgan.data.split import draw_per_class, join_test, split_rows
from augmentgan.errors import DataError


@pytest.fixture
def data():
    """Three classes with 40, 12 and 2 images, all different."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 12, 2])
    return ag.LabelledImages(random.integers(0, 256, (54, 8, 8, 1), dtype=np.uint8), labels, ("a", "b", "c"))


def test_every_row_once_and_every_class_on_both_sides(data):
    for seed in range(20):
        split = split_rows(data, test_fraction=0.2, seed=seed)
        assert sorted([*split.train, *split.test]) == list(range(54))
        assert np.bincount(data.labels[split.test]).tolist() == [8, 2, 1]
        assert (np.bincount(data.labels[split.train]) >= 1).all()


def test_the_seed_decides(data):
    first, again, other = (split_rows(data, test_fraction=0.2, seed=seed) for seed in (1, 1, 2))
    assert first.test.tolist() == again.test.tolist() != other.test.tolist()


def test_where_nothing_is_split_no_double_is_sought(data, monkeypatch):
    monkeypatch.setattr(split, "near_duplicates", lambda *_: pytest.fail("it was"))
    for marks in (None, np.zeros(54, dtype=np.int64)):
        found = split_rows(replace(data, split=marks), test_fraction=0, seed=0)
        assert found.train.tolist() == list(range(54))
        assert (len(found.test), len(found.dropped), found.source) == (0, 0, "drawn")
    with pytest.raises(DataError, match="'c' has 1 image"):
        split_rows(data.subset(range(53)), test_fraction=0, seed=0)


def test_identical_images_never_straddle(data):
    images = data.images.copy()
    images[1:40:2] = images[0:40:2]  # twenty pairs
    images[40] = images[0]  # and one across classes
    data = replace(data, images=images)
    for seed in range(20):
        split = split_rows(data, test_fraction=0.3, seed=seed)
        seen = {images[row].tobytes() for row in split.train}
        assert not any(images[row].tobytes() in seen for row in split.test)


def test_groups_never_straddle_also_in_chains(data):
    group = np.arange(54)
    group[:10] = 0
    images = data.images.copy()
    images[10] = images[0]  # row 10 hangs on the group by its pixels
    data = replace(data, group=group, images=images)
    for seed in range(20):
        split = split_rows(data, test_fraction=0.3, seed=seed)
        chain = set(range(11))
        assert chain <= set(split.train) or chain <= set(split.test)


@pytest.mark.parametrize(
    ("sizes", "in_test"),
    [
        ([36, 4], {4}),  # not the large one, whichever comes first
        ([32, 5, 3], {8}),
        ([20, 20], {20}),  # nothing smaller is there
        ([12, 12, 15, 1], {13}),  # one image says nothing of a class: 13 are nearer to 8 than 1
        ([5] * 8, {5}),  # more than half of what is wanted is enough
        ([30, 6, 4], {6, 4}),
    ],
)
@pytest.mark.parametrize("kind", ["groups", "near doubles"])
def test_a_large_group_does_not_fill_the_test_part(data, sizes, in_test, kind):
    group = np.r_[np.repeat(np.arange(len(sizes)), sizes), 100 + np.arange(14)]
    if kind == "groups":
        uneven = replace(data, group=group)
    else:
        first = np.unique(group, return_index=True)[1][np.unique(group, return_inverse=True)[1]]
        images = data.images[first].copy()
        images[:, 0, 0, 0] ^= (np.arange(54) - first).astype(np.uint8) % 2
        uneven = replace(data, images=images)
    for seed in range(20):
        split = split_rows(uneven, test_fraction=0.2, seed=seed)
        assert not set(group[split.test]) & set(group[split.train])
        n, *others = np.bincount(data.labels[split.test]).tolist()
        assert n in in_test
        assert others == [2, 1]


@pytest.mark.parametrize(
    ("with_first", "with_second"),
    [(30, 0), (9, 0), (30, 9)],  # images of the largest class beside each of the rarest's two; 8 are wanted to test on
)
def test_a_rare_class_does_not_fill_up_a_common_ones_test_part(data, with_first, with_second):
    group = np.arange(54)
    group[:with_first] = group[52]
    group[with_first : with_first + with_second] = group[53]
    for seed in range(20):
        split = split_rows(replace(data, group=group), test_fraction=0.2, seed=seed)
        assert not set(group[split.test]) & set(group[split.train])
        n, *others = np.bincount(data.labels[split.test]).tolist()
        assert n == (with_second or 8)
        assert others == [2, 1]


def test_training_rows_that_the_given_test_part_holds_are_left_out(data):
    images = data.images.copy()
    images[3] = images[20]
    split = np.zeros(54, dtype=np.int64)
    split[[20, 45, 53]] = 1
    found = split_rows(replace(data, images=images, split=split), test_fraction=0.2, seed=0)
    assert found.source == "data"
    assert found.test.tolist() == [20, 45, 53]
    assert found.dropped.tolist() == [3]
    assert 3 not in found.train


def test_a_class_of_copies_cannot_be_tested(data):
    images = data.images.copy()
    images[53] = images[52]
    with pytest.raises(DataError, match="'c' has only one distinct image"):
        split_rows(replace(data, images=images), test_fraction=0.2, seed=0)


def test_a_given_split_must_leave_something_of_every_class_to_learn_from(data):
    split = (data.labels == 2).astype(np.int64)
    with pytest.raises(DataError, match="class 'c' has no training image left"):
        split_rows(replace(data, split=split), test_fraction=0.2, seed=0)


def test_a_class_that_is_tested_on_all_that_it_would_learn_from(data):
    both = join_test(data, data)
    with pytest.raises(DataError, match="class 'a': all of its 40 training images are, or nearly are, test images too"):
        split_rows(both, test_fraction=0.2, seed=0)


def test_draws_are_nested(data):
    rows = np.arange(54)
    few, more = (set(draw_per_class(data.labels, rows, n, seed=5)) for n in (5, 11))
    assert few < more
    assert np.bincount(data.labels[list(few)]).tolist() == [5, 5, 2]


def test_a_separate_test_set_is_matched_by_class_name(data):
    names = ("c", "a", "b")
    test = ag.LabelledImages(255 - data.images, np.array([names.index("abc"[label]) for label in data.labels]), names)
    joined = join_test(data, test)
    assert joined.labels[54:].tolist() == data.labels.tolist()
    assert joined.split.tolist() == [0] * 54 + [1] * 54
    with pytest.raises(DataError, match=r"classes that the training set lacks: x \(it has a, b, c\); rename them"):
        join_test(data, replace(test, class_names=("c", "a", "x")))


def test_a_class_may_be_without_images_in_a_separate_test_set(data):
    test = ag.LabelledImages(255 - data.images[:40], np.arange(40) % 2, ("c", "a"))
    joined = join_test(data, test)
    assert joined.counts_of(1).tolist() == [20, 0, 20]
    assert split_rows(joined, test_fraction=0.2, seed=0).test.tolist() == list(range(54, 94))


def test_a_class_of_near_doubles_costs_the_others_no_protection(data):
    images = data.images.copy()
    images[1:40:2] = images[0:40:2]
    images[1:40:2, 0, 0] ^= 1  # twenty pairs, nearly the same
    images[53] = images[52]
    images[53, 0, 0] ^= 1  # and a class of nothing else
    near = {frozenset((row, row + 1)) for row in range(0, 40, 2)}
    for seed in range(20):
        split = split_rows(replace(data, images=images), test_fraction=0.3, seed=seed)
        assert not any(len(pair & set(split.test.tolist())) == 1 for pair in near)
        assert len({52, 53} & set(split.test.tolist())) == 1


def test_near_doubles_in_another_class_cannot_tie_a_whole_class_together(data):
    """Both images of a class are nearly one of another class; they are split all the same, and others hold together."""
    images = data.images.copy()
    images[52:] = images[0] ^ np.array([1, 2], dtype=np.uint8)[:, None, None, None]
    images[2] = images[1] ^ 1
    for seed in range(20):
        found = split_rows(replace(data, images=images), test_fraction=0.2, seed=seed)
        assert np.bincount(data.labels[found.test])[2] == 1
        assert len({1, 2} & set(found.test.tolist())) != 1


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.99])
def test_something_of_every_class_is_left_to_learn_from(data, fraction):
    for seed in range(5):
        found = split_rows(data, test_fraction=fraction, seed=seed)
        assert (np.bincount(data.labels[found.train], minlength=3) >= 1).all()
        assert np.bincount(data.labels[found.test])[0] == pytest.approx(40 * fraction, abs=1)


def test_the_same_where_the_data_bring_their_split(data):
    images = data.images.copy()
    images[20:30] = images[0:10]
    images[20:30, 0, 0] ^= 1
    images[53] = images[52]
    images[53, 0, 0] ^= 1
    split = np.zeros(54, dtype=np.int64)
    split[[*range(20, 30), 45, 53]] = 1
    found = split_rows(replace(data, images=images, split=split), test_fraction=0.2, seed=0)
    assert found.dropped.tolist() == list(range(10))


def test_groups_hold_across_a_separate_test_set(data):
    group = np.arange(54)
    group[:4] = 7
    test = replace(data, images=255 - data.images, group=np.where(np.arange(54) == 0, 7, 100 + np.arange(54)))
    found = split_rows(join_test(replace(data, group=group), test), test_fraction=0.2, seed=0)
    assert found.dropped.tolist() == [0, 1, 2, 3, 7]
    for one, other in ((None, test.group), (group, None)):
        joined = join_test(replace(data, group=one), replace(test, group=other))
        with_numbers = slice(54, 108) if one is None else slice(0, 54)
        known = other if one is None else one
        assert len(np.unique(joined.group[with_numbers])) == len(np.unique(known))
        assert len(np.unique(joined.group)) == 54 + len(np.unique(known))


def test_a_separate_test_set_takes_the_place_of_the_datas_own(data):
    split = (np.arange(54) % 5 == 0).astype(np.int64)
    joined = join_test(replace(data, split=split), replace(data, images=255 - data.images))
    assert (joined.images[: (split == 0).sum()] == data.images[split == 0]).all()
    assert joined.split.tolist() == [0] * int((split == 0).sum()) + [1] * 54


def test_images_that_are_alike_only_at_the_working_size_never_straddle():
    smooth = np.kron(np.random.default_rng(0).integers(60, 196, (20, 4, 4)), np.ones((1, 32, 32), dtype=np.int64))
    checks = 40 * (np.indices((128, 128)).sum(axis=0) % 2) - 20
    pairs = np.stack([smooth, smooth + checks], axis=1).reshape(40, 128, 128, 1).astype(np.uint8)
    data = ag.LabelledImages(pairs, np.repeat([0, 1], 20), ("a", "b"))
    recipe = ag.Recipe().with_settings(["data.size_px=64"])
    for seed in range(3):
        plan = plan_fit(data, recipe, seed)
        assert len(plan.split.test)
        assert not set(plan.split.test // 2) & set(plan.split.train // 2)


def test_a_split_that_marks_every_row_for_training_is_none(data, tmp_path):
    marked = replace(data, split=np.zeros(54, dtype=np.int64), group=np.r_[np.arange(52) // 2, 26, 27])
    assert not marked.is_split
    assert len(split_rows(marked, test_fraction=0.2, seed=0).test)
    for place in ("set.h5", "set"):  # a training part saved and loaded is as good as any set, its groups kept
        ag.save(marked, tmp_path / place)
        again = ag.load(tmp_path / place)
        assert len(split_rows(again, test_fraction=0.2, seed=0).test)
        assert len(np.unique(again.group)) == 28


def test_of_a_separate_test_set_with_two_parts_its_test_part_is_taken(data):
    split = (np.arange(54) % 5 == 0).astype(np.int64)
    joined = join_test(data, replace(data, images=255 - data.images, split=split))
    assert (joined.split == 1).sum() == (split == 1).sum()
    assert (joined.images[54:] == 255 - data.images[split == 1]).all()


@pytest.mark.parametrize("n_labels", [1, 2, 7])
def test_few_pairs_join_the_same_rows_whatever_labels_are_left_out(n_labels):
    random = np.random.default_rng(n_labels)
    n = 60
    labels = random.integers(0, n_labels, n)
    every = np.argwhere(np.triu(random.random((n, n)) < 0.2, 1))
    few = split._spanning(every, labels)
    assert len(few) < len(every) * (0.5 if n_labels < 7 else 1)
    assert {*map(tuple, few.tolist())} <= {*map(tuple, every.tolist())}
    data = ag.LabelledImages(
        random.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8), labels, tuple(map(str, range(n_labels)))
    )
    for left_out in range(-1, n_labels):
        units = [split.connected_rows(data, pairs[~(labels[pairs] == left_out).any(axis=1)]) for pairs in (every, few)]
        assert units[0].tolist() == units[1].tolist()


def test_the_frames_of_a_film_have_more_pairs_than_are_kept():
    """All 2000 are alike: two million pairs, of which a row each joins them."""
    random = np.random.default_rng(0)
    scene = random.integers(60, 190, (1, 8, 8, 1))
    frames = (scene + random.integers(-2, 3, (2000, 8, 8, 1))).astype(np.uint8)
    data = ag.LabelledImages(frames, np.arange(2000) % 2, ("a", "b"))
    tracemalloc.start()
    try:
        units = split.connected_rows(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(np.unique(units)) == 1
    assert len(split._near_pairs(data)) < 3 * 2000
    assert peak < 250 * 2**20
