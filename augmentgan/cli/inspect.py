"""`augmentgan inspect`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import typer

from augmentgan.cli.layout import hanging, scarce_note
from augmentgan.cli.options import DataArgument, JsonOption, RecipeOption, SeedOption, SetOption
from augmentgan.errors import printable

if TYPE_CHECKING:
    from augmentgan.data.inspect import Inspection

_MOST = 8


def inspect(
    data: DataArgument,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what DATA holds and what fit would do with it."""
    from augmentgan.data.inspect import inspect as inspect_data
    from augmentgan.recipe import load_recipe

    found = inspect_data(data, load_recipe(recipe, settings or []), seed)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    typer.echo("\n".join(hanging(printable(line), 12) for line in _lines(found)))
    if found.fit is not None:
        options = [
            *(["--recipe", recipe] if recipe else []),
            *(word for setting in settings or [] for word in ("--set", setting)),
            *(["--seed", str(seed)] if seed else []),
            *(["--skip-bad"] if found.refusal is not None else []),
        ]
        typer.echo(printable(f"next: {shlex.join(['augmentgan', 'fit', str(data), *options])}"))


def _lines(found: Inspection) -> list[str]:
    total = sum(found.counts.values())
    lines = [f"{found.data}: {found.kind}, {total} images, {len(found.counts)} classes"]
    width = max((len(name) for name in found.counts), default=0)
    for name, n in found.counts.items():
        test = f", {found.test_counts[name]} of them test" if found.test_counts else ""
        lines.append(f"  {name:{width}}  {n}{test}")
    lines.append(f"sizes       {_listed(found.sizes)}")
    lines.append(f"modes       {_listed(found.modes)}")
    lines.append(
        f"duplicates  {found.duplicates_within} within a class, {found.duplicates_across} across classes"
        + (" (the same picture under two labels: correct these first)" if found.duplicates_across else "")
    )
    lines += [f"  {' = '.join(group)}" for group in found.duplicate_examples[:_MOST]]
    if len(found.duplicate_examples) > _MOST:
        lines.append("  and more (--json lists some; those under several labels come first)")
    lines.append(f"bad files   {len(found.bad)}")
    lines += [f"  {reason}" for reason in list(found.bad.values())[:_MOST]]
    if len(found.bad) > _MOST:
        lines.append(f"  and {len(found.bad) - _MOST} more (--json lists all)")
    lines.append(
        f"ignored     {found.n_ignored} hidden or system files and links to folders, "
        f"{found.n_loose} files that belong to no class"
    )
    if found.dark is not None:
        lines.append(f"dark        {found.dark}")
    lines += [f"note        {line}" for line in found.notices]
    lines.append("policies")
    lines += [f"  {name}: {policy}" for name, policy in found.policies.items()]
    if found.refusal is not None:
        lines.append(f"fit         would refuse: {found.refusal}")
    if found.fit is not None:
        colour = "grey" if found.fit["channels"] == 1 else "RGB"
        with_option = " with --skip-bad" if found.refusal is not None else ""
        split = "the data's own split" if found.fit["split"] == "data" else "drawn by seed"
        dropped = (
            f", {found.fit['n_dropped']} left out (the test part holds the same, nearly the same, or others of their group)"
            if found.fit["n_dropped"]
            else ""
        )
        lines.append(
            f"fit{with_option}  learns from {found.fit['n_train']} images at {found.fit['size_px']} px, {colour}, "
            f"tests on {found.fit['n_test']} ({split}){dropped}, {found.fit['updates']} updates"
        )
        scarce = scarce_note(found.fit["scarce"])
        if scarce is not None:
            lines.append(f"few         {scarce}")
    return lines


def _listed(counts: dict[str, int]) -> str:
    shown = [f"{name} ({n})" for name, n in list(counts.items())[:_MOST]]
    more = [f"and {len(counts) - _MOST} more"] if len(counts) > _MOST else []
    return ", ".join([*shown, *more]) or "none"
