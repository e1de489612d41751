"""Recipes: every setting of a run, in one frozen tree.

A recipe is read from defaults, then a TOML file, then `--set section.key=value`; each later source wins. Values left
at "auto" are settled once, from the data, by `Recipe.resolve`; the result is printed, stored in the run folder
and used from there on.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ValidationError

from augmentgan.errors import RecipeError, did_you_mean, one_line
from augmentgan.sections import (
    SIZES,
    AugmentSection,
    BenchmarkSection,
    CoverageSection,
    DataSection,
    ModelSection,
    ObjectiveSection,
    ResolvedAugmentSection,
    ResolvedBenchmarkSection,
    ResolvedDataSection,
    ResolvedModelSection,
    ResolvedTrainingSection,
    Section,
    TrainingSection,
)

LARGEST_AUTOMATIC_SIZE = 64
"""Larger photos are scaled down to this unless the recipe says otherwise: the largest that a CPU trains in minutes."""


MOST_CLASSES = 1000
"""The most classes that a generator is built for."""


@dataclass(frozen=True)
class DataFacts:
    """What resolving needs to know about a data set.

    Attributes:
        side_px: side of the images, at their working size where the recipe leaves it open, in pixels.
        channels: 1 or 3.
        n_images: images to learn from.
        n_classes: classes.
        imbalance: images to learn from of the largest class, over those of the smallest.
    """

    side_px: int
    channels: Literal[1, 3]
    n_images: int
    n_classes: int
    imbalance: float = 1.0

    @property
    def has_rare_classes(self) -> bool:
        """Whether the classes differ so much that the rare ones need a mixing of their own; ten times is a guess."""
        return self.imbalance >= 10


class Recipe(Section):
    """All settings of a run; `Recipe()` is the default recipe."""

    name: str = "default"
    description: str = ""
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    objective: ObjectiveSection = ObjectiveSection()
    augment: AugmentSection = AugmentSection()
    coverage: CoverageSection = CoverageSection()
    training: TrainingSection = TrainingSection()
    benchmark: BenchmarkSection = BenchmarkSection()

    def with_settings(self, settings: Iterable[str]) -> Recipe:
        """A copy with `section.key=value` settings applied in order.

        Raises:
            RecipeError: a setting has no such form, an unknown key, or a value out of range.
        """
        tree = self.model_dump()
        for setting in settings:
            key, equals, text = setting.partition("=")
            section, dot, name = key.strip().partition(".")
            if not equals or not dot or not name:
                raise RecipeError(
                    f"--set {setting!r} is not of the form section.key=value, such as training.updates=5000"
                )
            tree.setdefault(section, {})
            if not isinstance(tree[section], dict):
                raise RecipeError(f"--set {setting!r}: {section!r} is not a section; {_known_sections()}")
            tree[section][name] = _parse_value(text.strip())
        return _validate(tree, source="--set")

    def with_values(self, section: str, **values: object) -> Self:
        """A copy with these values in a section, such as `with_values("training", updates=5000)`; those that are None stay as they are.

        Raises:
            RecipeError: an unknown section or key, or a value out of range.
        """
        tree = self.model_dump()
        if not isinstance(tree.get(section), dict):
            raise RecipeError(f"{section!r} is not a section; {_known_sections()}")
        tree[section].update({key: value for key, value in values.items() if value is not None})
        try:
            return type(self).model_validate(tree)
        except ValidationError as error:
            raise RecipeError(_first_problem(error)) from error

    def resolve(self, facts: DataFacts) -> ResolvedRecipe:
        """Settle every "auto" from the data.

        Raises:
            RecipeError: the data cannot be learned with this recipe (fewer than 2 or more than 1000 classes).
        """
        if not 2 <= facts.n_classes <= MOST_CLASSES:
            raise RecipeError(
                f"data has {facts.n_classes} classes; a class-conditional generator needs 2 to {MOST_CLASSES}"
            )
        tree = self.model_dump()
        size_px = automatic_size(facts.side_px) if self.data.size_px == "auto" else self.data.size_px
        channels = facts.channels if self.data.channels == "auto" else self.data.channels
        _settle(tree["data"], "size_px", size_px)
        _settle(tree["data"], "channels", channels)
        _settle(tree["model"], "generator_width", _automatic_width(size_px))
        _settle(tree["model"], "discriminator_width", _automatic_width(size_px))
        _settle(tree["augment"], "colour", channels == 3)
        _settle(tree["training"], "updates", _automatic_updates(size_px, facts))
        _settle(tree["benchmark"], "steps", _automatic_steps(facts.n_classes))
        share, until = _automatic_mixing(facts)
        _settle(tree["benchmark"], "synthetic_share", share)
        _settle(tree["benchmark"], "synthetic_until", until)
        _settle(tree["benchmark"], "classic_until", until)
        return ResolvedRecipe.model_validate(tree)


class ResolvedRecipe(Recipe):
    """A recipe in which nothing is left to decide."""

    data: ResolvedDataSection
    model: ResolvedModelSection
    augment: ResolvedAugmentSection
    training: ResolvedTrainingSection
    benchmark: ResolvedBenchmarkSection


def automatic_size(side_px: int) -> int:
    """The working size for images of this shorter side: the smallest supported one that holds them, 64 at most."""
    return next((size for size in SIZES if size >= min(side_px, LARGEST_AUTOMATIC_SIZE)), LARGEST_AUTOMATIC_SIZE)


def load_recipe(name_or_file: str | Path | None, settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name (`augmentgan recipes` lists them) or from a TOML file, then apply `settings`.

    Raises:
        RecipeError: no such recipe or file, text that is not TOML, an unknown key, or a value out of range.
    """
    if name_or_file is None:
        return Recipe().with_settings(settings)
    text = str(name_or_file)
    if text.endswith(".toml"):
        path = Path(text)
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"recipe file {text!r} cannot be read ({_reason(error)}); check the path") from error
        name = path.stem
    else:
        if text not in recipe_names():
            hint = did_you_mean(text, recipe_names())
            raise RecipeError(f"recipe {text!r} is not known; {hint} (a file's name ends in .toml)")
        name, content = text, recipe_text(text)
    try:
        tree = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else one_line(error)
        raise RecipeError(f"recipe {text!r} is not valid TOML: {reason}") from error
    tree.setdefault("name", name)
    return _validate(tree, source=f"recipe {text!r}").with_settings(settings)


