"""The first steps on real data sets, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

import augmentgan as ag
from augmentgan.data.plan import plan_fit
from augmentgan.data.split import split_rows

DATA = Path(__file__).parents[2] / "shared" / "data"


def needs(name):
    return pytest.mark.skipif(not (DATA / name).exists(), reason=f"{name} is not here")


@needs("raw/rice_disease")
def test_a_messy_folder():
    found = ag.inspect(DATA / "raw" / "rice_disease")
    assert sum(found.counts.values()) == 276
    assert (found.duplicates_within, found.duplicates_across, len(found.bad)) == (21, 0, 277)
    assert found.fit["size_px"] == 64
    data = ag.load(DATA / "raw" / "rice_disease", skip_bad=True)
    assert data.images.shape == (276, 64, 64, 3)


@needs("wbc.h5")
def test_a_class_with_four_images():
    data = ag.load(DATA / "wbc.h5")
    for seed in range(5):
        split = split_rows(data, test_fraction=0.2, seed=seed)
        assert np.bincount(data.labels[split.test]).min() >= 1
        assert np.bincount(data.labels[split.train]).min() >= 2


@needs("pneumonia_mnist.h5")
def test_copies_across_the_given_split_are_not_learned_from():
    data = ag.load(DATA / "pneumonia_mnist.h5")
    split = split_rows(data, test_fraction=0.2, seed=0)
    tested = {data.images[row].tobytes() for row in split.test}
    assert not any(data.images[row].tobytes() in tested for row in split.train)


@needs("mnist.h5")
def test_the_articles_thousand_digits():
    plan = plan_fit(ag.load(DATA / "mnist.h5"), ag.load_recipe("mnist-1000"), seed=0)
    assert plan.data.part(0).counts.tolist() == [100] * 10
    assert len(plan.split.test) == 10_000
    assert (plan.recipe.data.size_px, plan.recipe.data.channels) == (28, 1)


@needs("mnist.h5")
def test_mnist_in_its_own_format_is_the_same_set(tmp_path):
    import gzip
    import struct

    data = ag.load(DATA / "mnist.h5")
    for part, which in {"train": 0, "t10k": 1}.items():
        rows = data.part(which)
        header = struct.pack(">IIII", 0x803, len(rows), 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(header + rows.images.tobytes())
        labels = struct.pack(">II", 0x801, len(rows)) + rows.labels.astype(np.uint8).tobytes()
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))
    again = ag.load(tmp_path)
    for which in (0, 1):
        one, other = data.part(which), again.part(which)
        assert (one.images == other.images).all()
        assert (one.labels == other.labels).all()


@needs("pneumonia_mnist.h5")
def test_a_medmnist_file_is_the_same_set(tmp_path):
    data = ag.load(DATA / "pneumonia_mnist.h5")
    train, test = data.part(0), data.part(1)
    arrays = {"train_images": train.images[:4000], "train_labels": train.labels[:4000, None].astype(np.uint8)}
    arrays |= {"val_images": train.images[4000:], "val_labels": train.labels[4000:, None].astype(np.uint8)}
    arrays |= {"test_images": test.images, "test_labels": test.labels[:, None].astype(np.uint8)}
    np.savez_compressed(tmp_path / "pneumoniamnist.npz", **arrays)
    again = ag.load(tmp_path / "pneumoniamnist.npz")
    assert (again.part(0).images == train.images).all()
    assert (again.part(1).labels == test.labels).all()


@needs("raw/rice_disease")
def test_a_table_of_a_messy_folder_leaves_the_mess_out(tmp_path):
    import shutil

    folder = tmp_path / "rice"
    shutil.copytree(DATA / "raw" / "rice_disease", folder)
    bad = ag.inspect(folder).bad
    files = [file.relative_to(folder) for file in sorted(folder.glob("*/*")) if file.is_file()]
    rows = [f"{file},{file.parent}" for file in files if str(file) not in bad and file.name != "desktop.ini"]
    (folder / "table.csv").write_text("\n".join(["path,label", *rows]))
    assert ag.load(folder / "table.csv").fingerprint() == ag.load(folder, skip_bad=True).fingerprint()
