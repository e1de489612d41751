"""Helpers that several test modules share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import augmentgan as ag
from augmentgan.data.duplicates import near_duplicates
from augmentgan.errors import DataError
from augmentgan.evaluate.results import ArmInterval, BenchmarkReport, BenchmarkRow, Comparison, Equivalent, Verdict


def write_tree(root: Path, data, classes: int, per_class: int) -> None:
    """Write the first images of the first classes as PNG files."""
    for label in range(classes):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for number, image in enumerate(data.images[data.labels == label][:per_class]):
            Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")


def near_pairs(first, second=None):
    """All that `near_duplicates` finds, (p, 2)."""
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *near_duplicates(first, second)])


def weights(run_folder):
    """All tensors of a run's checkpoint."""
    return load_file(run_folder / "checkpoint.safetensors")


def renumber(run_folder, **numbers):
    """Give a run's checkpoint other numbers, such as updates=60."""
    file = run_folder / "checkpoint.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = {**opened.metadata(), **{name: repr(value) for name, value in numbers.items()}}
    save_file(load_file(file), file, metadata)


def mean_gain(report, comparison):
    """How much more the rows of an arm have than those of its baseline, repeat by repeat, in the metric of a comparison."""

    def figures(name):
        key = (name, comparison.train_per_class)
        rows = sorted((row for row in report.runs if (row.arm, row.train_per_class) == key), key=lambda row: row.repeat)
        if comparison.metric != "minority_recall":
            return [getattr(row, comparison.metric) for row in rows]
        recalls = [[row.recall_per_class[label] for label in row.minority] for row in rows]
        return [np.mean([recall for recall in each if recall is not None]) for each in recalls]

    return np.mean(np.subtract(figures(comparison.arm), figures(comparison.baseline)))


def made_up_report(arms, sizes=(20,), *, imbalanced=False, n_classes=3):
    """What a benchmark from scratch writes, without one: two repeats, every arm over every other, the last arm the verdict's."""
    rows = [
        BenchmarkRow(
            arm, size, repeat, level, level, level, level / 2, 0.1, [level] * n_classes, [0], {"share": 0.5}, 1.0
        )
        for place, arm in enumerate(arms)
        for size in sizes
        for repeat, level in enumerate((0.5 + 0.01 * place, 0.52 + 0.01 * place))
    ]
    pairs = [(arm, baseline) for arm in arms for baseline in arms if arm != baseline]
    metrics = ("balanced_accuracy", *(["minority_recall"] if imbalanced else []))
    protocol = {
        "arms": list(arms),
        "repeats": 2,
        "budget": {"steps": 20, "batch_images": 32, "learning_rate": 0.01},
        "mixing": {"share": 0.5, "until": 0.5},
        "tuned": True,
        "cross_fit": False,
        "classifier": "small-cnn",
        "multiplicity": "each by itself",
        "sizes": {
            "test": 30,
            "synthetic": 60,
            "train_per_class": list(sizes),
            "counts": [[size] * n_classes for size in sizes],
        },
        "imbalanced": imbalanced,
        "split": "redrawn for every repeat",
        "same_training_images": [],
        "shared_training_images": [0.0],
        "dropped": 0,
        "generators": 2 * len(sizes),
        "interval": "95 %, paired",
        "command": None,
    }
    return BenchmarkReport(
        protocol,
        rows,
        [
            Comparison(arm, baseline, size, metric, 0.01 * (arms.index(arm) - arms.index(baseline)), (-0.2, 0.2), 2)
            for size in sizes
            for metric in metrics
            for arm, baseline in pairs
        ],
        Verdict("No evidence.", "no evidence", arms[-1], arms[-2], sizes[0]),
        [f"class {k}" for k in range(n_classes)],
        [Equivalent(arms[-1], arms[-2], sizes[0], 1.5 * sizes[0], (None, 2.0 * sizes[0]))],
        [
            ArmInterval(arm, size, "balanced_accuracy", 0.51 + 0.01 * place, (0.4, 0.6))
            for place, arm in enumerate(arms)
            for size in sizes
        ],
    )


PROTOCOL_RECIPE = ag.Recipe().with_settings(["benchmark.steps=20", "benchmark.repeats=2", "benchmark.batch_images=20"])


def measure(data, out, **words):
    """A benchmark from scratch on the processor, quick unless told otherwise."""
    return ag.run_benchmark(data, recipe=words.pop("recipe", PROTOCOL_RECIPE), out=out, device="cpu", **words)


def refused_by(call, *words):
    """Whether a call refuses its data in one line that has these words."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def refused(path, *words, **options):
    """Whether the data at a path are refused in one line that has these words."""
    refused_by(lambda: ag.load(path, **options), *words)
