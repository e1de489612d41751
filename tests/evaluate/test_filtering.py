"""A filter keeps the better part of every class, still exactly balanced, and the same samples however many are asked for."""

import h5py
import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.errors import DataError
from augmentgan.evaluate.filtering import SampleFilter
from augmentgan.evaluate.teachers import Teachers
from augmentgan.gan.write_samples import Refusal, any_of


@pytest.fixture(scope="module")
def teachers(trained):
    section = trained.recipe.benchmark.model_copy(update={"steps": 60})
    return Teachers(trained.train, section, 0, torch.device("cpu"), n=2)


@pytest.fixture(scope="module")
def strong(trained, teachers):
    return SampleFilter(trained, "strong", teachers)


def written(trained, path, per_class, chosen):
    ag.write_samples(
        trained, trained.counts(per_class), path, refuses=Refusal(chosen.rule, chosen.refuses), judges=[chosen]
    )
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


def test_the_better_half_is_kept_and_balanced(trained, tmp_path, strong):
    found = written(trained, tmp_path / "kept.h5", 20, strong)
    assert np.bincount(found["labels"]).tolist() == [20] * len(trained.class_names)
    assert (found["score"] >= strong.bars[found["labels"]]).all()
    every = trained.generate(40)
    scores = strong.scores(every.images, every.labels)
    assert found["score"].mean() > scores.mean()


def test_a_longer_set_begins_with_the_shorter_one(trained, tmp_path, strong):
    short, long = (written(trained, tmp_path / f"{n}.h5", n, strong) for n in (5, 12))
    for label in range(len(trained.class_names)):
        first = long["sample_index"][long["labels"] == label][:5]
        assert first.tolist() == short["sample_index"][short["labels"] == label].tolist()


def test_each_level_refuses_its_share_of_every_class(trained, teachers, strong):
    """Of the 256 first samples that set the bar; rounding may put one on its other side."""
    light = SampleFilter(trained, "light", teachers)
    first = trained.generate(256)
    for chosen, share in ((light, 0.25), (strong, 0.5)):
        refused = first.labels[chosen.refuses(first.images, first.labels)]
        assert np.bincount(refused, minlength=10) / 256 == pytest.approx(np.full(10, share), abs=1 / 256)


def test_levels_differ_and_an_unknown_one_is_refused(trained, teachers, strong):
    light = SampleFilter(trained, "light", teachers)
    assert (light.bars < strong.bars).all()
    assert light.rule != strong.rule
    with pytest.raises(DataError, match="'extreme' is not known"):
        SampleFilter(trained, "extreme", teachers)


def test_refusals_join():
    odd = Refusal("odd", lambda images, labels: labels % 2 == 1)
    large = Refusal("large", lambda images, labels: labels > 3)
    both = any_of([odd, large])
    assert both.judge(np.empty(0), np.arange(6)).tolist() == [False, True, False, True, True, True]
    assert both.rule == "odd; large"
    assert any_of([]) is None
