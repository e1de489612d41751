"""How many samples a class a benchmark makes of a generator, and the memory that they take."""

from __future__ import annotations

import math

from augmentgan.data.images import LabelledImages
from augmentgan.evaluate.pretrained import SYNTHETIC_PER_CLASS
from augmentgan.sections import BenchmarkSection

MOST_SAMPLE_BYTES = 5 << 29
"""The most that the samples of all classes may take together in a benchmark: some 200,000 at 64 px in colour."""


def samples_offered(section: BenchmarkSection, real: LabelledImages) -> int:
    """Samples a class that a benchmark makes of such images: as many as the recipe says, fewer where those of many classes would not fit in memory together.

    For the pretrained classifier `pretrained.SYNTHETIC_PER_CLASS` at most.
    """
    wanted = section.synthetic_per_class
    if section.classifier == "pretrained":
        wanted = min(wanted, SYNTHETIC_PER_CLASS)
    return min(wanted, max(1, MOST_SAMPLE_BYTES // (_image_bytes(real) * real.n_classes)))


def sample_bytes(section: BenchmarkSection, real: LabelledImages) -> int:
    """Memory that these samples of all classes take."""
    return samples_offered(section, real) * real.n_classes * _image_bytes(real)


def _image_bytes(images: LabelledImages) -> int:
    return math.prod(images.images.shape[1:])
