"""One image file to one square uint8 array; the policies that decide how are stated here and printed by `inspect`."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from augmentgan.errors import DataError, is_shortage, one_line
from augmentgan.recipe import LARGEST_AUTOMATIC_SIZE
from augmentgan.sections import SIZES

Resize = Literal["crop", "pad", "stretch"]

MAX_PIXELS = 100_000_000
"""Images whose header declares more pixels are refused before anything is decoded (decompression bombs)."""

LARGE_PIXELS = MAX_PIXELS // 8
"""Images with more pixels are decoded one at a time, whatever threads there are: the largest take some 2 GB, from a file that may be tiny."""

_ONE_AT_A_TIME = threading.Lock()

_DRAFT = 4
"""A JPEG decoder scales by 1/2, 1/4 or 1/8 on its way, which is quick, down to this many times the working size at least: Lanczos has the say over what is left."""

POLICIES: dict[str, str] = {
    "greyscale": "stays one channel when every image is grey, otherwise repeated to RGB",
    "RGB": "stays three channels, unless every image is grey all the same, or data.channels is 1",
    "alpha": "composited over white",
    "palette": "expanded to its colours",
    "CMYK, YCbCr, LAB, HSV": "converted to RGB",
    "16-bit": "grey levels divided by 257",
    "animation": "first frame only",
    "EXIF orientation": "applied",
    "not square": "data.resize: crop (centre), pad (edge pixels) or stretch",
    "mixed sizes": "all to one: data.size_px, or else the smallest of "
    + ", ".join(str(size) for size in SIZES if size <= LARGEST_AUTOMATIC_SIZE)
    + " px that holds the median shorter side (the last for larger ones)",
    "scaling": "Lanczos when larger than the working size, bicubic when smaller; a JPEG many times as large first by its decoder",
    "metadata": "never copied",
}

FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "WEBP",
    "PPM",
    "JPEG2000",
    "AVIF",
    "TGA",
    "PCX",
    "SGI",
)
"""What is read. Pillow knows more, some of them programs and no pictures: for EPS it would start Ghostscript; and icons are unpacked on opening, before their size can be looked at."""

DEEP_MODES = {"I", "I;16", "I;16B", "I;16L"}
GREY_MODES = {"1", "L", "LA", "La", *DEEP_MODES}
_WIDTH, _HEIGHT = 256, 257  # TIFF's tags, as is the next, which says which end of the levels is white
_PHOTOMETRIC = 262
_ORIENTATION = 274  # EXIF's, too
_TRANSPOSED = range(5, 9)  # EXIF orientations that swap width and height


@contextlib.contextmanager
def image_warnings_suppressed() -> Iterator[None]:
    """No warnings of what is odd about a file and harmless (TIFF tags, EXIF, many pixels: our own limit is below).

    Entered once round all reading, and never by one of several threads: what Python restores at the end is the whole process's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Probe:
    """What an image's header says; sizes as seen, after the EXIF orientation (but for a PNG that has it behind its pixels)."""

    width: int
    height: int
    mode: str
    channels: Literal[1, 3]


def probe(path: Path) -> Probe:
    """Read an image's header.

    Raises:
        DataError: not an image, or one that declares more than `MAX_PIXELS` pixels.
    """
    with opened(path) as image, _errors_as_data_error(path):
        width, height = image.size
        if isinstance(image, TiffImageFile):  # some versions of Pillow have exchanged the sides already
            width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
        # not a PNG's own `getexif`, which decodes all pixels in case the orientation comes after them
        if Image.Image.getexif(image).get(_ORIENTATION, 1) in _TRANSPOSED:
            width, height = height, width
        return Probe(width, height, image.mode, 1 if image.mode in GREY_MODES else 3)


def decode(path: Path, size_px: int, channels: int, resize: Resize) -> NDArray[np.uint8]:
    """Read an image as uint8 (size_px, size_px, channels) under `POLICIES`.

    Raises:
        DataError: the file is not an image that can be read whole.
    """
    with opened(path) as image, _errors_as_data_error(path):
        lock = _large_image_lock(image)
        _draft(image, _DRAFT * size_px)
        if "progressive" not in image.info:  # of such a one all coefficients are held, whatever is made of them
            lock = _large_image_lock(image)
        with lock:
            return to_square(image, path, size_px, channels, resize)


def _draft(image: Image.Image, least_px: int) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth of its size; the shorter side stays at least `least_px`.

    Not where an edge, or that of the centre crop, would fall inside of a pixel: everything would be shifted a little.
    """
    width, height = image.size
    for scale in (8, 4, 2):
        exact = not (width % scale or height % scale or (width - height) % (2 * scale))
        if exact and min(width, height) >= scale * least_px:
            image.draft(None, (width // scale, height // scale))  # nothing happens to what is no JPEG
            return


@contextlib.contextmanager
def _errors_as_data_error(path: Path) -> Iterator[None]:
    """Decoders raise whatever a broken file brings them to; what the system is short of is not the file's fault."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if is_shortage(error):
            raise
        raise DataError(f"image {str(path)!r} cannot be decoded ({one_line(error)}); replace or remove it") from error


