"""Signals and memory: what was finished is kept, the status says so, and nobody sees a traceback."""

import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import pytest

from augmentgan.cli.interruption import until_interrupted


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained.folder, tmp_path / "run")


def interrupted(number, sign, *words):
    """Start a command, wait for a sign that it is at work, and interrupt it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "augmentgan", *words, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        # a suite that was started in the background may have been told to ignore Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        deadline = time.monotonic() + 300
        while not sign() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert not out
    assert said.splitlines()[-1] == "interrupted; what was finished is kept, and the same command continues"
    assert "Traceback" not in said


def test_generate(folder, trained):
    out = folder.parent / "out.h5"
    words = ["generate", "--run", str(folder), "--per-class", "3000", "--out", str(out), "--device", "cpu"]
    kept = folder.parent / ".out.h5.partial"
    interrupted(signal.SIGTERM, lambda: len(list(kept.glob("rows-*"))) >= 2, *words)
    assert not out.exists()
    pieces = sorted(kept.glob("rows-*"))
    assert len(pieces) >= 2
    assert not list(kept.glob("*.part"))
    # the rest is left out here: the same set, continued, is compared in tests/gan/test_write_samples.py
    shorter = ["generate", "--run", str(folder), "--per-class", "3", "--out", str(out), "--device", "cpu"]
    done = subprocess.run([sys.executable, "-m", "augmentgan", *shorter], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with h5py.File(out) as file:
        assert (file["images"][:] == trained.generate(3).images).all()
    assert not kept.exists()


def test_benchmark(folder):
    words = ["benchmark", "--run", str(folder), "--repeats", "500", "--device", "cpu"]
    interrupted(signal.SIGINT, (folder / "benchmark.parts").exists, *words)
    assert (folder / "benchmark.parts").exists()
    assert not (folder / "benchmark.json").exists()


def test_a_second_interruption_does_not_wait(capsys):
    with until_interrupted() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "once more leaves at once" in capsys.readouterr().err


MEMORY = """
import resource, sys
import torch
torch.set_num_threads(1)
from augmentgan.cli.app import main
import augmentgan.gan.run, augmentgan.evaluate.benchmark, augmentgan.cli.display
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 600 * 2**20, -1))
main()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory cannot be limited here")
def test_real_memory_that_runs_out(folder, tree):
    """One large piece that torch asks for: where many small ones fill it up, oneDNN may be the one to ask last, and ends in a crash."""
    words = ["fit", str(tree), "--out", str(folder.parent / "new"), "--device", "cpu", "--quiet"]
    for setting in ("data.size_px=128", "training.batch_images=4096", "model.generator_width=256", "coverage.weight=0"):
        words += ["--set", setting]
    done = subprocess.run([sys.executable, "-c", MEMORY, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "error: out of memory with batches of 4096 images of 128 px; try --set"
    )
