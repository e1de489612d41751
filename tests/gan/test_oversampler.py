"""GANOverSampler as people of imbalanced-learn use it, by imbalanced-learn's and scikit-learn's own checks."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import augmentgan as ag
from augmentgan.gan.oversampler import _names_of

TINY = ag.Recipe().with_settings(
    [
        "training.updates=1",
        "training.batch_images=8",
        "model.generator_width=4",
        "model.discriminator_width=4",
        "model.latent_dim=4",
        "coverage.weight=0",
        "training.precision=float32",
        "data.size_px=8",
    ]
)


class NoiseSampler(ag.GANOverSampler):
    """Learns nothing: for checks of everything around the learning, which would learn dozens of times."""

    def _learn_and_sample(self, data, counts, seed):
        labels = np.repeat(list(counts), list(counts.values()))
        noise = np.random.default_rng(seed).integers(0, 256, (len(labels), *data.images.shape[1:]), dtype=np.uint8)
        return noise, labels


class RowSampler(NoiseSampler):
    """Takes any rows of numbers for images of one line: what the general checks bring are no images."""

    def _shape_of(self, X):
        return (len(X), 1, X.shape[1], 1)


CHECKS = [
    (estimator, check)
    for estimator, check in parametrize_with_checks([RowSampler(random_state=0)]).args[1]
    if check.func.__name__ != "check_samplers_pandas_sparse"  # images are not sparse
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS])
def test_imbalanced_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def imbalanced():
    """Digits 0, 1 and 2 with 20, 8 and 4 images, labelled by words."""
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:n] for label, n in ((0, 20), (1, 8), (2, 4))])
    return data.images[rows], np.array(["nought", "one", "two"])[data.labels[rows]]


def sampler(**parameters):
    return ag.GANOverSampler(**{"recipe": TINY, "device": "cpu", "random_state": 0, **parameters})


@pytest.mark.parametrize(
    "strategy",
    ["auto", "minority", "not minority", "not majority", "all", {"two": 9}, lambda y: {"one": 10, "two": 5}],
)
def test_strategies_give_the_counts_of_imbalanced_learn(imbalanced, strategy):
    images, labels = imbalanced
    _, expected = RandomOverSampler(sampling_strategy=strategy).fit_resample(images.reshape(len(images), -1), labels)
    more, more_labels = NoiseSampler(sampling_strategy=strategy).fit_resample(images, labels)
    assert sorted(more_labels) == sorted(expected)
    assert (more[: len(images)] == images).all()
    assert (more_labels[: len(images)] == labels).all()
    assert more.dtype == np.uint8
    assert more.shape[1:] == (8, 8, 1)


def test_the_same_seed_gives_the_same_images(imbalanced):
    first, again, other = (sampler(random_state=seed).fit_resample(*imbalanced)[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_flat_and_shaped_images_are_the_same_to_it(imbalanced):
    images, labels = imbalanced
    shaped, _ = sampler().fit_resample(images, labels)
    without_channel, _ = sampler().fit_resample(images[..., 0], labels)
    flat, _ = sampler(image_shape=(8, 8)).fit_resample(images.reshape(len(images), -1), labels)
    assert flat.shape == (60, 64)
    assert without_channel.shape == (60, 8, 8)
    assert (flat == shaped.reshape(60, -1)).all()
    assert (without_channel == shaped[..., 0]).all()


def test_other_numbers_come_back_in_their_range_and_type(imbalanced):
    images, labels = imbalanced
    shaped, _ = sampler().fit_resample(images, labels)
    for scale, dtype in ((1 / 255, np.float32), (257, np.int32)):
        scaled = (images.astype(float) * scale).astype(dtype)
        more, _ = sampler().fit_resample(scaled, labels)
        assert more.dtype == dtype
        assert np.allclose(more, shaped.astype(float) * scale, atol=1e-5)


def test_images_that_are_not_square_keep_their_shape_and_colour(imbalanced):
    images, labels = imbalanced
    wide = np.concatenate([images, images[:, ::-1]], axis=2).repeat(3, axis=3)
    more, _ = sampler().fit_resample(wide, labels)
    assert more.shape == (60, 8, 16, 3)


def test_a_data_frame_stays_one(imbalanced):
    images, labels = imbalanced
    frame = pd.DataFrame(images.reshape(len(images), -1)).rename(columns=str)
    fitted = sampler(image_shape=(8, 8))
    more, more_labels = fitted.fit_resample(frame, pd.Series(labels, name="digit"))
    assert list(more.columns) == list(frame.columns)
    assert more_labels.name == "digit"
    assert fitted.n_features_in_ == 64
    assert list(fitted.feature_names_in_) == list(frame.columns)
    assert fitted.sampling_strategy_ == {"one": 12, "two": 16}


def test_in_a_pipeline_of_imbalanced_learn(imbalanced):
    images, labels = imbalanced
    flat = images.reshape(len(images), -1) / 255
    model = make_pipeline(sampler(image_shape=(8, 8)), LogisticRegression(max_iter=500))
    assert cross_val_score(clone(model), flat, labels, cv=2).shape == (2,)
    model.set_params(ganoversampler__sampling_strategy={"two": 6})
    assert model.fit(flat, labels).score(flat, labels) > 0.9
    assert model[0].sampling_strategy_ == {"two": 2}


def test_a_run_is_kept_where_it_is_wanted(imbalanced, tmp_path):
    fitted = sampler(out=tmp_path / "run")
    fitted.fit_resample(*imbalanced)
    assert ag.Run(tmp_path / "run", "cpu").train.counts.tolist() == [20, 8, 4]
    assert fitted.run_.finished


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images, labels: (images.reshape(len(images), -1), labels, {}), r"shape \(32, 64\).*image_shape"),
        (lambda images, labels: (images.reshape(len(images), -1), labels, {"image_shape": (7, 9)}), r"64 .* wants 63"),
        (lambda images, labels: (images[..., None], labels, {}), r"\(8, 8, 1, 1\)"),
        (lambda images, labels: (images, labels[:-1], {}), "inconsistent numbers of samples"),
        (lambda images, labels: (images, ["a"] * 31 + ["b"], {}), "class 'b' has 1 image"),
        (lambda images, labels: (images, labels, {"sampling_strategy": {"one": 3}}), "greater or equal"),
        (lambda images, labels: (images * np.nan, labels, {}), "NaN"),
    ],
)
def test_mistakes_are_value_errors(imbalanced, change, words):
    images, labels, parameters = change(*imbalanced)
    with pytest.raises(ValueError, match=words):
        sampler(**parameters).fit_resample(images, labels)


def test_classes_keep_their_names(imbalanced, tmp_path):
    X, y = imbalanced
    fitted = sampler(out=tmp_path / "run")
    fitted.fit_resample(X, y)
    assert fitted.run_.class_names == ("nought", "one", "two")
    assert _names_of(np.array([1, "1"], dtype=object)) == ("0", "1")  # alike as words, and yet two classes


def test_images_of_a_single_number_stay_so(imbalanced):
    X, y = imbalanced
    made, _ = NoiseSampler(random_state=0).fit_resample(np.full(X.shape, 0.5), y)
    assert np.unique(made).tolist() == [0.5]


def test_without_imbalanced_learn_it_says_what_to_install():
    code = (
        "import sys; sys.modules['imblearn'] = None; import augmentgan\n"
        "try: augmentgan.GANOverSampler\n"
        "except augmentgan.AugmentGANError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "GANOverSampler" not in ag.__all__  # so that `from augmentgan import *` works without it
    assert done.stdout == "GANOverSampler needs imblearn; pip install 'augmentgan[imbalanced]' brings it\n"
