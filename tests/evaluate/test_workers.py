"""Workers: every job is done once, and what goes wrong in one is said here; a benchmark is the same with and without them."""

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import worker_jobs
from worker_jobs import die, fail, fail_oddly, hang, nothing, square

import augmentgan as ag
from augmentgan.errors import DataError, TrainingError
from augmentgan.evaluate import sharing, workers
from augmentgan.evaluate.workers import in_workers, n_workers
from augmentgan.gan.distributed import SINGLE_PROCESS, World


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_every_job_once_in_so_many_processes():
    told, done = [], []
    in_workers(square, range(5), 2, 3, on_message=lambda job, value: told.append((job, value)), on_done=done.append)
    assert sorted(done) == list(range(5))
    assert sorted(each for each in told if isinstance(each[1], int)) == [(job, job**2) for job in range(5)]
    ways = {value for _, value in told if not isinstance(value, int)}
    assert len({pid for pid, _ in ways}) == 2
    assert {threads for _, threads in ways} == {3}
    assert os.getpid() not in {pid for pid, _ in ways}


@pytest.mark.parametrize("error", [DataError("no such thing"), ZeroDivisionError("division by zero")])
def test_an_error_comes_out_as_it_is_and_the_others_are_stopped(error):
    with pytest.raises(type(error), match=str(error)):
        in_workers(partial(fail, error), range(2), 2, 1, on_message=nothing, on_done=nothing)
    assert multiprocessing.active_children() == []


def test_an_error_that_cannot_travel_is_told_in_its_words():
    with pytest.raises(RuntimeError, match="Odd: this and that") as caught:
        in_workers(fail_oddly, range(2), 2, 1, on_message=nothing, on_done=nothing)
    assert "in fail_oddly" in "".join(caught.value.__notes__)  # where it happened


def test_a_lost_worker_is_one_clear_line():
    with pytest.raises(TrainingError, match=r"was lost .* the same command goes on"):
        in_workers(die, range(2), 2, 1, on_message=nothing, on_done=nothing)


def test_one_that_is_lost_while_it_is_given_its_work_is_noticed_too(tmp_path):
    """In a process of its own, for where it is not noticed nothing ends, and Ctrl-C does nothing."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
sys.path.insert(0, {str(Path(worker_jobs.__file__).parent)!r})
from functools import partial
from worker_jobs import DiesOnTheWay, first, nothing
from augmentgan.evaluate.workers import in_workers
if __name__ == "__main__":
    work = partial(first, DiesOnTheWay(), bytes(1 << 20))
    in_workers(work, range(2), 2, 1, on_message=nothing, on_done=nothing)
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "TrainingError: a process of this job was lost" in done.stderr


def test_one_that_is_lost_before_its_next_job_is_noticed_too():
    """Then it is our sending that fails and not our hearing."""

    def lose(job):
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()

    with pytest.raises(TrainingError, match="was lost"):
        in_workers(square, range(3), 1, 1, on_message=nothing, on_done=lose)


def test_an_interruption_stops_them(tmp_path):
    def stop(job, value):
        if len(list(tmp_path.glob("*.pid"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_workers(partial(hang, tmp_path), range(2), 2, 1, on_message=stop, on_done=nothing)
    assert not any(alive(path.stem) for path in tmp_path.glob("*.pid"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_they_end_when_we_are_killed(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(worker_jobs.__file__).parent)!r})
from functools import partial
from pathlib import Path
from worker_jobs import hang, nothing
from augmentgan.evaluate.workers import in_workers
if __name__ == "__main__":
    in_workers(partial(hang, Path({str(tmp_path)!r})), range(2), 2, 1, on_message=nothing, on_done=nothing)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("*.pid"))) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        process.wait()
        pids = [path.stem for path in tmp_path.glob("*.pid")]
        assert len(pids) == 2, process.stderr.read()
        while any(map(alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not any(map(alive, pids))


@pytest.fixture
def four_cores_and_12_gib(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(workers.os, "sysconf", {"SC_PHYS_PAGES": 3 << 20, "SC_PAGE_SIZE": 4096}.get, raising=False)
    monkeypatch.setattr(workers, "MEMORY_LIMITS", ())


def test_how_many(four_cores_and_12_gib, monkeypatch):
    assert [n_workers(jobs) for jobs in (1, 3, 9)] == [1, 3, 4]
    assert n_workers(9, data_bytes=4 << 30) == 2
    monkeypatch.setattr(workers, "MEMORY_EACH", 5 << 30)
    assert n_workers(9) == 2  # 12 GiB
    monkeypatch.setattr(workers, "MEMORY_EACH", 50 << 30)
    assert n_workers(9) == 1


@pytest.mark.parametrize(
    ("limit", "n"), [("max\n", 4), (f"{5 << 30}\n", 2), ("1\n", 1), ("9223372036854771712\n", 4), ("", 4), (None, 4)]
)
def test_no_more_than_a_container_has_memory_for(four_cores_and_12_gib, tmp_path, monkeypatch, limit, n):
    if limit is not None:
        (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(workers, "MEMORY_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert n_workers(9) == n


ARMS = ["real", "real+classic+synthetic"]
RECIPE = ag.Recipe().with_settings(
    [
        "benchmark.steps=10",
        "benchmark.repeats=2",
        "benchmark.batch_images=20",
        "benchmark.synthetic_per_class=20",
        "training.updates=4",
        "training.batch_images=20",
    ]
)


@pytest.fixture
def one_thread():
    """A worker's share of the threads is then what we have ourselves, and so is the order in which numbers are added."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(one, two):
    assert one.comparisons == two.comparisons
    assert [replace(row, time_s=0) for row in one.runs] == [replace(row, time_s=0) for row in two.runs]


