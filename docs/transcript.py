"""Writes docs/transcript.md by really running the commands, on digits: `python docs/transcript.py` (a minute or two).

Times differ from machine to machine, so a test compares only the commands and that the page belongs to this script.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
QUICK = "--set training.updates=200 --set benchmark.steps=100"

STEPS: tuple[tuple[str, str], ...] = (
    ("An image folder to play with: twenty digits a class, one folder a class.", "data digits photos/ --per-class 20"),
    ("What is in it, and what would fit do?", "inspect photos/"),
    (
        "Learn. Much shortened, and so is the benchmark's budget: this is about what is said, not about what comes out.",
        f"fit photos/ {QUICK}",
    ),
    ("A thousand new images of every class.", "generate --per-class 1000"),
    ("Are they worth anything to a classifier?", "benchmark --repeats 3"),
    ("Are they any good, and are they copies?", "evaluate"),
    ("One page to look at and to pass on.", "report"),
    ("A word mistyped.", "generate --per-clas 10"),
    ("An output that is there already.", "generate --per-class 10"),
)


def transcript() -> str:
    """The page."""
    lines = [
        "# A terminal transcript",
        "",
        "What a newcomer sees, from a folder to a verdict. This page is written by `python docs/transcript.py`, which runs every",
        "command shown. Training and benchmark are far too short for good samples or a verdict to believe: the point is what the commands say.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"}
        for words, command in STEPS:
            print(f"augmentgan {command}", file=sys.stderr)
            # stdout and stderr in the order in which they come, as in a terminal
            done = subprocess.run(
                # the script's name and not `-m augmentgan`: usage lines then say what people type
                [sys.executable, "-c", _PROGRAM, *shlex.split(command)],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            said = [line.rstrip() for line in done.stdout.replace(folder, "~").rstrip().splitlines()]
            lines += [words, "", "```console", f"$ augmentgan {command}", *said, "```", ""]
    return "\n".join(lines)


_PROGRAM = """\
import sys
sys.argv[0] = "augmentgan"
from augmentgan.cli.app import main
main()
"""

if __name__ == "__main__":
    (HERE / "transcript.md").write_text(transcript(), encoding="utf-8")
