"""The page of a run: one HTML file that needs no network, the verdict first."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from augmentgan.data.sheet import draw_sheet
from augmentgan.errors import RunError
from augmentgan.evaluate.benchmark import BENCHMARK_FILE
from augmentgan.files import read_json, refuse_existing, whole_file
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.run import Run
from augmentgan.report.gallery import gallery
from augmentgan.report.plots import as_svg, plot_arms, plot_recall, plot_training

PAGE_FILE = "report.html"
_COLUMNS, _NEAREST_CLASSES = 8, 10


def write_report(run: Run, out: Path | None = None, *, overwrite: bool = True) -> Path:
    """Write the page of a run.

    Args:
        run: a run with a checkpoint; a benchmark is shown where there is one.
        out: the file; `report.html` in the run folder where left out.
        overwrite: whether an existing page may be replaced; it is made from the run and can always be made again.

    Returns:
        The file.

    Raises:
        OutputError: the file exists or cannot be written.
        RunError: the run has no usable checkpoint, or a benchmark.json that is not one.
    """
    path = out or run.folder / PAGE_FILE
    refuse_existing(path, overwrite=overwrite)
    environment = Environment(loader=PackageLoader("augmentgan.report"), autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("report.html.j2").render(_content(run))
    with whole_file(path) as part:
        part.write_text(html, encoding="utf-8")
    return path


def _content(run: Run) -> dict[str, Any]:
    document = _benchmark(run)
    events = run.events()
    sheets = sorted((run.folder / "samples").glob("*.png"))
    train = run.train.counts
    return {
        "title": run.folder.name,
        "benchmark": None if document is None else _checked_content(run, document),
        "counts": [(name, int(n), int(m)) for name, n, m in zip(run.class_names, train, run.test.counts, strict=True)],
        "sheet": _picture(sheets[-1].read_bytes()) if sheets else None,
        "nearest": _nearest(run),
        "gallery": gallery(run),
        "training": Markup(as_svg(plot_training(events))) if events else None,  # noqa: S704 - our own drawing
        "last": events[-1] if events else {},
        "info": run.info,
        "recipe": {section: values for section, values in run.info["recipe"].items() if isinstance(values, dict)},
        "commands": [run.info.get("command"), f"augmentgan generate --run {run.folder} --per-class 1000"]
        + [f"augmentgan benchmark --run {run.folder}"] * (document is not None),
    }


def _benchmark(run: Run) -> dict[str, Any] | None:
    path = run.folder / BENCHMARK_FILE
    if not path.exists():
        return None
    try:
        document = read_json(path)
        if not {"protocol", "runs", "comparisons", "verdict", "class_names"} <= document.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{str(path)!r} cannot be used ({error}); run augmentgan benchmark again") from error
    found: dict[str, Any] = document
    return found


def _checked_content(run: Run, document: dict[str, Any]) -> dict[str, Any]:
    try:
        return _benchmark_content(document)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        path = run.folder / BENCHMARK_FILE
        raise RunError(f"{str(path)!r} is not what a benchmark writes; run augmentgan benchmark again") from error


def _benchmark_content(document: dict[str, Any]) -> dict[str, Any]:
    arms = document["protocol"]["arms"]
    verdict = document["verdict"]
    differences = {
        (each["arm"], each["baseline"]): each
        for each in document["comparisons"]
        if each["metric"] == "balanced_accuracy"
    }
    rows = []
    for arm in arms:
        mine = [row for row in document["runs"] if row["arm"] == arm]
        rows.append(
            {
                "arm": arm,
                "n": len(mine),
                "balanced": _mean_and_sd([row["balanced_accuracy"] for row in mine]),
                "accuracy": _mean_and_sd([row["accuracy"] for row in mine]),
                "over": [_difference(differences.get((arm, baseline))) for baseline in ("real", "real+classic")],
            }
        )
    recalls = [_mean_recall(document, verdict[side]) for side in ("baseline", "arm")]
    titles = (verdict["baseline"], verdict["arm"])
    changed = verdict["arm"] != verdict["baseline"]
    recall_plot = plot_recall(document["class_names"], recalls[0], recalls[1], titles) if changed else None
    return {
        "verdict": verdict,
        "rows": rows,
        "protocol": document["protocol"],
        "arms_plot": Markup(as_svg(plot_arms(document))),  # noqa: S704 - our own drawing
        "recall_plot": None if recall_plot is None else Markup(as_svg(recall_plot)),  # noqa: S704
    }


def _mean_and_sd(values: list[float]) -> str:
    return f"{100 * np.mean(values):.1f} \u00b1 {100 * np.std(values, ddof=1):.1f}"


def _difference(each: dict[str, Any] | None) -> str:
    if each is None:
        return ""
    low, high = each["ci95"]
    return f"{100 * each['mean_difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _mean_recall(document: dict[str, Any], arm: str) -> list[float]:
    recalls = np.array([row["recall_per_class"] for row in document["runs"] if row["arm"] == arm], dtype=np.float64)
    return [float(value) for value in recalls.mean(axis=0)]


def _nearest(run: Run) -> str:
    """Samples above their nearest real training images, as a data URI."""
    train = run.train
    find = NearestReal(train.images)
    rows, names = [], []
    labels = range(min(_NEAREST_CLASSES, train.n_classes))
    samples = run.generate(_COLUMNS, classes=[run.class_names[label] for label in labels])
    for label in labels:
        mine = samples.images[samples.labels == label]
        rows += [mine, train.images[find(mine)[1]]]
        names += [run.class_names[label], "nearest real"]
    buffer = io.BytesIO()
    draw_sheet(rows, names).save(buffer, format="PNG")
    return _picture(buffer.getvalue())


def _picture(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
