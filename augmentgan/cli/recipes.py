"""`augmentgan recipes`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from augmentgan.cli.layout import hanging
from augmentgan.cli.options import JsonOption, recipe_completions
from augmentgan.errors import RecipeError


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this recipe.", autocompletion=recipe_completions)
    ] = None,
    as_json: JsonOption = False,
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
        typer.echo(hanging(f"{each:14} {description}", 15))
    typer.echo(hanging("next: augmentgan recipes NAME prints one; augmentgan fit DATA --recipe NAME uses it", 6))
