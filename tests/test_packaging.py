"""What people install: wheel and sdist hold everything that the program needs, and the wheel works away from its checkout."""

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.build import build_sdist, build_wheel

import augmentgan as ag

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist, made by the build backend itself."""
    folder, before = tmp_path_factory.mktemp("dist"), Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / build_wheel(str(folder)), folder / build_sdist(str(folder))
    finally:
        os.chdir(before)


def test_the_wheel_holds_code_recipes_templates_and_types(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    for source in [*(ROOT / "augmentgan").rglob("*.py"), *(ROOT / "augmentgan").rglob("*.j2")]:
        assert source.relative_to(ROOT).as_posix() in names
    for recipe in (ROOT / "recipes").glob("*.toml"):
        assert f"augmentgan/recipes/{recipe.name}" in names
    assert "augmentgan/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"augmentgan", f"augmentgan-{ag.__version__}.dist-info"}


def test_the_sdist_can_be_tested(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    missing = {name for name in tracked.stdout.split() if not name.startswith(".git")} - names
    assert not missing
    assert not [name for name in names if name.startswith((".git/", "runs/", "build/", "dist/"))]


def test_the_metadata_say_what_is_supported(built):
    with zipfile.ZipFile(built[0]) as wheel:
        folder = f"augmentgan-{ag.__version__}.dist-info"
        told = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
        entries = wheel.read(f"{folder}/entry_points.txt").decode()
        assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    assert told["Version"] == ag.__version__
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert "torch>=2.6" in told.get_all("Requires-Dist")
    for minor in range(11, 15):
        assert f"Programming Language :: Python :: 3.{minor}" in told.get_all("Classifier")
    assert "augmentgan = augmentgan.__main__:main" in entries


def test_all_is_every_extra_that_users_need():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = re.fullmatch(r"augmentgan\[([\w,-]+)\]", everything).group(1).split(",")
    assert set(named) == set(extras) - {"all", "dev", "docs", "interop"}


def test_the_wheel_works_away_from_its_checkout(built, tmp_path):
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert Path(run("-c", "import augmentgan; print(augmentgan.__file__)").strip()).is_relative_to(tmp_path)
    assert run("-m", "augmentgan", "--version").strip() == ag.__version__
    assert "scarce-20" in run("-m", "augmentgan", "recipes")
    templates = "import importlib.resources as r; print([each.name for each in (r.files('augmentgan.report') / 'templates').iterdir()])"
    assert "report.html.j2" in run("-c", templates)


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == ag.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
