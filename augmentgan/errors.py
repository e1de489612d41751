"""Errors a user can meet; everything else that escapes is a bug of ours.

    AugmentGANError
    |-- RecipeError     a recipe key or value that cannot be used
    |-- DataError       images or labels that cannot be used
    |-- RunError        a run folder that is missing, incomplete or made from something else
    |-- OutputError     an output that exists already or cannot be written
    |-- ExtraError      an optional library that is not installed
    `-- TrainingError   training that went wrong and was stopped

Each message is one line: the thing, the value that was found, and what to do about it.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

_LONGEST_CAUSE = 120
"""Letters of another library's words."""
_SHORTAGES = {errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def printable(text: str) -> str:
    """The text on one line of a terminal: control characters, and those that turn the writing round, are spelled out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def writable(text: str) -> str:
    """The text as any file can hold it: bytes of a file's name that are no UTF-8 are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(said: object) -> str:
    """What another library says, mostly an error, fit for a message of ours; its class where it says nothing."""
    return " ".join(str(said).split())[:_LONGEST_CAUSE] or type(said).__name__


def did_you_mean(word: str, known: Iterable[str], most: int = 10) -> str:
    """For a name that is not known: the one that it looks like, or what there is."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known[:most])}{more}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was no memory left, on whichever device; torch has no one class for that."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    # CUDA's own words, those of torch's allocator, and what oneDNN says when it gets none
    words = "out of memory" in text or ("alloc" in text and "memory" in text) or text.startswith("could not create a ")
    return isinstance(error, RuntimeError) and words


def is_shortage(error: BaseException) -> bool:
    """Whether the system is out of a resource (memory, file handles), which is not the fault of the file being read.

    A `MemoryError` is not one of these: a file that claims to be huge can bring it about.
    """
    return isinstance(error, OSError) and error.errno in _SHORTAGES


class AugmentGANError(Exception):
    """Base of every error that augmentgan raises on purpose."""


class RecipeError(AugmentGANError):
    """A recipe has an unknown key or a value out of range."""


class DataError(AugmentGANError, ValueError):
    """The data set cannot be read or cannot be learned from; a `ValueError` too, as scikit-learn's tools expect of bad data."""


class RunError(AugmentGANError):
    """A run folder is missing, incomplete, or belongs to other data or another recipe."""


class OutputError(AugmentGANError):
    """An output exists already or cannot be written."""


class ExtraError(AugmentGANError):
    """An optional library is not installed."""


class TrainingError(AugmentGANError):
    """Training went wrong (for example a loss that is not a number) and was stopped."""
