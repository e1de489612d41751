"""The command line as people and scripts meet it, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from tests_support import made_up_report, weights, write_tree

import augmentgan as ag

SETTINGS = [
    "training.updates=20",
    "training.batch_images=20",
    "training.status_updates=10",
    "training.checkpoint_updates=10",
    "model.generator_width=8",
    "model.discriminator_width=8",
    "benchmark.steps=10",
    "benchmark.synthetic_per_class=20",
]
SET = [word for setting in SETTINGS for word in ("--set", setting)]


def run(*words, cwd, status=0):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "augmentgan", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits):
    """A folder with data/ and a finished run made by the command line."""
    root = tmp_path_factory.mktemp("place")
    write_tree(root / "data", digits, classes=3, per_class=8)
    done = run("fit", "data", *SET, cwd=root)
    assert "run runs/data: finished after 20 updates" in done.stdout
    assert "20/20 updates" in done.stderr  # plain lines, for this is no terminal
    assert "D(x)" in done.stderr
    assert "D(G(z))" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    return root


@pytest.fixture
def refused(monkeypatch, capsys):
    """A command's one line of error, without a process of its own: starting one takes longer than a refusal."""

    def line(*words, cwd):
        from augmentgan.cli.app import main

        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["augmentgan", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code == 1
        assert not said.out
        assert "Traceback" not in said.err
        return said.err.splitlines()[-1]

    return line


def test_generate_says_how_to_load_what_it_wrote(place):
    done = run("generate", "--per-class", "5", "--out", "five.h5", cwd=place)
    assert "wrote 15 images of 3 classes to five.h5" in done.stdout
    assert "h5py" in done.stdout
    assert "run runs/data" in done.stderr  # the default is named
    with h5py.File(place / "five.h5") as file:
        assert np.bincount(file["labels"][:]).tolist() == [5, 5, 5]
        assert file.attrs["command"] == "augmentgan generate --per-class 5 --out five.h5"


def test_an_output_that_exists_stays(place):
    (place / "mine.h5").write_text("mine")
    done = run("generate", "--per-class", "5", "--out", "mine.h5", cwd=place, status=1)
    assert done.stderr.splitlines()[-1].startswith("error: output 'mine.h5' exists already; --overwrite")
    assert (place / "mine.h5").read_text() == "mine"
    run("generate", "--per-class", "5", "--out", "mine.h5", "--overwrite", cwd=place)


def test_json_is_one_document_and_nothing_else(place):
    made = json.loads(
        run("generate", "--per-class", "2", "--out", "j", "--format", "folder", "--json", cwd=place).stdout
    )
    assert made["images"] == 6
    plan = json.loads(run("fit", "data", *SET, "--dry-run", "--json", cwd=place).stdout)
    assert plan["recipe"]["training"]["updates"] == 20
    assert plan["train_counts"] == {f"class_{label}": 6 for label in range(3)}
    assert plan["test_counts"] == {f"class_{label}": 2 for label in range(3)}
    assert json.loads(run("inspect", "data", "--json", cwd=place).stdout)["counts"] == {
        f"class_{label}": 8 for label in range(3)
    }
    assert "demo" in json.loads(run("recipes", "--json", cwd=place).stdout)["digits"]


def test_fill_alone_means_max(place, refused):
    """The classes are level already, which only one who understood the wish can say."""
    spelled = refused("generate", "--fill", "max", cwd=place)
    assert "max" in spelled
    assert refused("generate", "--fill", cwd=place) == spelled
    assert refused("generate", "--fill", "--quiet", cwd=place) == spelled
    assert "--fill 'maximum'" in refused("generate", "--fill", "maximum", cwd=place)
    assert "class '-1' is not known" in refused("generate", "--fill", "-1=50", cwd=place)


def test_benchmark_then_report(place):
    done = run("benchmark", "--repeats", "2", cwd=place)
    assert "real+classic+synthetic" in done.stdout
    assert "95 % interval" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()[:12]) <= 80
    assert (place / "runs/data/benchmark.png").read_bytes().startswith(b"\x89PNG")
    run("report", cwd=place)
    assert "<svg" in (place / "runs/data/report.html").read_text()


