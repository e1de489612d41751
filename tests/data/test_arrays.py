"""Whole arrays from .npz and IDX files: MedMNIST's and MNIST's own layouts, and what is refused before it is believed."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from tests_support import refused_by

import augmentgan as ag
from augmentgan.errors import DataError


def refused(path, *words):
    refused_by(lambda: ag.load(path), *words)
    with pytest.raises(DataError):
        ag.inspect(path)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)


LABELS = np.arange(12) % 3


def npz(path, save=np.savez_compressed, **arrays):
    save(path, **arrays)
    return path


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


# .npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_the_arrays_as_saved(tmp_path, pixels, save):
    names = np.array(["ant", "bee", "fly"])
    data = ag.load(npz(tmp_path / "a.npz", save, images=pixels, labels=LABELS, class_names=names))
    assert (data.images[..., 0] == pixels).all()
    assert (data.labels == LABELS).all()
    assert data.class_names == ("ant", "bee", "fly")
    assert data.split is None
    found = ag.inspect(tmp_path / "a.npz")
    assert (found.kind, found.counts) == ("npz", {"ant": 4, "bee": 4, "fly": 4})


def test_npz_of_keras_with_a_validation_part(tmp_path, pixels):
    parts = {"train": pixels[:6], "val": pixels[6:9], "test": pixels[9:]}
    arrays = {f"x_{part}": images for part, images in parts.items()}
    arrays |= {f"y_{part}": np.arange(len(images)) % 3 for part, images in parts.items()}
    assert ag.load(npz(tmp_path / "keras.npz", **arrays)).split.tolist() == [0] * 9 + [1] * 3


def test_npz_of_two_layouts_is_refused(tmp_path, pixels):
    path = npz(tmp_path / "a.npz", images=pixels, labels=LABELS, test_images=pixels, test_labels=LABELS)
    refused(path, "'images'", "'test_images'", "different layouts")


def test_npz_by_columns_in_colour_and_with_byte_names(tmp_path, pixels):
    colour = np.asfortranarray(np.repeat(pixels[..., None], 3, axis=3) // np.array([1, 2, 3], dtype=np.uint8))
    names = np.array([b"ant", b"bee", b"fly"])
    data = ag.load(npz(tmp_path / "a.npz", images=colour, labels=LABELS.astype(">i2"), class_names=names))
    assert (data.images == colour).all()
    assert data.class_names == ("ant", "bee", "fly")


def test_npz_split_and_group_are_honoured(tmp_path, pixels):
    split = np.array([0, 0, 1] * 4)
    data = ag.load(npz(tmp_path / "a.npz", images=pixels, labels=LABELS, split=split, group=np.arange(12) // 2))
    assert (data.split == split).all()
    assert data.group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_medmnist_layout(tmp_path, pixels):
    parts = {"train": pixels[:6], "val": pixels[6:9], "test": pixels[9:]}
    arrays = {f"{name}_images": images for name, images in parts.items()}
    arrays |= {f"{name}_labels": np.arange(len(images), dtype=np.uint8)[:, None] % 3 for name, images in parts.items()}
    data = ag.load(npz(tmp_path / "pathmnist.npz", **arrays))
    assert data.split.tolist() == [0] * 9 + [1] * 3
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert ag.inspect(tmp_path / "pathmnist.npz").test_counts == {"0": 1, "1": 1, "2": 1}


def test_keras_layout(tmp_path, pixels):
    arrays = {"x_train": pixels[:9], "y_train": LABELS[:9], "x_test": pixels[9:], "y_test": LABELS[9:]}
    assert ag.load(npz(tmp_path / "mnist.npz", **arrays)).split.tolist() == [0] * 9 + [1] * 3


def test_numbers_that_do_not_occur_are_no_classes(tmp_path, pixels):
    labels = np.array([1, 7, 10**12] * 4)
    data = ag.load(npz(tmp_path / "a.npz", images=pixels, labels=labels))
    assert data.class_names == ("1", "7", "1000000000000")
    assert data.labels.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": None}, ["neither 'images' nor 'train_images'", "found: 'labels'"]),
        ({"labels": None}, ["no 'labels'"]),
        ({"images": np.zeros((12, 8, 8))}, ["float64", "uint8"]),
        ({"images": np.zeros((12, 64), np.uint8)}, ["(12, 64)", "(n, h, w, c)"]),
        ({"images": np.zeros((12, 8, 8, 8), np.uint8)}, ["(12, 8, 8, 8)", "c = 1 or 3"]),
        ({"images": np.zeros((12, 0, 8), np.uint8)}, ["(12, 0, 8, 1)"]),
        ({"labels": np.zeros(12)}, ["labels", "float64", "whole numbers"]),
        ({"labels": np.zeros((12, 14), np.uint8)}, ["labels", "(12, 14)", "(12,)"]),
        ({"labels": np.zeros(11, int)}, ["(11,)", "(12,)"]),
        ({"labels": np.arange(12) - 1}, ["label -1", "out of range"]),
        ({"class_names": np.array(["a", "b"])}, ["label 2", "0 to 1"]),
        ({"class_names": np.array(["a", "a", "b"])}, ["must be distinct"]),
        ({"class_names": np.array([1, 2, 3])}, ["class_names", "list of texts"]),
        ({"split": np.array([5] * 12)}, ["split", "0 (train) and 1 (test)"]),
        ({"group": np.array(["a"] * 12)}, ["group", "whole numbers"]),
    ],
)
def test_npz_with_arrays_of_another_kind(tmp_path, pixels, change, words):
    arrays = {"images": pixels, "labels": LABELS, **change}
    path = npz(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    refused(path, "a.npz", *words)


@pytest.mark.parametrize("name", ["images", "labels", "class_names"])
def test_pickled_arrays_are_never_loaded(tmp_path, pixels, name):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    arrays = {
        "images": pixels,
        "labels": LABELS,
        "class_names": np.array(["a", "b", "c"]),
        name: np.array([Bomb()] * 12),
    }
    refused(npz(tmp_path / "a.npz", **arrays), name, "Python objects")
    assert not (tmp_path / "ran").exists()


def test_parts_of_different_sizes(tmp_path, pixels):
    arrays = {"x_train": pixels, "y_train": LABELS, "x_test": pixels[:, :4], "y_test": LABELS}
    refused(npz(tmp_path / "a.npz", **arrays), "different shapes")


def test_a_zip_bomb(tmp_path):
    zeros = np.zeros((100_000, 32, 32), np.uint8)  # 100 MB out of 100 KB
    path = zipped(tmp_path / "a.npz", {"images": npy(zeros), "labels": npy(np.zeros(100_000, int))})
    tracemalloc.start()
    refused(path, "a.npz", "images", "decompression bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(("shape", "words"), [("9000", "but hold"), ("-12", "check the file")])
def test_a_header_of_npy_that_lies(tmp_path, pixels, shape, words):
    padding = b" " * 8
    lie = npy(pixels).replace(b"(12, 8, 8), }" + padding, f"({shape}, 8, 8), }}".encode().ljust(13 + len(padding)))
    assert shape.encode() in lie
    assert len(lie) == len(npy(pixels))
    path = zipped(tmp_path / "a.npz", {"images": lie, "labels": npy(LABELS)})
    refused(path, "images", f"({shape}, 8, 8)", words)


def test_a_zip_directory_that_lies(tmp_path, pixels):
    path = zipped(tmp_path / "a.npz", {"images": npy(pixels), "labels": npy(LABELS)})
    content = path.read_bytes()
    size = struct.pack("<I", len(npy(pixels)))
    assert content.count(size) == 2
    for lie in (len(npy(pixels)) + 5, len(npy(pixels)) - 5, 2**31):
        path.write_bytes(content.replace(size, struct.pack("<I", lie)))
        refused(path, "a.npz")


def test_damaged_npz_files(tmp_path, pixels):
    good = npz(tmp_path / "good.npz", images=pixels, labels=LABELS).read_bytes()
    for number, content in enumerate(
        [b"", b"hello", good[: len(good) // 2], good[:-10], good[:80] + b"\0\0\0\0" + good[84:]]
    ):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(content)
        refused(path, f"{number}.npz", "cannot be read")
    refused(
        zipped(tmp_path / "x.npz", {"images": npy(pixels), "labels": npy(LABELS)}, zipfile.ZIP_LZMA), "savez_compressed"
    )


# IDX


def idx(path, array, shape=None):
    shape = array.shape if shape is None else shape
    content = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(params=["", ".gz"])
def mnist(tmp_path, pixels, request):
    """A folder like MNIST's own."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, rows in {"train": slice(0, 9), "t10k": slice(9, 12)}.items():
        idx(folder / f"{part}-images-idx3-ubyte{request.param}", pixels[rows])
        idx(folder / f"{part}-labels-idx1-ubyte{request.param}", LABELS[rows])
    return folder


