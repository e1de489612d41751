"""Files made to hurt: one line each, nothing followed, nothing run, nothing written elsewhere."""

import json
import struct
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

import augmentgan as ag
from augmentgan.data.writers import open_writer
from augmentgan.errors import AugmentGANError, DataError, OutputError


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        ag.load(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


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
    refused(tree, "not an image")


def test_a_deep_tree(tree):
    deep = tree / "class_0"
    for level in range(60):
        deep = deep / f"d{level}"
    deep.mkdir(parents=True)
    (tree / "class_0" / "0.png").rename(deep / "0.png")
    assert len(ag.load(tree)) == 18


@pytest.mark.parametrize(
    "name", ["..", "../up", "a/b", "a\\b", "", ".hidden", "nul", "com1.txt", "x" * 300, "a\nb", "c:d"]
)
def test_class_names_that_would_leave_the_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    with pytest.raises(OutputError, match="cannot be a folder's name"):
        open_writer(
            tmp_path / "in" / "out", "folder", shape=(8, 8, 1), class_names=["ok", name], attributes={}, columns={}
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_class_names_that_differ_in_case_only(tmp_path):
    with pytest.raises(OutputError, match="differ in case only"):
        open_writer(tmp_path / "out", "folder", shape=(8, 8, 1), class_names=["Cat", "cat"], attributes={}, columns={})


def hdf5(path, **replaced):
    content = {"images": np.zeros((4, 8, 8, 1), np.uint8), "labels": np.arange(4) % 2, **replaced}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
    return path


def test_object_and_string_columns(tmp_path):
    strings = np.array(["a", "b", "a", "b"], dtype=h5py.string_dtype())
    refused(hdf5(tmp_path / "a.h5", labels=strings), "labels", "int64")
    refused(hdf5(tmp_path / "b.h5", group=strings), "group", "whole numbers are needed")


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


def test_no_metadata_of_the_source_reaches_the_output(trained, tmp_path):
    ag.write_samples(trained, trained.counts(1), tmp_path / "out", "folder")
    image = Image.open(tmp_path / "out" / "0" / "000000.png")
    assert not image.info
    assert not image.getexif()


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {}},
        {"seed": "x"},
        {"recipe": {"data": {"size_px": 10**9}}},
        {"class_names": None, "recipe": None},
    ],
)
def test_a_tampered_run(trained, tmp_path, change):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, **change}))
    with pytest.raises(AugmentGANError) as caught:
        ag.Run(folder, "cpu").generate(1)
    assert "\n" not in str(caught.value)


def test_weights_of_other_shapes(trained, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    info = json.loads((folder / "run.json").read_text())
    info["recipe"]["model"]["generator_width"] = 16
    (folder / "run.json").write_text(json.dumps(info))
    with pytest.raises(AugmentGANError, match="does not fit"):
        ag.Run(folder, "cpu").generate(1)


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
