"""The tables of a benchmark in a terminal."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console
from tests_support import made_up_report

from augmentgan.cli.display import arms_table, progress, recall_table
from augmentgan.evaluate.arms import IMBALANCED_ARMS


def lines_of(table, width=100):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def test_samples_of_uneven_sets_are_shown_over_the_same_arm_without_them():
    report = made_up_report(IMBALANCED_ARMS, imbalanced=True)
    lines = lines_of(arms_table(report, 20, wide=False))
    (filled,) = (line for line in lines if line.startswith(" real+fill "))
    own = IMBALANCED_ARMS.index("real+fill") - IMBALANCED_ARMS.index("real+oversampling")
    assert f"{own:+.1f} [-20.0 +20.0]" in filled
    (drawn,) = (line for line in lines if line.startswith(" real+oversampling "))
    assert drawn.count("[") == 1  # over real; it has no samples to be without


def test_a_class_without_test_images_has_no_recall():
    report = made_up_report(("real", "real+synthetic"), n_classes=4)
    for row in report.runs:
        row.recall_per_class[1] = None
        row.recall_per_class[2] = 0.9 if row.arm == "real" else 0.2
    rows = [line.split() for line in lines_of(recall_table(report))]
    assert ["class", "1", "-", "-", "-"] in rows
    assert ["class", "2", "90.0", "20.0", "-70.0"] in rows
    shown = [row[1] for row in map(str.split, lines_of(recall_table(report, most=3))) if row[:1] == ["class"]][1:]
    assert shown == ["0", "2", "3"]  # it takes the place of none that has


def test_progress_in_a_pipe_ends_with_all(monkeypatch, capsys):
    clock = iter([0, 1, 12, 12, 13, 13])
    monkeypatch.setattr("augmentgan.cli.display.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress(3, "images", quiet=False) as advance:
        for done in (1, 2, 3):
            advance(done)
    assert capsys.readouterr().err.splitlines() == ["2/3 images", "3/3 images"]


PRINTED = """
from augmentgan.cli.display import ProgressConsole
import sys
console = ProgressConsole()
for number in range(1000):
    console.print(number)
print("more", file=sys.stderr)
print("done")
"""
COUNTED = """
from augmentgan.cli import display
import itertools, types
display.time = types.SimpleNamespace(monotonic=itertools.count(0, 11).__next__)
with display.progress(1000, "images", quiet=False) as advance:
    for number in range(1000):
        advance(number)
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="its pipes break otherwise")
@pytest.mark.parametrize("code", [PRINTED, COUNTED], ids=["console", "progress"])
def test_work_goes_on_where_nobody_reads_of_it(code):
    """As in `augmentgan fit ... 2>&1 | head -5`."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stderr.close()
        assert child.stdout.read() == b"done\n"
        assert child.wait() == 0
