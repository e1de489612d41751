"""The first steps on real data sets, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.data.plan import plan_fit
from augmentgan.data.split import split_rows

DATA = Path(__file__).parents[2] / "shared" / "data"


def needs(name):
    return pytest.mark.skipif(not (DATA / name).exists(), reason=f"{name} is not here")


@needs("raw/rice_disease")
def test_a_messy_folder():
    found = ag.inspect(DATA / "raw" / "rice_disease")
    assert sum(found.counts.values()) == 276
    assert (found.duplicates_within, found.duplicates_across, len(found.bad)) == (21, 0, 277)
    assert found.fit["size_px"] == 64
    data = ag.load(DATA / "raw" / "rice_disease", skip_bad=True)
    assert data.images.shape == (276, 64, 64, 3)


@needs("wbc.h5")
def test_a_class_with_four_images():
    data = ag.load(DATA / "wbc.h5")
    for seed in range(5):
        split = split_rows(data, test_fraction=0.2, seed=seed)
        assert np.bincount(data.labels[split.test]).min() >= 1
        assert np.bincount(data.labels[split.train]).min() >= 2


@needs("pneumonia_mnist.h5")
def test_copies_across_the_given_split_are_not_learned_from():
    data = ag.load(DATA / "pneumonia_mnist.h5")
    split = split_rows(data, test_fraction=0.2, seed=0)
    tested = {data.images[row].tobytes() for row in split.test}
    assert not any(data.images[row].tobytes() in tested for row in split.train)


@needs("mnist.h5")
def test_the_articles_thousand_digits():
    plan = plan_fit(ag.load(DATA / "mnist.h5"), ag.load_recipe("mnist-1000"), seed=0)
    assert plan.data.part(0).counts.tolist() == [100] * 10
    assert len(plan.split.test) == 10_000
    assert (plan.recipe.data.size_px, plan.recipe.data.channels) == (28, 1)
