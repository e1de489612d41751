"""`inspect` says what is there and what fit would do, and is right about it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tests_support import write_tree

import augmentgan as ag
from augmentgan.cli.display import plan_lines
from augmentgan.data.plan import plan_fit


def test_a_messy_folder(tree):
    (tree / "class_0" / "notes.xml").write_text("<xml/>")
    (tree / "class_0" / ".DS_Store").touch()
    (tree / "readme.txt").write_text("hello")
    image = Image.open(tree / "class_0" / "0.png")
    image.save(tree / "class_0" / "again.png")
    image.save(tree / "class_1" / "elsewhere.png")
    Image.new("RGB", (20, 10), "red").save(tree / "class_2" / "wide.jpg")
    found = ag.inspect(tree)
    assert found.counts == {"class_0": 7, "class_1": 7, "class_2": 7}
    assert found.duplicates_within == 1
    assert found.duplicates_across == 3
    assert set(found.duplicate_examples[0]) == {"class_0/0.png", "class_0/again.png", "class_1/elsewhere.png"}
    assert found.sizes == {"8x8": 20, "20x10": 1}
    assert found.modes == {"L": 20, "RGB": 1}
    assert list(found.bad) == ["class_0/notes.xml"]
    assert (found.n_ignored, found.n_loose) == (1, 1)
    assert "notes.xml" in found.refusal
    assert found.skip_bad_helps
    json.dumps(found.to_json(), allow_nan=False)


def test_it_foresees_what_fit_does(tree):
    found = ag.inspect(tree, seed=4)
    plan = plan_fit(ag.load(tree), seed=4)
    assert found.refusal is None
    assert found.fit["n_train"] == len(plan.split.train)
    assert found.fit["n_test"] == len(plan.split.test)
    assert (found.fit["size_px"], found.fit["channels"]) == (plan.recipe.data.size_px, plan.recipe.data.channels)
    assert found.fit["updates"] == plan.recipe.training.updates


def test_it_tells_of_classes_with_very_few_training_images(tmp_path):
    data = ag.digits()
    rows = [np.flatnonzero(data.labels == label)[:n] for label, n in ((0, 15), (1, 4))]
    write_tree(tmp_path / "data", data.subset(np.concatenate(rows)), classes=2, per_class=15)
    plan = plan_fit(ag.load(tmp_path / "data"))
    assert plan.scarce == {"class_1": 3}  # one of four is held out
    assert ag.inspect(tmp_path / "data").fit["scarce"] == plan.scarce
    assert any("class_1 (3)" in line for line in plan_lines(plan, tmp_path))


def test_it_tells_of_classes_with_fewer_images_than_are_wanted():
    data = ag.digits()
    uneven = data.subset(
        np.flatnonzero((data.labels > 0) | (np.arange(len(data)) < 200))
    )  # about twenty zeros, 180 ones
    plan = plan_fit(uneven, ag.Recipe().with_settings(["data.train_per_class=50"]))
    n_zeros = int(plan.data.part(0).counts[0])
    assert n_zeros < 50
    assert plan.short == {"0": n_zeros}
    assert f"note     0 ({n_zeros}): fewer than 50 images to learn from; all of them are used" in plan_lines(
        plan, Path()
    )
    assert plan_fit(uneven).short == {}


def test_fit_tells_of_pictures_under_several_labels(tmp_path):
    data = ag.digits()
    assert plan_fit(data).n_contradictory == 0
    labels = data.labels.copy()
    images = data.images.copy()
    images[1] = images[0]  # a 0 and a 1
    images[2] = images[12] = images[22]  # three times a 2
    assert set(labels[[0, 1]]) == {0, 1}
    assert set(labels[[2, 12, 22]]) == {2}
    plan = plan_fit(replace(data, images=images), ag.Recipe().with_settings(["data.test_fraction=0"]))
    assert plan.n_contradictory == 2
    assert any("2 training images are there under several labels" in line for line in plan_lines(plan, tmp_path))


def test_the_share_of_samples_follows_the_images_to_learn_from():
    data = ag.digits()
    uneven = data.subset(np.flatnonzero((data.labels > 0) | (np.arange(len(data)) < 100)))  # about ten zeros, 180 ones
    assert plan_fit(uneven).recipe.benchmark.synthetic_until == 1
    drawn = plan_fit(uneven, ag.Recipe().with_settings(["data.train_per_class=5"]))
    assert drawn.recipe.benchmark.synthetic_until == 0.5


def test_it_foresees_a_refusal(tree):
    for file in sorted((tree / "class_1").iterdir())[1:]:
        file.unlink()
    found = ag.inspect(tree)
    assert "class_1" in found.refusal
    assert found.fit is None
    assert not found.skip_bad_helps


def test_sizes_follow_the_images(tmp_path):
    for side, expected in ((8, 8), (20, 28), (28, 28), (30, 32), (300, 64)):
        root = tmp_path / str(side)
        for name in ("a", "b"):
            (root / name).mkdir(parents=True)
            for k in range(4):
                noise = np.random.default_rng([k, ord(name)]).integers(0, 256, (side, side), dtype=np.uint8)
                Image.fromarray(noise).save(root / name / f"{k}.png")
        assert ag.inspect(root).fit["size_px"] == expected


def test_absolute_paths_in_a_table(tree, monkeypatch):
    files = [file.resolve() for kind in ("class_0", "class_1") for file in sorted((tree / kind).iterdir())]
    files.append(files[0])
    (tree / "table.csv").write_text("\n".join(["path,label", *(f"{file},{file.parent.name}" for file in files)]))
    monkeypatch.chdir(tree.parent)
    found = ag.inspect(f"{tree.name}/table.csv")
    assert found.duplicate_examples == [[f"class_0/{files[0].name}"] * 2]


def test_it_foresees_what_fit_does_with_arrays_of_another_size(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 16, 16, 1), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    images[10] = images[0]
    images[10] ^= random.integers(0, 64, images[10].shape, dtype=np.uint8)  # fine grain: gone at working size
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 2, split=(np.arange(40) >= 10) * 1)
    foreseen = ag.inspect(tmp_path / "a.npz")
    plan = plan_fit(ag.load(tmp_path / "a.npz"))
    assert (foreseen.fit["n_train"], foreseen.fit["n_dropped"]) == (len(plan.split.train), len(plan.split.dropped))
    assert foreseen.sizes == {"128x128": 40}
