"""Writing an image folder: `CLASS/000000.png` and a `metadata.jsonl` with a row of provenance an image."""

from __future__ import annotations

import contextlib
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.columns import SAMPLE_INDEX
from augmentgan.data.decode import to_image
from augmentgan.errors import OutputError
from augmentgan.files import atomic_folder, check_replaceable, has_key, read_json, refuse_existing

ATTRIBUTES_FILE, METADATA_FILE = "augmentgan.json", "metadata.jsonl"
_MODEL = "model_fingerprint"  # a synthetic set names its model

_THREADS = 2
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}


def refuse_folder(path: Path, *, overwrite: bool, synthetic: bool, hint: str | None = None) -> None:
    """Refuse a place where no set may be written, without touching it; a synthetic one never takes the place of real images.

    Raises:
        OutputError: the folder exists and `overwrite` is false, or it holds something that is no such set.
    """

    def is_ours(folder: Path) -> bool:
        attributes = folder / ATTRIBUTES_FILE
        return has_key(attributes, _MODEL) if synthetic else attributes.is_file()

    refuse_existing(path, overwrite=True)  # what is no place for a folder, whatever may be replaced
    known = {ATTRIBUTES_FILE, METADATA_FILE, "train", "test", *listed_classes(path)}
    check_replaceable(path, is_ours, "holds no synthetic set" if synthetic else "holds no set of ours", known)
    refuse_existing(path, overwrite=overwrite, hint=hint)


def check_folder(
    path: Path,
    class_names: Sequence[str],
    attributes: Mapping[str, str | int | float],
    *,
    overwrite: bool,
    labels: Iterable[int] | None = None,
) -> None:
    """Refuse what `FolderWriter` would refuse, with its arguments.

    Raises:
        OutputError: as it would.
    """
    refuse_folder(path, overwrite=overwrite, synthetic=_MODEL in attributes)
    _check_names(class_names if labels is None else [class_names[label] for label in labels])


class FolderWriter:
    """Streams images into a folder that appears whole when the block ends, or not at all.

    torchvision's `ImageFolder` and Hugging Face `datasets` ("imagefolder") read the result.

    Args:
        path: the folder.
        class_names: in label order.
        attributes: of the whole set.
        overwrite: whether an earlier set there may be replaced: a synthetic one where `attributes` name a model, else any that was written
            here; a folder of anything else never is.
        scratch: where the folder is prepared; beside `path` where left out.
        labels: of the classes that will have images; all where left out.

    Raises:
        OutputError: the folder exists, cannot be written, or the name of a class with images cannot be a folder's name.
    """

    def __init__(
        self,
        path: Path,
        *,
        class_names: Sequence[str],
        attributes: Mapping[str, str | int | float],
        overwrite: bool = False,
        scratch: Path | None = None,
        labels: Iterable[int] | None = None,
    ) -> None:
        check_folder(path, class_names, attributes, overwrite=overwrite, labels=labels)
        self._path, self._class_names = path, tuple(class_names)
        self._attributes, self._overwrite, self._scratch = attributes, overwrite, scratch
        self._next: Counter[int] = Counter()
        self._writing: list[Future[None]] = []

    def __enter__(self) -> FolderWriter:
        with contextlib.ExitStack() as stack:
            folder = atomic_folder(self._path, overwrite=self._overwrite, scratch=self._scratch)
            self._part = stack.enter_context(folder)
            self._metadata = stack.enter_context((self._part / METADATA_FILE).open("w", encoding="utf-8"))
            write_attributes(self._part, self._class_names, self._attributes)
            self._pool = stack.enter_context(ThreadPoolExecutor(_THREADS))
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def append(self, images: NDArray[np.uint8], labels: NDArray[np.int64], **columns: NDArray[Any]) -> None:
        """Add images; `columns` go into `metadata.jsonl`."""
        names, files = [], []
        for row, label in enumerate(labels.tolist()):
            name = self._class_names[label]
            if not self._next[label]:
                (self._part / name).mkdir(exist_ok=True)
            # numbers go up, so that two sets in one, with indices of their own, do not write over each other
            number = max(int(columns[SAMPLE_INDEX][row]) if SAMPLE_INDEX in columns else 0, self._next[label])
            self._next[label] = number + 1
            names.append(name)
            files.append(Path(name) / f"{number:06d}.png")
        records = [
            {
                "file_name": file.as_posix(),
                "label": name,
                **{key: _number(values[row]) for key, values in columns.items()},
            }
            for row, (file, name) in enumerate(zip(files, names, strict=True))
        ]
        self._metadata.write("".join(json.dumps(record) + "\n" for record in records))
        # encoding and the disk work while the caller makes the next images, but never more than one batch behind
        self._wait()
        self._writing = [
            self._pool.submit(_save, part, [self._part / file for file in files[k::_THREADS]])
            for k, part in enumerate(images[k::_THREADS] for k in range(_THREADS))
        ]

    def _wait(self) -> None:
        for each in self._writing:
            each.result()

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def write_attributes(folder: Path, class_names: Sequence[str], attributes: Mapping[str, str | int | float]) -> None:
    """Write what is said of the whole set; class names too, for a class without an image leaves no other trace."""
    text = json.dumps({**attributes, "class_names": list(class_names)}, indent=2)
    (folder / ATTRIBUTES_FILE).write_text(text + "\n", encoding="utf-8")


def listed_classes(folder: Path) -> tuple[str, ...]:
    """The class names that `write_attributes` wrote there, in label order; none where there is no such list."""
    try:
        document = read_json(folder / ATTRIBUTES_FILE)
    except (OSError, ValueError):
        return ()
    names = document.get("class_names") if isinstance(document, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        return ()
    return tuple(names)


def _save(images: NDArray[np.uint8], files: Sequence[Path]) -> None:
    for image, file in zip(images, files, strict=True):
        to_image(image).save(file, compress_level=1)


def _number(value: Any) -> Any:
    if np.ndim(value):
        return [_number(each) for each in value]
    plain: int | float = value.item()
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _check_names(class_names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in class_names:
        unsafe = (
            not name.strip(". ")
            or name.startswith(".")
            or any(character in '/\\:*?"<>|' or ord(character) < 32 for character in name)
            or name.split(".")[0].lower() in _RESERVED
            or name.lower() in (ATTRIBUTES_FILE, METADATA_FILE)
            or len(name.encode()) > 200
        )
        if unsafe:
            raise OutputError(
                f"class name {name!r} cannot be a folder's name on every system; write HDF5 (--format hdf5) or rename it"
            )
        # as the least discerning file systems see it: no case, one form of an accented letter, no dots or spaces behind
        same = unicodedata.normalize("NFC", name.rstrip(". ")).casefold()
        if same in seen:
            raise OutputError(
                f"class names {seen[same]!r} and {name!r} differ in case only, or hardly; write HDF5 (--format hdf5)"
            )
        seen[same] = name
