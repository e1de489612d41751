"""The gallery: pictures that hold what their captions say, within their limits."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import augmentgan as ag
from augmentgan.data.sheet import draw_sheet
from augmentgan.gan.networks import to_uint8
from augmentgan.gan.sampling import latents_of
from augmentgan.names import sheets_of
from augmentgan.report import gallery


@pytest.fixture(scope="module")
def pictures(trained):
    return {each.name: each for each in gallery.gallery(trained)}


def frames(picture):
    with Image.open(io.BytesIO(picture.data)) as image:
        return [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)]


def tile(frame, row, column, side=8):
    cell = side + 2
    return frame[row * cell : row * cell + side, column * cell : column * cell + side].astype(int)


def test_all_four_are_there_and_within_their_limits(pictures):
    assert list(pictures) == ["walk", "morph", "timelapse", "side_by_side"]
    for name, picture in pictures.items():
        assert len(picture.data) <= gallery.LIMITS_BYTES[name]
        assert picture.uri.startswith("data:image/gif" if picture.still else "data:image/png")
    assert sum(gallery.LIMITS_BYTES.values()) * 4 / 3 < 2_000_000  # as base64 in a page of at most 3 MB


def test_a_walk_starts_at_the_samples_of_its_class(pictures, trained):
    seen = frames(pictures["walk"])
    assert len(seen) == 30
    for label in (0, 7):
        wanted = latents_of(trained.seed, label, np.arange(9), 64)[::3]  # three walks of three stops
        with torch.no_grad():
            images = to_uint8(trained.generator(torch.from_numpy(wanted), torch.full((3,), label))).numpy()
        for row in range(3):
            assert np.abs(tile(seen[0], row, label) - images[row, :, :, 0]).max() <= 1
    steps = [np.abs(one.astype(int) - two).mean() for one, two in zip(seen, [*seen[1:], seen[0]], strict=True)]
    far = np.abs(seen[0].astype(int) - seen[15]).mean()
    assert max(steps) < far  # it moves in small steps and comes back


def test_mixed_classes_reach_the_classes_and_what_lies_between(trained):
    half = torch.full((1, 10), 0.0)
    half[0, 2] = half[0, 5] = 0.5
    mixed = gallery.mixed_classes(trained.generator, torch.cat([torch.eye(10), half]))
    latents, labels = torch.randn(10, 64), torch.arange(10)
    with torch.no_grad():
        torch.testing.assert_close(mixed(latents, labels), trained.generator(latents, labels))
    for name, table in mixed.named_parameters():
        if name.endswith(("label.weight", "scale.weight", "shift.weight")):
            rows = dict(trained.generator.named_parameters())[name]
            torch.testing.assert_close(table[10], (rows[2] + rows[5]) / 2)
    assert trained.generator.label.weight.shape[0] == 10  # the run's own generator is left alone


def test_the_time_lapse_ends_with_the_last_sheet(pictures, trained):
    sheets = sorted((trained.folder / "samples").glob("*.png"))
    seen = frames(pictures["timelapse"])
    assert len(seen) == len(sheets)
    last = np.asarray(Image.open(sheets[-1]).convert("L"))
    assert (seen[-1][-last.shape[0] :] == last).all()


def test_real_and_synthetic_stand_side_by_side(pictures, trained):
    image = np.asarray(Image.open(io.BytesIO(pictures["side_by_side"].data)))
    real = [trained.train.images[trained.train.labels == label][:8] for label in range(10)]
    left = np.asarray(draw_sheet(real, trained.class_names))
    assert (image[:, : left.shape[1]] == left).all()
    assert image.shape[1] == left.shape[1] + 9 * 58  # a gap and eight samples


def test_noise_in_colour_is_cut_down_to_the_limit():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (120, 160, 3), dtype=np.uint8) for _ in range(24)]
    picture = gallery._animated("morph", "noise", "noise", noise)
    assert len(picture.data) <= gallery.LIMITS_BYTES["morph"]
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.n_frames >= 6


def test_many_classes_are_thinned_out_and_one_sheet_makes_no_film(digits, small_recipe, tmp_path):
    names = tuple(f"class {k}" for k in range(20))
    data = ag.LabelledImages(digits.images[:100], np.arange(100) % 20, names)
    recipe = small_recipe.with_settings(["training.updates=2", "data.test_fraction=0.0"])
    run = ag.fit(data, recipe, tmp_path / "run", device="cpu")
    found = {each.name: each for each in gallery.gallery(run)}
    assert list(found) == ["walk", "morph", "side_by_side"]
    assert "class 0, class 2, class 4" in found["walk"].caption
    assert "class 19" in found["walk"].caption
    again = {each.name: each.data for each in gallery.gallery(ag.Run(run.folder, "cpu"))}
    assert again == {name: each.data for name, each in found.items()}


def test_sheets_come_in_the_order_of_training(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in ("1000000", "999500", "002000", "notes"):
        (tmp_path / "samples" / f"{name}.png").touch()
    assert [file.stem for file in sheets_of(tmp_path)] == ["002000", "999500", "1000000"]
