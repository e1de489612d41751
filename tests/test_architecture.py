"""The house as it is drawn in CONTRIBUTING.md: imports point down, torch stays where it belongs, nothing unpickles."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import augmentgan as ag

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "augmentgan"
FLOORS = {
    "errors": 0,
    "files": 1,
    "names": 1,
    "extras": 1,
    "locks": 1,
    "recipe": 1,
    "sections": 1,
    "data": 2,
    "gan": 3,
    "evaluate": 4,
    "report": 5,
    "cli": 6,
}
MODULES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or path.stem in FLOORS
}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def may_import(path, name):
    """Whether a module may import what has this name."""
    floor, parts = FLOORS[path.relative_to(PACKAGE).parts[0].removesuffix(".py")], name.split(".")
    if parts[0] == "augmentgan":
        return len(parts) == 1 or FLOORS[parts[1]] <= floor
    if parts[0] == "rich":
        return floor == FLOORS["cli"]
    if parts[0] in ("torch", "torchvision"):
        # torchvision's sets are data, and the room that reads them asks for torchvision only inside a function
        return floor >= FLOORS["gan"] or path.stem == "well_known"
    return parts[0] not in ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


def test_imports_point_down():
    assert len(MODULES) > 50
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path, tree in MODULES.items()
        for name in imported(tree)
        if not may_import(path, name)
    ]
    assert not offenders


def runs_code(call):
    """Whether a call runs what a file says, or may."""
    called, words = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    return (
        called in ("eval", "exec", "torch.load", "np.load", "numpy.load", "__import__")
        or "allow_pickle" in words
        # Pillow reads more than pictures: for some formats it starts a program
        or (called == "Image.open" and "formats" not in words)
    )


def test_nothing_runs_code_from_files():
    offenders = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}"
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and runs_code(node)
    ]
    assert not offenders


@pytest.mark.parametrize(
    "code",
    [
        "import augmentgan; augmentgan.Recipe; augmentgan.load; augmentgan.inspect",
        "from augmentgan.cli.app import app",
        "from augmentgan.recipe import load_recipe, recipe_names; [load_recipe(name) for name in recipe_names()]",
        "from typer.testing import CliRunner; from augmentgan.cli.app import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "assert CliRunner().invoke(app, ['fit', '--nonsense']).exit_code == 2; "
        "assert CliRunner().invoke(app, ['recipes']).exit_code == 0; "
        "assert CliRunner().invoke(app, ['fit', 'nowhere']).exit_code == 1; "
        "assert CliRunner().invoke(app, ['data', '--list']).exit_code == 0; "
        "assert CliRunner().invoke(app, ['data', 'mnits', 'x.h5']).exit_code == 1",
    ],
)
def test_torch_is_not_loaded_for(code):
    check = f"{code}; import sys; assert not {{'torch', 'sklearn', 'matplotlib'}} & set(sys.modules), 'loaded'"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_inspect_does_not_load_torch(tree):
    code = (
        "import sys, augmentgan; "
        f"assert augmentgan.inspect({str(tree)!r}).counts; "
        "assert not {'torch', 'sklearn', 'matplotlib'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    assert ag.__all__ == [
        "AugmentGANError",
        "BenchmarkReport",
        "Evaluation",
        "Export",
        "Inspection",
        "LabelledImages",
        "Recipe",
        "Run",
        "as_torch_dataset",
        "digits",
        "evaluate_run",
        "export_run",
        "fetch",
        "fit",
        "inspect",
        "load",
        "load_recipe",
        "run_benchmark",
        "save",
        "select_samples",
        "write_report",
        "write_samples",
    ]
    assert all(getattr(ag, name).__doc__ for name in ag.__all__)
    assert set(ag.__all__) <= set(dir(ag))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ag.nonsense  # noqa: B018


def test_what_an_extra_brings_is_not_listed_before_it_is_asked_for():
    """help() gets every name that is listed, and would end where the extra is missing."""
    code = "import augmentgan; print('fit' in dir(augmentgan), 'GANOverSampler' in dir(augmentgan))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["True", "False"]


def test_one_version_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\d+\.\d+\.\d+)\]", changes, re.MULTILINE).group(1) == ag.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
