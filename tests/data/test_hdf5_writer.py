"""The HDF5 writer: whole files, whatever pieces the rows come in."""

import h5py
import numpy as np
import pytest

import augmentgan as ag
from augmentgan.data.hdf5 import Hdf5Writer, read_hdf5, write_hdf5
from augmentgan.errors import DataError, OutputError


def test_images_are_compressed_where_that_pays(tmp_path):

    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (600, 32, 32, 3), dtype=np.uint8)
    strokes = np.where(noise > 240, noise, 0).astype(np.uint8)
    for images, expected in ((noise, None), (strokes, "gzip")):
        data = ag.LabelledImages(images, np.arange(600) % 2, ("a", "b"))
        write_hdf5(tmp_path / "set.h5", data, overwrite=True)
        with h5py.File(tmp_path / "set.h5") as file:
            assert file["images"].compression == expected
            assert (file["images"][:] == images).all()
            assert (file["labels"][:] == data.labels).all()


def test_rows_written_in_any_pieces_are_the_same_rows(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (700, 32, 32, 3), dtype=np.uint8)
    with Hdf5Writer(
        tmp_path / "set.h5", shape=(32, 32, 3), class_names="ab", attributes={}, columns={"score": np.float32}
    ) as writer:
        for rows in np.split(np.arange(700), [1, 30, 31, 400, 500]):
            writer.append(images[rows], rows % 2, score=rows.astype(np.float32))
    found = read_hdf5(tmp_path / "set.h5")
    assert (found.images == images).all()
    assert (found.labels == np.arange(700) % 2).all()
    assert (found.extra["score"] == np.arange(700)).all()


@pytest.mark.parametrize(("n_classes", "rows"), [(1000, 131), (200_000, 1)])  # of 4,000 bytes, in 512 KiB
def test_a_chunk_of_a_wide_column_fits_the_cache(n_classes, rows, tmp_path):
    soft = np.random.default_rng(0).random((60, n_classes), dtype=np.float32)
    columns = {"soft_labels": soft, "weight": soft[:, 0]}
    data = ag.LabelledImages(np.zeros((60, 4, 4, 1), np.uint8), np.arange(60) % 2, ("a", "b"), extra=columns)
    write_hdf5(tmp_path / "set.h5", data)
    with h5py.File(tmp_path / "set.h5") as file:
        assert {name: file[name].chunks[0] for name in ("labels", *columns)} == {
            "labels": 8192,
            "soft_labels": rows,
            "weight": 8192,
        }
        for name, values in columns.items():
            np.testing.assert_array_equal(file[name][:], values)


def test_nothing_remains_of_a_file_whose_writing_failed(tmp_path):
    with (
        pytest.raises(TypeError, match="broadcast"),
        Hdf5Writer(tmp_path / "set.h5", shape=(4, 4, 1), class_names="ab", attributes={}, columns={}) as writer,
    ):
        writer.append(np.zeros((3, 5, 5, 1), np.uint8), np.zeros(3, np.int64))
    assert not list(tmp_path.iterdir())


def test_two_sets_in_one_folder_lose_nothing(tmp_path, digits):
    twice = [digits.subset(range(20)), digits.subset(range(40, 60))]
    both = ag.LabelledImages(
        np.concatenate([each.images for each in twice]),
        np.concatenate([each.labels for each in twice]),
        digits.class_names,
        extra={"sample_index": np.concatenate([np.arange(20), np.arange(20)])},
    )
    ag.save(both, tmp_path / "set")
    assert len(list((tmp_path / "set").rglob("*.png"))) == 40
    found, expected = ag.load(tmp_path / "set"), {image.tobytes() for image in both.images}
    assert {image.tobytes() for image in found.images} == expected


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path, digits):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="is a folder; name a file"):
        ag.save(digits, tmp_path / "out", "hdf5")


def test_a_folder_keeps_the_order_of_classes_and_those_without_an_image(tmp_path, digits):
    some = digits.subset(np.flatnonzero((digits.labels == 0) | (digits.labels == 2)))
    data = ag.LabelledImages(some.images, some.labels, ("zebra", "ant", "owl"))
    ag.save(data, tmp_path / "set")
    again = ag.load(tmp_path / "set")
    assert again.class_names == data.class_names
    assert again.counts.tolist() == [12, 0, 12]
    for label in (0, 2):
        np.testing.assert_array_equal(again.images[again.labels == label], data.images[data.labels == label])


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        "{}",
        '{"class_names": "zebra"}',
        '{"class_names": ["ant", "ant", "owl"]}',
        '{"class_names": ["ant"]}',
    ],
)
def test_a_list_of_classes_that_does_not_fit_is_passed_over(tmp_path, digits, said):
    data = ag.LabelledImages(digits.images[digits.labels < 2], digits.labels[digits.labels < 2], ("owl", "ant"))
    ag.save(data, tmp_path / "set")
    (tmp_path / "set" / "augmentgan.json").write_text(said)
    assert ag.load(tmp_path / "set").class_names == ("ant", "owl")


@pytest.mark.parametrize(
    "extra",
    [
        {"age": np.arange(4)},
        {"weight": np.array(["a", "b", "c", "d"])},
        {"soft_labels": np.zeros(4, np.float32)},
        {"sample_index": np.zeros(4, np.float32)},
        {"labels": np.arange(4)},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_column_that_nothing_could_read_again_is_refused(extra, tmp_path):
    data = ag.LabelledImages(np.zeros((4, 4, 4, 1), np.uint8), np.arange(4) % 2, ("a", "b"), extra=extra)
    with pytest.raises(DataError, match=f"column '{next(iter(extra))}' .* has no place in the file"):
        ag.save(data, tmp_path / "set.h5")
    assert not list(tmp_path.iterdir())
