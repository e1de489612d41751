"""What the page says of a benchmark: strings and drawings, from benchmark.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from augmentgan.errors import DataError, RunError
from augmentgan.evaluate.arms import MEANINGS, Arm
from augmentgan.evaluate.results import images_a_class
from augmentgan.files import read_json
from augmentgan.gan.run import Run
from augmentgan.names import BENCHMARK_FILE
from augmentgan.report.plots import as_svg, plot_arms, plot_learning_curve, plot_recall

OVER_OWN = "over the same without samples"
_FIGURES = ("balanced_accuracy", "accuracy", "macro_f1", "worst_recall", "ece")


def read_benchmark(folder: Path) -> dict[str, Any] | None:
    """The content of benchmark.json; None where there is none.

    Raises:
        RunError: it is not what a benchmark writes.
    """
    return read_document(
        folder / BENCHMARK_FILE,
        {"protocol", "runs", "comparisons", "verdict", "class_names", "equivalents", "intervals"},
        "augmentgan benchmark",
    )


def read_document(path: Path, needed: set[str], command: str) -> dict[str, Any] | None:
    """What a command wrote of a run as JSON; None where it did not.

    Raises:
        RunError: it cannot be read, or keys are missing.
    """
    if not path.exists():
        return None
    try:
        document = read_json(path)
        if not isinstance(document, dict) or not needed <= document.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError) as error:
        raise RunError(f"{str(path)!r} cannot be used ({error}); run {command} again, or remove it") from error
    return document


def of_earlier_state(run: Run, document: dict[str, Any]) -> bool:
    """Whether a benchmark.json or evaluate.json is about a generator that has since learned on."""
    measured = document.get("generator") or document.get("protocol", {}).get("generator")
    return measured is not None and measured != run.moment


def benchmark_content(folder: Path) -> dict[str, Any] | None:
    """Tables and drawings of the benchmark in a folder, size by size; None where there is none.

    Raises:
        RunError: benchmark.json is not what a benchmark writes.
    """
    document = read_benchmark(folder)
    try:
        return None if document is None else _content(document)
    except (DataError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise not_a_benchmark(folder / BENCHMARK_FILE, error) from error


def not_a_benchmark(path: Path, error: Exception) -> RunError:
    """What is said of a benchmark.json that was cut or changed: one line, whatever the error says."""
    cause = " ".join(str(error).split())
    return RunError(f"{str(path)!r} is not what a benchmark writes ({cause}); run augmentgan benchmark again")


def _content(document: dict[str, Any]) -> dict[str, Any]:
    sizes = sorted({row["train_per_class"] for row in document["runs"]})
    if not sizes or not document["protocol"]["arms"]:
        raise ValueError("nothing was run")
    verdict, columns = document["verdict"], difference_columns(document["protocol"])
    return {
        "verdict": verdict,
        "protocol": document["protocol"],
        "draws": _draws(document["protocol"]),
        "mixing": _mixing(document["protocol"]),
        "equivalents": equivalent_lines(document),
        "sizes": [_at_size(document, size) for size in sizes],
        "columns": list(columns),
        "who_is_who": _who_is_who(columns),
        "words": _words(document["protocol"]["arms"]),
        "figures": [name.replace("_", " ") for name in _FIGURES],
        "curve": _drawn(plot_learning_curve(document, narrow=True)) if len(sizes) > 1 else None,
        "command": document["protocol"].get("command"),
    }


def _at_size(document: dict[str, Any], size: int) -> dict[str, Any]:
    here = {
        **document,
        "runs": [row for row in document["runs"] if row["train_per_class"] == size],
        "comparisons": [each for each in document["comparisons"] if each["train_per_class"] == size],
    }
    found = {(each["arm"], each["baseline"], each["metric"]): each for each in here["comparisons"]}
    rows, columns = [], difference_columns(document["protocol"])
    for arm in document["protocol"]["arms"]:
        mine = [row for row in here["runs"] if row["arm"] == arm]
        rows.append(
            {
                "arm": arm,
                "figures": [_mean_and_sd([row[name] for row in mine]) for name in _FIGURES],
                "over": [_difference(found.get((arm, of.get(arm), "balanced_accuracy"))) for of in columns.values()],
                "minority": [_difference(found.get((arm, of.get(arm), "minority_recall"))) for of in columns.values()],
            }
        )
    verdict = document["verdict"]
    pair = (verdict["baseline"], verdict["arm"])
    before, after = (_mean_recall(here, arm) for arm in pair)
    changed = plot_recall(document["class_names"], before, after, pair, narrow=True) if pair[0] != pair[1] else None
    return {
        "a_class": images_a_class(document["protocol"], size),
        "rows": rows,
        "differences": [
            (title, compared)
            for title, cells in (("balanced accuracy", "over"), ("minority recall", "minority"))
            if (compared := [(row["arm"], row[cells]) for row in rows if any(row[cells])])
        ],
        "arms_plot": _drawn(plot_arms(here, narrow=True)),
        "recall_plot": None if changed is None else _drawn(changed),
    }


def difference_columns(protocol: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The columns of differences that a table has room for, what matters most first: over which arm each shows each arm.

    Over `real` and `real+classic`, which everything is compared with, and where these are not what arms with samples have to beat, as on
    uneven sets, before them over the arm that differs in the samples alone.
    """
    arms = protocol["arms"]
    columns = {f"over {name}": dict.fromkeys(arms, name) for name in ("real", "real+classic") if name in arms}
    rivals = {arm: Arm(arm).without_synthetic(imbalanced=protocol["imbalanced"]) for arm in arms}
    own = {arm: rival.name for arm, rival in rivals.items() if rival is not None and rival.name in arms}
    return columns if set(own.values()) <= {"real", "real+classic"} else {OVER_OWN: own, **columns}


