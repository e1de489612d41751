"""Lines that fit the terminal, and those that several commands say."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence

_WIDE = 200


def hanging(line: str, indent: int) -> str:
    """`line` broken at the terminal's width, the rest under column `indent`; pipes get long lines, which scripts prefer."""
    columns = shutil.get_terminal_size(fallback=(_WIDE, 24)).columns
    return textwrap.fill(
        line,
        width=max(40, columns),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def scarce_note(scarce: Mapping[str, int]) -> str | None:
    """What is to be said of classes with very few training images."""
    if not scarce:
        return None
    return f"{named(scarce)}: samples of so few images hold little that is new; benchmark says what they are worth"


def named(counts: Mapping[str, int]) -> str:
    """Classes with their counts, the first of them."""
    return first_of([f"{name} ({n})" for name, n in counts.items()])


def numbers_renamed(class_names: Sequence[str]) -> str | None:
    """A line where classes are called by whole numbers that are not their labels, for whoever joins samples with labels of their own."""
    wrong = [label for label, name in enumerate(class_names) if name != str(label)]
    if not wrong or not all(re.fullmatch(r"-?\d+", name) for name in class_names):
        return None
    first = wrong[0]
    return f"labels are not the classes' own numbers: label {first} is class {class_names[first]!r}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names, and how many there are besides."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
