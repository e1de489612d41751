"""The stated policies for unusual images, each on a file that needs it."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import augmentgan as ag
from augmentgan.data import decode
from augmentgan.errors import DataError


@pytest.fixture
def gradient():
    """RGB 8x8, every pixel different."""
    y, x = np.mgrid[:8, :8]
    return np.stack([y * 32, x * 32, (x + y) * 16], axis=2).astype(np.uint8)


def read(path, image, size_px=8, channels=3, resize="crop", **options):
    image.save(path, **options)
    return decode.decode(path, size_px, channels, resize)


def test_everything_that_is_met_has_a_stated_policy():
    stated = " ".join(decode.POLICIES).lower()
    for kind in ("greyscale", "rgb", "palette", "cmyk", "16-bit", "alpha", "exif", "not square", "mixed sizes"):
        assert kind in stated


def test_mixed_sizes_come_to_the_stated_one(tmp_path, gradient):
    assert "smallest of 8, 16, 28, 32, 48, 64 px that holds the median shorter side" in decode.POLICIES["mixed sizes"]
    for name in "ab":
        (tmp_path / name).mkdir()
        for size in ((20, 90), (40, 50), (70, 60)):
            Image.fromarray(gradient).resize(size).save(tmp_path / name / f"{size[0]}.png")
    assert ag.load(tmp_path).images.shape == (6, 48, 48, 3)


def test_rgb_stays_rgb_unless_all_of_it_is_grey(tmp_path, gradient):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(gradient[..., :1].repeat(3, axis=2)).save(tmp_path / name / "grey.png")
    assert ag.load(tmp_path).channels == 1
    Image.fromarray(gradient).save(tmp_path / "a" / "colour.png")
    assert ag.load(tmp_path).channels == 3
    assert ag.load(tmp_path, channels=1).channels == 1


def test_native_size_is_not_resampled(tmp_path, gradient):
    assert (read(tmp_path / "a.png", Image.fromarray(gradient)) == gradient).all()


def test_grey_stays_grey_and_repeats_to_rgb(tmp_path, gradient):
    grey = gradient[..., 0]
    assert (read(tmp_path / "a.png", Image.fromarray(grey), channels=1)[..., 0] == grey).all()
    assert (read(tmp_path / "a.png", Image.fromarray(grey)) == grey[..., None]).all()
    assert decode.probe(tmp_path / "a.png").channels == 1


def test_palette_is_expanded(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    image.putdata([0, 1] * 32)
    found = read(tmp_path / "a.png", image)
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[0, 1].tolist() == [200, 100, 50]


def test_transparency_shows_white(tmp_path, gradient):
    alpha = np.zeros((8, 8, 1), np.uint8)
    alpha[:4] = 255
    found = read(tmp_path / "a.png", Image.fromarray(np.concatenate([gradient, alpha], axis=2)))
    assert (found[:4] == gradient[:4]).all()
    assert (found[4:] == 255).all()


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    image.putdata([0, 1] * 32)
    found = read(tmp_path / "a.png", image, transparency=0)
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [200, 100, 50]


def test_cmyk_becomes_rgb(tmp_path):
    found = read(tmp_path / "a.tif", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    assert found[0, 0, 0] > 200
    assert found[0, 0, 1] < 60


def test_sixteen_bit_keeps_its_levels(tmp_path):
    levels = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)
    found = read(tmp_path / "a.png", Image.fromarray(levels), channels=1)
    assert (found[..., 0] == levels // 257).all()


@pytest.mark.parametrize("levels", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white(tmp_path, levels):
    stored = (np.arange(64).reshape(8, 8) * (1000 if levels == np.uint16 else 4)).astype(levels)
    Image.fromarray(stored).save(tmp_path / "black.tif")
    Image.fromarray(stored).save(tmp_path / "white.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "white.tif") as file:
        assert file.tag_v2[262] == 0
    black, white = (decode.decode(tmp_path / f"{name}.tif", 8, 1, "crop")[..., 0] for name in ("black", "white"))
    if levels == np.uint16:
        assert (black == stored // 257).all()
        assert (white == (65535 - stored) // 257).all()
    else:  # the writer turned the levels round, and so does the reader
        assert (white == black).all()


def test_exif_orientation_is_applied(tmp_path, gradient):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated: to be turned clockwise for viewing
    wide = Image.fromarray(gradient[:4])
    found = read(tmp_path / "a.png", wide, size_px=8, resize="stretch", exif=exif)
    assert (decode.probe(tmp_path / "a.png").width, decode.probe(tmp_path / "a.png").height) == (4, 8)
    upright = np.asarray(wide.transpose(Image.Transpose.ROTATE_270).resize((8, 8), Image.Resampling.BICUBIC))
    assert np.abs(found.astype(int) - upright.astype(int)).mean() < 8


@pytest.mark.parametrize("levels", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
def test_a_tiff_that_is_stored_on_its_side(tmp_path, levels, compression, orientation):
    stored = np.random.default_rng(0).integers(0, np.iinfo(levels).max, (8, 24)).astype(levels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=exif, compression=compression)
    turned = {
        1: stored,
        3: stored[::-1, ::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].T,
        8: np.rot90(stored),
    }[orientation]
    seen = decode.probe(tmp_path / "a.tif")
    assert (seen.height, seen.width) == turned.shape
    expected = (turned // 257 if levels == np.uint16 else turned).astype(np.uint8)[..., None]
    found = decode.decode(tmp_path / "a.tif", 8, 1, "crop")
    assert (found == decode.resize_array(expected, 8, 1, "crop")).all()


def photo(width, height):
    """Coloured spots of all sizes, as in a photograph: power falls with frequency."""
    noise = np.random.default_rng(0).normal(size=(height, width, 3))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / width
    spots = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) / frequency[..., None], axes=(0, 1)).real
    return Image.fromarray(np.clip(128 + 50 * spots / spots.std(), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((1024, 768), (128, 96)),
        ((600, 400), (150, 100)),  # an eighth would have the crop begin inside of a pixel
        ((264, 392), (66, 98)),
        ((257, 390), (257, 390)),
        ((2000, 100), (2000, 100)),
    ],
)
def test_a_large_jpeg_is_scaled_by_its_decoder(tmp_path, monkeypatch, size, decoded, resize):
    photo(*size).save(tmp_path / "a.jpg", quality=90)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = decode.to_square(image, tmp_path / "a.jpg", 16, 3, resize).astype(int)
    to_square, seen = decode.to_square, []
    monkeypatch.setattr(decode, "to_square", lambda image, *more: seen.append(image.size) or to_square(image, *more))
    found = decode.decode(tmp_path / "a.jpg", 16, 3, resize)
    assert seen == [decoded]
    assert decoded == size or min(decoded) >= 4 * 16
    assert np.abs(found - whole).mean() < 1


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_that_is_decoded_small_waits_for_none(tmp_path, monkeypatch, progressive):
    photo(200, 200).save(tmp_path / "a.jpg", progressive=progressive)
    monkeypatch.setattr(decode, "LARGE_PIXELS", 100 * 100)
    held = []
    monkeypatch.setattr(decode, "to_square", lambda *_: held.append(decode._ONE_AT_A_TIME.locked()))
    decode.decode(tmp_path / "a.jpg", 8, 3, "crop")
    assert held == [progressive]


def test_the_header_of_a_png_is_read_without_its_pixels(tmp_path, gradient, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient).save(tmp_path / "a.png")
    Image.fromarray(gradient[:4]).save(tmp_path / "turned.png", exif=exif)
    monkeypatch.setattr(Image.core, "zip_decoder", None)
    assert decode.probe(tmp_path / "a.png").width == 8
    assert (decode.probe(tmp_path / "turned.png").width, decode.probe(tmp_path / "turned.png").height) == (4, 8)


@pytest.mark.parametrize(("name", "options"), [("a.gif", {}), ("a.webp", {"lossless": True}), ("a.png", {})])
def test_animation_gives_its_first_frame(tmp_path, name, options):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    found = read(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
    assert found[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_not_square(tmp_path, resize):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, :8, 0], wide[:, 8:16, 1], wide[:, 16:, 2] = 255, 255, 255
    found = read(tmp_path / "a.png", Image.fromarray(wide), size_px=24 if resize == "pad" else 8, resize=resize)
    colours = {tuple(pixel) for row in found.tolist() for pixel in row}
    if resize == "crop":
        assert colours == {(0, 255, 0)}
    else:
        assert {(255, 0, 0), (0, 255, 0), (0, 0, 255)} <= colours
    if resize == "pad":
        assert (found[0] == found[12]).all()  # the edge's pixels continue


@pytest.mark.parametrize(
    ("shape", "scaled"), [((12, 48), (4, 16)), ((48, 12), (16, 4)), ((3, 8), (6, 16)), ((31, 9), (16, 5))]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_padded_image_keeps_its_proportions(shape, scaled, channels):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = (255 * (x / shape[1] + y / shape[0]) / 2).astype(np.uint8)[..., None].repeat(channels, axis=2)
    found = decode.resize_array(image, 16, channels, "pad")
    (top, height), (left, width) = (((16 - side) // 2, side) for side in scaled)
    content = found[top : top + height, left : left + width]
    assert (content == decode.stretch_array(image, height, width)).all()
    assert (found[:top] == found[top]).all()  # the edge's pixels continue
    assert (found[top + height :] == found[top + height - 1]).all()
    assert (found[:, :left] == found[:, left : left + 1]).all()
    assert (found[:, left + width :] == found[:, left + width - 1 : left + width]).all()


@pytest.mark.parametrize("shape", [(4000, 1), (1, 4000)])
def test_padding_a_thin_image_takes_no_square_of_its_length(shape):
    levels = np.repeat(np.array([0, 255], dtype=np.uint8), 2000).reshape(*shape, 1).repeat(3, axis=2)
    tracemalloc.start()
    try:
        found = decode.resize_array(levels, 16, 3, "pad")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    halves = found if shape[1] == 1 else found.swapaxes(0, 1)
    assert (halves[:7] == 0).all()
    assert (halves[9:] == 255).all()


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 63)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="declares 8 x 8 pixels"):
        decode.decode(tmp_path / "a.png", 8, 1, "crop")


@pytest.mark.parametrize(("limit", "together"), [(63, False), (64, True)])
def test_large_images_are_decoded_one_at_a_time(gradient, tmp_path, monkeypatch, limit, together):
    Image.fromarray(gradient).save(tmp_path / "a.png")
    monkeypatch.setattr(decode, "LARGE_PIXELS", limit)
    both, met = threading.Barrier(2), []

    def waiting_for_the_other(*words):
        try:
            both.wait(60 if together else 0.2)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(decode, "to_square", waiting_for_the_other)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: decode.decode(tmp_path / "a.png", 8, 3, "crop"), range(2)))
    assert met == [together] * 2
