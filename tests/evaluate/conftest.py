"""What several tests of a benchmark from scratch start from."""

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.evaluate import protocol


@pytest.fixture
def quick(monkeypatch):
    """The protocol with generators that noise their training images, and a record of what each was given."""
    given = []

    def samples(real, recipe, out, name, seed, device, on_status):
        given.append((name, real))
        random = np.random.default_rng(seed)
        rows = np.concatenate([random.choice(np.flatnonzero(real.labels == k), 10) for k in range(real.n_classes)])
        noisy = real.images[rows] + random.normal(0, 20, real.images[rows].shape)
        return ag.LabelledImages(noisy.clip(0, 255).astype(np.uint8), real.labels[rows], real.class_names)

    monkeypatch.setattr(protocol, "_samples", samples)
    return given