def test_a_benchmark_from_scratch_is_the_same_in_workers(one_thread, tmp_path):
    seen = {1: [], 2: []}
    found = [
        ag.run_benchmark(
            ag.digits(),
            recipe=RECIPE,
            out=tmp_path / str(n),
            train_per_class=[4, 8],
            arms=ARMS,
            device="cpu",
            processes=n,
            on_progress=seen[n].append,
        )
        for n in (1, 2)
    ]
    same(*found)
    assert max(len(each.at_work) for each in seen[1]) == 1
    assert max(len(each.at_work) for each in seen[2]) == 2
    assert {name for each in seen[2] for name in each.at_work} == {"4-r0", "8-r0", "4-r1", "8-r1"}
    assert any(status is not None for each in seen[2] for status in each.at_work.values())
    for told in seen.values():
        assert [each.pieces_done for each in told] == sorted(each.pieces_done for each in told)
        assert told[-1].pieces_done == told[-1].n_pieces == 4


def test_the_benchmark_of_a_run_is_the_same_in_workers(one_thread, trained, tmp_path):
    rows = []
    found = []
    for n in (1, 2):
        run = ag.Run(shutil.copytree(trained.folder, tmp_path / str(n)), "cpu")
        found.append(ag.run_benchmark(run, repeats=2, arms=ARMS, device="cpu", processes=n, on_row=rows.append))
    same(*found)
    assert len(rows) == 2 * len(found[0].runs)


def test_workers_are_given_no_samples_where_no_arm_uses_them(one_thread, trained, tmp_path, monkeypatch):
    run = ag.Run(shutil.copytree(trained.folder, tmp_path / "run"), "cpu")
    monkeypatch.setattr(ag.Run, "generate", None)
    monkeypatch.setattr(sharing, "in_workers", lambda work, jobs, n, n_threads, **words: pickle.dumps(work))
    report = ag.run_benchmark(run, repeats=2, arms=["real"], device="cpu", processes=2)
    assert len(report.runs) == 2


def test_what_is_finished_is_not_measured_again(one_thread, trained, tmp_path, monkeypatch):
    run = ag.Run(shutil.copytree(trained.folder, tmp_path / "run"), "cpu")

    def stop(row):
        if (row.repeat, row.arm) == (1, "real"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ag.run_benchmark(run, repeats=4, arms=ARMS, device="cpu", on_row=stop)
    given = []

    def remembering(work, jobs, n, n_threads, **words):
        given.extend(jobs)
        in_workers(work, jobs, n, n_threads, **words)

    monkeypatch.setattr(sharing, "in_workers", remembering)
    ag.run_benchmark(run, repeats=4, arms=ARMS, device="cpu", processes=2)
    assert given == [1, 2, 3]


def test_ranks_have_no_workers_beside_itself(trained):
    with pytest.raises(DataError, match="torchrun's 3 processes share the repeats already"):
        ag.run_benchmark(ag.Run(trained.folder, "cpu"), repeats=2, device="cpu", processes=2, world=World(0, 3))


class Kept:
    """Pieces of different lengths; the third is finished, unless others are."""

    device = torch.device("cpu")
    data_bytes, sample_bytes = 3 << 30, 1 << 28
    finished = (2,)

    def __len__(self):
        return 6

    def __call__(self, number, tell):
        return {"real": number}

    def is_finished(self, number):
        return number in self.finished

    def updates(self, number):
        return 100 * (number % 3)

    def prepare(self):
        return self


def test_the_longest_pieces_come_first_and_all_are_given_in_order(monkeypatch):
    given = []
    monkeypatch.setattr(sharing, "in_workers", lambda work, jobs, n, n_threads, **words: given.extend(jobs))
    found = sharing.measure_all(Kept(), SINGLE_PROCESS, 2, on_message=lambda number, message: None)
    assert given == [5, 1, 4, 0, 3]
    assert found == [{"real": number} for number in range(6)]


def test_as_many_workers_as_there_is_memory_for(four_cores_and_12_gib, monkeypatch):
    """Each holds the data, and its samples up to four times."""
    given = []
    monkeypatch.setattr(sharing, "in_workers", lambda work, jobs, n, n_threads, **words: given.append(n))
    pieces = Kept()
    for pieces.data_bytes in (0, 1 << 30, 3 << 30, 12 << 30):
        sharing.measure_all(pieces, SINGLE_PROCESS, None, on_message=lambda number, message: None)
    assert given == [4, 3, 2]  # and one alone needs no process of its own


@pytest.mark.parametrize("finished", [(), (2,), (0, 1, 2, 3), (0, 1, 2, 3, 4)])
def test_an_interruption_changes_no_workers_threads(monkeypatch, finished):
    """The order in which floats are added depends on their number, so what is left must be measured as all would have been."""
    given, pieces = [], Kept()
    pieces.finished = finished
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(sharing, "in_workers", lambda work, jobs, n, n_threads, **words: given.append((n, n_threads)))
    sharing.measure_all(pieces, SINGLE_PROCESS, 4, on_message=lambda number, message: None)
    assert given == [(min(4, 6 - len(finished)), 2)]
