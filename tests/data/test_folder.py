"""Folders as people have them: parts that are the split, links, litter, and trees that are no set."""

import os

import numpy as np
import pytest
from PIL import Image
from tests_support import refused_by

import augmentgan as ag


def test_train_and_test_folders_are_the_split(tree, tmp_path):
    root = tmp_path / "both"
    (root / "train").mkdir(parents=True)
    (root / "test").mkdir()
    for name in ("class_0", "class_1"):
        (tree / name).rename(root / "train" / name)
    (tree / "class_2").rename(root / "test" / "class_0")
    data = ag.load(root)
    assert data.split.tolist().count(1) == 6
    assert len(data) == 18


def test_a_single_class_in_one_part_beside_an_empty_one(tree, tmp_path):
    (tmp_path / "both" / "test").mkdir(parents=True)
    (tree / "class_0").rename(tmp_path / "both" / "train")
    (tmp_path / "both" / "train" / "cat").mkdir()
    for file in (tmp_path / "both" / "train").glob("*.png"):
        file.rename(file.parent / "cat" / file.name)
    refused_by(lambda: ag.load(tmp_path / "both"), "holds one class folder, 'cat'")


def test_empty_folder(tmp_path):
    refused_by(lambda: ag.load(tmp_path), str(tmp_path), "nothing", "class folders")


def test_loose_images_only(tree):
    refused_by(lambda: ag.load(tree / "class_0"), "6 loose files", "class folders")


def test_class_folders_without_images(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    refused_by(lambda: ag.load(tmp_path), "no image")


def test_a_link_out_of_the_folder(tree, tmp_path):
    outside = tmp_path / "outside.png"
    (tree / "class_0" / "0.png").rename(outside)
    (tree / "class_0" / "link.png").symlink_to(outside)
    refused_by(lambda: ag.load(tree), "link.png", "leaves the folder")


def parts(tree, root, *names):
    """`root/PART/class_0` ..., each class's files dealt to the parts in turn."""
    for kind in ("class_0", "class_1"):
        for number, file in enumerate(sorted((tree / kind).iterdir())):
            folder = root / names[number % len(names)] / kind
            folder.mkdir(parents=True, exist_ok=True)
            file.rename(folder / file.name)
    return root


def told_of_validation(path):
    """What `load` says of a validation part, which `inspect` says too."""
    told = []
    ag.load(path, on_notice=told.append)
    found = [line for line in told if "is used as 'train' is" in line]
    assert [line for line in ag.inspect(path).notices if "is used as 'train' is" in line] == found
    return found


def test_training_and_validation_folders_are_one_part(tree, tmp_path):
    root = parts(tree, tmp_path / "both", "train", "val")
    data = ag.load(root)
    assert (data.class_names, data.split, len(data)) == (("class_0", "class_1"), None, 12)
    assert told_of_validation(root) == [
        "part 'val' (6 images) is used as 'train' is, for no part is called test; call it test to hold it out"
    ]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("train", "test")])
def test_beside_a_test_part_a_validation_part_needs_no_word(tree, tmp_path, names):
    assert told_of_validation(parts(tree, tmp_path / "both", *names)) == []


