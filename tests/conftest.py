"""Real images for every test: scikit-learn's digits, as a set, as a folder, and as a small trained run."""

import os

# A core each for the processes that run tests: with networks this small, threads mostly wait for one another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from tests_support import write_tree

import augmentgan as ag
from augmentgan.data.split import draw_per_class


@pytest.fixture(scope="session")
def digits():
    """12 digits of each class, 8x8 grey."""
    data = ag.digits()
    return data.subset(draw_per_class(data.labels, np.arange(len(data)), 12, seed=0))


@pytest.fixture(scope="module")
def pool():
    """40 digits of each class."""
    data = ag.digits()
    rows = np.concatenate([np.flatnonzero(data.labels == label)[:40] for label in range(10)])
    return data.subset(rows)


@pytest.fixture
def tree(tmp_path, digits):
    """A class-per-folder tree of three classes with six images each."""
    root = tmp_path / "tree"
    write_tree(root, digits, classes=3, per_class=6)
    return root


@pytest.fixture(scope="session")
def small_recipe():
    """A recipe that runs in a few seconds."""
    return ag.Recipe().with_settings(
        [
            "training.updates=40",
            "training.batch_images=20",
            "training.status_updates=10",
            "training.quality_updates=20",
            "training.sheet_updates=20",
            "training.checkpoint_updates=10",
            "training.precision=float32",
            "model.generator_width=8",
            "model.discriminator_width=8",
            "coverage.refresh_updates=10",
            "benchmark.steps=20",
            "benchmark.synthetic_per_class=20",
            "benchmark.repeats=2",
        ]
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory, digits, small_recipe):
    """A finished run; tests must not write into its folder."""
    return ag.fit(digits, small_recipe, tmp_path_factory.mktemp("runs") / "trained", seed=3, device="cpu")
