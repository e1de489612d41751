"""Files appear whole or not at all."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from augmentgan.errors import OutputError
from augmentgan.files import atomic_file, atomic_folder, check_replaceable, has_key, refuse_existing, write_json


class Crash(Exception):
    pass


def crash_after_writing(path, text):
    path.write_text(text)
    raise Crash


def test_a_crash_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(Crash), atomic_file(path) as part:
        crash_after_writing(part, "half")
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_leaves_the_earlier_folder(tmp_path):
    path = tmp_path / "out"
    with atomic_folder(path) as part:
        (part / "a.txt").write_text("first")
    with pytest.raises(Crash), atomic_folder(path, overwrite=True) as part:
        crash_after_writing(part / "b.txt", "second")
    assert (path / "a.txt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_is_written_may_be_read_as_any_other_file(tmp_path):
    before = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "a.txt") as part:
            part.write_text("a")
        with atomic_folder(tmp_path / "out") as part:
            (part / "a.txt").write_text("a")
        with atomic_file(tmp_path / "a.safetensors") as part:
            save_file({"a": torch.zeros(2)}, part)
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o644  # which safetensors would make private
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_the_umask_of_other_threads_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("it is the whole process's"))
    with atomic_file(tmp_path / "a.txt") as part:
        part.write_text("a")
    with atomic_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("a")


def test_a_folder_that_a_crash_left_aside_comes_back(tmp_path, monkeypatch):
    path = tmp_path / "out"
    with atomic_folder(path) as part:
        (part / "a.txt").write_text("first")
    replace, renamed = os.replace, []

    def crash_between(source, target):
        if renamed:
            raise Crash
        renamed.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash_between)
    with pytest.raises(Crash), atomic_folder(path, overwrite=True) as part:
        (part / "a.txt").write_text("second")
    monkeypatch.undo()
    assert not path.exists()
    with pytest.raises(OutputError, match="exists already"), atomic_folder(path):
        pass
    assert (path / "a.txt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_exists_is_not_replaced(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    refuse_existing(path, overwrite=False)  # empty: free
    (path / "mine.txt").touch()
    with pytest.raises(OutputError, match="--overwrite"):
        refuse_existing(path, overwrite=False)
    with pytest.raises(OutputError, match="exists already"), atomic_folder(path):
        pass
    assert (path / "mine.txt").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="neither a file nor a folder"):
        refuse_existing(tmp_path / "pipe", overwrite=True)
    with pytest.raises(OutputError, match="name a file"):
        refuse_existing(tmp_path, overwrite=True, file=True)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_json(tmp_path / "file" / "below.json", {})


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [".", ".."])
def test_a_place_without_a_name_is_refused(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="has no name of its own"):
        refuse_existing(Path(place), overwrite=True)


def test_what_is_of_another_kind_is_never_replaced(tmp_path):
    def marked(folder):
        return has_key(folder / "mark", "ours")

    check_replaceable(tmp_path / "none", marked, "is none")
    check_replaceable(tmp_path, marked, "is none")  # empty: free
    (tmp_path / "picture").write_text("mine")
    for content in (None, "theirs", "[]", '{"theirs": 1}'):
        if content is not None:
            (tmp_path / "mark").write_text(content)
        for place in (tmp_path, tmp_path / "picture"):
            with pytest.raises(OutputError, match=f"{place.name}' is none, so --overwrite leaves it alone"):
                check_replaceable(place, marked, "is none")
    (tmp_path / "mark").write_text('{"ours": 1}')
    check_replaceable(tmp_path, marked, "is none")
    (tmp_path / "ehthumbs.db").touch()  # whose loss nobody minds
    check_replaceable(tmp_path, marked, "is none", known=["mark", "picture"])
    with pytest.raises(OutputError, match="also holds 'picture', which would be lost"):
        check_replaceable(tmp_path, marked, "is none", known=["mark"])
