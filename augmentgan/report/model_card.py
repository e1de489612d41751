"""The model card: a README.md with the front matter that hubs read, from what the run folder knows."""

from __future__ import annotations

import json

import numpy as np

import augmentgan
from augmentgan.errors import OutputError
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.gan.run import Run
from augmentgan.names import BENCHMARK_FILE
from augmentgan.report.documents import not_written_by, of_earlier_state, read_benchmark, read_evaluation

TAGS = (
    "augmentgan",
    "gan",
    "dcgan",
    "conditional-image-generation",
    "data-augmentation",
    "synthetic-data",
    "safetensors",
)
UNKNOWN_LICENSE = "unknown"
_MOST_CLASSES = 100


def model_card(run: Run, license: str = UNKNOWN_LICENSE) -> str:
    """README.md of an exported generator: front matter, training data, figures where they were measured, limits.

    Raises:
        OutputError: a licence identifier that is none.
        RunError: evaluate.json or benchmark.json of the run cannot be read.
    """
    if not license or not all(
        character.isascii() and (character.isalnum() or character in "-.") for character in license
    ):
        raise OutputError(f"--license {license!r} is not an identifier; use one such as cc-by-4.0, mit or other")
    recipe = run.recipe
    colour = "grey" if recipe.data.channels == 1 else "RGB"
    front = {
        "license": license,
        "library_name": "augmentgan",
        "pipeline_tag": "unconditional-image-generation",
        "tags": list(TAGS),
    }
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items()),  # JSON is YAML
        "---",
        "",
        f"# {_plain(run.folder.resolve().name)}: a class-conditional DCGAN",
        "",
        f"Makes {recipe.data.size_px}x{recipe.data.size_px} {colour} images of {len(run.class_names)} classes. Made with "
        f"augmentgan {augmentgan.__version__}, recipe {_plain(recipe.name)}, "
        f"{run.training_summary()}, seed {run.seed}.",
        "",
        "![Samples, one row a class](samples.png)",
        "",
        "## Use",
        "",
        _USE,
        "",
        "## Training data",
        "",
        *_data(run),
        "",
        "## Figures",
        "",
        *_figures(run),
        "",
        "## Limits",
        "",
        _LIMITS,
        "",
        "## Licence",
        "",
        _UNKNOWN if license == UNKNOWN_LICENSE else f"{license}, as stated by who exported it.",
        "",
    ]
    return "\n".join(lines)


_USE = """\
```python
import json
from pathlib import Path

import torch
from augmentgan.gan.networks import Generator, to_uint8
from safetensors.torch import load_file

config = json.loads(Path("config.json").read_text())
generator = Generator(**config["generator"])
generator.load_state_dict(load_file("model.safetensors"))
generator.eval()
labels = torch.tensor([0, 1])  # places in config["class_names"]
with torch.no_grad():
    images = to_uint8(generator(torch.randn(2, generator.latent_dim), labels))  # uint8 (2, h, w, c)
```"""

_LIMITS = """\
- Made to add training images to classifiers of these very classes. Whether they help must be measured on real images: a table
  above says so where that was done, and nothing is promised where it was not.
- The samples show what the training images show, with their gaps and biases, and nothing else.
- A generator learned from private images is not private: single samples can come near to training images, and there is no
  differential privacy here.
- Not for diagnosis, identification, or as evidence that something looks like this."""

_UNKNOWN = """\
Not stated. The rights in the training images decide what may be done with this model; whoever publishes it puts the licence into
the front matter above (`augmentgan export --license NAME` does)."""


def _data(run: Run) -> list[str]:
    train, test = run.train.counts, run.test.counts
    lines = [
        f"{int(train.sum())} real images to learn from and {int(test.sum())} held out, at working size. "
        f"Fingerprint of the data (SHA-256): `{run.info['data_fingerprint']}`.",
        "",
        "| label | class | training images | held out |",
        "|---|---|---|---|",
    ]
    rows = list(enumerate(zip(run.class_names, train.tolist(), test.tolist(), strict=True)))
    lines += [f"| {label} | {_plain(name)} | {n} | {m} |" for label, (name, n, m) in rows[:_MOST_CLASSES]]
    if len(rows) > _MOST_CLASSES:
        lines.append(f"| | and {len(rows) - _MOST_CLASSES} more, in config.json | | |")
    return lines


def _figures(run: Run) -> list[str]:
    measured, benchmark = read_evaluation(run), read_benchmark(run.folder)
    lines: list[str] = []
    versions = {
        "evaluate": None if measured is None else measured[1],
        "benchmark": None if benchmark is None else benchmark.protocol.get("generator"),
    }
    earlier = [command for command, version in versions.items() if of_earlier_state(run, version)]
    if measured is not None and "evaluate" not in earlier:
        found = measured[0]
        div = [value for value in found.diversity_per_class if value is not None]
        figures = {
            "Frechet distance (0: alike)": f"{found.frechet_distance:.3f}",
            "precision, recall (1, 1: best)": f"{found.precision:.3f}, {found.recall:.3f}",
            "diversity, mean and worst class (1: as varied as real)": f"{np.mean(div):.2f}, {min(div):.2f}"
            if div
            else "unknown",
            "label agreement": _percent(found.label_agreement),
            "near copies of training images (1 %: what held-out real images give)": _percent(found.memorised_fraction),
        }
        lines += [f"Samples against the training images; features: {_plain(found.features)}.", ""]
        lines += ["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures.items()), ""]
    for command in earlier:
        lines += [
            f"The run has learned on since `augmentgan {command}` measured it, so those figures are left out.",
            "",
        ]
    if benchmark is not None and "benchmark" not in earlier:
        n_test, n_repeats = _protocol_of(run, benchmark)
        lines += [
            f"Worth to a classifier: balanced accuracy in % on {n_test} real held-out images, mean and "
            f"standard deviation over {n_repeats} repeats.",
            "",
            "| trained on | balanced accuracy |",
            "|---|---|",
            *(
                f"| {_plain(arm)} | {100 * mean:.1f} \u00b1 {100 * spread:.1f} |"
                for arm, (mean, spread) in benchmark.summary().items()
            ),
            "",
            f"Verdict: {_plain(benchmark.verdict.text)}",
        ]
    return lines or ["None were measured. `augmentgan evaluate` and `augmentgan benchmark` measure them."]


def _protocol_of(run: Run, benchmark: BenchmarkReport) -> tuple[int, int]:
    """Test images and repeats."""
    try:
        return int(benchmark.protocol["sizes"]["test"]), int(benchmark.protocol["repeats"])
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise not_written_by(run.folder / BENCHMARK_FILE, "benchmark", error) from error


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    return "".join(
        f"\\{character}" if character in "\\`*_{}[]<>()#+!|&~" else character for character in text if character >= " "
    )


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"