def test_a_folder_of_idx_files_is_a_set_with_its_split(mnist, pixels):
    data = ag.load(mnist)
    assert (data.images[..., 0] == pixels).all()
    assert (data.labels == LABELS).all()
    assert data.split.tolist() == [0] * 9 + [1] * 3
    assert ag.inspect(mnist).kind == "idx"


def test_one_idx_file_stands_for_itself_and_its_partner(mnist, pixels):
    for part, rows in {"train": slice(0, 9), "t10k": slice(9, 12)}.items():
        for file in mnist.glob(f"{part}-*"):
            data = ag.load(file)
            assert (data.images[..., 0] == pixels[rows]).all()
            assert data.split is None


def test_folders_that_are_called_like_idx_files_are_passed_over(mnist, pixels):
    before = ag.load(mnist)
    for part in ("train", "t10k"):
        (mnist / f"{part}-images-idx3-ubyte").with_suffix(".idx3-ubyte").mkdir()
        (mnist / f"{part}-labels.idx1-ubyte").mkdir()
    assert ag.load(mnist).fingerprint() == before.fingerprint()


def test_plain_idx_files_go_before_their_gzipped_copies(tmp_path, pixels):
    for end, images in (("", pixels), (".gz", 255 - pixels)):
        idx(tmp_path / f"train-images-idx3-ubyte{end}", images)
        idx(tmp_path / f"train-labels-idx1-ubyte{end}", LABELS)
    assert (ag.load(tmp_path).images[..., 0] == pixels).all()


