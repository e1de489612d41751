"""`augmentgan recipes`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from augmentgan.cli.options import JsonOption
from augmentgan.errors import RecipeError


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe.")] = None, as_json: JsonOption = False
) -> None:
    """List the recipes that ship with augmentgan, or print one."""
    from augmentgan.recipe import load_recipe, recipe_names, recipe_text

    if name is not None:
        recipe = load_recipe(name)
        if name not in recipe_names():
            raise RecipeError(f"recipe {name!r} is a file; print it with your own tools")
        typer.echo(json.dumps(recipe.model_dump()) if as_json else recipe_text(name), nl=as_json)
        return
    described = {each: load_recipe(each).description for each in recipe_names()}
    if as_json:
        typer.echo(json.dumps(described))
        return
    for each, description in described.items():
        typer.echo(f"{each:14} {description}")
