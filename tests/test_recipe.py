"""Recipes: merging, settling, and refusing with one clear line."""

import re
from dataclasses import replace

import pytest

from augmentgan.errors import RecipeError
from augmentgan.recipe import DataFacts, Recipe, ResolvedRecipe, automatic_size, load_recipe, recipe_names

FACTS = DataFacts(side_px=28, channels=1, n_images=200, n_classes=10)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.updates=-5", ["training.updates", "-5"]),
        ("training.updatez=5", ["updatez", "did you mean 'updates'"]),
        ("data.size_px=30", ["data.size_px", "30", "28"]),
        ("objective.loss=foo", ["objective.loss", "foo", "hinge"]),
        ("training.beta1=nan", ["training.beta1", "nan"]),
        ("training.batch_images=63", ["training.batch_images", "63", "multiple of 4"]),
        ("benchmark.soft_labels=true", ["benchmark: soft_labels", "set teachers to 1 or more"]),
        ("nonsense", ["nonsense", "section.key=value"]),
        ("benchmark.classic_until=.", ["benchmark.classic_until", "'.'", "number"]),
        ("nowhere.key=1", ["nowhere", "known"]),
        (f"training.batch_images=0x{'f' * 5000}", ["training.batch_images", "thousands of digits"]),
    ],
)
def test_bad_settings_name_the_thing_the_value_and_what_to_do(setting, words):
    with pytest.raises(RecipeError) as caught:
        Recipe().with_settings([setting])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(("text", "value"), [(".3", 0.3), ("+.5", 0.5), ("1.", 1.0), (".3e0", 0.3), ("3e-1", 0.3)])
def test_numbers_may_be_written_as_people_write_them(text, value):
    assert Recipe().with_settings([f"benchmark.classic_until={text}"]).benchmark.classic_until == value


def test_values_from_python_are_checked_as_settings_are():
    resolved = Recipe().resolve(FACTS)
    changed = resolved.with_values("training", updates=7, batch_images=None)
    assert isinstance(changed, ResolvedRecipe)
    assert changed.training.updates == 7
    assert changed.training.batch_images == resolved.training.batch_images
    assert resolved.training.updates != 7
    for section, values, words in (
        ("trainings", {"updates": 7}, "'trainings' is not a section"),
        ("name", {"updates": 7}, "'name' is not a section"),
        ("training", {"update": 7}, "training.update"),
        ("training", {"updates": -7}, "training.updates = -7"),
        ("training", {"updates": "auto"}, "training.updates = 'auto'"),  # settled already
    ):
        with pytest.raises(RecipeError, match=re.escape(words)):
            resolved.with_values(section, **values)


def test_later_sources_win(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[training]\nupdates = 10\n[objective]\nloss = "minimax"\n')
    recipe = load_recipe(file, ["training.updates=20"])
    assert (recipe.training.updates, recipe.objective.loss, recipe.name) == (20, "minimax", "mine")
    assert recipe.coverage == Recipe().coverage


@pytest.mark.parametrize(
    "text", ["[training]\nupdatez = 1\n", "[training\n", "[training]\nupdates = 0\n", "training = 3\n"]
)
def test_bad_files_are_refused(tmp_path, text):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=r"bad\.toml"):
        load_recipe(file)


def test_unknown_recipe_suggests():
    with pytest.raises(RecipeError, match="did you mean 'digits'"):
        load_recipe("digit")


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_and_says_what_it_is_for(name):
    recipe = load_recipe(name)
    assert recipe.description
    assert "auto" not in recipe.resolve(FACTS).model_dump_json(exclude={"training": {"precision"}})


@pytest.mark.parametrize(("side", "size"), [(6, 8), (8, 8), (28, 28), (30, 32), (50, 64), (64, 64), (4000, 64)])
def test_automatic_size_stays_near_native(side, size):
    assert automatic_size(side) == size


def test_resolving_settles_everything_and_keeps_wishes():
    resolved = Recipe().with_settings(["data.size_px=128"]).resolve(FACTS)
    assert resolved.data.size_px == 128
    assert resolved.data.channels == 1
    assert resolved.augment.colour is False
    assert Recipe().resolve(DataFacts(64, 3, 100, 5)).augment.colour is True
    assert resolved.benchmark.synthetic_share == resolved.benchmark.synthetic_until == 0.5


@pytest.mark.parametrize(
    ("size_px", "n_images", "imbalance", "updates"),
    [
        (28, 20, 1, 3000),
        (28, 200, 1, 3000),
        (28, 500, 1, 5500),
        (28, 1000, 1, 9000),
        (28, 50_000, 1, 9000),
        (28, 1020, 50, 6000),
        (64, 20, 1, 3000),
        (64, 250, 1, 6000),
        (64, 1000, 1, 12000),
        (64, 50_000, 1, 12000),
        (64, 1000, 50, 8000),
    ],
)
def test_few_images_are_learned_from_for_as_long_as_was_found_useful(size_px, n_images, imbalance, updates):
    assert Recipe().resolve(DataFacts(size_px, 1, n_images, 10, imbalance)).training.updates == updates


def test_what_the_recipe_leaves_to_the_images():
    left, given = Recipe().data, Recipe().with_settings(["data.size_px=32", "data.channels=1"]).data
    assert (left.given_size_px, left.given_channels) == (None, None)
    assert (given.given_size_px, given.given_channels) == (32, 1)


def test_samples_and_distortions_of_rare_classes_take_part_to_the_end():
    mixed = Recipe().resolve(replace(FACTS, imbalance=50.0)).benchmark
    assert mixed.synthetic_share > 0.5
    assert mixed.synthetic_until == mixed.classic_until == 1
    assert Recipe().resolve(FACTS).benchmark.classic_until == 0.5
    wished = Recipe().with_settings(["benchmark.synthetic_until=0.25"]).resolve(replace(FACTS, imbalance=50.0))
    assert wished.benchmark.synthetic_until == 0.25


@pytest.mark.parametrize("n_classes", [1, 1001])
def test_class_count_out_of_range(n_classes):
    with pytest.raises(RecipeError, match=f"{n_classes} classes"):
        Recipe().resolve(DataFacts(28, 1, 100, n_classes))
