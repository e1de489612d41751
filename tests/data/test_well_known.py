"""Well-known sets: digits offline; torchvision's through small stand-ins of its classes, and a download that really fails."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

import augmentgan as ag
from augmentgan.data import well_known
from augmentgan.data.well_known import TORCHVISION_SETS, WELL_KNOWN
from augmentgan.errors import DataError, OutputError


def stand_in(monkeypatch, source, size=(8, 8), mode="L", n=30, labels="targets", n_classes=3, classes=None, first=0):
    """Replace a class of torchvision by one with n noise images a part, which notes how it was asked."""
    asked = []

    class StandIn:
        def __init__(self, root, download=False, **arguments):
            asked.append({"root": root, "download": download, **arguments})
            random = np.random.default_rng(len(asked))
            shape = (n, size[1], size[0], *([3] if mode == "RGB" else []))
            self.pixels = random.integers(0, 256, shape, dtype=np.uint8)
            self.numbers = [first + row % n_classes for row in range(n)]
            if labels:
                setattr(self, labels, self.numbers)
            if classes:
                self.classes = classes

        def __len__(self):
            return n

        def __getitem__(self, row):
            return Image.fromarray(self.pixels[row]), self.numbers[row]

    monkeypatch.setattr(torchvision.datasets, source, StandIn)
    return asked


def test_digits_need_no_download():
    data = ag.fetch("digits")
    assert data.fingerprint() == ag.digits().fingerprint()
    assert ag.fetch("digits", size_px=16).images.shape == (1797, 16, 16, 1)


def test_draws_are_nested_and_follow_the_seed():
    sets = {n: {image.tobytes() for image in ag.fetch("digits", per_class=n).images} for n in (20, 50, 100)}
    assert sets[20] < sets[50] < sets[100]
    assert ag.fetch("digits", per_class=20).counts.tolist() == [20] * 10
    assert ag.fetch("digits", per_class=20, seed=1).fingerprint() != ag.fetch("digits", per_class=20).fingerprint()
    assert len(ag.fetch("digits", per_class=10**6)) == 1797


@pytest.mark.parametrize("name", TORCHVISION_SETS)
def test_torchvision_knows_the_class_and_the_arguments(name):
    known = TORCHVISION_SETS[name]
    for arguments, _ in known.parts:
        for each in inspect.getmro(getattr(torchvision.datasets, known.source)):  # EMNIST hands some on to its parent
            signature = inspect.signature(each)
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
                break
        given = arguments if each is getattr(torchvision.datasets, known.source) else {"train": arguments["train"]}
        signature.bind("root", download=True, **given)


def test_both_parts_are_the_split_and_only_training_is_drawn(monkeypatch, tmp_path):
    asked = stand_in(monkeypatch, "MNIST", n_classes=10)
    data = ag.fetch("mnist", per_class=2, cache=tmp_path / "cache")
    assert asked == [
        {"root": str(tmp_path / "cache"), "download": True, "train": True},
        {"root": str(tmp_path / "cache"), "download": True, "train": False},
    ]
    assert data.part(0).counts.tolist() == [2] * 10
    assert data.part(1).counts.tolist() == [3] * 10
    assert data.class_names == tuple("0123456789")
    part = torchvision.datasets.MNIST("x", train=False)
    part.pixels = np.random.default_rng(2).integers(0, 256, (30, 8, 8), dtype=np.uint8)  # as the second part was made
    assert (data.part(1).images[..., 0] == part.pixels).all()


def test_validation_counts_as_training_and_photos_get_one_size(monkeypatch, tmp_path):
    asked = stand_in(monkeypatch, "Flowers102", size=(90, 70), mode="RGB", labels="_labels")
    data = ag.fetch("flowers102", cache=tmp_path)
    assert [each["split"] for each in asked] == ["train", "val", "test"]
    assert data.images.shape == (90, 64, 64, 3)
    assert data.split.tolist() == [0] * 60 + [1] * 30
    assert data.class_names == ("0", "1", "2")
    assert ag.fetch("flowers102", cache=tmp_path, size_px=32, per_class=1).images.shape == (33, 32, 32, 3)


def test_a_set_without_a_split_and_labels_that_must_be_read(monkeypatch, tmp_path):
    stand_in(monkeypatch, "EuroSAT", mode="RGB", labels=None, classes=["Forest", ("Sea/Lake", "Water"), "River"])
    data = ag.fetch("eurosat", cache=tmp_path)
    assert data.split is None
    assert data.class_names == ("Forest", "Sea-Lake", "River")
    assert data.counts.tolist() == [10, 10, 10]


def test_emnist_stands_upright_and_has_no_class_without_images(monkeypatch, tmp_path):
    stand_in(monkeypatch, "EMNIST", classes=["N/A", "a", "b", "c"], first=1)
    data = ag.fetch("emnist-letters", cache=tmp_path)
    assert data.class_names == ("a", "b", "c")
    pixels = np.random.default_rng(1).integers(0, 256, (30, 8, 8), dtype=np.uint8)  # as the first part was made
    assert (data.part(0).images[..., 0] == pixels.transpose(0, 2, 1)).all()


def test_mistakes_are_one_line():
    with pytest.raises(DataError, match=r"set 'mnits' is not known; did you mean 'mnist'\?"):
        ag.fetch("mnits")
    with pytest.raises(DataError, match="known: digits, mnist"):
        ag.fetch("qqq")
    with pytest.raises(DataError, match="--per-class 0 asks for nothing"):
        ag.fetch("digits", per_class=0)


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = well_known.cache_folder()
    assert folder.parts[-2:] == ("augmentgan", "torchvision")
    if sys.platform == "linux":
        assert folder.is_relative_to(tmp_path)


@pytest.mark.parametrize("format", ["hdf5", "folder"])
def test_what_is_saved_is_loaded_again(monkeypatch, tmp_path, format):
    stand_in(monkeypatch, "CIFAR10", mode="RGB", classes=["cat", "dog", "owl"])
    data = ag.fetch("cifar10", cache=tmp_path, per_class=4)
    ag.save(data, tmp_path / "out", format, attributes={"seed": 1})
    again = ag.load(tmp_path / "out")
    assert again.class_names == data.class_names
    for part in (0, 1):
        one, other = ({image.tobytes() for image in each.part(part).images} for each in (data, again))
        assert one == other
    with pytest.raises(OutputError, match="exists already"):
        ag.save(data, tmp_path / "out", format)
    ag.save(data.subset([0, 1]), tmp_path / "out", format, overwrite=True)
    assert len(ag.load(tmp_path / "out")) == 2


# the command


def run(*words, cwd, status=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "augmentgan", "data", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80", **environment},
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_download_that_fails_is_one_line(tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = run("mnist", "out.h5", "--cache", "cache", cwd=tmp_path, status=1, **nowhere)
    assert not done.stdout
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: set 'mnist' could not be downloaded (")
    assert "check the network" in line
    assert not (tmp_path / "out.h5").exists()


def test_digits_as_hdf5_and_as_a_folder(tmp_path):
    import json

    done = run("digits", "digits.h5", cwd=tmp_path)
    assert done.stdout == (
        "wrote 1797 images of 10 classes, 8 px, without a split, to digits.h5\nnext: augmentgan fit digits.h5\n"
    )
    told = json.loads(run("digits", "tree", "--per-class", "3", "--json", cwd=tmp_path).stdout)
    assert (told["format"], told["train"], told["test"]) == ("folder", 30, 0)
    assert ag.load(tmp_path / "tree").counts.tolist() == [3] * 10
    assert "exists already; --overwrite" in run("digits", "tree", cwd=tmp_path, status=1).stderr
    assert json.loads(run("--list", "--json", cwd=tmp_path).stdout) == WELL_KNOWN
    assert "missing; augmentgan data --list" in run("digits", cwd=tmp_path, status=2).stderr
