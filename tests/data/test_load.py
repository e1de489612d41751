"""What people really have: each unusable input gets one line that names the thing, the value and what to do."""

import contextlib
import errno
import json
import os
import re
import shutil
import threading
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image
from tests_support import refused_by

import augmentgan as ag
from augmentgan.cli.inspect import _lines
from augmentgan.data import load
from augmentgan.data.plan import plan_fit
from augmentgan.data.split import split_rows
from augmentgan.errors import OutputError


def write_h5(path, images, labels, names=None, **columns):
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, labels
        for name, values in columns.items():
            file[name] = values
        if names is not None:
            file.attrs["class_names"] = json.dumps(names)
    return path


def test_folder_and_hdf5_of_the_same_images_are_the_same_set(tree, tmp_path):
    from_folder = ag.load(tree)
    path = write_h5(tmp_path / "a.h5", from_folder.images, from_folder.labels, list(from_folder.class_names))
    assert ag.load(path).fingerprint() == from_folder.fingerprint()
    assert from_folder.images.shape == (18, 8, 8, 1)
    assert from_folder.class_names == ("class_0", "class_1", "class_2")


def test_missing_path(tmp_path):
    refused_by(lambda: ag.load(tmp_path / "nowhere"), "nowhere", "does not exist", "folder")


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_no_kind_of_images(tree, channels):
    refused_by(lambda: ag.load(tree, channels=channels), f"channels {channels}: give 1 (grey) or 3 (RGB)")


@pytest.mark.parametrize("size_px", [-7, 0, 32.0])
def test_no_size(tree, size_px):
    refused_by(lambda: ag.load(tree, size_px=size_px), f"size_px {size_px}")
    refused_by(lambda: ag.fetch("digits", size_px=size_px), f"size_px {size_px}")


def test_one_class_only(tmp_path, pixels):
    path = write_h5(tmp_path / "a.h5", pixels, np.zeros(12, dtype=int), ["cat"])
    refused_by(lambda: split_rows(ag.load(path), test_fraction=0.2, seed=0), "1 class", "at least 2")


def test_a_class_with_one_image(tree):
    for file in sorted((tree / "class_1").iterdir())[1:]:
        file.unlink()
    refused_by(lambda: split_rows(ag.load(tree), test_fraction=0.2, seed=0), "class_1", "1 image", "at least 2")


def test_a_file_that_is_no_image(tree):
    (tree / "class_1" / "notes.txt").write_text("hello")
    refused_by(lambda: ag.load(tree), "notes.txt", "not an image of a kind", "--skip-bad")
    notices = []
    assert len(ag.load(tree, skip_bad=True, on_notice=notices.append)) == 18
    assert "1 bad files left out" in notices[0]
    assert "notes.txt" in notices[0]


def test_truncated_jpeg(tree):
    path = tree / "class_0" / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:1500])
    refused_by(lambda: ag.load(tree), "cut.jpg", "cannot be decoded", "--skip-bad")
    assert len(ag.load(tree, skip_bad=True)) == 18


def test_empty_file(tree):
    (tree / "class_0" / "zero.png").touch()
    refused_by(lambda: ag.load(tree), "zero.png", "empty")


def test_labels_out_of_range(tmp_path, pixels):
    path = write_h5(tmp_path / "a.h5", pixels, np.array([0, 1, 2] * 4), ["a", "b"])
    refused_by(lambda: ag.load(path), "a.h5", "label 2", "0 to 1")
    path = write_h5(tmp_path / "b.h5", pixels, np.array([0, 1, -1] * 4), ["a", "b"])
    refused_by(lambda: ag.load(path), "label -1", "0 to 1")


def test_float_images(tmp_path, pixels):
    path = write_h5(tmp_path / "a.h5", pixels / 255, np.zeros(12, int))
    refused_by(lambda: ag.load(path), "a.h5", "float64", "uint8")


@pytest.mark.parametrize("shape", [(12, 64), (12, 8, 8, 4), (12, 8, 8, 1, 1)])
def test_wrong_shape(tmp_path, shape):
    path = write_h5(tmp_path / "a.h5", np.zeros(shape, np.uint8), np.zeros(12, int))
    refused_by(lambda: ag.load(path), "a.h5", str(shape), "(n, h, w, c)")


def test_labels_that_are_no_labels(tmp_path, pixels):
    refused_by(lambda: ag.load(write_h5(tmp_path / "a.h5", pixels, np.zeros(12))), "float64", "whole numbers")
    refused_by(lambda: ag.load(write_h5(tmp_path / "b.h5", pixels, np.zeros(11, int))), "(11,)", "(12,)")


def test_missing_dataset(tmp_path, pixels):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["pictures"] = pixels
    refused_by(lambda: ag.load(tmp_path / "a.h5"), "images", "pictures")


def test_class_names_that_are_no_list(tmp_path, pixels):
    path = write_h5(tmp_path / "a.h5", pixels, np.zeros(12, int), {"a": 1})
    refused_by(lambda: ag.load(path), "class_names", "JSON list")


