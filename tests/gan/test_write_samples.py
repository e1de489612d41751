"""A synthetic set appears whole or not at all, and an interrupted or killed command goes on instead of starting over."""

import subprocess
import sys
from types import SimpleNamespace

import filelock
import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import augmentgan as ag
from augmentgan.data import spool
from augmentgan.errors import DataError, OutputError
from augmentgan.gan import sampling
from augmentgan.gan.distributed import World
from augmentgan.gan.write_samples import Refusal, _key

PER_CLASS = 25
SAMPLE_ROWS = sampling.sample_rows
EVEN = Refusal("odd sums", lambda images, labels: images.reshape(len(images), -1).sum(axis=1) % 2 == 1)


class Watch:
    """Counts forward passes, and interrupts after some batches."""

    def __init__(self, monkeypatch, stop_after=None):
        self.passes, self.batches, self.stop_after = 0, 0, stop_after

        def counted(*words):
            self.passes += 1
            return SAMPLE_ROWS(*words)

        monkeypatch.setattr(sampling, "sample_rows", counted)

    def __call__(self, batch):
        self.batches += 1
        if self.batches == self.stop_after:
            raise KeyboardInterrupt


def content(path):
    if path.is_dir():
        pictures = {str(file.relative_to(path)): np.asarray(Image.open(file)).tolist() for file in path.rglob("*.png")}
        return pictures, (path / "metadata.jsonl").read_text()
    with h5py.File(path) as file:
        return {name: np.nan_to_num(file[name][:]).tolist() for name in file}


