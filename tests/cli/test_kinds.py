"""Every kind of data set through the command line: inspect, fit and fit --test, on the same digits."""

import json
import struct

import numpy as np
import pytest
import typer.testing
from PIL import Image

import augmentgan as ag
from augmentgan.cli.app import app


def invoke(*words):
    done = typer.testing.CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output or done.exception
    return json.loads(done.stdout)


def idx(path, magic, array):
    path.write_bytes(struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes())


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, digits):
    """The digits, 12 a class, in every format."""
    place = tmp_path_factory.mktemp("kinds")
    ag.save(digits, place / "digits.h5")
    ag.save(digits, place / "imagefolder")
    np.savez(place / "digits.npz", images=digits.images, labels=digits.labels)
    np.savez(place / "test.npz", images=255 - digits.images, labels=digits.labels)
    (place / "idx").mkdir()
    idx(place / "idx" / "train-images-idx3-ubyte", 0x803, digits.images[..., 0])
    idx(place / "idx" / "train-labels-idx1-ubyte", 0x801, digits.labels.astype(np.uint8))
    rows = []
    for number, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
        file = place / "folder" / str(label) / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(file)
        rows.append(f"folder/{label}/{file.name},{label}")
    (place / "table.csv").write_text("\n".join(["path,label", *rows]))
    return place


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("digits.h5", "hdf5"),
        ("digits.npz", "npz"),
        ("idx", "idx"),
        ("table.csv", "table"),
        ("imagefolder", "imagefolder"),
        ("folder", "folder"),
    ],
)
def test_inspect_and_fit_take_it(kinds, name, kind):
    found = invoke("inspect", kinds / name, "--json")
    assert found["kind"] == kind
    assert found["counts"] == {str(digit): 12 for digit in range(10)}
    plan = invoke("fit", kinds / name, "--dry-run", "--json")
    assert plan["recipe"]["data"]["size_px"] == 8
    invoke("fit", kinds / name, "--test", kinds / "test.npz", "--dry-run", "--json")


def test_separate_test_images_take_the_place_of_the_datas_own_and_it_is_said(kinds, digits, tmp_path):
    np.savez(tmp_path / "own.npz", images=digits.images, labels=digits.labels, split=(np.arange(120) % 4 == 0) * 1)
    words = ["fit", str(tmp_path / "own.npz"), "--test", str(kinds / "test.npz"), "--dry-run"]
    done = typer.testing.CliRunner().invoke(app, words)
    assert "30 test images of the data's own are left out" in done.stderr
    assert "90 training and 120 test images" in done.stdout


def test_classes_that_a_separate_test_set_has_no_images_of_are_named(kinds, digits, tmp_path):
    few = digits.labels < 3
    np.savez(tmp_path / "few.npz", images=255 - digits.images[few], labels=digits.labels[few])
    words = ["fit", str(kinds / "digits.npz"), "--test", str(tmp_path / "few.npz"), "--dry-run"]
    done = typer.testing.CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    assert "no test images of 3, 4, 5, 6, 7 and 2 more: what is measured on test images says nothing" in done.stderr
    assert "120 training and 36 test images" in done.stdout
