"""Near duplicates: photos saved twice, re-compressed, brightened or a little blurred; found by one cheap stated rule.

Two images are near duplicates where their pixels, each image brought to mean 0 and standard deviation 1, differ by at most
`NEAR` (root mean square): their correlation is at least 0.995. Flat images have no pattern to compare and are left to
the test for identical pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NEAR = 0.1
_FLAT = 1.0  # grey levels
_BLOCKS = 8
_DISTANCES_AT_ONCE = 2**20  # of block means; some 100 MB with what is made on the way where all are near
_PIXELS_AT_ONCE = 2**20  # few enough for the processor's cache: look-alikes come in thousands of pairs
_ROWS_MULTIPLIED, _DENSE = 256, 0.1
_ROUNDING = 0.01  # of the bound; far more than float32 makes of it


def near_duplicates(first: NDArray[np.uint8], second: NDArray[np.uint8] | None = None) -> Iterator[NDArray[np.int64]]:
    """Pairs of near duplicates: rows of `first` beside rows of `second`, or within `first` where there is no second.

    Block means of two images differ by no more than the images do, so they rule nearly all pairs out and lose none.

    Args:
        first: uint8 (n, h, w, c).
        second: uint8 (m, h, w, c).

    Yields:
        int64 (p, 2), for a block of rows of `first` at a time, because near-identical frames give more pairs than fit in memory; sorted, and within
        one set each pair once, the smaller row first.
    """
    one, coarse_one, is_flat = standardised = _standardised(first)
    other, coarse_other, is_other_flat = standardised if second is None else _standardised(second)
    bound = NEAR**2 * coarse_one.shape[1] * (1 + 1e-4)
    sizes = (coarse_other**2).sum(axis=1)
    at_once = max(1, _DISTANCES_AT_ONCE // max(1, len(other)))
    for start in range(0, len(one), at_once):
        part = coarse_one[start : start + at_once]
        distances = (part**2).sum(axis=1)[:, None] + sizes - 2 * part @ coarse_other.T
        rows, columns = np.nonzero(distances <= bound)
        rows = rows + start
        keep = ~is_flat[rows] & ~is_other_flat[columns]
        if second is None:
            keep &= rows < columns
        pairs = np.stack([rows[keep], columns[keep]], axis=1)
        yield _near_ones(pairs, one.reshape(len(one), -1), other.reshape(len(other), -1)).astype(np.int64)


def _near_ones(pairs: NDArray[np.int64], one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.int64]:
    """Those of the pairs (p, 2), sorted, whose standardised images (n, d) and (m, d) differ by no more than `NEAR`.

    Where nearly every image of some rows has to be compared with the same others, as with the frames of a film, a matrix product does it much
    faster; its few pairs that rounding could decide are computed again.
    """
    if not len(pairs):
        return pairs
    bound = NEAR**2 * one.shape[1]
    is_near = np.empty(len(pairs), dtype=np.bool_)
    for first in range(int(pairs[0, 0]), int(pairs[-1, 0]) + 1, _ROWS_MULTIPLIED):
        start, stop = np.searchsorted(pairs[:, 0], [first, first + _ROWS_MULTIPLIED])
        rows, columns = pairs[start:stop, 0] - first, pairs[start:stop, 1]
        open_ = np.arange(start, stop)
        used = np.zeros(len(other), dtype=np.bool_)
        used[columns] = True
        if len(open_) > _DENSE * _ROWS_MULTIPLIED * used.sum():
            products = _squared_distances(one[first : first + _ROWS_MULTIPLIED], other, np.flatnonzero(used))
            distances = products[rows, np.cumsum(used)[columns] - 1]
            is_near[start:stop] = distances <= bound
            open_ = open_[np.abs(distances - bound) <= _ROUNDING * bound]
        at_once = max(1, _PIXELS_AT_ONCE // one.shape[1])
        for some in (open_[k : k + at_once] for k in range(0, len(open_), at_once)):
            differences = one[pairs[some, 0]] - other[pairs[some, 1]]
            is_near[some] = np.einsum("pd,pd->p", differences, differences) <= bound
    return pairs[is_near]


def _squared_distances(
    one: NDArray[np.float32], other: NDArray[np.float32], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Of every row of `one` to the rows `columns` of `other`."""
    found = np.empty((len(one), len(columns)), dtype=np.float32)
    at_once = max(1, 4 * _PIXELS_AT_ONCE // one.shape[1])
    for some in (slice(k, k + at_once) for k in range(0, len(columns), at_once)):
        part = other[columns[some]]
        found[:, some] = np.einsum("md,md->m", part, part) - 2 * one @ part.T
    found += np.einsum("nd,nd->n", one, one)[:, None]
    return found


def _standardised(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Each image with mean 0 and standard deviation 1, its block means, and whether it is flat; in parts, to save memory."""
    pixels = np.empty(images.shape, dtype=np.float32)
    is_flat = np.empty(len(images), dtype=np.bool_)
    coarse = []
    at_once = max(1, _PIXELS_AT_ONCE // math.prod(images.shape[1:]))
    for some in (slice(k, k + at_once) for k in range(0, len(images), at_once)):
        part = pixels[some]
        part[...] = images[some]
        part -= part.mean(axis=(1, 2, 3), keepdims=True)
        spread = part.std(axis=(1, 2, 3), keepdims=True)
        part /= np.maximum(spread, _FLAT)
        is_flat[some] = spread.reshape(-1) < _FLAT
        coarse.append(_block_means(part))
    return pixels, np.concatenate(coarse), is_flat


def _block_means(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the blocks of each image (n, blocks), times the root of a block's size over the mean size.

    So weighed, their squared differences sum up to at most the images' mean squared difference times the number of blocks.
    """
    n, height, width, channels = pixels.shape
    edges = [np.linspace(0, side, min(_BLOCKS, side) + 1).astype(np.int64) for side in (height, width)]
    sizes = np.outer(*(np.diff(each) for each in edges)).astype(np.float32)
    sums = np.add.reduceat(np.add.reduceat(pixels.sum(axis=3), edges[0][:-1], axis=1), edges[1][:-1], axis=2)
    means: NDArray[np.float32] = sums / (sizes * channels) * np.sqrt(sizes / sizes.mean())
    return means.reshape(n, -1)
