"""Every recipe that ships is found, explains itself, and runs."""

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.recipe import recipe_names, recipe_text

NAMES = ["digits", "imbalanced", "mnist-1000", "photos-64", "scarce-20"]


def test_the_list():
    assert recipe_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name):
    lines = recipe_text(name).splitlines()
    assert lines[0].startswith("#")
    assert ag.load_recipe(name).description
    for line in lines:
        if "=" in line.partition("#")[0] and not line.startswith("description"):
            assert "#" in line, line


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name, tmp_path):
    recipe = ag.load_recipe(name, ["training.updates=2", "coverage.latents_per_image=1"])
    side = 28 if recipe.data.size_px == "auto" else recipe.data.size_px
    channels = 1 if recipe.data.channels == "auto" else recipe.data.channels
    pixels = np.random.default_rng(0).integers(0, 256, (40, side, side, channels), dtype=np.uint8)
    run = ag.fit(ag.LabelledImages(pixels, np.arange(40) % 2, ("a", "b")), recipe, tmp_path / "run", device="cpu")
    assert run.finished
    assert run.generate(3).images.shape == (6, side, side, channels)
