"""Tables of image files and labels: a CSV of `path,label`, and Hugging Face's "imagefolder" with its metadata file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from augmentgan.data.file_list import (
    IMAGE_SUFFIXES,
    SPLIT_WORDS,
    FileList,
    marks,
    parts_in_paths,
    refuse_leaving,
    validation_notices,
)
from augmentgan.data.folder import split_folders
from augmentgan.data.folder_writer import listed_classes
from augmentgan.data.images import TRAIN
from augmentgan.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
MAX_TABLE_BYTES = 256 * 2**20

_METADATA = ("metadata.jsonl", "metadata.csv")
_FILE_COLUMNS = ("file_name", "path")
_HEADER_BYTES = 2**20
_DIGITS = 18


@dataclass(frozen=True)
class _Row:
    """One image of a table; `part` (a word of `SPLIT_WORDS`) and `group` are None where the table has no such column."""

    file: Path
    label: str
    part: str | None
    group: str | None


def scan_table(path: Path) -> FileList:
    """The files that a table names; nothing is opened but the table.

    Columns: `path` (or `file_name`), relative to the table, and `label`; optional `split` (train, val or test) and `group`.

    Raises:
        DataError: not such a table, a row that cannot be used, or a file outside the table's folder.
    """
    rows = _read(path)
    return _file_list(path.parent, rows, _parts_of(path.parent, rows))


def metadata_files(root: Path) -> dict[Path, str | None]:
    """The labelled metadata files of a Hugging Face "imagefolder": the root's, or one in each of its train/ and test/.

    Returns:
        The part that each file's rows belong to, a word of `SPLIT_WORDS`, None for the root's; empty where there are none, or none with labels.

    Raises:
        DataError: a metadata file that cannot be opened, or whose first line names both columns and that cannot be read.
    """
    at_root = _labelled_metadata(root)
    if at_root is not None:
        return {at_root: None}
    found = {
        file: name for name, folder in split_folders(root).items() if (file := _labelled_metadata(folder)) is not None
    }
    return {**found} if len(found) > 1 and TRAIN in map(SPLIT_WORDS.get, found.values()) else {}


def scan_imagefolder(root: Path) -> FileList:
    """The files that the metadata of an "imagefolder" names; other images are loose.

    Raises:
        DataError: as `scan_table`.
    """
    rows: list[_Row] = []
    parts: list[str] = []
    for file, part in metadata_files(root).items():
        read = _read(file)
        rows += read
        parts += [] if part is None else [part] * len(read)
    named = {os.path.normpath(row.file) for row in rows}
    loose = tuple(file for file in _images_below(root) if os.path.normpath(file) not in named)
    return _file_list(root, rows, parts or _parts_of(root, rows), loose)


def _parts_of(root: Path, rows: list[_Row]) -> list[str]:
    """The part that each row says it belongs to, or else its path; empty where neither does."""
    named = [row.part for row in rows if row.part is not None]
    if named:
        return named
    folders = [Path(os.path.relpath(row.file, root)).parts[:-1] for row in rows]
    return parts_in_paths(folders, [row.label for row in rows])


def _file_list(root: Path, rows: list[_Row], parts: list[str], loose: tuple[Path, ...] = ()) -> FileList:
    labels = {row.label for row in rows}
    names: Sequence[str] = listed_classes(root)  # of a set that we wrote
    if not labels <= set(names):
        # whole numbers count as numbers, so that label 10 does not come before label 2
        whole = all(label.removeprefix("-").isdecimal() and len(label) <= _DIGITS for label in labels)
        names = sorted(labels, key=lambda label: (int(label) if whole else 0, label))
    numbers = {name: number for number, name in enumerate(names)}
    group = None
    if any(row.group is not None for row in rows):
        # an image without a group is a group of its own
        group = tuple(_group_number(row.group or f"\0{row.file}") for row in rows)
    return FileList(
        root,
        tuple(names),
        tuple(row.file for row in rows),
        tuple(numbers[row.label] for row in rows),
        split=marks(parts),
        group=group,
        loose=loose,
        notices=validation_notices(Counter(parts)),
    )


def _group_number(name: str) -> int:
    """A number that depends on the name alone, so that a group is the same in two tables."""
    if name.isdecimal() and len(name) <= _DIGITS:
        return int(name)
    # names of files need not be UTF-8, and JSON may hold half of a surrogate pair
    written = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(written, digest_size=8).digest(), signed=True)


def _read(path: Path) -> list[_Row]:
    folder, inside = path.parent, path.parent.resolve()
    rows: list[_Row] = []
    unmarked: list[int] = []
    for line, record in _records(path):
        where = f"table {str(path)!r}, line {line}"
        column = next((name for name in _FILE_COLUMNS if name in record), None)
        if column is None or "label" not in record:
            found = ", ".join(map(repr, record))[:80]
            raise DataError(f"{where} has no path or no label (columns: {found}); call the columns path and label")
        name, label = record[column], record["label"]
        if not isinstance(name, str) or not _is_text(name) or "\0" in name:
            raise DataError(f"{where}: {column} is {name!r:.60}; name an image file")
        if isinstance(label, bool) or not isinstance(label, str | int) or not _is_text(str(label)):
            raise DataError(f"{where}: label is {label!r:.60}; give a text or a whole number")
        label = str(label)
        # spaces around a cell are layout; what stands in JSON's quotes is meant
        if path.suffix.lower() != ".jsonl":
            name, label = name.strip(), label.strip()
        name = name.replace("\\", "/")
        if name.startswith("//"):  # on Windows even looking it up would ask another machine, and log in there
            raise DataError(
                f"{where}: {column} is {name!r:.60}, which names another machine; copy the image into the folder"
            )
        file = folder / name
        refuse_leaving(file, inside)
        rows.append(_Row(file, label, _part(record, where), _group(record)))
        if rows[-1].part is None:
            unmarked.append(line)
    if not rows:
        raise DataError(f"table {str(path)!r} names no image; give rows of path,label")
    # which part these belong to cannot be guessed, and nobody may learn from test images
    if 0 < len(unmarked) < len(rows):
        raise DataError(
            f"table {str(path)!r}, line {unmarked[0]} has no split, as other lines have; give every line one (train, val or test), or none"
        )
    # a link that leads nowhere is a file of the folder: whoever opens it will say so
    if not any(os.path.lexists(row.file) for row in rows):
        raise _nothing_there(path, [row.file for row in rows])
    return rows


def _nothing_there(path: Path, files: Sequence[Path]) -> DataError:
    """The error for a table of files none of which exists; mostly their names lack the suffix, or the folder."""
    first = files[0]
    suffixes = (suffix for each in IMAGE_SUFFIXES for suffix in (each, each.upper()))
    there = next((name for suffix in suffixes if os.path.lexists(name := f"{first}{suffix}")), None)
    hint = (
        "names count from the table's folder"
        if there is None
        else f"did you mean {os.path.basename(there)!r}? add the suffix"
    )
    n = f"{len(files)} files, none of which exists" if len(files) > 1 else "1 file, which does not exist"
    return DataError(f"table {str(path)!r} names {n} (first: {os.path.relpath(first, path.parent)!r}); {hint}")


def _is_text(value: str) -> bool:
    try:
        value.encode()  # JSON may hold half of a surrogate pair, which can be written nowhere
    except UnicodeEncodeError:
        return False
    return bool(value.strip())


def _part(record: dict[str, Any], where: str) -> str | None:
    if "split" not in record:
        return None
    word = str(record["split"]).strip().lower()
    word = {"0": "train", "1": "test"}.get(word, word)
    if word not in SPLIT_WORDS:
        raise DataError(f"{where}: split is {record['split']!r:.60}; train, val and test are known")
    return word


def _group(record: dict[str, Any]) -> str | None:
    if "group" not in record:
        return None
    return "" if record["group"] is None else str(record["group"]).strip()


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, columns) of each row that is not blank."""
    text = _text(path)
    if path.suffix.lower() == ".jsonl":
        # not splitlines: JSON may hold its exotic line ends unescaped
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"table {str(path)!r}, line {number} is not JSON; write one object a line") from error
            if not isinstance(record, dict):
                raise DataError(f"table {str(path)!r}, line {number} is {line.strip()!r:.40}; write one object a line")
            yield number, record
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        twice = [name for name in names if name and names.count(name) > 1]
        if twice:
            raise DataError(f"table {str(path)!r} has two columns {twice[0]!r}; keep one")
        reader.fieldnames = names
        for record in reader:
            if None in record or None in record.values():  # a longer and a shorter line
                n = len(reader.fieldnames or ())
                raise DataError(
                    f"table {str(path)!r}, line {reader.line_num} has not {n} columns, as the first line has; "
                    "quote what holds a comma"
                )
            yield reader.line_num, record
    except csv.Error as error:
        raise DataError(f"table {str(path)!r}, line {reader.line_num} is not CSV ({error}); write it again") from error


