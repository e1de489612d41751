"""What README and docs show is true: links lead somewhere, code runs, tables and generated pages are current."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from tests_support import write_tree

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PYTHON = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_parse(page):
    import shlex

    import typer.testing

    from augmentgan.cli.app import app

    text = page.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", "").splitlines() if language in ("", "sh", "console") else []:
            command = line.removeprefix("$ ").partition("#")[0].split("&&")[-1].strip()
            if command.startswith(
                "augmentgan "
            ):  # the rest of a console block is what a command said, no shell's words
                words = shlex.split(command)
                # --help after the options: click parses them and stops before anything runs
                result = typer.testing.CliRunner().invoke(app, [*words[1:], "--help"])
                assert result.exit_code == (2 if "--per-clas " in line else 0), line


@pytest.fixture(scope="module")
def told_now():
    """What README and docs tell of today's version; the changelog may name what is gone."""
    pages = (page for page in PAGES if page.name == "README.md" or page.parent.name == "docs")
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def test_values_that_are_shown_are_known(told_now):
    """`--help` stops a shown command before a recipe, a setting or an arm is looked at."""
    from augmentgan.evaluate.arms import Arm
    from augmentgan.recipe import Recipe, recipe_names

    shown = {
        option: set(re.findall(rf"--{option}[ =]['\"]?([^\s`'\"]*[^\s`'\".,;:)])", told_now))
        for option in ("set", "recipe", "arms")
    }
    settings = {each for each in shown["set"] if each.rpartition("=")[2] not in ("value", "VALUE", "N")}
    recipes = {each for each in shown["recipe"] if each != "NAME" and not each.endswith(".toml")}
    arms = {arm for each in shown["arms"] for arm in each.split(",") if arm != "A"}
    assert min(len(settings), len(recipes), len(arms)) > 0
    for each in sorted(settings):
        Recipe().with_settings([each])
    assert recipes <= set(recipe_names())
    for arm in sorted(arms):
        Arm(arm)


def slugs(page):
    """The anchors that GitHub gives a page's headings: lower case, letters, digits and hyphens, and a number from the second of a name on."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = []
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        n_before = len([each for each in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", each)])
        found.append(f"{slug}-{n_before}" if n_before else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_lead_to_headings(page):
    for link, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert anchor in slugs(page.parent / link if link else page), f"{link}#{anchor}"


def test_the_original_game_is_without_any_fix():
    from augmentgan.recipe import Recipe

    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^augmentgan fit .*loss=minimax(?:.*\\\n)*.*$", text, re.MULTILINE)
    recipe = Recipe().with_settings(re.findall(r"--set (\S+)", command))
    assert recipe.objective.loss == "minimax"
    for section, names in {
        "objective": ["class_weight", "r1_weight", "lecam_weight", "label_smoothing"],
        "coverage": ["weight"],
        "model": ["minibatch_stddev", "spectral_norm"],
        "augment": ["translation", "cutout", "colour"],
    }.items():
        for name in names:
            assert not getattr(getattr(recipe, section), name), f"{section}.{name}"


def test_the_transcript_is_that_of_its_script():
    steps = module(ROOT / "docs" / "transcript.py").STEPS
    page = (ROOT / "docs" / "transcript.md").read_text(encoding="utf-8")
    shown = re.findall(r"```console\n\$ augmentgan (.*)\n((?:.*\n)*?)```", page)
    assert [command for command, _ in shown] == [command for _, command in steps], "run python docs/transcript.py"
    for command, said in shown:
        assert said.strip(), command
        assert "Traceback" not in said
    assert "real+classic+synthetic" in dict(shown)["benchmark --repeats 3"]
    assert not re.search(r"/(tmp|home|root|work)/", page)  # nobody's machine


def test_every_command_is_in_the_docs():
    from augmentgan.cli.app import app

    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for command in app.registered_commands:
        assert f"augmentgan {command.callback.__name__}" in text


def test_python_that_is_shown_runs(tmp_path, monkeypatch, digits, trained, small_recipe):
    """All pages' blocks in order, on a small folder and with a recipe that takes seconds; the guide's run is README's."""
    import augmentgan as ag

    write_tree(tmp_path / "data", digits, classes=3, per_class=8)
    monkeypatch.chdir(tmp_path)
    for run in ("data", "photos"):
        ag.write_samples(trained, trained.counts(2), Path(f"runs/{run}/synthetic.h5"))
    names = {"small_recipe": small_recipe.with_settings(["coverage.weight=0"])}
    assert len(PYTHON) >= 2
    for _, block in PYTHON:
        exec(block.replace("ag.Recipe()", "small_recipe").replace('Run("runs/photos")', 'Run("runs/x")'), names)
    assert names["images"].shape == (20, 8, 8, 1)
    assert names["report"].protocol["repeats"] == 5
    assert len(names["torch_set"]) == 2 * len(names["run"].train)


def test_tables_are_those_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = module(ROOT / "benchmarks" / "tables.py")
    for page in tables.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert any(f"<!-- {name} -->" in text for name in tables.TABLES), page
        assert tables.filled(text) == text, f"{page}: run python benchmarks/tables.py"


def test_generated_pages_are_current():
    for name, make in module(ROOT / "docs" / "generate.py").PAGES.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == make(), f"{name}: run python docs/generate.py"


def test_the_test_command_is_the_same_everywhere():
    command = "pip install '.[dev]' && python -m pytest"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    assert command.replace("pip install", "pip install --quiet") in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert sys.version_info >= (3, 11)
