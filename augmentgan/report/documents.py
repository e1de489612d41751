"""What was measured of a run or in a benchmark, read back from files that anybody may have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from augmentgan.errors import RunError, one_line
from augmentgan.evaluate.evaluation import Evaluation
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.files import read_json
from augmentgan.gan.run import Run
from augmentgan.names import BENCHMARK_FILE, EVALUATE_FILE


def read_benchmark(folder: Path) -> BenchmarkReport | None:
    """What a benchmark wrote into a folder; None where there is none.

    Raises:
        RunError: benchmark.json cannot be read, or is not what a benchmark writes.
    """
    path = folder / BENCHMARK_FILE
    if not path.exists():
        return None
    try:
        return BenchmarkReport.from_json(read_json(path))
    except (OSError, ValueError) as error:
        raise not_written_by(path, "benchmark", error) from error


def read_evaluation(run: Run) -> tuple[Evaluation, Any] | None:
    """What `evaluate_run` wrote of a run, and of which generator (`Run.generator_version`); None where it did not.

    Raises:
        RunError: evaluate.json cannot be read, or is not what it writes.
    """
    path = run.folder / EVALUATE_FILE
    if not path.exists():
        return None
    try:
        document = read_json(path)
        return TypeAdapter(Evaluation).validate_python(document), document.get("generator")
    except (OSError, ValueError) as error:
        raise not_written_by(path, "evaluate", error) from error


def not_written_by(path: Path, command: str, cause: Exception) -> RunError:
    """What is said of a file that was cut or changed: one line, whatever the cause says."""
    said = str(cause)
    if isinstance(cause, ValidationError):
        first = cause.errors()[0]
        said = ": ".join([".".join(map(str, first["loc"])), first["msg"]] if first["loc"] else [first["msg"]])
    return RunError(
        f"{str(path)!r} is not what augmentgan {command} writes ({one_line(said)}); run augmentgan {command} again, or remove it"
    )


def of_earlier_state(run: Run, version: object) -> bool:
    """Whether figures are of a generator that has been trained further since; `version` is what their file says of it, None where it says nothing."""
    return version is not None and version != run.generator_version
