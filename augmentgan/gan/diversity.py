"""Distances in pixels: two cheap figures that show collapse inside a class and copying, and the nearest real image.

    div   mean distance between samples of a class / the same between its real images     (1 = as varied as real)
    near  mean distance of a sample to its nearest real image / the real images' own      (0 = copies)

They are computed while training, so they live beside the loop; `augmentgan.evaluate` reports them too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_IMAGES_PER_CLASS = 256
"""Distances within a class are between at most this many images, evenly spaced over the class."""

_PART = 1024


@dataclass(frozen=True)
class Diversity:
    """Figures a class; NaN where a class has too few different real images to say.

    Attributes:
        div_per_class: (k,) 1 means as varied as the real images.
        near_per_class: (k,) 0 means copies.
    """

    div_per_class: NDArray[np.float64]
    near_per_class: NDArray[np.float64]

    @property
    def div(self) -> float:
        """Mean over the classes that have a figure; NaN where none has."""
        return _mean(self.div_per_class)

    @property
    def near(self) -> float:
        """Mean over the classes that have a figure; NaN where none has."""
        return _mean(self.near_per_class)


def diversity(
    real: NDArray[np.uint8],
    real_labels: NDArray[np.int64],
    synthetic: NDArray[np.uint8],
    synthetic_labels: NDArray[np.int64],
    n_classes: int,
) -> Diversity:
    """`div` and `near` of synthetic images (m, h, w, c) against real ones (n, h, w, c), class by class.

    Exact duplicates of a real image count once: their distance is 0, and people even out their classes by copying files.
    """
    div, near = np.full(n_classes, np.nan), np.full(n_classes, np.nan)
    for label in range(n_classes):
        ours = _flat(synthetic[synthetic_labels == label])
        theirs = _flat(distinct_images(real[real_labels == label]))
        if len(theirs) < 2 or len(ours) < 2:
            continue
        among_real = torch.cdist(theirs, theirs)
        spread_real = _mean_off_diagonal(among_real)
        nearest_real = among_real.fill_diagonal_(torch.inf).min(dim=1).values.mean().item()
        if spread_real == 0 or nearest_real == 0:
            continue
        div[label] = _mean_off_diagonal(torch.cdist(ours, ours)) / spread_real
        near[label] = torch.cdist(ours, theirs).min(dim=1).values.mean().item() / nearest_real
    return Diversity(div, near)


class PixelDistances:
    """Squared distances to a fixed set of images (m, h, w, c), exact: |x - y|^2 = |x|^2 - 2 x.y + |y|^2 in whole numbers.

    Grey levels less 128 fit into int8, whose matrix product into int32 is four to five times as fast as float32's where the
    processor has instructions for it; float64 is exact too.
    """

    def __init__(self, real: NDArray[np.uint8]) -> None:
        self._real = _centred(real)
        # in parts here and below, for float64 takes eight times the memory
        self._squares = torch.cat([_squares(part) for part in torch.split(self._real, _PART)])
        # without the processor's own instructions that product is slower than any other
        self._whole = torch.backends.cpu.get_cpu_capability() == "AVX512"

    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """Squared distances (n, m), int64, of images (n, h, w, c)."""
        ours = _centred(images)
        if self._whole:
            products = torch._int_mm(ours, self._real.T)
        else:
            products = torch.cat(
                [(ours.double() @ part.double().T).long() for part in torch.split(self._real, _PART)], dim=1
            )
        return (_squares(ours)[:, None] + self._squares[None, :]).sub_(products, alpha=2)


class NearestReal:
    """Finds the nearest of the real images (n, h, w, c)."""

    def __init__(self, real: NDArray[np.uint8]) -> None:
        self._distances = PixelDistances(real)

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For each image (m, h, w, c): root mean square distance over pixels (grey levels, 0 to 255), and the row."""
        # in parts, for all distances at once are twenty bytes a pair
        parts = [self._distances(images[start : start + _PART]).min(dim=1) for start in range(0, len(images), _PART)]
        squares = torch.cat([torch.empty(0, dtype=torch.int64), *(part.values for part in parts)]).double()
        rows = torch.cat([torch.empty(0, dtype=torch.int64), *(part.indices for part in parts)])
        return (squares / float(np.prod(images.shape[1:]))).sqrt().float().numpy(), rows.numpy()


def _centred(images: NDArray[np.uint8]) -> Tensor:
    return (torch.from_numpy(images).flatten(1) ^ 128).view(torch.int8)  # flips the top bit: level - 128


def _squares(centred: Tensor) -> Tensor:
    return centred.double().square_().sum(dim=1).long()  # whole numbers, exact in float64, whose sums are vectorised


def _flat(images: NDArray[np.uint8]) -> Tensor:
    if len(images) > MAX_IMAGES_PER_CLASS:
        images = images[np.linspace(0, len(images) - 1, MAX_IMAGES_PER_CLASS).round().astype(np.int64)]
    return torch.from_numpy(images).flatten(1).float()


def distinct_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each of the images (n, h, w, c) once, in their order."""
    first = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)[1]
    return images[np.sort(first)]


def _mean_off_diagonal(distances: Tensor) -> float:
    n = len(distances)
    return float((distances.sum() - distances.diagonal().sum()).item() / (n * (n - 1)))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
