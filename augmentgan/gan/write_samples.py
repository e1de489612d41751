"""Writing synthetic sets: samples stream from the generator into a writer."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import augmentgan
from augmentgan.data.columns import NEAREST_REAL, OF_SAMPLES, SAMPLE_INDEX, SCORE
from augmentgan.data.fill import checked_counts
from augmentgan.data.spool import Rows, open_spool
from augmentgan.data.writers import Format, open_writer, refuse_place
from augmentgan.errors import DataError, OutputError
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import BATCH, SampleBatch, sample_together

MOST_CANDIDATES = 20
"""Where samples are refused, at most this many are made for each that is wanted."""


class Refusal(NamedTuple):
    """Which samples must not be written.

    Attributes:
        rule: what is refused, in words that change when the rule does; an interrupted set goes on under the same rule only.
        judge: (images, labels) to the samples that are refused.
    """

    rule: str
    judge: Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.bool_]]


def any_of(refusals: Sequence[Refusal]) -> Refusal | None:
    """A refusal of what any of them refuses; None where there is none."""
    if not refusals:
        return None
    return Refusal(
        "; ".join(each.rule for each in refusals),
        lambda images, labels: np.any([each.judge(images, labels) for each in refusals], axis=0),
    )


class Judge(Protocol):
    """Says something of every sample, in columns of its own.

    Attributes:
        rule: what it says, in words that change when its answers do.
        columns: their names and types; a type with a shape makes a column of rows.
    """

    rule: str
    columns: Mapping[str, np.dtype[Any]]

    def __call__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
        """The columns, a row a sample."""


def write_samples(
    run: Run,
    counts: Mapping[int, int],
    out: str | Path,
    format: Format = "hdf5",
    *,
    seed: int | None = None,
    overwrite: bool = False,
    command: str | None = None,
    refuses: Refusal | None = None,
    judges: Sequence[Judge] = (),
    on_batch: Callable[[SampleBatch], object] | None = None,
    world: World = SINGLE_PROCESS,
) -> int:
    """Generate `counts[label]` samples of each class into `out`.

    `score` is NaN where no filter (`evaluate.filtering`) is among the judges; `nearest_real` is the root mean square distance (grey levels, 0 to 255)
    to the nearest training image. Finished samples are kept beside `out` until it is whole: the same call after an
    interruption or a crash goes on with them.

    Args:
        run: where the generator comes from.
        counts: samples of each label.
        out: the file or folder.
        format: "hdf5" or "folder".
        seed: of the samples; the run's where left out.
        overwrite: whether `out` may be replaced.
        command: what the user typed, kept with the samples.
        refuses: which samples must not be written; the next ones by number take their places.
        judges: each adds columns, such as `evaluate.teachers.Teachers`.
        on_batch: called with every batch that was written, those made before an interruption included.
        world: the processes that share the work (`augmentgan.gan.distributed`); the first one writes, and is told of batches.

    Returns:
        The number of images written.

    Raises:
        DataError: a label that the run does not know, a number below 0, an unusable seed, or a class whose samples are nearly all refused.
        OutputError: `out` exists or cannot be written, or another process is writing it.
        RunError: the run has no usable checkpoint.
    """
    out, counts = Path(out), checked_counts(counts, run.class_names)
    world.run_on_rank_zero(lambda: refuse_place(out, format, overwrite=overwrite))
    nearest = NearestReal(run.train.images)
    attributes = run.provenance(seed, command)
    key = _key(run, attributes, counts, refuses, judges)
    columns = dict(OF_SAMPLES)
    for judge in judges:
        columns |= judge.columns
    tally = _Tally(counts)

    def tell(rows: Rows) -> None:
        batch = SampleBatch(rows["images"], rows["labels"], rows[SAMPLE_INDEX])
        tally.add(batch)
        if on_batch:
            on_batch(batch)

    with contextlib.ExitStack() as stack:
        outputs: list[_Output] = []  # the first process's; the others have none

        def begin() -> None:
            output = _Output(stack, run, out, format, key, attributes, columns, overwrite=overwrite, labels=counts)
            outputs.append(output)
            for rows in output.kept(counts):
                tell(rows)

        world.run_on_rank_zero(begin)
        tally.synchronise(world)
        for batch in _missing(run, counts, seed, refuses, tally, world):
            for output in outputs:
                rows: Rows = {
                    "images": batch.images,
                    "labels": batch.labels,
                    SAMPLE_INDEX: batch.sample_index,
                    SCORE: np.full(len(batch.images), np.nan, dtype=np.float32),
                    NEAREST_REAL: nearest(batch.images)[0],
                }
                for judge in judges:
                    rows |= judge(batch.images, batch.labels)
                output.add(rows)
                tell(rows)
    world.barrier()
    return sum(counts.values())


def _key(
    run: Run,
    attributes: Mapping[str, str | int | float],
    counts: Mapping[int, int],
    refuses: Refusal | None,
    judges: Sequence[Judge],
) -> dict[str, Any]:
    """All that samples depend on: kept ones of another key are not gone on with."""
    return {
        "model": attributes["model_fingerprint"],
        "truncation": run.recipe.model.truncation,
        "data": attributes["data_fingerprint"],
        "seed": attributes["seed"],
        "counts": list(counts.items()),
        "refuses": None if refuses is None else refuses.rule,
        "judges": [judge.rule for judge in judges],
        "device": next(run.generator.parameters()).device.type,
        "versions": {"augmentgan": augmentgan.__version__, "torch": torch.__version__},
    }


class _Tally:
    """How far each class has come.

    Attributes:
        made: samples written, by label.
        next_number: the number of the next sample, by label.
    """

    def __init__(self, labels: Iterable[int]) -> None:
        self.made, self.next_number = dict.fromkeys(labels, 0), dict.fromkeys(labels, 0)

    def add(self, batch: SampleBatch) -> None:
        """Count a batch that was written."""
        for label in np.unique(batch.labels).tolist():
            mine = batch.labels == label
            self.made[label] += int(mine.sum())
            self.next_number[label] = int(batch.sample_index[mine].max()) + 1

    def synchronise(self, world: World) -> None:
        """Know what the first process knows."""
        for counted in (self.made, self.next_number):
            known = world.broadcast_(torch.tensor(list(counted.values()), dtype=torch.int64))
            counted.update(zip(counted, known.tolist(), strict=True))


class _Output:
    """The set that is being written, and its rows beside it for a continuation; both are settled when the stack unwinds."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        run: Run,
        out: Path,
        format: Format,
        key: Mapping[str, Any],
        attributes: Mapping[str, str | int | float],
        columns: Mapping[str, np.dtype[Any]],
        *,
        overwrite: bool,
        labels: Iterable[int],
    ) -> None:
        size = run.recipe.data.size_px
        shape = (size, size, run.recipe.data.channels)
        template: Rows = {"images": np.empty((0, *shape), np.uint8), "labels": np.empty(0, np.int64)}
        template |= {name: np.empty(0, dtype) for name, dtype in columns.items()}
        self._spool = stack.enter_context(open_spool(out, key, template))
        self._writer = open_writer(
            out,
            format,
            shape=shape,
            class_names=run.class_names,
            attributes=attributes,
            columns=columns,
            overwrite=overwrite,
            scratch=self._spool.folder,
            labels=labels,
        )
        stack.enter_context(self._writer)

    def kept(self, labels: Container[int]) -> Iterator[Rows]:
        """What an earlier call had finished, written anew; before anything is added.

        Raises:
            OutputError: rows of other labels.
        """
        for rows in self._spool.kept():
            if not all(label in labels for label in np.unique(rows["labels"]).tolist()):
                raise OutputError(f"{str(self._spool.folder)!r} holds samples of other classes; remove it")
            self._writer.append(**rows)
            yield rows

    def add(self, rows: Rows) -> None:
        """Write rows, and keep them."""
        self._spool.add(rows)
        self._writer.append(**rows)


