"""Writes the pages that follow from the code: `python docs/generate.py`. A test checks that they are up to date."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path

from pydantic import BaseModel

from augmentgan.recipe import Recipe

HERE = Path(__file__).parent


def recipe_keys() -> str:
    """docs/recipe-keys.md."""
    lines = [
        "# Recipe keys",
        "",
        "Every setting, its default and its range. Put them in a TOML file (`--recipe mine.toml`) or give them one by one",
        '(`--set training.updates=5000`). "auto" is settled from the data before training and printed by `fit --dry-run`.',
        "This page is generated from the models in `augmentgan/recipe.py`.",
        "",
    ]
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        lines += [
            f"## [{name}]",
            "",
            (section.__doc__ or "").strip(),
            "",
            "| key | default | values | meaning |",
            "|---|---|---|---|",
        ]
        for key, each in section.model_fields.items():
            values = _values(each.annotation, each.metadata)
            lines.append(f"| `{key}` | `{json.dumps(each.default)}` | {values} | {each.description} |")
        lines.append("")
    return "\n".join(lines)


def _values(annotation: object, metadata: list[object]) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return ", ".join(_values(part, []) for part in typing.get_args(annotation))
    if origin is typing.Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in typing.get_args(annotation))
    if origin is typing.Annotated:
        inner, *extra = typing.get_args(annotation)
        return _values(inner, extra)
    words = [getattr(annotation, "__name__", str(annotation))]
    for constraint in metadata:
        for part in getattr(constraint, "metadata", [constraint]):
            for sign, key in ((">=", "ge"), (">", "gt"), ("<=", "le"), ("<", "lt"), ("a multiple of", "multiple_of")):
                if getattr(part, key, None) is not None:
                    words.append(f"{sign} {getattr(part, key):g}")
    return " ".join(words)


PAGES = {"recipe-keys.md": recipe_keys}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
