"""Files made to hurt: one line each, nothing followed, nothing run, nothing written elsewhere."""

import json
import os
import struct
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image
from tests_support import refused

import augmentgan as ag
from augmentgan.data import hdf5_child
from augmentgan.data.writers import open_writer
from augmentgan.errors import DataError, OutputError


def png_header(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def test_a_decompression_bomb(tree):
    (tree / "class_0" / "bomb.png").write_bytes(png_header(60_000, 60_000))
    refused(tree, "bomb.png", "3600000000 pixels")


def test_a_header_that_lies(tree):
    (tree / "class_0" / "liar.png").write_bytes(png_header(500, 500))
    refused(tree, "liar.png", "--skip-bad")


def test_a_wrong_extension_is_no_matter(tree):
    Image.open(tree / "class_0" / "0.png").convert("RGB").save(tree / "class_0" / "x", format="JPEG")
    (tree / "class_0" / "x").rename(tree / "class_0" / "x.png")
    assert len(ag.load(tree)) == 19


def test_a_loop_of_links(tree):
    (tree / "class_0" / "loop").symlink_to(tree)
    (tree / "class_0" / "self.png").symlink_to("self.png")
    refused(tree, "self.png")
    assert len(ag.load(tree, skip_bad=True)) == 18


@pytest.mark.parametrize("name", ["two\nlines", "\U0001f41f fish", "\u202egnp.tset", " padded "])
def test_odd_names(tree, name):
    (tree / "class_0").rename(tree / name)
    (tree / name / "0.png").rename(tree / name / f"{name}.png")
    assert name in ag.load(tree).class_names
    (tree / name / f"{name}.txt").write_text("no image")
    refused(tree, "not an image of a kind that is read")


def test_a_deep_tree(tree):
    deep = tree / "class_0"
    for level in range(60):
        deep = deep / f"d{level}"
    deep.mkdir(parents=True)
    (tree / "class_0" / "0.png").rename(deep / "0.png")
    assert len(ag.load(tree)) == 18


@pytest.mark.parametrize(
    "name", ["..", "../up", "a/b", "a\\b", "", ".hidden", "nul", "com1.txt", "x" * 300, "a\nb", "c:d", "metadata.jsonl"]
)
def test_class_names_that_would_leave_the_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    with pytest.raises(OutputError, match="cannot be a folder's name"):
        open_writer(
            tmp_path / "in" / "out", "folder", shape=(8, 8, 1), class_names=["ok", name], attributes={}, columns={}
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


@pytest.mark.parametrize(
    "names", [["Cat", "cat"], ["stra\u00dfe", "STRASSE"], ["\u00e9", "e\u0301"], ["cat", "cat."]], ids=ascii
)
def test_class_names_that_some_file_systems_take_for_one(tmp_path, names):
    with pytest.raises(OutputError, match="differ in case only"):
        open_writer(tmp_path / "out", "folder", shape=(8, 8, 1), class_names=names, attributes={}, columns={})


def hdf5(path, **replaced):
    content = {"images": np.zeros((4, 8, 8, 1), np.uint8), "labels": np.arange(4) % 2, **replaced}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
    return path


def test_object_and_string_columns(tmp_path):
    strings = np.array(["a", "b", "a", "b"], dtype=h5py.string_dtype())
    refused(hdf5(tmp_path / "a.h5", labels=strings), "labels", "whole numbers")
    refused(hdf5(tmp_path / "b.h5", group=strings), "group", "whole numbers are needed")


def shaped(path, shape, labels=None, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", shape, np.uint8, **options)
        file["labels"] = np.zeros(4, int) if labels is None else labels
    return path


@pytest.mark.parametrize("chunks", [(1, 1024, 1024, 1), None])
def test_a_shape_that_the_file_does_not_hold(tmp_path, chunks):
    """12 GB of nothing, which would be 12 GB of memory."""
    path = shaped(tmp_path / "a.h5", (12_000, 1024, 1024, 1), np.zeros(12_000, int), chunks=chunks)
    assert path.stat().st_size < 1e6
    refused(path, "images declare 12,582,912,000 bytes", "0 are stored")


def test_a_shape_without_pixels(tmp_path):
    refused(shaped(tmp_path / "a.h5", (10**15, 0, 8, 1), chunks=(1, 1, 8, 1), maxshape=(None, None, 8, 1)), "shape")


def test_a_dataset_without_a_shape(tmp_path):
    path = hdf5(tmp_path / "a.h5", labels=None)
    with h5py.File(path, "a") as file:
        file["labels"] = h5py.Empty("i8")
    refused(path, "labels", "shape ()")


def test_a_large_label_is_one_class_and_not_a_million(tmp_path):
    data = ag.load(hdf5(tmp_path / "a.h5", labels=np.array([0, 1, 1, 2**40])))
    assert data.class_names == ("0", "1", str(2**40))


def test_labels_beyond_signed_numbers(tmp_path):
    path = hdf5(tmp_path / "a.h5", labels=np.array([0, 1, 1, 2**64 - 1], dtype=np.uint64))
    refused(path, "a.h5", "label")
    with h5py.File(path, "a") as file:
        file.attrs["class_names"] = json.dumps(["a", "b"])
    refused(path, "a.h5", "label -1 is out of range")


@pytest.mark.parametrize("name", ["split", "group", "sample_index"])
def test_numbers_that_are_no_whole_numbers(tmp_path, name):
    refused(hdf5(tmp_path / "a.h5", **{name: np.array([0, 1, np.nan, 0])}), name, "whole numbers")


@pytest.mark.parametrize(
    "column",
    [
        np.array([(1, 2.0)] * 4, dtype=[("a", int), ("b", float)]),
        np.array([b"x"] * 4, dtype="V5"),
        np.zeros(4, np.longdouble),
        np.zeros(4, complex),
    ],
    ids=["compound", "opaque", "long double", "complex"],
)
def test_columns_of_odd_types(tmp_path, column):
    refused(hdf5(tmp_path / "a.h5", score=column), "score", "dtype")


def test_objects_in_place_of_images(tmp_path):
    path = hdf5(tmp_path / "a.h5", images=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("images", (4,), dtype=h5py.vlen_dtype(np.uint8))
    refused(path, "images", "dtype")
    with h5py.File(path, "a") as file:
        del file["images"]
        file.create_dataset("images", (4,), dtype=h5py.ref_dtype)
    refused(path, "images", "dtype")


def test_class_names_nested_without_end(tmp_path):
    path = hdf5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["class_names"] = "[" * 50_000
    refused(path, "class_names is not JSON")


def test_other_byte_orders_are_read(tmp_path):
    path = hdf5(tmp_path / "a.h5", labels=np.array([0, 1, 1, 0], dtype=">i2"), score=np.arange(4, dtype=">f8"))
    data = ag.load(path)
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert data.extra["score"].tolist() == [0, 1, 2, 3]


def test_virtual_datasets(tmp_path):
    hdf5(tmp_path / "source.h5")
    layout = h5py.VirtualLayout(shape=(4, 8, 8, 1), dtype=np.uint8)
    layout[:] = h5py.VirtualSource(tmp_path / "source.h5", "images", shape=(4, 8, 8, 1))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
        file["labels"] = np.zeros(4, int)
    refused(tmp_path / "a.h5", "images", "links elsewhere")


def test_a_group_in_place_of_a_dataset(tmp_path):
    path = hdf5(tmp_path / "a.h5", labels=None)
    with h5py.File(path, "a") as file:
        file.create_group("labels")
    refused(path, "labels")


@pytest.mark.parametrize("names", ["{", "[1, 2]", '"ab"', '["a"]', '["a", "a"]', '["a", ""]'])
def test_class_names_that_make_no_sense(tmp_path, names):
    path = hdf5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["class_names"] = names
    refused(path, "a.h5")


def test_a_split_that_is_no_split(tmp_path):
    refused(hdf5(tmp_path / "a.h5", split=np.array([0, 1, 2, 7])), "split", "0 (train) and 1 (test)")
    refused(hdf5(tmp_path / "b.h5", split=np.array([0, 1])), "split", "4 whole numbers")


def test_a_damaged_heap_of_attribute_text_is_one_line_and_no_crash(tmp_path):
    path = hdf5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["class_names"] = json.dumps(["a", "b"])
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 8 : heap + 40] = b"\xff" * 32  # sizes of the collection and of its first object
    path.write_bytes(content)
    refused(path, "not a readable HDF5 file")


def test_nothing_from_the_working_folder_runs(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "a.h5")
    (tmp_path / "h5py.py").write_text("raise SystemExit('hostile code ran')")
    (tmp_path / "signal.py").write_text("raise SystemExit('hostile code ran')")
    monkeypatch.chdir(tmp_path)
    assert len(ag.load(path)) == 4


def test_pictures_that_are_programs_are_not_run(tree, tmp_path, monkeypatch):
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(gs.parent), prepend=os.pathsep)
    eps = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tree / "class_0" / "cat.png").write_text(eps)
    with pytest.raises(DataError, match=r"cat\.png' is not an image"):
        ag.load(tree)
    assert not (tmp_path / "called").exists()


def test_a_system_without_a_bound_on_memory_still_reads(monkeypatch):
    resource = pytest.importorskip("resource")
    asked = []

    def refuse(kind, limits):
        asked.append(kind)
        raise ValueError("current limit exceeds maximum limit")  # what macOS says

    monkeypatch.setattr(resource, "setrlimit", refuse)
    hdf5_child._limit(5)
    assert asked == [resource.RLIMIT_CPU, resource.RLIMIT_AS]


def test_only_classes_with_images_need_a_folder(tmp_path):
    writer = open_writer(
        tmp_path / "out", "folder", shape=(8, 8, 1), class_names=["ok", "a/b"], attributes={}, columns={}, labels=[0]
    )
    with writer:
        writer.append(np.zeros((1, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["ok"]