def _missing(
    run: Run, counts: Mapping[int, int], seed: int | None, refuses: Refusal | None, tally: _Tally, world: World
) -> Iterator[SampleBatch]:
    """The samples that are not written yet, in the order of their numbers."""
    if refuses is None:
        return run.sample(counts, seed, sum(tally.made.values()), world)
    return _accepted(run, counts, seed, refuses, dict(tally.made), dict(tally.next_number), world)


def _accepted(
    run: Run,
    counts: Mapping[int, int],
    seed: int | None,
    refuses: Refusal,
    n_made: Mapping[int, int],
    next_number: Mapping[int, int],
    world: World,
) -> Iterator[SampleBatch]:
    """`counts[label]` samples of each class that are not refused, in the order of their numbers, after those made."""
    for label, wanted in counts.items():
        missing, first = wanted - n_made[label], next_number[label]
        labels = np.full(BATCH, label, dtype=np.int64)
        numbers = (
            (labels, np.arange(number, number + BATCH, dtype=np.int64)) for number in itertools.count(first, BATCH)
        )
        for batch in sample_together(run.generator, numbers, run.sampling_seed(seed), world) if missing else ():
            number = int(batch.sample_index[0])
            if number > MOST_CANDIDATES * wanted + BATCH:
                name = run.class_names[label]
                raise DataError(
                    f"class {name!r}: {number - wanted + missing} of {number} samples were refused; ask for fewer, "
                    "or look at augmentgan evaluate"
                )
            # one answer for all: teachers learned in two processes need not agree, and batches must stay in step
            refused = world.broadcast_(torch.from_numpy(refuses.judge(batch.images, batch.labels).astype(np.uint8)))
            kept = np.flatnonzero(refused.numpy() == 0)[:missing]
            yield SampleBatch(batch.images[kept], batch.labels[kept], batch.sample_index[kept])
            missing -= len(kept)
            if not missing:
                break
