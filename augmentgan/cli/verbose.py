"""`--verbose`, which every command has: versions, time and memory, and where an error came from."""

from __future__ import annotations

import functools
import inspect
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, get_type_hints

import typer

from augmentgan import __version__
from augmentgan.cli.options import notice
from augmentgan.cli.units import duration, file_size
from augmentgan.errors import AugmentGANError, is_out_of_memory

_TOLD = ("torch", "numpy", "h5py", "pillow")

VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also print versions, time and memory, and where an error came from.")
]


def with_verbose(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one more option, `--verbose`."""

    @functools.wraps(command)
    def run(*words: Any, verbose: bool = False, **options: Any) -> None:
        if not verbose:
            return command(*words, **options)
        notice(", ".join([f"augmentgan {__version__}", f"Python {platform.python_version()}", *map(_installed, _TOLD)]))
        started = time.monotonic()
        try:
            command(*words, **options)
        except Exception as error:
            if isinstance(error, AugmentGANError | OSError) or is_out_of_memory(error):
                traceback.print_exc()
            raise
        finally:
            notice(f"took {duration(time.monotonic() - started)}{_peak_memory()}")

    # resolved here: typer would look the names of the command's annotations up in this module
    hints = get_type_hints(command, include_extras=True)
    options = [each.replace(annotation=hints[each.name]) for each in inspect.signature(command).parameters.values()]
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=VerboseOption)
    run.__signature__ = inspect.Signature([*options, option])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, "verbose": VerboseOption}
    return run


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def _peak_memory() -> str:
    if sys.platform == "win32":
        return ""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f", at most {file_size(peak * (1 if sys.platform == 'darwin' else 1024))} of memory"
