"""Lines that fit the terminal."""

from __future__ import annotations

import shutil
import textwrap

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
