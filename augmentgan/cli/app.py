"""The command line: which commands there are, and what becomes of mistakes and interruptions."""

from __future__ import annotations

import difflib
import io
import signal
import sys
from itertools import pairwise
from typing import Annotated, NoReturn

import typer

from augmentgan import __version__
from augmentgan.cli.benchmark import benchmark
from augmentgan.cli.data import data
from augmentgan.cli.demo import demo
from augmentgan.cli.evaluate import evaluate
from augmentgan.cli.examples import EXAMPLES, FIRST_STEPS, epilog
from augmentgan.cli.export import export
from augmentgan.cli.fit import fit
from augmentgan.cli.generate import generate
from augmentgan.cli.inspect import inspect
from augmentgan.cli.options import first_process
from augmentgan.cli.recipes import recipes
from augmentgan.cli.report import report
from augmentgan.cli.verbose import with_verbose
from augmentgan.errors import AugmentGANError, TrainingError, is_out_of_memory, one_line, printable

app = typer.Typer(
    name="augmentgan",
    help="Grow a small labelled image set with a conditional DCGAN, and measure honestly whether it helps.",
    epilog=epilog(FIRST_STEPS),
    no_args_is_help=True,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (fit, generate, benchmark, inspect, evaluate, report, export, demo, data, recipes):
    app.command(epilog=epilog(EXAMPLES[_command.__name__]))(with_verbose(_command))

INTERRUPTED = 130
CONTINUED = ("fit", "generate", "benchmark", "demo")
"""Commands that go on where they were interrupted; the result of each other one appears at its end, or not at all."""


def main() -> NoReturn:
    """Run the command line; a user's mistake becomes one line on stderr and exit status 1."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):  # a class name that the terminal's encoding lacks must not cost a result
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # not standalone: click would turn Ctrl-C into a silent exit, and which status depends on its version
        status = app(args=with_bare_fill(sys.argv[1:]), standalone_mode=False)
        if status == INTERRUPTED:  # newer versions of typer turn Ctrl-C into a status themselves
            raise KeyboardInterrupt
    except AugmentGANError as error:
        # processes under torchrun make the same mistake, and one says so; what happens in one alone it says itself
        if first_process() or isinstance(error, TrainingError):
            typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        command = sys.argv[1] if len(sys.argv) > 1 else ""
        anew = "--overwrite" in sys.argv and command != "generate"  # whose samples wait beside what they replace
        again = f"what was finished is kept, and the same command{' without --overwrite' if anew else ''} continues"
        typer.echo(f"interrupted; {again if command in CONTINUED else 'no result was written'}", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): nobody is left to tell
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that vanished: the world's doing, wherever we met it
        place = f" {error.filename!r}" if error.filename else ""
        typer.echo(printable(f"error: {error.strerror or error}{place}; check the disk and the permissions"), err=True)
        sys.exit(1)
    except Exception as error:
        if is_out_of_memory(error):
            detail = one_line(error) if str(error) else ""
            hint = "ask for fewer or smaller images, another --device, or in a benchmark for --processes 1"
            typer.echo(printable(f"error: out of memory{f' ({detail})' if detail else ''}; {hint}"), err=True)
            sys.exit(1)
        show = getattr(error, "show", None)  # click's usage errors, whose class moved between typer's versions
        if show is None or not isinstance(getattr(error, "exit_code", None), int):
            raise
        _suggest(error)
        if first_process():
            show()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(status if isinstance(status, int) else 0)


def with_bare_fill(words: list[str]) -> list[str]:
    """The words with `--fill` alone spelled out as `--fill max`: typer has no option whose value may be left out."""
    return [
        word
        for each, following in pairwise([*words, "-"])
        for word in ((each, "max") if each == "--fill" and _is_option(following) else (each,))
    ]


def _is_option(word: str) -> bool:
    """Whether a word is an option or ends them; a class may be called -1, as in `--fill -1=50`."""
    return word.startswith("-") and ("=" not in word or word.startswith("--"))


def _interrupt(number: int, frame: object) -> NoReturn:
    """SIGTERM is an interruption like Ctrl-C."""
    raise KeyboardInterrupt


def _suggest(error: Exception) -> None:
    """For a mistyped option, the one that was meant instead of all that look like it."""
    wrong, known = getattr(error, "option_name", None), getattr(error, "possibilities", None)
    close = difflib.get_close_matches(wrong, known, n=1) if isinstance(wrong, str) and known else []
    if close:
        error.message = f"No such option {wrong}; did you mean {close[0]}?"  # type: ignore[attr-defined]
        error.possibilities = None  # type: ignore[attr-defined]


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
