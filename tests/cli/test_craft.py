"""The command line as a newcomer meets it: help with examples, suggestions, completion, plain output where it belongs."""

import contextlib
import dataclasses
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import typer.testing
from tests_support import write_tree

from augmentgan.cli.app import app, main
from augmentgan.cli.display import ProtocolDisplay, TrainingDisplay, moves, progress
from augmentgan.cli.examples import EXAMPLES, FIRST_STEPS
from augmentgan.cli.units import duration, file_size
from augmentgan.data import load, well_known
from augmentgan.evaluate.protocol import Progress
from augmentgan.gan.training import Status
from augmentgan.recipe import DataFacts, Recipe

COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands)
RECIPE = Recipe().with_settings(["training.updates=100"]).resolve(DataFacts(8, 1, 200, 10, 1.0))
STATUS = Status(10, 640, 1.0, 640.0, 1.0, 0.5, 0.1, 0.6, 0.4)
ESCAPE = "\x1b"


def invoke(*words, columns=80):
    return typer.testing.CliRunner().invoke(app, list(words), env={"COLUMNS": str(columns), "TERMINAL_WIDTH": ""})


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """What a command line gives in a folder that holds the run runs/photos: exit status, stdout, stderr."""
    (tmp_path / "runs" / "photos").mkdir(parents=True)
    (tmp_path / "runs" / "photos" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["augmentgan", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse_and_fits_the_terminal(command, columns):
    text = invoke(command, "--help", columns=columns).stdout
    assert "Examples:" in text
    for line, purpose in EXAMPLES[command]:
        assert f"  {line}\n" in text
        assert purpose in text
        words = shlex.split(line.partition(" > ")[0])
        assert words[:2] == ["augmentgan", command]
        assert invoke(*words[1:], "--help").exit_code == 0
    assert max(map(len, text.splitlines())) <= columns
    assert "--verbose" in text
    assert "-h, --help" in text


def test_the_first_screen_says_what_to_do_first():
    text = invoke("--help").stdout
    for line, _ in FIRST_STEPS:
        assert f"  {line}\n" in text
    assert not re.search(r"^  \w+ .*\.\.\.$", text, re.MULTILINE), "a command's line is cut off"
    assert max(map(len, text.splitlines())) <= 80


def test_fit_writes_a_tensorboard_log_when_asked(typed, digits, tmp_path):
    write_tree(tmp_path / "data", digits, classes=2, per_class=6)
    small = [
        "training.updates=4",
        "training.status_updates=2",
        "model.generator_width=4",
        "model.discriminator_width=4",
    ]
    words = [word for setting in small for word in ("--set", setting)]
    status, out, _ = typed("fit", "data", "--tensorboard", "--quiet", *words)
    assert status == 0
    assert re.search(r"run runs/data: finished after 4 updates \(\d+\.\d s of learning\)", out)
    assert list(tmp_path.glob("runs/data/tensorboard/events.out.tfevents.*"))


def test_export_tells_what_it_wrote_and_what_is_missing(typed, trained):
    words = ["export", "--run", str(trained.folder), "--format", "safetensors"]
    status, out, _ = typed(*words, "--out", "told", "--json")
    assert (status, json.loads(out)["format"]) == (0, "safetensors")
    status, out, _ = typed(*words, "--out", "told again")
    assert status == 0
    assert "state a licence" in out
    status, _, err = typed(*words, "--out", "unnamed", "--license", "")
    assert status == 1
    assert "licen" in err
    for wrong in (["--format", "zip"], ["--pixels", "float16"]):
        status, out, err = typed("export", *wrong)
        assert (status, out) == (1, "")
        assert err.startswith(f"error: {wrong[0]} '{wrong[1]}' is not known; use ")
    for idle, use in ((["--license", "mit"], "safetensors"), ([*words[3:], "--pixels", "float"], "onnx")):
        status, out, err = typed("export", *idle)
        assert (status, out) == (1, "")
        assert f"use --format {use}, or leave it out" in err


def test_a_well_known_set_takes_no_place_of_pictures(typed, tmp_path, monkeypatch):
    """Which is told before gigabytes are fetched."""
    monkeypatch.setattr(well_known, "fetch", None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_bytes(b"")
    status, _, err = typed("data", "food101", "photos", "--overwrite")
    assert status == 1
    assert "holds no set of ours, so --overwrite leaves it alone" in err


def test_mistakes_are_told_before_images_are_read(typed, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "load_for", None)
    (tmp_path / "data").mkdir()
    for words, said in (
        (["--train-per-class", "few"], "is not a list of numbers"),
        (["--arms", ","], "names nothing"),
        (["--out", "data/results"], "inside of the data folder"),
    ):
        status, _, err = typed("benchmark", "data", *words)
        assert status == 1
        assert said in err


def test_json_is_offered_wherever_something_is_told():
    for command in COMMANDS:
        assert "--json" in invoke(command, "--help").stdout, command


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["generate", "--per-clas", "5"], "did you mean --per-class?"),
        (["fit", "data", "--recpie", "digits"], "did you mean --recipe?"),
        (["generat"], "Did you mean 'generate'?"),
        (["recipes", "digts"], "did you mean 'digits'?"),
        (["report", "--run", "photos"], "did you mean 'runs/photos'?"),
        (["report", "--run", "runs/photo"], "did you mean 'runs/photos'?"),
        (["fit", "data", "--seed", "-1"], "-1 is out of range"),
    ],
)
def test_what_was_meant_is_suggested(typed, words, meant):
    status, out, err = typed(*words)
    assert status in (1, 2)
    assert meant in err
    assert not out
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="links are a privilege there")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "loop"], "data 'loop' does not exist"),
        (["benchmark", "loop/deeper"], "data 'loop/deeper' does not exist"),
        (["fit", "photos", "--out", "loop"], "'loop'"),
    ],
)
def test_links_that_form_a_loop(typed, digits, words, said):
    os.symlink("loop", "loop")
    write_tree(Path("photos"), digits, classes=2, per_class=4)
    status, out, err = typed(*words)
    assert (status, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has a total capacity of"),
    ],
)
@pytest.mark.parametrize("verbose", [False, True])
def test_out_of_memory_is_one_line_of_any_command(typed, monkeypatch, error, verbose):
    def fails(run, device):
        raise error

    monkeypatch.setattr("augmentgan.cli.generate.open_run", fails)
    status, out, said = typed("generate", *["--verbose"] * verbose)
    assert (status, out) == (1, "")
    assert said.splitlines()[-1].startswith("error: out of memory")
    assert "; ask for fewer or smaller images" in said.splitlines()[-1]
    assert ("Traceback" in said) == verbose


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_promises_what_is_true(typed, monkeypatch, command):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr("augmentgan.cli.app.app", interrupted)
    status, out, said = typed(command, "photos")
    assert (status, out) == (130, "")
    if command in ("fit", "generate", "benchmark", "demo"):
        assert said == "interrupted; what was finished is kept, and the same command continues\n"
    else:
        assert said == "interrupted; no result was written\n"
    anew = typed(command, "photos", "--overwrite")[2]
    assert ("same command without --overwrite continues" in anew) == (command in ("fit", "benchmark", "demo"))


