"""Near duplicates: photos saved twice, re-compressed, brightened or a little blurred; found by one cheap stated rule.

Two images are near duplicates where their pixels, each image brought to mean 0 and standard deviation 1, differ by at most
`NEAR` (root mean square): their correlation is at least 0.995. Flat images have no pattern to compare and are left to
the test for identical pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

NEAR = 0.1
_FLAT = 1.0  # grey levels
_BLOCKS, _ROWS = 8, 2048
_PIXELS_AT_ONCE = 2**20  # few enough for the processor's cache: look-alikes come in thousands of pairs


def near_duplicates(
    first: NDArray[np.uint8], second: NDArray[np.uint8] | None = None, near: float = NEAR
) -> NDArray[np.int64]:
    """Pairs of near duplicates: rows of `first` beside rows of `second`, or within `first` where there is no second.

    Block means of two images differ by no more than the images do, so they rule nearly all pairs out and lose none.

    Args:
        first: uint8 (n, h, w, c).
        second: uint8 (m, h, w, c).
        near: root mean square difference of standardised pixels.

    Returns:
        int64 (p, 2), sorted; within one set each pair once, the smaller row first.
    """
    one, coarse_one, is_flat = standardised = _standardised(first)
    other, coarse_other, is_other_flat = standardised if second is None else _standardised(second)
    bound = near**2 * coarse_one.shape[1] * (1 + 1e-4)
    sizes = (coarse_other**2).sum(axis=1)
    found = []
    for start in range(0, len(one), _ROWS):
        part = coarse_one[start : start + _ROWS]
        distances = (part**2).sum(axis=1)[:, None] + sizes - 2 * part @ coarse_other.T
        rows, columns = np.nonzero(distances <= bound)
        rows = rows + start
        keep = ~is_flat[rows] & ~is_other_flat[columns]
        if second is None:
            keep &= rows < columns
        pairs = np.stack([rows[keep], columns[keep]], axis=1)
        at_once = max(1, _PIXELS_AT_ONCE // one[0].size)
        for some in (pairs[k : k + at_once] for k in range(0, len(pairs), at_once)):
            differences = (one[some[:, 0]] - other[some[:, 1]]).reshape(len(some), -1)
            found.append(some[np.einsum("pd,pd->p", differences, differences) <= near**2 * differences.shape[1]])
    return np.concatenate(found or [np.empty((0, 2), dtype=np.int64)]).astype(np.int64)


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