@pytest.mark.parametrize("kind", ["column", "paths", "metadata", "medmnist", "keras"])
@pytest.mark.parametrize("test", [False, True])
def test_a_validation_part_is_told_of_whatever_the_kind(tmp_path, pixels, kind, test):
    words = ["train", "valid", "test" if test else "train"]
    rows = [("file_name", "label", *(["split"] if kind == "column" else []))]
    for k, image in enumerate(pixels):
        file = tmp_path / words[k % 3] / f"{k}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(file)
        row = file if kind == "metadata" else file.relative_to(tmp_path).as_posix()
        rows.append((str(row), "ab"[k % 2], *([words[k % 3]] if kind == "column" else [])))
    path = tmp_path / "table.csv"
    if kind in ("medmnist", "keras"):
        path = tmp_path / "a.npz"
        names = {"medmnist": "{}_images {}_labels", "keras": "x_{} y_{}"}[kind]
        chosen = [word.replace("valid", "val") for word in words[: 3 if test else 2]]
        arrays = {}
        for k, word in enumerate(chosen):
            images, labels = names.format(word, word).split()
            arrays |= {images: pixels[k::3], labels: np.arange(len(pixels[k::3])) % 2}
        np.savez(path, **arrays)
    elif kind == "metadata":
        path = tmp_path
        for part in {*words}:
            lines = [
                f"{os.path.basename(name)},{label}" for name, label in rows[1:] if f"{os.sep}{part}{os.sep}" in name
            ]
            (tmp_path / part / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    else:
        path.write_text("\n".join(map(",".join, rows)))
    word = "val" if path.suffix == ".npz" else "valid"
    found = told_of_validation(path)
    assert [line.split(" is used")[0] for line in found] == ([] if test else [f"part {word!r} (4 images)"])


def test_a_column_that_marks_test_images_outweighs_the_names_of_the_parts(tmp_path, pixels):
    labels = np.arange(len(pixels)) % 2
    arrays = {"x_train": pixels, "y_train": labels, "x_val": pixels[:0], "y_val": labels[:0]}
    np.savez(tmp_path / "empty.npz", **arrays)
    assert told_of_validation(tmp_path / "empty.npz") == []
    arrays = {"x_train": pixels[4:], "y_train": labels[4:], "x_val": pixels[:4], "y_val": labels[:4]}
    np.savez(tmp_path / "marked.npz", **arrays, split=(np.arange(len(pixels)) < 2).astype(np.int64))
    assert told_of_validation(tmp_path / "marked.npz") == []


@pytest.mark.parametrize(("names", "expected"), [(("train", "test"), [1, 0]), (("Train", "val", "Test"), [1, 0, 0])])
def test_parts_below_the_classes_are_the_split(tree, names, expected):
    for file in sorted(tree.glob("class_*/*.png")):
        folder = file.parent / names[int(file.stem) % len(names)] / "camera"
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
    data = ag.load(tree)
    assert data.class_names == ("class_0", "class_1", "class_2")
    assert data.split.tolist() == [number for number in expected for _ in range(6 // len(names))] * 3
    (tree / "class_0" / names[0]).rename(tree / "class_0" / "old")
    assert ag.load(tree).split is None


def test_a_stranger_beside_train_and_test_is_no_class(tree, tmp_path):
    root = parts(tree, tmp_path / "both", "train", "test")
    (root / "samples").mkdir()
    refused_by(lambda: ag.load(root), "test, train", "'samples', which is not a part", "move it")


def test_a_part_that_is_spelled_in_two_ways_is_not_dropped(tree, tmp_path):
    root = parts(tree, tmp_path / "both", "train", "Train", "test")
    if len(list(root.iterdir())) < 3:
        pytest.skip("this system takes both names for one")
    refused_by(lambda: ag.load(root), "'Train' and 'train'", "in one")


def test_classes_may_be_called_train_and_test(tree, tmp_path):
    for old, new in (("class_0", "train"), ("class_1", "test"), ("class_2", "bus")):
        (tree / old).rename(tree / new)
    assert ag.load(tree).class_names == ("bus", "test", "train")


def test_test_images_without_classes_are_no_test_part(tree, tmp_path):
    root = parts(tree, tmp_path / "both", "train")
    (root / "test").mkdir()
    for file in (tree / "class_2").iterdir():
        file.rename(root / "test" / file.name)
    told = []
    data = ag.load(root, on_notice=told.append)
    assert (data.split, len(data)) == (None, 12)
    assert any("6 files that belong to no class" in line for line in told)


def test_a_class_that_is_a_link_is_told(tree, tmp_path):
    (tree / "class_2").rename(tmp_path / "elsewhere")
    (tree / "class_2").symlink_to(tmp_path / "elsewhere")
    told = []
    assert ag.load(tree, on_notice=told.append).class_names == ("class_0", "class_1")
    assert told == ["1 link to folders not followed; the first: 'class_2'"]
    assert ag.inspect(tree).n_ignored == 1


def test_nothing_but_links(tree, tmp_path):
    root = tmp_path / "links"
    root.mkdir()
    (root / "a").symlink_to(tree / "class_0")
    refused_by(lambda: ag.load(root), "'a' is a link to a folder", "copy the images")


def test_training_and_testing_folders_are_the_split(tree, tmp_path):
    data = ag.load(parts(tree, tmp_path / "both", "Training", "Testing"))
    assert (data.class_names, len(data)) == (("class_0", "class_1"), 12)
    assert sorted(data.split.tolist()) == [0] * 6 + [1] * 6


@pytest.mark.parametrize("names", [("seg_train", "seg_test"), ("train", "dev")])
def test_parts_of_unknown_names_are_not_learned_as_classes(tree, tmp_path, names):
    root = parts(tree, tmp_path / "both", *names)
    refused_by(lambda: ag.load(root), *map(repr, sorted(names)), "call them train and test")


def flat(folder, n=6):
    folder.mkdir(parents=True)
    for k in range(n):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{k}.png")


def test_parts_without_classes_are_not_learned_as_classes(tmp_path):
    root = tmp_path / "competition"
    flat(root / "train")
    flat(root / "test")
    refused_by(lambda: ag.load(root), "holds test, train without class folders", "folder of its own")
    (root / "train.csv").write_text("path,label\n" + "".join(f"train/{k}.png,{k % 2}\n" for k in range(6)))
    refused_by(lambda: ag.load(root), "holds test, train without class folders", "did you mean", "train.csv")
    assert ag.load(root / "train.csv").counts.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("layout", "meant"),
    [
        (["dataset/cat", "dataset/dog"], "dataset"),
        (["train/cat", "train/dog"], "train"),
        (["train/training_set/cat", "train/training_set/dog", "test/test_set/cat"], "test_set"),
    ],
)
def test_a_folder_round_the_set_is_pointed_out(tmp_path, layout, meant):
    for folder in layout:
        flat(tmp_path / "root" / folder)
    refused_by(lambda: ag.load(tmp_path / "root"), f"holds one class folder, {meant!r}", "did you mean", f"{meant}'?")


def test_a_table_beside_the_folder_of_its_images_is_pointed_out(tmp_path):
    flat(tmp_path / "images")
    refused_by(lambda: ag.load(tmp_path), "holds one class folder, 'images'", "two classes at least")
    (tmp_path / "labels.jsonl").write_text("{}")
    refused_by(lambda: ag.load(tmp_path), "did you mean", "labels.jsonl'?")


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "@eaDir", "System Volume Information", "__MACOSX"])
def test_folders_of_systems_are_no_classes(tree, name):
    before = ag.load(tree).fingerprint()
    (tree / name).mkdir()
    (tree / "class_0" / "ehthumbs.db").touch()
    assert ag.load(tree).fingerprint() == before