def test_truncated_hdf5(tmp_path, pixels):
    path = write_h5(tmp_path / "a.h5", pixels, np.zeros(12, int))
    path.write_bytes(path.read_bytes()[:1000])
    refused_by(lambda: ag.load(path), "a.h5", "complete")


def test_neither_folder_nor_hdf5(tmp_path):
    (tmp_path / "data.xyz").write_text("hello")
    refused_by(lambda: ag.load(tmp_path / "data.xyz"), "data.xyz", "neither", "HDF5")


def test_links_to_other_files_are_not_followed(tmp_path, pixels):
    write_h5(tmp_path / "secret.h5", pixels, np.zeros(12, int))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = h5py.ExternalLink("secret.h5", "images")
        file["labels"] = np.zeros(12, int)
    refused_by(lambda: ag.load(tmp_path / "a.h5"), "images", "links elsewhere")


def test_a_declared_size_without_bounds_is_not_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", shape=(2**40, 64, 64, 3), dtype=np.uint8, chunks=(1, 64, 64, 3))
        file.create_dataset("labels", shape=(2**40,), dtype=np.int64, chunks=(1024,))
    refused_by(lambda: ag.load(tmp_path / "a.h5"), "declare", "over 16 GiB")


def test_split_column_is_honoured(tmp_path, pixels):
    split = np.array([0, 0, 1] * 4)
    data = ag.load(write_h5(tmp_path / "a.h5", pixels, np.array([0, 1] * 6), split=split, group=np.arange(12)))
    found = split_rows(data, test_fraction=0.5, seed=0)
    assert found.source == "data"
    assert found.test.tolist() == np.flatnonzero(split).tolist()


@pytest.mark.parametrize("kind", ["folder", "h5", "npz"])
def test_images_of_zeros_and_ones_are_not_learned_as_black(tmp_path, pixels, kind):
    bits, labels = pixels // 128, np.arange(12) % 2
    if kind == "folder":
        path = tmp_path / "set"
        for name in ("0", "1"):
            (path / name).mkdir(parents=True)
        for k, image in enumerate(bits):
            Image.fromarray(image[..., 0]).save(path / str(k % 2) / f"{k}.png")
    elif kind == "h5":
        path = write_h5(tmp_path / "a.h5", bits, labels)
    else:
        path = tmp_path / "a.npz"
        np.savez(path, images=bits, labels=labels)
    refused_by(lambda: ag.load(path), "only the values 0 and 1", "multiply them by 255")
    assert "only the values 0 and 1" in ag.inspect(path).refusal