def _who_is_who(columns: dict[str, dict[str, str]]) -> str | None:
    """What "the same without samples" is, arm by arm, where a column is over it."""
    of_rival: dict[str, list[str]] = {}
    for arm, rival in columns.get(OVER_OWN, {}).items():
        of_rival.setdefault(rival, []).append(arm)
    named = (f"{rival} for {' and '.join(arms)}" for rival, arms in of_rival.items())
    return f"The same without samples is {', '.join(named)}" if of_rival else None


def _words(arms: list[str]) -> list[tuple[str, str]]:
    """The words of the arms' names, and what they mean."""
    used = {word for arm in arms for word in Arm(arm).words}
    return [(word, meaning) for word, meaning in MEANINGS.items() if word in used]


def equivalent_lines(document: dict[str, Any]) -> list[str]:
    """As if you had so many more real images: a line a size, of the verdict's pair of arms."""
    verdict, lines = document["verdict"], []
    for each in document["equivalents"]:
        if (each["arm"], each["baseline"]) != (verdict["arm"], verdict["baseline"]) or each["as_if"] is None:
            continue
        size = each["train_per_class"]
        low, high = ("beyond the sizes measured" if end is None else f"{end:.0f}" for end in each["ends"])
        lines.append(
            f"As if you had {round(each['as_if'] - size):+d} real images a class: {each['arm']} with {size} does as well as "
            f"{each['baseline']} with {each['as_if']:.0f} ({low} to {high} for the ends of the difference's interval; the curve's own "
            "luck is not in it)"
        )
    return lines


def _draws(protocol: dict[str, Any]) -> list[int | str] | None:
    """The sizes of the training draws as their generators' folders have them, "all" among them; None where they are not told."""
    sizes = [each["recipe"]["data"]["train_per_class"] for each in protocol.get("by_size") or []]
    return sizes or None


def _mixing(protocol: dict[str, Any]) -> list[str]:
    """How samples enter training: one line, or one a size where sizes differ."""
    sizes = protocol.get("by_size") or [{"mixing": protocol["mixing"]}]
    lines = []
    for each in sizes:
        share, until = 100 * each["mixing"]["share"], 100 * each["mixing"]["until"]
        when = "to the end" if until >= 100 else f"for the first {until:.0f} % of the steps, then real images alone"
        lines.append(f"{share:.0f} % of them at most, {when}")
    if len(set(lines)) == 1:
        return [f"Arms with synthetic images: {lines[0]}"]
    return [
        f"Arms with synthetic images, {each['train_per_class']} real ones a class: {line}"
        for each, line in zip(sizes, lines, strict=True)
    ]


def _mean_and_sd(values: list[float]) -> str:
    if len(values) < 2:
        raise ValueError("an arm has fewer than two repeats")
    return f"{100 * np.mean(values):.1f} \u00b1 {100 * np.std(values, ddof=1):.1f}"


def _difference(each: dict[str, Any] | None) -> str:
    if each is None:
        return ""
    low, high = each["ci95"]
    return f"{100 * each['mean_difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _mean_recall(document: dict[str, Any], arm: str) -> list[float]:
    recalls = np.array([row["recall_per_class"] for row in document["runs"] if row["arm"] == arm], dtype=np.float64)
    if not len(recalls):
        raise LookupError(f"{arm!r} was not run")
    return [float(value) for value in recalls.mean(axis=0)]


def _drawn(figure: Figure) -> Markup:
    return Markup(as_svg(figure))  # noqa: S704 - our own drawing