def test_benchmark_from_scratch_and_its_page(place, tmp_path):
    words = ["benchmark", "data", "--train-per-class", "4", "--repeats", "2", "--arms", "real+synthetic", *SET]
    done = run(*words, "--set", "benchmark.tune=false", "--json", cwd=place)
    assert "folder runs/benchmark-data" in done.stderr
    document = json.loads(done.stdout)
    assert document["protocol"]["command"].startswith("augmentgan benchmark data --train-per-class 4")
    assert [(row["arm"], row["repeat"]) for row in document["runs"]] == [
        ("real", 0),
        ("real", 1),
        ("real+synthetic", 0),
        ("real+synthetic", 1),
    ]
    assert (place / "runs/benchmark-data/benchmark.png").read_bytes().startswith(b"\x89PNG")
    run("report", "--run", "runs/benchmark-data", cwd=place)
    page = (place / "runs/benchmark-data/report.html").read_text()
    assert "2 generators" in page
    # had the data brought a split whose training part a size takes whole, the page would say so
    same = "(but (nearly) the same training images in all, with 4 a class)"
    assert same not in page
    shutil.copytree(place / "runs/benchmark-data", tmp_path / "b")
    document["protocol"]["same_training_images"] = [4]
    (tmp_path / "b/benchmark.json").write_text(json.dumps(document))
    assert same in ag.write_report(tmp_path / "b").read_text()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--train-per-class", "4"], "--train-per-class is for a benchmark from scratch"),
        (["data", "--run", "runs/data"], "DATA and --run exclude each other"),
        (["data", "--train-per-class", "few"], "'few' is not a list of numbers"),
        (["data", "--train-per-class", "9" * 5000], "99 is not a list of numbers"),
        (["data", "--train-per-class", ","], "',' is not a list of numbers"),
        (["data", "--train-per-class", "0,20"], "--train-per-class 0: at least 2 images"),
        (["data", "--imbalance", "50"], "not of the form 50:1"),
        (["data", "--classifier", "vgg"], "--classifier 'vgg' is not known"),
    ],
)
def test_benchmarks_that_cannot_be(place, words, part, refused):
    assert part in refused("benchmark", *words, cwd=place)


@pytest.mark.parametrize(
    ("interval", "words", "status"),
    [
        ((-0.3, -0.1), ["--check"], 3),
        ((-0.3, -0.1), [], 0),
        ((-0.1, 0.3), ["--check"], 0),
        ((0.1, 0.3), ["--check"], 0),
    ],
    ids=["hurts", "hurts, but nobody asked", "no evidence", "helps"],
)
def test_check_turns_the_verdict_into_a_status(place, monkeypatch, interval, words, status):
    import typer.testing

    from augmentgan.cli import benchmark
    from augmentgan.cli.app import app
    from augmentgan.evaluate.comparing import verdict_of
    from augmentgan.evaluate.results import Comparison

    def news(*words, **options):
        mean = sum(interval) / 2
        rows = [Comparison("real+classic+synthetic", "real+classic", 8, "balanced_accuracy", mean, interval, 5)]

        class Report:
            verdict = verdict_of(rows)

            def to_json(self):
                return {"verdict": self.verdict.outcome}

        return Report()

    monkeypatch.setattr(benchmark, "measure", news)
    monkeypatch.chdir(place)
    done = typer.testing.CliRunner().invoke(app, ["benchmark", "--json", *words])
    assert done.exit_code == status
    assert done.stdout.startswith('{"verdict": ')  # it was measured, and said, whatever the status


@pytest.mark.parametrize("same", [[], [50], [50, 100]])
def test_sizes_whose_repeats_share_their_training_images_are_told(capsys, same):
    from augmentgan.cli.benchmark import show

    report = made_up_report(["real", "real+classic", "real+classic+synthetic"], (20, 50, 100))
    show(replace(report, protocol={**report.protocol, "same_training_images": same}))
    told = [line for line in capsys.readouterr().out.splitlines() if "(nearly) the same ones" in line]
    assert len(told) == bool(same)
    for line in told:
        assert line.startswith(f"With {', '.join(map(str, same))} real images a class all repeats learned from")
        assert "the luck of having these is not in the intervals" in line


