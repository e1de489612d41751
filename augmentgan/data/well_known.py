"""Well-known sets by name: scikit-learn's digits offline, others through torchvision, which downloads and keeps them.

The one module of this room that may load torch, and it does so only when a torchvision set is asked for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from augmentgan.data.arrays import numbered_classes
from augmentgan.data.decode import GREY_MODES, Resize, image_warnings_suppressed, to_square
from augmentgan.data.digits import digits
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.data.load import check_size, working_size
from augmentgan.data.split import draw_per_class
from augmentgan.errors import DataError, did_you_mean, one_line
from augmentgan.recipe import LARGEST_AUTOMATIC_SIZE

STALL_S = 60
"""A download that stands still for this long has failed."""

Part = tuple[dict[str, Any], int]


@dataclass(frozen=True)
class WellKnownSet:
    """How to ask torchvision for a set.

    Attributes:
        about: what it shows, for people.
        source: name of the class in `torchvision.datasets`.
        parts: arguments and split of each part; one part alone is no split.
        class_names: where torchvision gives none, or none that are names.
        photos: whether the images are of many sizes.
        turned: whether they are stored on their side.
    """

    about: str
    source: str
    parts: tuple[Part, ...]
    class_names: tuple[str, ...] | None = None
    photos: bool = False
    turned: bool = False


def _splits(*names: str) -> tuple[Part, ...]:
    return tuple(({"split": name}, TEST if name == "test" else TRAIN) for name in names)


def _emnist(split: str, about: str) -> WellKnownSet:
    parts = tuple(({"split": split, "train": train}, which) for train, which in ((True, TRAIN), (False, TEST)))
    return WellKnownSet(about, "EMNIST", parts, turned=True)


_DIGITS = tuple(str(digit) for digit in range(10))
_TRAIN_AND_TEST: tuple[Part, ...] = (({"train": True}, TRAIN), ({"train": False}, TEST))

TORCHVISION_SETS: dict[str, WellKnownSet] = {
    "mnist": WellKnownSet("handwritten digits, 28 px grey", "MNIST", _TRAIN_AND_TEST, _DIGITS),
    "fashion-mnist": WellKnownSet("clothes, 28 px grey", "FashionMNIST", _TRAIN_AND_TEST),
    "kmnist": WellKnownSet("cursive Japanese characters, 28 px grey", "KMNIST", _TRAIN_AND_TEST),
    "emnist-letters": _emnist("letters", "handwritten letters, 26 classes, 28 px grey"),
    "emnist-balanced": _emnist("balanced", "handwritten digits and letters, 47 classes, 28 px grey"),
    "usps": WellKnownSet("digits from envelopes, 16 px grey", "USPS", _TRAIN_AND_TEST, _DIGITS),
    "svhn": WellKnownSet("house numbers, 32 px RGB", "SVHN", _splits("train", "test"), _DIGITS),
    "cifar10": WellKnownSet("animals and vehicles, 32 px RGB", "CIFAR10", _TRAIN_AND_TEST),
    "cifar100": WellKnownSet("100 kinds of things, 32 px RGB", "CIFAR100", _TRAIN_AND_TEST),
    "stl10": WellKnownSet("animals and vehicles, 96 px RGB", "STL10", _splits("train", "test")),
    "eurosat": WellKnownSet("land use from a satellite, 64 px RGB, no split", "EuroSAT", (({}, TRAIN),)),
    "pcam": WellKnownSet(
        "lymph node tissue, 96 px RGB, large", "PCAM", _splits("train", "val", "test"), ("normal", "tumour")
    ),
    "gtsrb": WellKnownSet("German traffic signs, photos", "GTSRB", _splits("train", "test"), photos=True),
    "flowers102": WellKnownSet("flowers, photos", "Flowers102", _splits("train", "val", "test"), photos=True),
    "oxford-pets": WellKnownSet("cats and dogs, photos", "OxfordIIITPet", _splits("trainval", "test"), photos=True),
    "food101": WellKnownSet("dishes, photos, large", "Food101", _splits("train", "test"), photos=True),
    "dtd": WellKnownSet("textures, photos", "DTD", _splits("train", "val", "test"), photos=True),
    "fgvc-aircraft": WellKnownSet("aircraft, photos", "FGVCAircraft", _splits("trainval", "test"), photos=True),
}

WELL_KNOWN: dict[str, str] = {
    "digits": "handwritten digits, 8 px grey, no split; comes with scikit-learn",
    **{name: known.about for name, known in TORCHVISION_SETS.items()},
}
"""Names and what they stand for."""


def fetch(
    name: str,
    *,
    per_class: int | None = None,
    seed: int = 0,
    size_px: int | None = None,
    resize: Resize = "crop",
    cache: str | Path | None = None,
) -> LabelledImages:
    """A well-known set, with its own split where it has one; a validation part counts as training.

    Args:
        name: one of those that `augmentgan data --list` prints.
        per_class: draw this many training images of each class by `seed`, or all where there are fewer; draws are nested
            (20 within 50 within 100). The test part stays whole.
        seed: of the draw.
        size_px: side of the images; by default their own, or 64 for photos of many sizes.
        resize: what happens to photos that are not square.
        cache: where downloads are kept; by default in the user's cache folder.

    Returns:
        Images of shape (n, size_px, size_px, c).

    Raises:
        DataError: an unknown name, a wish for no images, an unusable size, or a download that failed.
    """
    if name not in WELL_KNOWN:
        raise DataError(f"set {name!r} is not known; {did_you_mean(name, WELL_KNOWN, len(WELL_KNOWN))}")
    if per_class is not None and per_class < 1:
        raise DataError(f"--per-class {per_class} asks for nothing; give 1 or more")
    check_size(size_px)
    if name == "digits":
        data = digits()
        if per_class is not None:
            data = data.subset(draw_per_class(data.labels, np.arange(len(data)), per_class, seed))
        return data if size_px is None else working_size(data, size_px, data.channels, resize)
    known = TORCHVISION_SETS[name]
    root = Path(cache) if cache is not None else cache_folder()
    parts = [_open(name, known, arguments, root) for arguments, _ in known.parts]
    labels_of = [_labels(part) for part in parts]
    labels = np.concatenate(labels_of)
    marks = np.repeat([which for _, which in known.parts], [len(each) for each in labels_of])
    rows = np.arange(len(labels))
    if per_class is not None:
        drawn = draw_per_class(labels, np.flatnonzero(marks == TRAIN), per_class, seed)
        rows = np.concatenate([drawn, np.flatnonzero(marks == TEST)])
    images = _images(name, known, parts, rows, size_px, resize)
    dense, numbers = numbered_classes(labels)
    return LabelledImages(
        images,
        dense[rows],
        _class_names(known, parts[0], numbers),
        split=marks[rows].astype(np.int64) if TEST in marks else None,
    )


def cache_folder() -> Path:
    """Where downloads are kept for this user."""
    from platformdirs import user_cache_path

    return user_cache_path("augmentgan", appauthor=False) / "torchvision"


def _open(name: str, known: WellKnownSet, arguments: dict[str, Any], root: Path) -> Any:
    from torchvision import datasets

    try:
        root.mkdir(parents=True, exist_ok=True)
        with _no_endless_wait():
            return getattr(datasets, known.source)(root=str(root), download=True, **arguments)
    except Exception as error:  # each set has its own way to fail: URLError, HTTPError, RuntimeError, a missing package
        reason = one_line(error)
        raise DataError(
            f"set {name!r} could not be downloaded ({reason}); check the network, or put torchvision's copy into {str(root)!r}"
        ) from error


@contextmanager
def _no_endless_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _labels(part: Any) -> NDArray[np.int64]:
    """The labels of a part; where they are not kept apart, every image has to be read for its own."""
    for attribute in ("targets", "labels", "_labels"):
        if hasattr(part, attribute):
            return np.array([int(label) for label in getattr(part, attribute)], dtype=np.int64)
    return np.array([int(part[row][1]) for row in range(len(part))], dtype=np.int64)


def _images(
    name: str, known: WellKnownSet, parts: list[Any], rows: NDArray[np.int64], size_px: int | None, resize: Resize
) -> NDArray[np.uint8]:
    starts = np.cumsum([0, *(len(part) for part in parts)])

    def read(row: int) -> Image.Image:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        image: Image.Image = parts[number][row - int(starts[number])][0]
        return image.transpose(Image.Transpose.TRANSPOSE) if known.turned else image

    first = read(int(rows[0]))
    side = size_px or (LARGEST_AUTOMATIC_SIZE if known.photos else min(first.size))
    channels = 1 if first.mode in GREY_MODES else 3
    images = np.empty((len(rows), side, side, channels), dtype=np.uint8)
    with image_warnings_suppressed():
        for at, row in enumerate(rows.tolist()):
            images[at] = to_square(read(row), Path(name) / str(row), side, channels, resize)
    return images


def _class_names(known: WellKnownSet, part: Any, numbers: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes that occur, fit to be folder names."""
    given = known.class_names or getattr(part, "classes", None)
    if given is None:
        return numbers
    names = [name if isinstance(name, str) else name[0] for name in given]  # some sets give several names a class
    return tuple(names[int(number)].replace("/", "-") for number in numbers)
