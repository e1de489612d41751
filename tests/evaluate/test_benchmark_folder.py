"""The folder of a benchmark from scratch: whose it is, who may write in it, and what --overwrite removes."""

import os

import pytest
from tests_support import PROTOCOL_RECIPE as RECIPE
from tests_support import made_up_report, measure

import augmentgan as ag
from augmentgan.errors import OutputError, RunError
from augmentgan.evaluate.document import keep_result


def test_overwriting_starts_anew_and_takes_no_other_folder(pool, quick, tmp_path):
    words = {"train_per_class": [4], "arms": ["real"]}
    measure(pool, tmp_path / "b", **words)
    another = RECIPE.with_settings(["benchmark.steps=21"])
    report = measure(pool, tmp_path / "b", recipe=another, overwrite=True, **words)
    assert report.to_json() == measure(pool, tmp_path / "b", recipe=another, **words).to_json()
    ag.save(pool.subset(range(9)), tmp_path / "mine")
    before = sorted(path.name for path in (tmp_path / "mine").iterdir())
    with pytest.raises(OutputError, match="holds no benchmark, so --overwrite leaves it alone"):
        measure(pool, tmp_path / "mine", overwrite=True, **words)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == before


def test_overwriting_removes_a_benchmarks_own_files_alone(pool, quick, tmp_path):
    words = {"train_per_class": [4], "arms": ["real"]}
    measure(pool, tmp_path / "b", **words)
    ours = ["fits/4-r0/run.json", "benchmark.parts/old.json", "benchmark.png", "report.html"]
    theirs = ["notes.txt", "photos/1.png"]
    for name in ours + theirs:
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_text("before")
    another = RECIPE.with_settings(["benchmark.steps=21"])
    measure(pool, tmp_path / "b", recipe=another, overwrite=True, **words)
    assert not any((tmp_path / "b" / name).exists() for name in ours)
    assert all((tmp_path / "b" / name).read_text() == "before" for name in theirs)


def test_a_plot_of_an_earlier_result_goes_with_it(tmp_path):
    (tmp_path / "benchmark.png").write_text("before")
    for _ in range(2):
        keep_result(tmp_path, made_up_report(["real", "real+synthetic"]))
        assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]


def test_two_at_once_do_not_write_one_benchmark(pool, quick, tmp_path):
    words = {"train_per_class": [4], "arms": ["real"]}
    refused = []

    def second(row):
        for overwrite in (False, True):
            with pytest.raises(RunError, match="is being written by another process"):
                measure(pool, tmp_path / "b", overwrite=overwrite, **words)
            refused.append(overwrite)

    report = measure(pool, tmp_path / "b", on_row=second, **words)
    assert refused == [False, True] * 2
    assert measure(pool, tmp_path / "b", **words).to_json() == report.to_json()


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000])
def test_a_protocol_that_was_damaged_is_one_line(pool, quick, tmp_path, content):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "protocol.json").write_text(content)
    with pytest.raises(RunError, match=r"protocol\.json' cannot be used"):
        measure(pool, tmp_path / "b", train_per_class=[4], arms=["real"])


def test_a_process_that_was_killed_at_its_start_is_in_nobodys_way(pool, quick, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".lock").touch()
    for overwrite in (False, True):
        measure(pool, tmp_path / "b", train_per_class=[4], arms=["real"], overwrite=overwrite)


def test_what_a_killed_process_left_unfinished_goes_and_a_page_that_is_being_written_stays(pool, quick, tmp_path):
    words = {"train_per_class": [4], "arms": ["real"]}
    measure(pool, tmp_path / "b", **words)
    (parts,) = (tmp_path / "b" / "benchmark.parts").iterdir()
    for place in (parts, tmp_path / "b"):
        for name in ("benchmark.json", "protocol.json"):
            (place / f".{name}.0a1b2c3d.part").touch()
    (tmp_path / "b" / ".report.html.0a1b2c3d.part").touch()
    others = tmp_path / "others"
    others.mkdir()
    (others / ".mine.part").touch()
    if os.name != "nt":
        (parts.parent / "linked").symlink_to(others, target_is_directory=True)
    measure(pool, tmp_path / "b", **words)
    assert [path.name for path in (tmp_path / "b").rglob("*.part")] == [".report.html.0a1b2c3d.part"]
    assert (others / ".mine.part").exists()


def test_a_folder_with_something_else_is_left_alone(pool, quick, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ag.AugmentGANError, match="holds no benchmark, so --overwrite leaves it alone"):
        measure(pool, tmp_path)