def test_a_run_can_be_repeated_from_its_folder(place):
    done = run("fit", "--from-run", "runs/data", cwd=place)
    assert "run runs/data-again: finished after 20 updates" in done.stdout
    first, again = (weights(place / "runs" / name) for name in ("data", "data-again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("data", "data-again"):
        run("generate", "--run", f"runs/{name}", "--per-class", "3", "--out", f"{name}.h5", cwd=place)
    with h5py.File(place / "data.h5") as one, h5py.File(place / "data-again.h5") as other:
        assert (one["images"][:] == other["images"][:]).all()
    run("fit", "data", "--from-run", "runs/data", cwd=place, status=1)
    (place / "runs" / "data-again").rename(place / "again")  # "data" stays the newest run


def test_fitting_again_says_that_nothing_was_left(place):
    assert "nothing was left to do" in run("fit", "data", *SET, cwd=place).stdout


def test_resume_needs_no_setting_again(place):
    assert "nothing was left to do" in run("fit", "data", "--resume", cwd=place).stdout


def test_a_seed_of_zero_is_a_seed(place):
    run("fit", "data", *SET, "--seed", "7", "--out", "seven", cwd=place)
    assert "nothing was left" in run("fit", "data", "--resume", "--out", "seven", cwd=place).stdout
    refusal = run("fit", "data", "--resume", "--seed", "0", "--out", "seven", cwd=place, status=1).stderr
    assert "other data, split or seed; repeat the options of 'augmentgan fit data" in refusal
    assert "--seed 7 --out seven'" in refusal
    shutil.rmtree(place / "seven")


def test_how_a_run_is_measured_can_be_set(place):
    words = ("benchmark", "--arms", "real", "--repeats", "2", "--set", "benchmark.tune=false", "--json")
    for steps in (3, 5):
        document = json.loads(run(*words, "--set", f"benchmark.steps={steps}", cwd=place).stdout)
        assert document["protocol"]["budget"]["steps"] == steps
        assert document["protocol"]["tuned"] is False


def test_evaluate_says_as_much_on_stdout_as_in_its_file(place):
    found = json.loads(run("evaluate", "--per-class", "10", "--json", cwd=place).stdout)
    assert found == json.loads((place / "runs" / "data" / "evaluate.json").read_text())


def test_a_run_can_be_made_longer(place):
    """Its other settings and its seed need not be said again."""
    made = json.loads(run("fit", "data", *SET, "--seed", "5", "--out", "long", "--json", cwd=place).stdout)
    longer = str(made["updates"] + 3)
    words = ["fit", "data", "--resume", "--updates", longer, "--out", "long"]
    assert f"finished after {longer} updates" in run(*words, cwd=place).stdout
    run(*words, cwd=place)  # nothing is left to do
    info = json.loads((place / "long" / "run.json").read_text())
    assert "--seed 5" in info["command"]
    assert info["lengthened_by"] == [" ".join(["augmentgan", *words])]
    run("report", "--run", "long", cwd=place)
    page = (place / "long" / "report.html").read_text()
    assert page.index("--seed 5 --out long") < page.index(info["lengthened_by"][0])  # the exact commands, in order
    shutil.rmtree(place / "long")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["fit", "nowhere"], ["data 'nowhere' does not exist"]),
        (["fit", "data", "--recipe", "digts"], ["did you mean 'digits'"]),
        (["fit", "data", "--set", "training.updatez=1"], ["unknown key", "did you mean 'updates'"]),
        (["fit", "data", "--updates", "0"], ["error: --updates 0: "]),
        (["fit", "data", "--test-fraction", "1.5"], ["error: --test-fraction 1.5: "]),
        (["fit", "data", "--test-fraction", "0.5", "--test", "data"], ["leave one of them out"]),
        (["benchmark", "data", "--test-fraction", "1.5"], ["error: --test-fraction 1.5: "]),
        (["fit", "data", "--max-time", "soon"], ["'soon' is not a duration", "10m"]),
        (["fit", "data", "--resume", "--out", "new"], ["holds no run"]),
        (["fit", "data", "--device", "tpu"], ["device 'tpu'"]),
        (["generate", "--run", "nowhere"], ["'nowhere' is not a run folder"]),
        (["generate", "--per-class", "0"], ["--per-class 0"]),
        (["generate", "--classes", "class_9"], ["class 'class_9' is not known", "did you mean"]),
        (["data", "digits", "digits.npz"], [".npz is not written", "use 'digits.h5'"]),
        (["generate", "--out", "samples.npz"], [".npz is not written", "use 'samples.h5'"]),
        (["generate", "--format", "zip"], ["--format 'zip'", "hdf5 or folder"]),
        (["benchmark", "--arms", "reel"], ["arm 'reel'"]),
        (["benchmark", "--arms", ","], ["',' names nothing"]),
        (["benchmark", "--test-fraction", "0"], ["--test-fraction is for a benchmark from scratch"]),
        (["fit", "data", "--resume", "--overwrite"], ["--resume continues", "leave one of them out"]),
        (["data", "digits", ".", "--overwrite"], ["has no name of its own"]),
        (["benchmark", "--repeats", "5000"], ["benchmark.repeats = 5000"]),
        (["benchmark", "data", "--out", "data/class_0"], ["inside of the data folder"]),
        (["benchmark", "data", "--out", "."], ["'.' holds no benchmark"]),
        (["generate", "--format", "folder", "--out", "data"], ["'data' holds no synthetic set"]),
        (["fit", "data", "--out", "data/mine"], ["inside of the data folder", "--out elsewhere"]),
        (["generate", "--run", "data/class_0/0.png"], ["is not a run folder"]),
        (
            ["export", "--format", "safetensors", "--out", "data", "--overwrite"],
            ["holds no exported model", "leaves it alone"],
        ),
        (["report", "--out", "data", "--overwrite"], ["is a folder; name a file"]),
        (["evaluate", "--features", "vgg"], ["features 'vgg'", "classifier, pretrained, inception"]),
        (["inspect", "nowhere"], ["does not exist"]),
        (["recipes", "nope"], ["recipe 'nope' is not known"]),
        (["fit", "--from-run", "runs/data", "--updates", "3", "--seed", "0"], ["leave --updates and --seed out"]),
        (["fit", "data", "--resume", "--seed", "1"], ["other data, split or seed"]),
        (["fit", "data", "--dry-run", "--updates", "5"], ["was made with another recipe"]),
        (["fit", "data", "--dry-run", "--out", "."], ["'.' is not a run folder"]),
        (["benchmark", "--set", "training.updates=3"], ["only benchmark.KEY=VALUE can be set"]),
        (["benchmark", "--set", "benchmark.steps=auto"], ["steps"]),
        (["generate", "--per-class", "1000000000000000000"], ["give 1 to 1,000,000,000"]),
    ],
)
def test_a_mistake_is_one_line_and_status_one(place, words, parts, refused, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    line = refused(*words, cwd=place)
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_from_inside_of_the_data_folder_nothing_is_spoiled(tmp_path, digits):
    write_tree(tmp_path / "data", digits, classes=3, per_class=8)
    for words in (["fit", ".", *SET], ["benchmark", ".", *SET]):
        done = run(*words, cwd=tmp_path / "data", status=1)
        assert "would become a class of it" in done.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["class_0", "class_1", "class_2"]
    done = run("benchmark", ".", *SET, "--out", "../done", "--repeats", "2", "--arms", "real", cwd=tmp_path / "data")
    assert (tmp_path / "done" / "benchmark.json").exists()


def test_what_is_to_be_typed_next_can_be_typed(tmp_path, digits):
    write_tree(tmp_path / "my photos", digits, classes=3, per_class=8)
    assert "next: augmentgan fit 'my photos'\n" in run("inspect", "my photos", cwd=tmp_path).stdout
    options = ["--recipe", "scarce-20", "--set", "data.size_px=32", "--set", "data.train_per_class=3", "--seed", "4"]
    told = run("inspect", "my photos", *options, cwd=tmp_path).stdout
    assert f"next: augmentgan fit 'my photos' {' '.join(options)}\n" in told  # what fit would do is said of these
    assert "--run 'runs/my photos'" in run("fit", "my photos", *SET, cwd=tmp_path).stdout


def test_a_terminal_that_lacks_letters_of_a_class(tmp_path, digits, monkeypatch):
    write_tree(tmp_path / "data", digits, classes=3, per_class=8)
    (tmp_path / "data" / "class_0").rename(tmp_path / "data" / "\u732b")
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    assert "\\u732b" in run("inspect", "data", cwd=tmp_path).stdout


def test_without_words_it_says_what_there_is(place):
    done = run(cwd=place, status=2)
    assert "inspect" in done.stdout + done.stderr


def test_usage_errors_are_status_two(place):
    assert "No such option" in run("fit", "data", "--recpie", "x", cwd=place, status=2).stderr
    run("fit", cwd=place, status=2)


def test_nothing_half_written_is_left_by_a_refusal(tmp_path, digits):
    write_tree(tmp_path / "data", digits, classes=1, per_class=4)
    run("fit", "data", *SET, cwd=tmp_path, status=1)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_interruption_saves_and_the_same_command_continues(tmp_path, digits):
    write_tree(tmp_path / "data", digits, classes=3, per_class=8)
    words = [sys.executable, "-m", "augmentgan", "fit", "data", *SET, "--updates", "100000"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        events = tmp_path / "runs/data/events.jsonl"
        deadline = time.monotonic() + 120
        while not events.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    done = json.loads((tmp_path / "runs/data/checkpoint.json").read_text())["updates"]
    assert done >= 10
    continued = run("fit", "data", *SET, "--updates", "100000", "--max-time", "1s", "--json", cwd=tmp_path)
    assert json.loads(continued.stdout)["updates"] > done
    again = run("fit", "data", *SET, "--updates", "100000", "--max-time", "1s", "--overwrite", cwd=tmp_path)
    assert "the same command without --overwrite continues" in again.stdout


def test_generate_reports_near_copies(place):
    told = json.loads(run("generate", "--per-class", "5", "--out", "c.h5", "--json", cwd=place).stdout)
    assert told["near_copies"] is None  # six held-out images are too few to judge by
    done = run("generate", "--per-class", "5", "--out", "d.h5", "--no-copies", cwd=place, status=1)
    assert "fewer than 10 test images" in done.stderr