def _delimiter(text: str) -> str:
    """The comma, unless the first line makes sense with another (spreadsheets in much of Europe write semicolons)."""
    first = text.split("\n", 1)[0].strip("\r\ufeff").lower()
    return next((each for each in ";\t" if "label" in [word.strip('" ') for word in first.split(each)]), ",")


def _content(path: Path, n_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(n_bytes)
    except OSError as error:
        raise DataError(f"table {str(path)!r} cannot be opened ({error.strerror}); check its permissions") from error


def _text(path: Path) -> str:
    content = _content(path, MAX_TABLE_BYTES + 1)
    if len(content) > MAX_TABLE_BYTES:
        raise DataError(f"table {str(path)!r} is over {MAX_TABLE_BYTES // 2**20} MiB; keep path and label only")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"table {str(path)!r} is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from error


def _labelled_metadata(folder: Path) -> Path | None:
    for name in _METADATA:
        file = folder / name
        if file.is_file() and not file.is_symlink():
            # another program's file of that name is no concern of ours, and it may be written in whatever way
            header = _content(file, _HEADER_BYTES).lstrip().split(b"\n", 1)[0].decode(errors="replace")
            if not {"file_name", "label"} <= set(re.findall(r"\w+", header.lower())):
                return None
            first = next((record for _, record in _records(file)), {})
            return file if "label" in first and "file_name" in first else None
    return None


def _images_below(root: Path) -> Iterator[Path]:
    walk = chain.from_iterable(((Path(at) / name for name in files) for at, _, files in os.walk(root)))
    return (file for file in walk if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."))
