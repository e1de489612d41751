"""Full disks, read-only and vanished folders: one line, the earlier state intact, and the same command goes on afterwards."""

import contextlib
import errno
import os
import shutil
import subprocess

import h5py
import pytest
import torch
from safetensors import SafetensorError
from tests_support import weights

import augmentgan as ag
from augmentgan.errors import OutputError
from augmentgan.files import append_line, atomic_file, atomic_folder, recover_folder, write_json
from augmentgan.gan import checkpoint


def mount(*words):
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB; where nothing may be mounted, the test is skipped, and `full_disk` stands in."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        not hasattr(os, "geteuid")
        or os.geteuid() != 0
        or not mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    ):
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk, leave=0):
    """Write a file that leaves so many bytes free."""
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    size = (disk / "ballast").stat().st_size
    os.truncate(disk / "ballast", max(0, size - leave))


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    assert "cannot write" in message
    return message


def test_fit_on_a_disk_that_fills_up(trained, digits, small_recipe, small_disk):
    run = small_disk / "run"

    def fill_at_20(status):
        if status.updates == 20:
            fill(small_disk)

    with pytest.raises(OutputError) as caught:
        ag.fit(digits, small_recipe, run, seed=3, device="cpu", on_status=fill_at_20)
    assert "No space left" in one_line(caught)
    (small_disk / "ballast").unlink()
    assert not [path.name for path in run.rglob("*.part")]
    assert ag.Run(run, "cpu").generate(1).counts.tolist() == [1] * 10  # the checkpoint before is whole
    assert ag.fit(digits, small_recipe, run, seed=3, device="cpu").finished
    expected, found = weights(trained.folder), weights(run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("format", ["hdf5", "folder"])
@pytest.mark.parametrize("free", [0, 60_000])
def test_generate_on_a_disk_that_is_full(trained, small_disk, format, free):
    fill(small_disk, leave=free)
    with pytest.raises(OutputError) as caught:
        ag.write_samples(trained, trained.counts(150), small_disk / "out", format)
    one_line(caught)
    assert not (small_disk / "out").exists()
    (small_disk / "ballast").unlink()
    assert ag.write_samples(trained, trained.counts(150), small_disk / "out", format) == 1500
    assert [path.name for path in small_disk.iterdir()] == ["out"]
    if format == "hdf5":
        with h5py.File(small_disk / "out") as file:
            assert (file["images"][:] == trained.generate(150).images).all()


def test_a_disk_that_may_only_be_read(trained, digits, small_recipe, small_disk):
    shutil.copytree(trained.folder, small_disk / "run")
    assert mount("-o", "remount,ro", str(small_disk))
    run = ag.Run(small_disk / "run", "cpu")
    assert run.generate(1).counts.tolist() == [1] * 10
    for write in (
        lambda: ag.fit(digits, small_recipe, small_disk / "new", device="cpu"),
        lambda: ag.fit(digits, small_recipe, small_disk / "run", device="cpu", overwrite=True),
        lambda: ag.write_samples(run, run.counts(1), small_disk / "out.h5"),
        lambda: ag.write_report(run),
    ):
        with pytest.raises(OutputError, match="Read-only") as caught:
            write()
        assert "\n" not in str(caught.value)


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that takes bytes and then cannot keep them."""

    def fsync(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_what_was_there_survives_a_write_that_fails(tmp_path, full_disk):
    for path in (tmp_path / "a.json", tmp_path / "folder" / "b"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("before")
    for write in (
        lambda: write_json(tmp_path / "a.json", {}),
        lambda: append_line(tmp_path / "events.jsonl", "{}"),
        lambda: folder_with(tmp_path / "folder", "c"),
    ):
        with pytest.raises(OutputError, match=r"cannot write .* No space left"):
            write()
    assert (tmp_path / "a.json").read_text() == (tmp_path / "folder" / "b").read_text() == "before"
    assert not list(tmp_path.rglob("*.part"))


def test_an_export_on_a_full_disk_is_one_line(trained, tmp_path, monkeypatch):
    """safetensors has an error of its own for it."""

    def full(*words):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OutputError) as caught:
        ag.export_run(trained, "safetensors", tmp_path / "model")
    assert "No space left" in one_line(caught)
    assert not list(tmp_path.iterdir())


def folder_with(path, name):
    with atomic_folder(path, overwrite=True) as part:
        (part / name).touch()


def test_everything_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    flushed = []
    fsync = os.fsync

    def noting(handle):
        flushed.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not say which file a handle is")
    monkeypatch.setattr(os, "fsync", noting)
    with atomic_folder(tmp_path / "out") as part:
        (part / "below").mkdir()
        (part / "below" / "a").write_text("a")
        (part / "b").write_text("b")
    assert {os.path.relpath(path, part) for path in flushed} == {"below", "below/a", "b", ".", ".."}
    assert flushed[-1] == str(tmp_path)
    with atomic_file(tmp_path / "c") as file:
        file.write_text("c")
    assert flushed[-2:] == [str(file), str(tmp_path)]


def test_a_crash_between_the_two_renames_of_a_replacement(tmp_path):
    (tmp_path / ".out.replaced").mkdir()
    (tmp_path / ".out.replaced" / "old").touch()
    recover_folder(tmp_path / "out")
    assert (tmp_path / "out" / "old").exists()
    (tmp_path / ".out.replaced").mkdir()
    folder_with(tmp_path / "out", "new")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["out", "out/new"]


def test_a_run_folder_that_vanishes_is_not_made_anew(digits, small_recipe, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(OutputError, match="vanished"):
        ag.fit(digits, small_recipe, run, device="cpu", on_status=lambda status: run.rename(tmp_path / "moved"))
    assert not run.exists()
    (tmp_path / "moved").rename(run)
    assert ag.fit(digits, small_recipe, run, device="cpu").finished


def test_an_output_folder_that_vanishes(trained, tmp_path):
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" / "out.h5"
    with pytest.raises(OutputError, match="cannot write"):
        ag.write_samples(
            trained, trained.counts(30), out, on_batch=lambda batch: shutil.rmtree(out.parent, ignore_errors=True)
        )
    assert not out.exists()
