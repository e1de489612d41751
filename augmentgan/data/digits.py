"""scikit-learn's handwritten digits, which need no download."""

from __future__ import annotations

import numpy as np

from augmentgan.data.images import LabelledImages


def digits() -> LabelledImages:
    """The 1797 digits of 8x8 pixels (Alpaydin & Kaynak 1998, UCI), levels 0 to 16 spread over 0 to 255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return LabelledImages(images, bunch.target.astype(np.int64), tuple(str(digit) for digit in range(10)))