def test_emnist_and_the_dotted_spelling(tmp_path, pixels):
    for what, axes, array in (("images", 3, pixels), ("labels", 1, LABELS + 1)):
        idx(tmp_path / f"emnist-letters-train-{what}.idx{axes}-ubyte", array)
        idx(tmp_path / f"emnist-letters-test-{what}.idx{axes}-ubyte", array[:3])
    data = ag.load(tmp_path)
    assert data.split.tolist() == [0] * 12 + [1] * 3
    assert data.class_names == ("1", "2", "3")
    idx(tmp_path / "emnist-digits-train-images-idx3-ubyte", pixels)
    refused(tmp_path, "IDX files of 2 sets", "name one of the files")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "train-labels-idx1-ubyte").unlink(), ["no partner train-labels-idx1-ubyte"]),
        (lambda folder: [file.unlink() for file in folder.glob("*images*")], ["labels without images"]),
        (lambda folder: idx(folder / "train-labels-idx1-ubyte", LABELS), ["(12,)", "(9,)"]),
        (lambda folder: idx(folder / "train-images-idx3-ubyte", LABELS), ["shape (12,)"]),
        (
            lambda folder: idx(folder / "train-images-idx3-ubyte", LABELS, (2**31, 2**31, 4)),
            ["declare", "over 16 GiB"],
        ),
        (lambda folder: idx(folder / "train-images-idx3-ubyte", LABELS, (9, 8, 8)), ["end after 12 of the 576"]),
        (lambda folder: idx(folder / "train-images-idx3-ubyte", LABELS, (1, 2, 3)), ["go on after the 6"]),
        (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x0d\3"), ["00000d03", "IDX header"]),
        (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3\0"), ["within the header"]),
        (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b""), ["nothing", "IDX header"]),
        (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\x1f\x8bxyz"), ["cannot be read"]),
    ],
)
def test_idx_files_that_are_not_what_they_say(tmp_path, pixels, change, words):
    idx(tmp_path / "train-images-idx3-ubyte", pixels[:9])
    idx(tmp_path / "train-labels-idx1-ubyte", LABELS[:9])
    change(tmp_path)
    refused(tmp_path, *words)


def test_a_cut_gzip_file(tmp_path, pixels):
    images = idx(tmp_path / "train-images-idx3-ubyte.gz", pixels)
    idx(tmp_path / "train-labels-idx1-ubyte.gz", LABELS)
    images.write_bytes(images.read_bytes()[:-300])
    refused(tmp_path, "train-images-idx3-ubyte.gz", "cannot be read")


def test_a_gzip_bomb(tmp_path):
    zeros = np.zeros(100_000 * 1024, np.uint8)
    idx(tmp_path / "train-images-idx3-ubyte.gz", zeros, (100_000, 32, 32))
    idx(tmp_path / "train-labels-idx1-ubyte.gz", zeros[:100_000])
    tracemalloc.start()
    refused(tmp_path, "train-images-idx3-ubyte.gz", "decompression bomb")
    # what the header does not declare is not unpacked either
    idx(tmp_path / "train-images-idx3-ubyte.gz", zeros, (2, 32, 32))
    idx(tmp_path / "train-labels-idx1-ubyte.gz", zeros[:2])
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    refused(tmp_path, "go on after the 2,048 bytes")
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 20e6


def test_names_in_an_archive_stay_on_the_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("first\nsecond\x1e.npy", b"")
    refused(tmp_path / "odd.npz", r"found: 'first\nsecond\x1e'")
