"""What people see while something runs: a live panel in a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import rich.box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from augmentgan.cli.layout import named, scarce_note
from augmentgan.errors import printable

if TYPE_CHECKING:
    from augmentgan.data.plan import Plan
    from augmentgan.evaluate.protocol import Progress as BenchmarkProgress
    from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow, Comparison
    from augmentgan.gan.training import Status
    from augmentgan.gan.watch import Rollback
    from augmentgan.recipe import ResolvedRecipe

LOW_DIVERSITY = 0.5
"""Below this share of the real images' variation a class is called collapsing."""


MOST_NAMED = 3
"""Trainings at work at once that a line of progress has room for."""


def plan_lines(plan: Plan, folder: Path) -> list[str]:
    """What fit is about to do, in words."""
    from augmentgan.data.images import TRAIN

    recipe, data = plan.recipe, plan.data
    train, test = len(plan.split.train), len(plan.split.test)
    counts = data.counts_of(TRAIN)
    spread = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    lines = [
        f"data     {train} training and {test} test images, {data.n_classes} classes, {spread} training images a class",
        f"images   {recipe.data.size_px} px, {'grey' if recipe.data.channels == 1 else 'RGB'}",
        f"model    width {recipe.model.generator_width} / {recipe.model.discriminator_width}, "
        f"{recipe.objective.loss} loss, class loss {recipe.objective.class_weight:g}, coverage weight {recipe.coverage.weight:g}",
        f"training {recipe.training.updates} updates, batches of {recipe.training.batch_images}, seed {plan.seed}",
        f"run      {folder}",
    ]
    if len(plan.split.dropped):
        lines.append(
            f"note     {len(plan.split.dropped)} training images left out: the test part holds the same ones, nearly the same, or others of their group"
        )
    n_contradictory = plan.n_contradictory
    if n_contradictory:
        lines.append(
            f"note     {n_contradictory} training images are there under several labels; augmentgan inspect names them"
        )
    if plan.short:
        lines.append(
            f"note     {named(plan.short)}: fewer than {recipe.data.train_per_class} images to learn from; all of them are used"
        )
    scarce = scarce_note(plan.scarce)
    if scarce is not None:
        lines.append(f"note     {scarce}")
    return lines


def moves(console: Console) -> bool:
    """Whether a display may redraw itself: in a terminal that somebody watches, and not in the log of a CI machine."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty() and not os.environ.get("CI")


class ProgressConsole(Console):
    """Standard error, for what may get lost: where its reader has gone (`2>&1 | head`), the work goes on, and rich would end it."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        """Go on unheard, also for others who write there."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class TrainingDisplay:
    """Shows training: a live panel in a terminal, a line a status elsewhere, nothing when quiet."""

    def __init__(self, recipe: ResolvedRecipe, *, quiet: bool) -> None:
        from augmentgan.recipe import Recipe

        self._console = ProgressConsole()
        self._quiet = quiet
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[speed]}"),
            console=self._console,
        )
        self._updates = recipe.training.updates
        self._task = self._progress.add_task("training", total=self._updates, speed="")
        # more than the default was measured to give no more variety (docs/experiments.md, "The coverage term")
        usual = Recipe().coverage.weight
        self._against_collapse = (
            f"--set coverage.weight={usual:g}"
            if recipe.coverage.weight < usual
            else f"--resume --updates {math.ceil(1.5 * self._updates)}"
        )
        self._quality = ""

    def __enter__(self) -> TrainingDisplay:
        if not self._quiet and moves(self._console):
            self._live = Live(self._progress, console=self._console, refresh_per_second=4)
            self._live.__enter__()
        return self

    def show(self, status: Status) -> None:
        """Take a status."""
        if status.div is not None and status.near is not None:
            self._quality = (
                f"div {status.div:.2f} (1 = as varied as the real images), near {status.near:.2f} (0 = copies)"
            )
            learned_a_while = status.updates >= self._updates / 4
            if learned_a_while and status.div_worst is not None and status.div_worst < LOW_DIVERSITY:
                self._quality += (
                    f"; class {printable(status.div_worst_class or '')} collapses: div {status.div_worst:.2f}, "
                    f"try {self._against_collapse}"
                )
        if self._quiet:
            return
        if self._live is None:
            line = (
                f"{status.updates}/{self._updates} updates, {status.images_per_s:.0f} images/s, "
                f"loss D {status.loss_d:.3f} G {status.loss_g:.3f}, D(x) {status.d_real:.2f} D(G(z)) {status.d_fake:.2f}"
            )
            quality = f", {self._quality}" if status.div is not None else ""
            self._console.print(line + quality, markup=False, highlight=False, soft_wrap=True)
            return
        self._progress.update(self._task, completed=status.updates, speed=f"{status.images_per_s:.0f} images/s")
        lines = [
            f"loss     D {status.loss_d:.3f}   G {status.loss_g:.3f}",
            f"D(x)     {_needle(status.d_real)} {status.d_real:.2f}",
            f"D(G(z))  {_needle(status.d_fake)} {status.d_fake:.2f}   equal: D cannot tell; the bar marks 0.5",
            *([f"samples  {self._quality}"] if self._quality else []),
        ]
        self._live.update(Group(self._progress, Text("\n".join(lines))))

    def tell(self, rollback: Rollback) -> None:
        """Say that training went wrong and goes on from the last good checkpoint; also when quiet."""
        line = (
            f"{rollback.reason}; back to update {rollback.updates}, with learning rates times "
            f"{rollback.rate_generator:g} (generator) and {rollback.rate_discriminator:g} (discriminator)"
        )
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)


