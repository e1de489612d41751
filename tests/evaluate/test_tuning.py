"""Choices are made on validation images out of the training part, with the same chance for every arm."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.evaluate import tuning
from augmentgan.evaluate.arms import Arm, has_even_classes, is_imbalanced
from augmentgan.evaluate.classifier import Setting
from augmentgan.evaluate.finished import FinishedParts
from augmentgan.evaluate.tuning import Tuner, best_of, simplest, validation_folds
from augmentgan.sections import ResolvedBenchmarkSection


def test_folds_are_even_and_keep_together_what_belongs_together(digits):
    group = np.arange(len(digits))
    group[:3] = 0
    images = digits.images.copy()
    images[10] = images[20]
    fold = validation_folds(replace(digits, images=images, group=group), 3, seed=0)
    assert len(set(fold[:3])) == 1
    assert fold[10] == fold[20]
    for label in range(10):
        spread = np.bincount(fold[digits.labels == label], minlength=3)
        assert spread.max() - spread.min() <= 3
    assert not np.array_equal(fold, validation_folds(digits, 3, seed=1))


def test_a_class_with_a_single_image_never_validates(digits):
    rows = np.flatnonzero(digits.labels > 0)
    one = np.flatnonzero(digits.labels == 0)[:1]
    data = digits.subset([*one, *rows])
    fold = validation_folds(data, 2, seed=0)
    assert fold[0] == -1
    assert (fold[1:] >= 0).all()


def test_the_best_candidate_wins_and_of_equals_the_first():
    weights = np.full(100, 0.01)
    base = np.r_[np.ones(90), np.zeros(10)]
    better = base.copy()
    better[90] = 1
    assert best_of([base, better], weights) == 1
    assert best_of([better, base], weights) == 0
    assert best_of([base, base[::-1].copy()], weights) == 0
    rare = np.where(np.arange(100) >= 99, 0.5, 0.5 / 99)  # one image of a rare class counts as much as its class
    rightly = np.r_[np.zeros(50), np.ones(50)]
    assert best_of([base, rightly], rare) == 1


def test_the_first_candidate_stays_unless_another_is_better_by_the_margin():
    weights = np.full(100, 0.01)
    base = np.r_[np.ones(50), np.zeros(50)]
    for n_better, n_worse, chosen in ((1, 0, 1), (6, 4, 0), (9, 1, 1), (4, 6, 0)):
        other = base.copy()
        other[50 : 50 + n_better] = 1
        other[:n_worse] = 0
        # an image more is right: the standard error of the difference is that image's own weight, and a little less
        assert best_of([base, other], weights, margin=1.0) == chosen
        assert best_of([base, other], weights) == int(n_better > n_worse)
    assert best_of([base, base.copy()], weights, margin=1.0) == 0


def test_an_arm_that_chose_nothing_is_its_parent():
    setting = Setting(0.05, strength=0.0, share=0.0)
    same = simplest(Arm("real"), setting, imbalanced=False, even=True)
    assert simplest(Arm("real+classic"), setting, imbalanced=False, even=True) == same
    assert simplest(Arm("real+classic+synthetic"), setting, imbalanced=False, even=True) == same
    filled = simplest(Arm("real+classic+fill"), setting, imbalanced=True, even=False)
    assert filled == simplest(Arm("real+oversampling"), setting, imbalanced=True, even=False) != same


def test_oversampling_is_no_change_only_where_all_classes_are_equal(digits):
    setting = Setting(0.05, strength=0.0, share=0.0)
    for counts, even in (([12, 12, 0], True), ([12, 11, 0], False), ([12, 4, 4], False)):
        rows = np.concatenate([np.flatnonzero(digits.labels == k)[:n] for k, n in enumerate(counts)])
        found = has_even_classes(digits.subset(rows).counts)
        assert found == even
        plain, drawn = (
            simplest(Arm(name), setting, imbalanced=False, even=found) for name in ("real", "real+oversampling")
        )
        assert (drawn == plain) == even


def test_oversampling_is_tuned_as_such_on_a_mildly_uneven_set(tuner, digits):
    make, given, _ = tuner
    mildly = digits.subset(np.flatnonzero((digits.labels > 0) | (np.arange(len(digits)) % 12 < 9)))
    assert not is_imbalanced(mildly.counts)
    assert not has_even_classes(mildly.counts)
    make(mildly).setting_of(Arm("real+oversampling"))
    assert {arm.name for arm, *_ in given} == {"real+oversampling"}


@pytest.fixture
def synthetic(digits):
    """A sample near each of the digits."""
    near = digits.images.astype(int) + np.random.default_rng(0).integers(0, 9, digits.images.shape)
    made = ag.LabelledImages(near.clip(0, 255).astype(np.uint8), digits.labels, digits.class_names)
    return made.subset(
        np.random.default_rng(1).permutation(len(made))
    )  # a sample's place tells nothing of the image it is near to


@pytest.fixture
def validated():
    """What the classifiers of `tuner` were asked about, in their order."""
    return []


@pytest.fixture
def tuner(digits, synthetic, validated, tmp_path, monkeypatch):
    """A tuner whose classifiers are right on a share of images that the test decides; and a record of what each was given."""
    given, quality = [], {}

    def train(arm, real, samples, section, steps, seed, device, setting):
        given.append((arm, real, samples, steps, setting))
        return arm, setting

    def predict(network, data):
        arm, setting = network
        validated.append(data)
        wrong = np.random.default_rng(0).random(len(data)) > quality.get((arm.name, setting), 0.5)
        return torch.from_numpy((data.labels + wrong) % 10)

    monkeypatch.setattr(tuning, "train_classifier", train)
    monkeypatch.setattr(tuning, "predict", predict)

    def make(real=digits):
        return Tuner(
            real,
            lambda: synthetic,
            ResolvedBenchmarkSection(steps=100, synthetic_share=0.5, synthetic_until=0.5, classic_until=0.5),
            0,
            torch.device("cpu"),
            imbalanced=is_imbalanced(real.counts),
            finished=FinishedParts(tmp_path, {}),
            name="test",
            on_fit=lambda: None,
        )

    return make, given, quality


def test_no_classifier_sees_its_validation_images_or_the_samples_nearest_to_them(tuner, validated, synthetic, digits):
    make, given, _ = tuner
    make().setting_of(Arm("real+classic+synthetic"))
    row_of = {image.tobytes(): row for row, image in enumerate(digits.images)}
    assert len(row_of) == len(digits)
    differences = synthetic.images[:, None].astype(int) - digits.images[None].astype(int)
    nearest = np.square(differences).sum(axis=(2, 3, 4)).argmin(axis=1)
    assert len(given) == len(validated) > 0
    for (arm, real, samples, steps, _), asked in zip(given, validated, strict=True):
        learned, held = ([row_of[image.tobytes()] for image in each.images] for each in (real, asked))
        assert sorted(learned + held) == list(range(len(digits)))  # each image on one side, none left out
        assert 0 < len(held) < len(digits)
        allowed = synthetic.subset(~np.isin(nearest, held) if arm.uses_synthetic else [])
        assert np.array_equal(samples.images, allowed.images)
        assert np.array_equal(samples.labels, allowed.labels)
        assert (0 < len(samples) < len(synthetic)) == arm.uses_synthetic
        assert steps == 50
    assert {arm.uses_synthetic for arm, *_ in given} == {True, False}


def test_every_arm_has_its_own_candidates_and_each_is_scored_once(tuner):
    make, given, _ = tuner
    found = make()
    for name, own in (("real", 2), ("real+classic", 2), ("real+synthetic", 2), ("real+classic+synthetic", 2)):
        before = len(given)
        found.setting_of(Arm(name))
        assert len(given) - before == 2 * own  # two folds
    before = len(given)
    make().setting_of(Arm("real+classic+synthetic"))
    assert len(given) == before  # all of it was kept
    of_arm = {arm.name: [setting for each, *_, setting in given if each == arm] for arm, *_ in given}
    assert {setting.weight_decay for setting in of_arm["real"]} == {0.05, 0.5}
    assert {setting.strength for setting in of_arm["real+classic"]} == {1.0}  # none is "real"
    assert {setting.flips for setting in of_arm["real+classic"]} == {False, True}
    assert {setting.share for setting in of_arm["real+synthetic"]} == {0.25, 0.5}


@pytest.mark.parametrize("blend", ["mixup", "cutmix"])
def test_blending_takes_the_setting_of_the_arm_without_it(tuner, blend):
    make, given, _ = tuner
    found = make()
    setting = found.setting_of(Arm("real+classic"))
    before = len(given)
    assert found.setting_of(Arm(f"real+classic+{blend}")) == setting
    assert len(given) == before


def test_harmful_augmentation_and_samples_are_left_out(tuner):
    make, _, quality = tuner
    plain = Setting(0.05, strength=0.0, share=0.0)
    quality["real", plain] = 0.9
    quality["real+synthetic", replace(plain, share=0.5)] = 0.2
    found = make()
    assert found.setting_of(Arm("real+classic")).strength == 0
    assert found.setting_of(Arm("real+synthetic")).share == 0
    assert found.setting_of(Arm("real+classic+synthetic")).share == 0


@pytest.mark.parametrize(
    ("n_of_one_class", "arm", "n_lost", "share"),
    [
        (12, "real+synthetic", 4, 0.25),
        (3, "real+synthetic", 4, 0.25),
        (1, "real+synthetic", 4, 0.5),
        (1, "real+synthetic", 0, 0.25),
        (1, "real+fill", 4, 0.25),
    ],
)
def test_with_rare_classes_the_share_in_every_class_stays_unless_it_is_clearly_worse(
    tuner, digits, monkeypatch, n_of_one_class, arm, n_lost, share
):
    """Half of the share wins five images of a class and loses some: of four, the image that is left is less than a standard error."""
    make, _, _ = tuner
    kept = np.r_[np.flatnonzero(digits.labels == 0)[:n_of_one_class], np.flatnonzero(digits.labels > 0)]
    data = digits.subset(kept)
    nines = np.flatnonzero(data.labels == 9)
    wrong_with = {0.5: nines[:5], 0.25: nines[5 : 5 + n_lost], 0.0: nines}

    def predict(network, asked):
        _, setting = network
        return torch.from_numpy((asked.labels + np.isin(asked.extra["row"], wrong_with[setting.share])) % 10)

    monkeypatch.setattr(tuning, "predict", predict)
    assert make(replace(data, extra={"row": np.arange(len(data))})).setting_of(Arm(arm)).share == share


@pytest.mark.parametrize("n_lost", [4, 0])
@pytest.mark.parametrize("risky", [{"strength": 0.0}, {"flips": True}], ids=["none", "mirror images"])
def test_a_baseline_is_not_weakened_by_luck(tuner, digits, monkeypatch, n_lost, risky):
    """With what would weaken it five images more are right, and some that were right are not: of four, the one that is left proves nothing."""
    make, _, _ = tuner
    nines = np.flatnonzero(digits.labels == 9)
    augmented, chosen = Setting(0.05, share=0.0), Setting(0.05, share=0.0, **risky)
    wrong_with = {augmented: nines[:5], chosen: nines[5 : 5 + n_lost]}

    def predict(network, asked):
        wrong = wrong_with.get(network[1], nines)
        return torch.from_numpy((asked.labels + np.isin(asked.extra["row"], wrong)) % 10)

    monkeypatch.setattr(tuning, "predict", predict)
    setting = make(replace(digits, extra={"row": np.arange(len(digits))})).setting_of(Arm("real+classic"))
    assert replace(setting, share=0.0) == (augmented if n_lost else chosen)


def test_useful_ones_are_kept(tuner):
    make, _, quality = tuner
    plain = Setting(0.05, strength=0.0, share=0.0)
    quality["real", plain] = 0.5
    quality["real+classic", replace(plain, strength=1.0)] = 0.8
    quality["real+classic+synthetic", Setting(0.05, 1.0, 0.5)] = 0.95
    setting = make().setting_of(Arm("real+classic+synthetic"))
    assert setting == Setting(0.05, 1.0, 0.5)


def test_mirror_images_are_taken_where_they_help_also_without_any_other_augmentation(tuner):
    make, _, quality = tuner
    plain = Setting(0.05, strength=0.0, share=0.0)
    quality["real", plain] = 0.7
    quality["real+classic", replace(plain, flips=True)] = 0.8
    found = make()
    assert found.setting_of(Arm("real+classic")) == Setting(0.05, 0.0, 0.5, flips=True)
    assert found.setting_of(Arm("real+classic+synthetic")).flips


def test_a_group_of_several_classes_never_takes_all_of_one(digits):
    """Class 0 lies whole in the group that one image of class 1 belongs to as well."""
    group = np.arange(len(digits)) + 1
    group[digits.labels == 0] = 0
    group[np.flatnonzero(digits.labels == 1)[0]] = 0
    for seed in range(5):
        fold = validation_folds(replace(digits, group=group), 2, seed=seed)
        for number in (0, 1):
            assert set(digits.labels[fold != number]) == set(range(10))
        assert (fold[group == 0] == -1).all()


def test_every_class_counts_alike_in_validation(tuner, digits):
    make, _, _ = tuner
    kept = np.r_[np.flatnonzero(digits.labels == 0)[:4], np.flatnonzero(digits.labels > 0)]
    uneven = digits.subset(kept)
    weights = make(uneven)._weights()
    assert np.bincount(uneven.labels, weights).tolist() == pytest.approx([0.1] * 10)