def test_a_mistake_of_ours_is_no_lack_of_memory(typed, monkeypatch):
    def fails(run, device):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("augmentgan.cli.generate.open_run", fails)
    monkeypatch.setattr(sys, "argv", ["augmentgan", "generate"])
    with pytest.raises(RuntimeError, match="mat1"):
        main()


def test_verbose_shows_where_an_error_came_from(typed):
    status, _, err = typed("fit", "nowhere", "-v")
    assert status == 1
    assert "Traceback" in err
    assert "torch" in err
    assert re.search(r"took \d+\.\d s", err)
    assert err.splitlines()[-1].startswith("error: data 'nowhere'")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("augmentgan gen", "generate"),
        ("augmentgan fit --rec", "--recipe"),
        ("augmentgan fit --recipe sc", "scarce-20"),
        ("augmentgan recipes ph", "photos-64"),
        ("augmentgan fit --set training.up", "training.updates="),
        ("augmentgan generate --run runs/p", "runs/photos"),
        ("augmentgan fit --device c", "cpu"),
    ],
)
@pytest.mark.usefixtures("typed")
def test_the_shell_completes(line, offered):
    asked = {"_AUGMENTGAN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = typer.testing.CliRunner().invoke(app, [], prog_name="augmentgan", env=asked)
    assert offered in done.stdout.split()


@pytest.mark.parametrize("environment", [{}, {"RANK": "1"}, {"RANK": "1", "SLURM_PROCID": "1"}])
def test_an_error_is_said_also_where_a_scheduler_numbers_processes(typed, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    status, _, err = typed("inspect", "nowhere")
    assert status == 1
    assert "nowhere" in err


def test_recipes_wrap_in_a_narrow_terminal_and_not_in_a_wide_one():
    narrow, wide = (invoke("recipes", columns=columns).stdout.splitlines() for columns in (60, 200))
    assert max(map(len, narrow)) <= 60 < max(map(len, wide))
    assert len(narrow) > len(wide)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix matter")
@pytest.mark.parametrize(
    ("environment", "moving", "coloured"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"CI": "true"}, False, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_colour_and_motion_only_where_somebody_watches(monkeypatch, environment, moving, coloured):
    import pty

    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress(3, "images", quiet=False) as advance:
            advance(3)
        with TrainingDisplay(RECIPE, quiet=False) as display:
            display.show(STATUS)
        with ProtocolDisplay(quiet=False) as protocol:
            protocol.show(Progress({"20-r0": None}, 0, 9))
        monkeypatch.undo()
    seen = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while part := os.read(ours, 4096):
            seen += part
    os.close(ours)
    text = seen.decode()
    assert "D(G(z))" in text
    assert (ESCAPE in text) == moving
    assert bool(re.search(ESCAPE + r"\[[\d;]*3[0-9]", text)) == coloured


@pytest.mark.parametrize(
    ("weight", "updates", "div_worst", "said"),
    [
        (10, 25, 0.49, "class 7 collapses: div 0.49, try --resume --updates 150\n"),
        (3, 25, 0.49, "class 7 collapses: div 0.49, try --set coverage.weight=10\n"),
        (10, 25, 0.5, None),
        (10, 24, 0.49, None),
    ],
)
def test_a_collapse_is_named_with_what_to_try_once_it_had_time_to_learn(capsys, weight, updates, div_worst, said):
    recipe = RECIPE.with_settings([f"coverage.weight={weight}"])
    with TrainingDisplay(recipe, quiet=False) as display:
        display.show(
            dataclasses.replace(STATUS, updates=updates, div=0.9, near=0.9, div_worst=div_worst, div_worst_class="7")
        )
    line = capsys.readouterr().err
    assert said in line if said else "collapses" not in line


def test_a_benchmark_names_what_is_at_work_as_far_as_there_is_room():
    display = ProtocolDisplay(quiet=True)
    display.show(Progress({"20-r0": None}, 0, 9))
    assert display._progress.tasks[0].description == "20-r0: classifiers"
    display.show(Progress({f"20-r{number}": None for number in range(5)}, 2, 9))
    assert display._progress.tasks[0].description == (
        "20-r0: classifiers; 20-r1: classifiers; 20-r2: classifiers; and 2 more"
    )


def test_a_pipe_never_moves(monkeypatch):
    from rich.console import Console

    monkeypatch.setenv("FORCE_COLOR", "1")
    with open(os.devnull, "w") as file:
        assert not moves(Console(file=file))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1200, "1.2 kB"),
        (34_400_000, "34 MB"),
        (999_600, "1.0 MB"),
        (5 * 10**12, "5000 GB"),
    ],
)
def test_sizes(n_bytes, said):
    assert file_size(n_bytes) == said