def test_arrays_of_zeros_and_ones_are_refused_in_python_too(pixels):
    data = ag.LabelledImages(pixels // 128, np.arange(12) % 2, ("a", "b"))
    refused_by(lambda: plan_fit(data), "only the values 0 and 1")
    plan_fit(replace(data, images=data.images * 255))
    plan_fit(replace(data, images=data.images * 2))  # dark, and meant so for all that we know


def test_images_of_one_bit_are_black_and_white(tmp_path, pixels):
    for k, image in enumerate(pixels):
        file = tmp_path / "ab"[k % 2] / f"{k}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0] >= 128).save(file)
    assert ag.inspect(tmp_path).modes == {"1": 12}
    assert set(np.unique(ag.load(tmp_path).images)) == {0, 255}


@pytest.mark.parametrize(("name", "words"), [("class_names", "JSON list"), ("test_images", "split (0 train, 1 test)")])
def test_hdf5_that_means_what_would_be_passed_over(tmp_path, pixels, name, words):
    values = np.array([b"cat", b"dog"]) if name == "class_names" else pixels
    path = write_h5(tmp_path / "a.h5", pixels, np.arange(12) % 2, **{name: values})
    refused_by(lambda: ag.load(path), "a.h5", name, words)


@pytest.mark.parametrize(("top", "dark"), [(4095, True), (65535, False)])
def test_pictures_of_a_12_bit_camera_are_said_to_be_dark(tmp_path, top, dark):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(6):
            levels = random.integers(0, top + 1, (8, 8)).astype(np.uint16)
            Image.fromarray(levels).save(tmp_path / "data" / name / f"{k}.png")
    said = []
    ag.load(tmp_path / "data", on_notice=said.append)
    assert [("12 16-bit images" in line, "grey level 15 of 255" in line) for line in said] == [(True, True)] * dark
    assert (ag.inspect(tmp_path / "data").dark is not None) == dark


@pytest.mark.parametrize(
    ("width", "resize", "lost"), [(24, "crop", "33 %"), (24, "pad", None), (24, "stretch", None), (20, "crop", None)]
)
@pytest.mark.parametrize("kind", ["folder", "arrays"])
def test_what_a_centre_crop_costs_is_told(tmp_path, kind, width, resize, lost):
    images = np.random.default_rng(0).integers(0, 256, (12, 16, width, 1), dtype=np.uint8)
    if kind == "arrays":
        path = write_h5(tmp_path / "a.h5", images, np.arange(12) % 2)
    else:
        path = tmp_path / "data"
        for k, image in enumerate(images):
            file = path / "ab"[k % 2] / f"{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            turned = image[..., 0].T if k % 3 else image[..., 0]  # upright ones lose as much
            Image.fromarray(turned[:, :4] if k == 0 else turned).save(file)  # a single long one does not count
    told = []
    ag.load(path, resize=resize, on_notice=told.append)
    expected = f"centre crop cuts away {lost} of the median image; --set data.resize=pad or stretch keeps all"
    assert told == ([expected] if lost else [])
    found = ag.inspect(path, ag.Recipe().with_settings([f"data.resize={resize}"]))
    assert found.notices == told
    assert found.policies["not square"].endswith(f"; here {resize}")
    lines = _lines(found)
    assert [line for line in lines if line.startswith("note ")] == [f"note        {line}" for line in told]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_the_system_is_short_of_is_not_a_bad_file(tree, monkeypatch, number):
    """Else good images would be left out, and nobody would know why."""

    def fails(*words, **more):
        raise OSError(number, os.strerror(number))

    for place, name in ((Image, "open"), (Image.Image, "resize")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fails)
            with pytest.raises(OSError, match=re.escape(os.strerror(number))):
                ag.load(tree, skip_bad=True, size_px=12)


def test_an_image_that_claims_to_be_huge_is_a_bad_file(tree):
    """A JPEG 2000 whose header box is said to have 2**50 bytes, for which Pillow asks the system."""
    bad = tree / "class_0" / "huge.jp2"
    signature = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    bad.write_bytes(signature + b"\0\0\0\x01jp2h" + (2**50).to_bytes(8, "big") + bytes(64))
    refused_by(lambda: ag.load(tree), "huge.jp2", "--skip-bad")
    assert len(ag.load(tree, skip_bad=True)) == 18


def test_warnings_are_as_before_once_images_are_read(tree, monkeypatch):
    """Also where two threads read at once; the other half of a pair of them must not keep what the first one changed."""
    both, read = threading.Barrier(2, timeout=60), load.decode

    def together(*words):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return read(*words)

    monkeypatch.setattr(load, "decode", together)
    before = list(warnings.filters)
    ag.load(tree)
    assert list(warnings.filters) == before


def test_a_test_part_of_bad_files_is_not_replaced_by_a_draw(tree, tmp_path):
    root = tmp_path / "both"
    shutil.copytree(tree, root / "train")
    shutil.copytree(tree, root / "test")
    bad = sorted((root / "test").glob("*/*.png"))
    for file in bad[:-1]:
        file.write_text("nope")
    assert ag.load(root, skip_bad=True).split.tolist().count(1) == 1
    bad[-1].write_text("nope")
    refused_by(lambda: ag.load(root, skip_bad=True), "all of its test images are bad files")
    seen = ag.inspect(root)
    assert "all of its test images are bad files" in seen.refusal
    assert (seen.fit, seen.skip_bad_helps) == (None, False)


def test_words_that_are_not_known(tree, tmp_path):
    refused_by(lambda: ag.load(tree, resize="fit"), "resize 'fit' is not known", "crop, pad, stretch")
    data = ag.load(tree)
    with pytest.raises(OutputError, match=r"format 'png' is not known; known: hdf5, folder"):
        ag.save(data, tmp_path / "out.h5", format="png")


def test_class_names_in_a_list_are_the_same_names(tree):
    data = ag.load(tree)
    listed = ag.LabelledImages(data.images, data.labels, list(data.class_names))
    assert listed.class_names == data.class_names
    assert listed.fingerprint() == data.fingerprint()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, bool])
def test_whole_numbers_of_any_type_are_the_same_columns(dtype, tmp_path):
    """What a file gives back is int64, and a run's own folder must be the set that it was made from."""
    data = ag.digits().subset(np.arange(20))
    marks = np.arange(20) % 2
    given = replace(data, split=marks.astype(dtype), group=marks.astype(dtype))
    assert given.fingerprint() == replace(data, split=marks, group=marks).fingerprint()
    ag.save(given, tmp_path / "a.h5")
    assert ag.load(tmp_path / "a.h5").fingerprint() == given.fingerprint()


@pytest.mark.parametrize("column", ["split", "group"])
@pytest.mark.parametrize("values", [np.linspace(0, 1, 4), np.array(list("abcd")), np.zeros((4, 1), np.int64)])
def test_columns_that_are_no_whole_numbers_are_refused_at_once(column, values):
    """And not when a run is opened that learned from them for hours."""
    data = ag.digits().subset(np.arange(4))
    refused_by(lambda: replace(data, **{column: values}), column, str(values.dtype), "whole numbers (n,) are needed")
