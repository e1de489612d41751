"""What others read of ours, by name and type, spelled out here and read by h5py and json alone: more may be added, nothing of this may change."""

import json
import shutil
from datetime import datetime, timedelta

import h5py
import numpy as np
import pytest

import augmentgan as ag

NUMBER, TEXT = (int, float), (str,)
NUMBER_OR_NONE = (*NUMBER, type(None))

DATASETS = {
    "images": (np.uint8, 4),
    "labels": (np.int64, 1),
    "sample_index": (np.int64, 1),
    "score": (np.float32, 1),
    "nearest_real": (np.float32, 1),
}
ATTRIBUTES = {
    "class_names": TEXT,
    "augmentgan_version": TEXT,
    "recipe": TEXT,
    "seed": (np.int64,),
    "data_fingerprint": TEXT,
    "model_fingerprint": TEXT,
    "created": TEXT,
    "command": TEXT,
}
METADATA = {
    "file_name": TEXT,
    "label": TEXT,
    "sample_index": (int,),
    "score": NUMBER_OR_NONE,
    "nearest_real": NUMBER,
}
RUN = {
    "recipe": (dict,),
    "seed": (int,),
    "versions": (dict,),
    "data_fingerprint": TEXT,
    "class_names": (list,),
    "counts": (dict,),
    "state": TEXT,
}
STATUS = {
    "updates": (int,),
    "images": (int,),
    "seconds": NUMBER,
    "images_per_s": NUMBER,
    "loss_d": NUMBER,
    "loss_g": NUMBER,
    "d_real": NUMBER,
    "d_fake": NUMBER,
}
EVALUATION = {
    "frechet_distance": NUMBER,
    "kernel_distance": NUMBER,
    "precision": NUMBER,
    "recall": NUMBER,
    "density": NUMBER,
    "coverage": NUMBER,
    "features": TEXT,
    "diversity_per_class": (list,),
    "near_per_class": (list,),
    "memorised_fraction": NUMBER_OR_NONE,
    "memorised_threshold": NUMBER_OR_NONE,
    "label_agreement": NUMBER,
    "synthetic_only_accuracy": NUMBER,
}
BENCHMARK = {"protocol": (dict,), "runs": (list,), "comparisons": (list,), "verdict": (dict,)}
PROTOCOL = {"arms": (list,), "repeats": (int,), "budget": (dict,), "classifier": TEXT, "sizes": (dict,)}
ROW = {
    "arm": TEXT,
    "train_per_class": (int,),
    "repeat": (int,),
    "accuracy": NUMBER,
    "balanced_accuracy": NUMBER,
    "recall_per_class": (list,),
    "time_s": NUMBER,
}
COMPARISON = {
    "arm": TEXT,
    "baseline": TEXT,
    "train_per_class": (int,),
    "metric": TEXT,
    "mean_difference": NUMBER,
    "ci95": (list,),
    "n": (int,),
}
VERDICT = {"text": TEXT, "outcome": TEXT, "arm": TEXT, "baseline": TEXT}


def holds(document, schema):
    """Every name is there, with a value of its type."""
    assert not schema.keys() - document.keys()
    wrong = {name: document[name] for name, types in schema.items() if type(document[name]) not in types}
    assert not wrong


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """A run, evaluated and measured in as few steps as can be, with its samples in both formats."""
    folder = tmp_path_factory.mktemp("contract") / "run"
    shutil.copytree(trained.folder, folder)
    run = ag.Run(folder, "cpu")
    run.recipe = run.recipe.with_values("benchmark", steps=1, tune=False)
    ag.evaluate_run(run, per_class=10, device="cpu")
    ag.run_benchmark(run, device="cpu")
    ag.write_samples(run, run.counts(2), folder / "synthetic.h5")
    ag.write_samples(run, run.counts(2), folder / "synthetic", "folder")
    return folder