@pytest.mark.parametrize("format", ["hdf5", "folder"])
@pytest.mark.parametrize("refuses", [None, EVEN], ids=["all", "some refused"])
def test_an_interrupted_set_goes_on_and_is_the_same(trained, tmp_path, monkeypatch, format, refuses):
    counts = trained.counts(PER_CLASS)
    whole = Watch(monkeypatch)
    ag.write_samples(trained, counts, tmp_path / "whole", format, refuses=refuses, on_batch=whole)
    before = Watch(monkeypatch, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        ag.write_samples(trained, counts, tmp_path / "out", format, refuses=refuses, on_batch=before)
    assert not (tmp_path / "out").exists()
    after = Watch(monkeypatch)
    total = ag.write_samples(trained, counts, tmp_path / "out", format, refuses=refuses, on_batch=after)
    assert total == sum(counts.values())
    assert after.passes == whole.passes - before.passes
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_samples_that_are_refused_are_replaced_by_the_next(trained, tmp_path):
    path = tmp_path / "even.h5"
    ag.write_samples(trained, trained.counts(30), path, refuses=EVEN)
    many = trained.generate(200)
    with h5py.File(path) as file:
        images, labels, numbers = (file[name][:] for name in ("images", "labels", "sample_index"))
    assert np.bincount(labels).tolist() == [30] * 10
    for label in range(10):
        every = many.images[many.labels == label]
        expected = np.flatnonzero(~EVEN.judge(every, None))[:30]
        assert numbers[labels == label].tolist() == expected.tolist()
        assert (images[labels == label] == every[expected]).all()


def test_a_class_whose_samples_are_all_refused(trained, tmp_path):
    with pytest.raises(DataError, match=r"class '0': .* were refused"):
        ag.write_samples(
            trained, trained.counts(3), tmp_path / "a.h5", refuses=Refusal("0", lambda images, labels: labels == 0)
        )
    assert not list(tmp_path.iterdir())


def test_a_killed_process_loses_no_finished_piece(trained, tmp_path):
    code = f"""
import os, signal
from pathlib import Path
import augmentgan as ag
from augmentgan.data import spool
spool.PIECE_ROWS = 100
run, n = ag.Run({str(trained.folder)!r}, "cpu"), 0
def die(batch):
    global n
    n += 1
    if n == 3: os.kill(os.getpid(), signal.SIGKILL)
ag.write_samples(run, run.counts({PER_CLASS}), Path({str(tmp_path / "out")!r}), on_batch=die)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    kept = tmp_path / ".out.partial"
    assert [path.name for path in kept.glob("rows-*")] == ["rows-000000.safetensors"]
    assert list(kept.glob(".out.*.part"))
    seen = []
    ag.write_samples(
        trained, trained.counts(PER_CLASS), tmp_path / "out", on_batch=lambda batch: seen.append(len(batch.labels))
    )
    assert seen[0] == 128
    with h5py.File(tmp_path / "out") as file:
        assert (file["images"][:] == trained.generate(PER_CLASS).images).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def interrupted(trained, out, **options):
    def stop(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ag.write_samples(trained, trained.counts(PER_CLASS), out, on_batch=stop, **options)


@pytest.mark.parametrize("damage", ["cut", "other columns", "missing key", "other command"])
def test_rows_that_cannot_be_used_are_made_again(trained, tmp_path, damage):
    out = tmp_path / "out.h5"
    interrupted(trained, out, seed=99 if damage == "other command" else None)
    (piece,) = (tmp_path / ".out.h5.partial").glob("rows-*")
    if damage == "cut":
        piece.write_bytes(piece.read_bytes()[:-10])
    elif damage == "other columns":
        piece.write_bytes(spool.safetensors.numpy.save({"labels": np.zeros(3, np.int64)}))
    elif damage == "missing key":
        (tmp_path / ".out.h5.partial" / "key.json").unlink()
    ag.write_samples(trained, trained.counts(PER_CLASS), out)
    with h5py.File(out) as file:
        assert (file["images"][:] == trained.generate(PER_CLASS).images).all()
    assert list(tmp_path.iterdir()) == [out]


def test_two_processes_do_not_write_one_output(trained, tmp_path):
    kept = tmp_path / ".out.h5.partial"
    kept.mkdir()
    with filelock.FileLock(kept / ".lock"), pytest.raises(OutputError, match="written by another process"):
        ag.write_samples(trained, trained.counts(1), tmp_path / "out.h5")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rows-mine.safetensors").touch()
    (tmp_path / ".b.h5.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"):
        ag.write_samples(trained, trained.counts(1), tmp_path / "b.h5")
    assert (tmp_path / "elsewhere" / "rows-mine.safetensors").exists()


def test_only_synthetic_folders_are_replaced(trained, tree, tmp_path):
    with pytest.raises(OutputError, match="holds no synthetic set"):
        ag.write_samples(trained, trained.counts(1), tree, "folder", overwrite=True)
    assert (tree / "class_0" / "0.png").exists()
    for n in (2, 1):
        ag.write_samples(trained, trained.counts(n), tmp_path / "out", "folder", overwrite=True)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tree"]


def test_what_somebody_put_beside_a_synthetic_set_is_not_lost(trained, tmp_path):
    out = tmp_path / "out"
    ag.write_samples(trained, trained.counts(1), out, "folder")
    (out / ".DS_Store").touch()  # where somebody has looked
    ag.write_samples(trained, trained.counts(2), out, "folder", overwrite=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"also holds 'notes\.txt'"):
        ag.write_samples(trained, trained.counts(3), out, "folder", overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert len(list(out.rglob("*.png"))) == 20


class Overruled(World):
    """A world whose rank zero refuses nothing."""

    def broadcast_(self, tensor):
        return torch.zeros_like(tensor) if tensor.dtype == torch.uint8 else tensor


def test_the_first_process_says_what_is_refused(trained, tmp_path):
    every = Refusal("every", lambda images, labels: np.ones(len(images), dtype=bool))
    assert ag.write_samples(trained, trained.counts(2), tmp_path / "s.h5", refuses=every, world=Overruled()) == 20


def test_labels_of_another_set_are_refused(trained, tmp_path):
    for counts in ({77: 2}, {-1: 2}):
        with pytest.raises(DataError, match="not all of the run's 10"):
            ag.write_samples(trained, counts, tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


def test_fewer_than_no_samples_are_refused(trained, tmp_path):
    with pytest.raises(DataError, match="class '0': -3 samples are asked for"):
        ag.write_samples(trained, {0: -3, 1: 5}, tmp_path / "s.h5")
    assert not list(tmp_path.iterdir())


def test_kept_rows_are_gone_on_with_only_where_nothing_that_they_depend_on_has_changed(trained):
    teachers = SimpleNamespace(rule="weight by teachers", columns={})
    run, counts = trained, trained.counts(2)
    truncated = ag.Run(run.folder)
    truncated.recipe = run.recipe.model_copy(update={"model": run.recipe.model.model_copy(update={"truncation": 0.5})})
    keys = [
        _key(run, run.provenance(3, None), counts, None, ()),
        _key(run, run.provenance(4, None), counts, None, ()),
        _key(run, run.provenance(3, None), trained.counts(3), None, ()),
        _key(run, run.provenance(3, None), counts, EVEN, ()),
        _key(run, run.provenance(3, None), counts, None, (teachers,)),
        _key(run, {**run.provenance(3, None), "model_fingerprint": "another"}, counts, None, ()),
        _key(run, {**run.provenance(3, None), "data_fingerprint": "another"}, counts, None, ()),
        _key(truncated, run.provenance(3, None), counts, None, ()),
    ]
    assert all(keys[i] != keys[k] for i in range(len(keys)) for k in range(i))
    assert keys[0] == _key(run, run.provenance(3, "the same by another command"), counts, None, ())
    assert keys[0]["versions"]["torch"] == torch.__version__
    assert keys[0]["device"] == "cpu"