def _large_image_lock(image: Image.Image) -> contextlib.AbstractContextManager[object]:
    return _ONE_AT_A_TIME if image.width * image.height > LARGE_PIXELS else contextlib.nullcontext()


def to_square(image: Image.Image, path: Path, size_px: int, channels: int, resize: Resize) -> NDArray[np.uint8]:
    """An open image as `decode` would give it; `path` is for errors."""
    return _to_array(_plain(image, path), size_px, channels, resize)


def resize_array(image: NDArray[np.uint8], size_px: int, channels: int, resize: Resize) -> NDArray[np.uint8]:
    """Bring a uint8 (h, w, c) array to (size_px, size_px, channels) as `decode` would."""
    return _to_array(to_image(image), size_px, channels, resize)


def stretch_array(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale a uint8 (h, w, c) array to (height, width, c), whatever that does to its proportions."""
    return np.asarray(_scaled(to_image(image), width, height)).reshape(height, width, image.shape[2])


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """A uint8 (h, w, c) array, c 1 or 3, as Pillow has it."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow can read."""
    Image.init()
    return tuple(each for each in FORMATS if each in Image.OPEN)


def opened(path: Path, formats: tuple[str, ...] | None = None, most_pixels: int | None = None) -> Image.Image:
    """Open an image that may be hostile; nothing but its header is read.

    Args:
        path: the file.
        formats: Pillow's names of those that are expected; `FORMATS` where left out.
        most_pixels: that it may declare; `MAX_PIXELS` where left out.

    Raises:
        DataError: no regular file, not an image of such a format, or one that declares more pixels.
    """
    try:
        if not path.is_file():  # a pipe would be waited for without end
            there = path.exists()
            raise DataError(
                f"file {str(path)!r} {'is not a regular file; remove it' if there else 'does not exist; correct its name'}"
            )
        image = Image.open(path, formats=formats or _formats())
    except DataError:
        raise
    except UnidentifiedImageError as error:
        empty = path.exists() and path.stat().st_size == 0
        hint = (
            "is empty; remove it"
            if empty
            else "is not an image of a kind that is read (PNG, JPEG, TIFF, WebP, ...); convert or remove it"
        )
        raise DataError(f"file {str(path)!r} {hint}") from error
    except Exception as error:
        if is_shortage(error):
            raise
        raise DataError(f"file {str(path)!r} cannot be opened ({one_line(error)}); replace or remove it") from error
    most_pixels = most_pixels or MAX_PIXELS
    if image.width * image.height > most_pixels:
        size = f"{image.width} x {image.height}"
        image.close()
        raise DataError(f"image {str(path)!r} declares {size} pixels; at most {most_pixels:,} are read: scale it down")
    return image


def _plain(image: Image.Image, path: Path) -> Image.Image:
    """The first frame, upright, in mode L or RGB."""
    # Pillow turns 8-bit levels round itself, and forgets the tag with the first change
    white_is_zero = False
    if isinstance(image, TiffImageFile):
        white_is_zero = image.tag_v2.get(_PHOTOMETRIC) == 0
        if image.tag_v2.get(_ORIENTATION) in _TRANSPOSED:
            # Pillow 13 maps an uncompressed file into memory with its sides exchanged, where it knows the name
            image.filename = ""
    image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_MODES:
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise DataError(f"image {str(path)!r} has grey levels outside 16 bits; save it as 8 or 16-bit")
        levels = 65535 - levels if white_is_zero else levels
        return Image.fromarray((levels // 257).astype(np.uint8))
    if image.mode == "F":
        raise DataError(f"image {str(path)!r} has floating-point pixels; save it as 8 or 16-bit")
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image.convert("RGBA"))
        return flat.convert("L" if image.mode in ("L", "LA", "La") else "RGB")
    return image.convert("L" if image.mode in GREY_MODES else "RGB")


def _to_array(image: Image.Image, size_px: int, channels: int, resize: Resize) -> NDArray[np.uint8]:
    image = image.convert("L" if channels == 1 else "RGB")
    width, height = image.size
    if width != height and resize == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    elif width != height and resize == "pad":
        # scaled first: padded first, an image of one pixel's width would become the square of its height
        longer = max(width, height)
        width, height = (max(1, round(side * size_px / longer)) for side in (width, height))
        pixels = np.asarray(_scaled(image, width, height))
        left, top = (size_px - width) // 2, (size_px - height) // 2
        edges = ((top, size_px - height - top), (left, size_px - width - left), (0, 0))[: pixels.ndim]
        return np.pad(pixels, edges, mode="edge").reshape(size_px, size_px, channels)
    return np.asarray(_scaled(image, size_px, size_px)).reshape(size_px, size_px, channels)


def _scaled(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    shrinks = min(image.size) > min(width, height)
    return image.resize((width, height), Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC)
