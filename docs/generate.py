"""Writes the pages that follow from the code: `python docs/generate.py`. A test checks that they are up to date."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from pathlib import Path

from pydantic import BaseModel

import augmentgan as ag
from augmentgan.recipe import Recipe, load_recipe, recipe_names

HERE = Path(__file__).parent


def recipe_keys() -> str:
    """docs/recipe-keys.md."""
    lines = [
        "# Recipe keys",
        "",
        "Every setting, its default and its range. Put them in a TOML file (`--recipe mine.toml`) or give them one by one",
        '(`--set training.updates=5000`). "auto" is settled from the data before training and printed by `fit --dry-run`.',
        "This page is generated from the models in `augmentgan/sections.py`.",
        "",
    ]
    lines += [
        "Recipes that come with it (`--recipe NAME`); the default one suits most sets:",
        "",
        "| name | for |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {load_recipe(name).description} |" for name in recipe_names()]
    lines.append("")
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


def python_api() -> str:
    """docs/python-api.md."""
    lines = [
        "# Python",
        "",
        "Everything the command line does goes through these names. Nothing in the library prints, exits or reads arguments; mistakes are",
        "raised as `AugmentGANError`, one line each. `import augmentgan` is quick: torch is loaded when something needs it.",
        "This page is generated from the code.",
        "",
        *_API_EXAMPLE.splitlines(),
        "",
    ]
    for name in [*ag.__all__, "GANOverSampler"]:
        thing = getattr(ag, name)
        lines += [f"## {name}", ""]
        if not isinstance(thing, type):
            lines += ["```text", f"{name}{_signature(thing)}", "```", ""]
        lines += _prose(thing)
        if isinstance(thing, type):
            for key, member in vars(thing).items():
                described = member.fget if isinstance(member, property) else member
                if key.startswith(("_", "model_")) or not inspect.isroutine(described):
                    continue
                described = getattr(described, "__func__", described)
                if described.__doc__:
                    shown = key if isinstance(member, property) else f"{key}{_signature(described)}"
                    lines += ["```text", f"{name}.{shown}", "```", "", *_prose(described)]
    return "\n".join(lines).rstrip() + "\n"


_API_EXAMPLE = """\
```python
from pathlib import Path

import augmentgan as ag

data = ag.digits()  # or ag.load("photos/")
few = data.subset(range(0, len(data), 12))
print(ag.Recipe().with_settings(["training.updates=5000"]).training.updates)
run = ag.Run("runs/x")  # a run that was made before
samples = run.generate(per_class=20, classes=run.class_names[:2])
written = ag.write_samples(run, run.counts(per_class=5), Path("samples.h5"))
again = ag.load("samples.h5")
exported = ag.export_run(run, "safetensors", "model")
```"""


def _signature(function: typing.Any) -> str:
    text = re.sub(r"^\(self(, )?", "(", re.sub(r"((?:: |-> ))'([^']*)'", r"\1\2", str(inspect.signature(function))))
    if len(text) < 100:
        return text
    return text.replace("(", "(\n    ", 1).replace(", *, ", ",\n    *,\n    ", 1)


def _prose(thing: object) -> list[str]:
    """A docstring as Markdown: its text, its sections as lists, and its example, which comes last, as a block."""
    lines: list[str] = []
    section = False
    text, _, example = (inspect.getdoc(thing) or "").partition("\nExample:\n")
    for line in text.splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields):", line):
            lines += [f"*{line.removesuffix(':').lower()}*", ""]
            section = True
        elif section and re.match(r" {4}\S", line):
            name, colon, text = line.strip().partition(": ")
            lines.append(f"- `{name}`: {text}" if colon and len(name) < 60 else f"- {line.strip()}")
        elif section and line.startswith("     "):
            lines[-1] += f" {line.strip()}"
        else:
            section = section and not line
            lines.append(line)
    prose = [line.replace("[-1, 1]", "\\[-1, 1\\]") for line in lines]
    shown = re.sub(r"  # doctest:.*", "", inspect.cleandoc(example))
    return [*prose, *(["", "```pycon", *shown.splitlines(), "```"] if example else []), ""]


PAGES = {"recipe-keys.md": recipe_keys, "python-api.md": python_api}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