def read(path):
    """JSON as it is for everybody: NaN and Infinity are none."""

    def refuse(word):
        raise AssertionError(f"{path.name} holds {word}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_synthetic_set_as_hdf5(folder):
    with h5py.File(folder / "synthetic.h5") as file:
        assert {name: (file[name].dtype, file[name].ndim) for name in DATASETS} == DATASETS
        assert {len(file[name]) for name in file} == {20}
        assert file["images"].shape[3] in (1, 3)
        attributes = dict(file.attrs)
    holds(attributes, ATTRIBUTES)
    assert json.loads(attributes["class_names"]) == [f"{label}" for label in range(10)]
    assert isinstance(json.loads(attributes["recipe"]), dict)
    assert datetime.fromisoformat(attributes["created"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("path", ["data.h5", "saved.h5"])
def test_a_real_set_as_hdf5(folder, digits, tmp_path, path):
    """The copy that a run keeps, and one that was saved."""
    given = ag.LabelledImages(
        digits.images, digits.labels, digits.class_names, split=np.arange(120) % 2, group=np.arange(120)
    )
    ag.save(given, tmp_path / "saved.h5")
    with h5py.File((tmp_path if path == "saved.h5" else folder) / path) as file:
        assert (file["images"].dtype, file["images"].shape) == (np.uint8, (120, 8, 8, 1))
        assert (file["labels"].dtype, file["labels"].shape) == (np.int64, (120,))
        assert np.issubdtype(file["split"].dtype, np.integer)
        assert set(file["split"][:]) == {0, 1}
        assert json.loads(file.attrs["class_names"]) == [f"{label}" for label in range(10)]
        if path == "saved.h5":
            assert file["group"].dtype == np.int64


def test_a_synthetic_set_as_a_folder(folder):
    lines = (folder / "synthetic" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        holds(row, METADATA)
        assert row["file_name"] == f"{row['label']}/{row['sample_index']:06d}.png"
    pictures = {path.relative_to(folder / "synthetic").as_posix() for path in folder.glob("synthetic/*/*.png")}
    assert pictures == {row["file_name"] for row in rows}
    assert len(rows) == 20


def test_a_run_folder(folder):
    run = read(folder / "run.json")
    holds(run, RUN)
    assert run["state"] == "finished"
    assert set(run["recipe"]) >= {"data", "model", "objective", "augment", "coverage", "training", "benchmark"}
    assert len(run["class_names"]) == len(run["counts"]["train"]) == len(run["counts"]["test"]) == 10
    split = read(folder / "split.json")
    assert sorted(split["train"] + split["test"]) == list(range(120))
    assert {"checkpoint.safetensors", "checkpoint.json"} <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("samples/*.png"))
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["updates"] for line in lines] == [10, 20, 30, 40]
    for line in lines:
        holds(line, STATUS)


def test_evaluate_json(folder):
    found = read(folder / "evaluate.json")
    holds(found, EVALUATION)
    assert len(found["diversity_per_class"]) == len(found["near_per_class"]) == 10
    assert {type(value) for name in ("diversity_per_class", "near_per_class") for value in found[name]} <= {
        *NUMBER_OR_NONE
    }


def test_benchmark_json(folder):
    found = read(folder / "benchmark.json")
    holds(found, BENCHMARK)
    holds(found["protocol"], PROTOCOL)
    arms = ["real", "real+classic", "real+synthetic", "real+classic+synthetic", "synthetic"]
    assert found["protocol"]["arms"] == arms
    for row in found["runs"]:
        holds(row, ROW)
        assert {type(value) for value in row["recall_per_class"]} <= {*NUMBER_OR_NONE}
    assert sorted((row["arm"], row["repeat"]) for row in found["runs"]) == sorted((a, r) for a in arms for r in (0, 1))
    for each in found["comparisons"]:
        holds(each, COMPARISON)
        low, high = each["ci95"]
        assert low <= each["mean_difference"] <= high
    assert {"accuracy", "balanced_accuracy"} <= {each["metric"] for each in found["comparisons"]}
    holds(found["verdict"], VERDICT)
    assert found["verdict"]["outcome"] in ("helps", "no evidence", "hurts")
