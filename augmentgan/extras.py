"""Optional libraries: what to say where one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from augmentgan.errors import ExtraError


def require_extra(extra: str, modules: Sequence[str], purpose: str) -> None:
    """Check that the libraries of an extra are installed, without loading them.

    Raises:
        ExtraError: one is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ExtraError(f"{purpose} needs {', '.join(missing)}; pip install 'augmentgan[{extra}]' brings it")