@contextmanager
def progress(total: int, noun: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar in a terminal; in a pipe a line every ten seconds. Gives a function of the number done."""
    console = ProgressConsole()
    if quiet or not moves(console):
        last = started = time.monotonic()

        def line(done: int) -> None:
            nonlocal last
            if not quiet and (time.monotonic() - last > 10 or (done == total and last > started)):
                last = time.monotonic()
                console.print(f"{done}/{total} {noun}", markup=False, highlight=False, soft_wrap=True)

        yield line
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TextColumn(noun), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(noun, total=total)
        yield lambda done: bar.update(task, completed=done)


class ProtocolDisplay:
    """Shows a benchmark from scratch: a line a finished arm, and in a terminal one below that moves."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = ProgressConsole()
        self._quiet = quiet
        self._progress = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=self._console
        )
        self._task = self._progress.add_task("", total=None)
        self._live = not quiet and moves(self._console)

    def __enter__(self) -> ProtocolDisplay:
        if self._live:
            self._progress.start()
        return self

    def show(self, progress: BenchmarkProgress) -> None:
        """Take what the benchmark is at."""
        words = [
            f"{name}: {'classifiers' if status is None else f'generator, {status.updates} updates'}"
            for name, status in progress.at_work.items()
        ]
        if len(words) > MOST_NAMED:
            words[MOST_NAMED:] = [f"and {len(words) - MOST_NAMED} more"]
        self._progress.update(
            self._task, completed=progress.pieces_done, total=progress.n_pieces, description="; ".join(words)
        )

    def show_row(self, row: BenchmarkRow) -> None:
        """Take a finished arm."""
        if not self._quiet:
            line = f"{row.train_per_class} a class, repeat {row.repeat}: {row.arm:<26} {100 * row.balanced_accuracy:5.1f} %"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()


def arms_table(report: BenchmarkReport, train_per_class: int, *, wide: bool = True) -> Table:
    """Every arm at one size: mean and spread; differences in balanced accuracy with paired 95 % intervals.

    Without `wide`, only balanced accuracy is shown, and eighty columns hold the table. Of the columns of differences there are the two
    that matter most; the page has all.
    """
    from augmentgan.evaluate.results import images_a_class

    protocol = report.protocol
    table = _table(
        f"{images_a_class(protocol, train_per_class)} real training images a class, {protocol['sizes']['test']} real test images, "
        f"{protocol['repeats']} repeats, {protocol['classifier']}; %"
    )
    metrics = ["balanced_accuracy", *(["macro_f1", "worst_recall", "ece"] if wide else [])]
    from augmentgan.report.benchmark_content import difference_columns

    columns = dict(list(difference_columns(protocol).items())[:2])
    for name in ["arm", *(metric.replace("_", " ") for metric in metrics), *columns]:
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=name == "arm")
    summaries = [report.summary(metric, train_per_class) for metric in metrics]
    found = {
        (each.arm, each.baseline): each
        for each in report.comparisons
        if each.metric == "balanced_accuracy" and each.train_per_class == train_per_class
    }
    for arm in protocol["arms"]:
        cells = [f"{100 * mean:.1f} \u00b1 {100 * spread:.1f}" for mean, spread in (each[arm] for each in summaries)]
        cells += [_difference(found.get((arm, over.get(arm, "")))) for over in columns.values()]
        table.add_row(arm, *(escape(cell) for cell in cells))
    return table


def recall_table(report: BenchmarkReport, most: int = 20) -> Table:
    """Mean recall a class in the verdict's two arms; where there are many classes, those that changed most.

    A class without test images has no recall, and comes after all others.
    """
    from augmentgan.evaluate.results import images_a_class

    size = report.verdict.train_per_class or report.train_per_class[0]
    before, after = (report.mean_recall(arm, size) for arm in (report.verdict.baseline, report.verdict.arm))
    changes = [x - y for x, y in zip(after, before, strict=True)]
    order = sorted(
        range(len(changes)), key=lambda label: math.inf if math.isnan(changes[label]) else -abs(changes[label])
    )[:most]
    table = _table(f"recall a class, {images_a_class(report.protocol, size)} real training images a class; %")
    for name in ("class", report.verdict.baseline, report.verdict.arm, "change"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for label in sorted(order):
        table.add_row(
            escape(printable(report.class_names[label])),
            *("-" if math.isnan(value) else f"{100 * value:.1f}" for value in (before[label], after[label])),
            "-" if math.isnan(changes[label]) else f"{100 * changes[label]:+.1f}",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _difference(each: Comparison | None) -> str:
    if each is None:
        return ""
    low, high = each.ci95
    return f"{100 * each.mean_difference:+.1f} [{100 * low:+.1f} {100 * high:+.1f}]"


def _needle(probability: float, width: int = 21) -> str:
    """A probability on a scale from 0 to 1 whose middle is marked."""
    cells = ["-"] * width
    cells[width // 2] = "|"
    cells[round(min(1.0, max(0.0, probability)) * (width - 1))] = "o"
    return "".join(cells)
