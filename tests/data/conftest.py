"""Pixels for sets of the tests' own."""

import numpy as np
import pytest


@pytest.fixture
def pixels():
    """Twelve random grey images of 8 px, (n, h, w, 1)."""
    return np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
