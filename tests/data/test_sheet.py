"""The names beside the rows of a sample sheet."""

import numpy as np
import pytest
from PIL import Image

from augmentgan.data.sheet import draw_sheet

WHITE = np.full((3, 28, 28, 1), 255, np.uint8)


def left_of(*names: str) -> np.ndarray:
    """What stands left of white images (h, w): the names alone."""
    sheet = np.asarray(draw_sheet([WHITE] * len(names), names).convert("L"))
    return sheet[:, : sheet.shape[1] - 3 * 58]


def dark_columns(pixels: np.ndarray) -> np.ndarray:
    return np.flatnonzero((pixels < 128).any(axis=0))


def test_long_names_that_begin_alike_can_be_told_apart():
    pixels = left_of("bacterial leaf blight", "bacterial leaf streak")
    assert not (pixels[:58] == pixels[58:]).all()


def test_names_stay_off_the_images():
    pixels = left_of("W" * 12)
    assert 20 < dark_columns(pixels).max() < pixels.shape[1] - 2


def test_short_names_leave_the_room_to_the_images():
    assert left_of("0", "1").shape[1] < left_of("zebra", "1").shape[1] < 84


@pytest.mark.parametrize("name", ["x" * 61, "W" * 100_000])
def test_a_name_without_end_takes_no_more_than_its_room(name):
    pixels = left_of(name)
    assert dark_columns(pixels).max() < pixels.shape[1] < 180


def test_names_that_the_font_lacks_do_no_harm(tmp_path):
    draw_sheet([WHITE], ["\u732b \u0436"]).save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 58


def test_accented_greek_and_cyrillic_names_can_be_told_apart():
    names = ["gr\u00fcn", "gr\u00f8n", "\u03b1\u03b2", "\u03b3\u03b4", "\u0436", "\u0448"]
    pixels = left_of(*names)
    rows = [pixels[k * 58 : (k + 1) * 58].tobytes() for k in range(len(names))]
    assert len({*rows}) == len(names)
