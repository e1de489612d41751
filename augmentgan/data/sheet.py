"""A sample sheet: one row a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from augmentgan.data.decode import image_warnings_suppressed, opened, to_image
from augmentgan.errors import DataError, one_line, printable
from augmentgan.files import atomic_file

MAX_ROWS = 40
MOST_SHEET_PIXELS = 32_000_000
"""A sheet that declares more is none of ours: forty rows of two dozen images of 128 px are half of that."""

_GAP_PX, _LONGEST_NAME_PX, _LETTER_PX = 2, 160, 10


def write_sheet(path: Path, rows: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> None:
    """Write `draw_sheet` as a PNG, whole or not at all."""
    with atomic_file(path) as part:
        draw_sheet(rows, names).save(part, format="PNG")


def read_sheet(path: Path) -> Image.Image:
    """A sheet of a run folder that may have come from a stranger, in RGB.

    Raises:
        DataError: not a PNG that can be read whole, or a larger one than we write.
    """
    with image_warnings_suppressed(), opened(path, ("PNG",), MOST_SHEET_PIXELS) as image:
        try:
            return image.convert("RGB")
        except Exception as error:  # decoders raise whatever a broken file brings them to
            raise DataError(f"sheet {str(path)!r} cannot be decoded ({one_line(error)}); remove it") from error


def draw_sheet(rows: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Image.Image:
    """One row of images (m, h, w, c) for each name; at most `MAX_ROWS` rows."""
    shown = list(zip(rows, names, strict=True))[:MAX_ROWS]
    side = shown[0][0].shape[1]
    scale = max(1, 56 // side)
    cell = side * scale + _GAP_PX
    columns = max(len(row) for row, _ in shown)
    more = len(rows) > MAX_ROWS
    font = _font()
    texts = [_shortened(printable(name), font) for _, name in shown]
    left = math.ceil(max(font.getlength(text) for text in texts)) + 8
    sheet = Image.new("RGB", (left + columns * cell, len(shown) * cell + (16 if more else 0)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = font
    for y, ((row, _), text) in enumerate(zip(shown, texts, strict=True)):
        draw.text((2, y * cell + cell // 2 - 6), text, fill="black")
        for x, image in enumerate(row):
            tile = to_image(image).convert("RGB")
            sheet.paste(tile.resize((side * scale,) * 2, Image.Resampling.NEAREST), (left + x * cell, y * cell))
    if more:
        draw.text((2, sheet.height - 14), f"the first {MAX_ROWS} of {len(rows)} classes", fill="black")
    return sheet


def _font() -> ImageFont.FreeTypeFont:
    """Matplotlib's own, which has Latin, Greek and Cyrillic letters; Pillow's lacks all but English ones."""
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), _LETTER_PX)


def _shortened(name: str, font: ImageFont.FreeTypeFont) -> str:
    """The name, or as much of its beginning as there is room for."""
    for n in range(min(len(name), 60), 0, -1):
        text = name if n == len(name) else f"{name[:n]}.."
        if font.getlength(text) <= _LONGEST_NAME_PX:
            return text
    return ""
