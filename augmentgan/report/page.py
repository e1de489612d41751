"""The page of a run or a benchmark: one HTML file that needs no network, the verdict first."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from augmentgan.data.sheet import draw_sheet
from augmentgan.errors import AugmentGANError, RunError, writable
from augmentgan.evaluate.benchmark_folder import first_fit
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.files import atomic_file, refuse_existing
from augmentgan.gan.choice import is_regular
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.fit import SHEET_COLUMNS
from augmentgan.gan.run import Run
from augmentgan.names import BENCHMARK_FILE, PAGE_FILE, RUN_FILE
from augmentgan.report.benchmark_content import benchmark_content, sizes_of_draws
from augmentgan.report.documents import not_written_by, of_earlier_state, read_benchmark
from augmentgan.report.gallery import data_uri, gallery, png
from augmentgan.report.plots import as_svg, plot_training

_COLUMNS, _NEAREST_CLASSES = 8, 10
_UNFIT = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What comes of a document with something missing, or in another form."""


def write_report(
    source: Run | str | Path, out: str | Path | None = None, *, overwrite: bool | None = None, device: str = "auto"
) -> Path:
    """Write the page of a run, or of a benchmark from scratch.

    Args:
        source: a run with a checkpoint, or its folder, whose benchmark is shown where there is one; or the folder of a benchmark from scratch, of
            which the first generator is shown.
        out: the file; `report.html` in the folder where left out.
        overwrite: whether an existing file may be replaced; where left out only the page in the folder may, which is made from the run
            and can always be made again.
        device: where the networks of a folder lie; a `Run` has its own.

    Returns:
        The file.

    Raises:
        OutputError: the file exists or cannot be written.
        RunError: the run has no usable checkpoint, or there are documents in the folder that are not what augmentgan writes.
    """
    if not isinstance(source, Run):
        source = Path(source)
        source = Run(source, device) if (source / RUN_FILE).exists() else source
    folder = source.folder if isinstance(source, Run) else source
    path = folder / PAGE_FILE if out is None else Path(out)
    refuse_existing(path, overwrite=out is None if overwrite is None else overwrite, file=True)
    environment = Environment(loader=PackageLoader("augmentgan.report"), autoescape=True, undefined=StrictUndefined)
    benchmark = read_benchmark(folder)
    # of what the benchmark says of its protocol, and of run.json, the page reads more than was looked at on the way here
    of_benchmark, draws, from_scratch = None, None, not isinstance(source, Run)
    if benchmark is not None:
        try:
            of_benchmark = benchmark_content(benchmark, from_scratch=from_scratch)
            draws = sizes_of_draws(benchmark.protocol)
        except _UNFIT as error:
            raise not_written_by(folder / BENCHMARK_FILE, "benchmark", error) from error
    # the folder may hold generators of more sizes than the result
    run = source if isinstance(source, Run) else first_fit(folder, draws, device)
    try:
        content = _content(run, folder, benchmark, from_scratch=from_scratch)
        html = environment.get_template("report.html.j2").render(content, benchmark=of_benchmark)
    except AugmentGANError:
        raise
    except (TemplateError, *_UNFIT) as error:
        raise RunError(
            f"run {str(run.folder)!r}: run.json or events.jsonl is not what fit writes ({error}); fit again"
        ) from error
    with atomic_file(path) as part:
        part.write_text(writable(html), encoding="utf-8")
    return path


def _content(run: Run, folder: Path, benchmark: BenchmarkReport | None, *, from_scratch: bool) -> dict[str, Any]:
    events = run.events()
    train, test = run.train.counts, run.test.counts
    where = shlex.quote(str(run.folder))
    commands = [
        run.info.get("command"),
        *run.info.get("lengthened_by", []),
        f"augmentgan generate --run {where} --per-class 1000",
    ]
    if benchmark is not None:
        # a script leaves no command behind; what it did to a run, a command can do, but its data are not known here
        of_script = (
            f"# the benchmark was made from Python: ag.run_benchmark(data, out={str(folder)!r}, ...)"
            if from_scratch
            else f"augmentgan benchmark --run {where}"
        )
        commands.append(benchmark.protocol.get("command") or of_script)
    return {
        "title": folder.resolve().name,
        "earlier": not from_scratch
        and benchmark is not None
        and of_earlier_state(run, benchmark.protocol.get("generator")),
        "from_scratch": from_scratch,
        "generator": run.folder.name,
        "counts": [(name, int(n), int(m)) for name, n, m in zip(run.class_names, train, test, strict=True)],
        "sheet": _sheet(run),
        "nearest": _nearest(run),
        "gallery": gallery(run),
        "training": Markup(as_svg(plot_training(events))) if events else None,  # noqa: S704 - our own drawing
        "last": (run.statuses() or [{}])[-1],
        "chosen": run.chosen_look,
        "whence": _selection_note(run),
        "info": run.info,
        "recipe": {section: values for section, values in run.info["recipe"].items() if isinstance(values, dict)},
        "commands": [command for command in commands if command],
    }


def _selection_note(run: Run) -> str:
    """Which look samples come from, and why, where it is not the last update's; see `augmentgan.gan.choice`."""
    looks, chosen = run.statuses(), run.chosen_look.get("updates", 0)
    if not looks or chosen == looks[-1]["updates"]:
        return ""
    training, learned = run.recipe.training, run.generator_version["updates"]
    # one made at a stop comes at a chance moment, and one after the checkpoint is lost: neither was asked
    regular = [
        look["updates"]
        for look in looks
        if look["updates"] <= learned and look.get("div_worst") is not None and is_regular(look["updates"], training)
    ]
    if any(updates > chosen for updates in regular):
        return f"the look at update {chosen}: at later ones the least varied class had fallen behind"
    return f"the look at update {chosen}" + (", the last regular one" if chosen in regular else "")


def _sheet(run: Run) -> str:
    """Samples of every class, as a data URI: of the generator that samples come from, which need not be the last look's."""
    samples = run.generate(SHEET_COLUMNS)
    rows = [samples.images[samples.labels == label] for label in range(samples.n_classes)]
    return data_uri(png(draw_sheet(rows, list(run.class_names))))


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
    return data_uri(png(draw_sheet(rows, names)))