def recipe_names() -> list[str]:
    """Names of the recipes that ship with augmentgan, sorted."""
    return sorted(path.name.removesuffix(".toml") for path in _recipe_folder().iterdir() if path.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML text of a shipped recipe, comments included."""
    return str((_recipe_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def recipe_keys() -> dict[str, str]:
    """Every `section.key` and what it means."""
    return {
        f"{name}.{key}": str(section.model_fields[key].description)
        for name, field in Recipe.model_fields.items()
        for section in [field.annotation]
        if isinstance(section, type) and issubclass(section, BaseModel)
        for key in section.model_fields
    }


def _recipe_folder() -> Any:
    """Inside the wheel the recipes lie in the package; in a checkout they lie beside it."""
    packaged = resources.files("augmentgan") / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "recipes"


def _automatic_width(size_px: int) -> int:
    """Full-size channels: fewer at larger sizes, where each channel costs more and more halvings double it."""
    if size_px <= 16:
        return 64
    return 32 if size_px <= 48 else 16


def _automatic_updates(size_px: int, facts: DataFacts) -> int:
    """Generator updates: all of them from 1000 training images on, fewer for fewer, which are memorised sooner.

    At 28 px, 9000 updates for 1000 digits made samples that are surer of their class, and worth more by themselves, than 6000 did, and 5500 for 500
    pieces of clothing on most draws more than 4000; with 200 images, 4000 gave half as many near copies again as 3000, and samples worth no more.
    At 64 px samples of photographs got better up to the longest training that was tried; 12000 updates for 1000 are what fits into half an hour on
    two cores with room to spare. Where some classes are rare longer training was level on the one draw that was tried (docs/experiments.md, "Longer
    with the present recipe").
    """
    if size_px <= 16:
        return 3000
    if facts.has_rare_classes:
        most, power = (8000 if size_px > 48 else 6000), 1 / 2
    elif size_px > 48:
        most, power = 12000, 1 / 2
    else:
        most, power = 9000, 2 / 3
    return max(3000, min(most, round(most * math.pow(facts.n_images / 1000, power) / 500) * 500))


def _automatic_steps(n_classes: int) -> int:
    """Classifier steps; more classes need more of them."""
    return 1000 if n_classes <= 20 else 2000


def _automatic_mixing(facts: DataFacts) -> tuple[float, float]:
    """Share of synthetic images, and the part of the steps in which they, and classical augmentation, come up.

    Last steps on real images as they are suit classes that have enough of them. Of a class with four they undo what its samples and their
    distortions gave: on draws of two sets with 50 times as many images in common classes, rare ones were recalled better, or as well, with
    many samples and with classical augmentation to the end (docs/experiments.md). From which imbalance on has not been measured.
    """
    return (0.8, 1.0) if facts.has_rare_classes else (0.5, 0.5)


def _settle(section: dict[str, Any], key: str, value: object) -> None:
    if section[key] == "auto":
        section[key] = value


_BARE_POINT = re.compile(r"[+-]?([0-9]+\.|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        if _BARE_POINT.fullmatch(text):  # .5 and 5. are numbers to everybody but TOML
            return float(text)
        return text  # a bare word: loss=hinge needs no quotes on a command line


def _validate(tree: dict[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    # pydantic names the branch of a union ("int", "literal['auto']") in the location; the key is what people wrote
    keys = [str(part) for part in problem["loc"] if str(part) in _all_keys()] or [str(part) for part in problem["loc"]]
    where = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        where = ".".join(str(part) for part in problem["loc"])
        known = _known_keys(problem["loc"])
        return f"unknown key {where!r}; {did_you_mean(str(problem['loc'][-1]), known, len(known))}"
    wishes = [
        each["msg"][0].lower() + each["msg"][1:]
        for each in error.errors()
        if each["loc"][: len(keys)] == problem["loc"][: len(keys)]
    ]
    if problem["type"] == "value_error":  # of a section's values together
        return f"{where}: {problem['ctx']['error']}"
    value = problem["input"]
    shown = "nan" if isinstance(value, float) and math.isnan(value) else _shown(value)
    return f"{where} = {shown}: {', or '.join(dict.fromkeys(wishes))}"


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # hexadecimal numbers may be longer than Python writes in decimal
        return "a number of thousands of digits"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    if len(location) == 1:
        return list(Recipe.model_fields)
    section = Recipe.model_fields[str(location[0])].annotation
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _all_keys() -> set[str]:
    return {key for name in Recipe.model_fields for key in [name, *_known_keys((name, ""))]}


def _known_sections() -> str:
    return "sections: " + ", ".join(name for name in Recipe.model_fields if _known_keys((name, "")))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
