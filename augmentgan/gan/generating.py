"""Writing synthetic sets: samples stream from the generator into a writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import augmentgan
from augmentgan.data.spool import Rows, open_spool
from augmentgan.data.writers import Format, open_writer
from augmentgan.errors import DataError, OutputError
from augmentgan.files import refuse_existing
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import BATCH, SampleBatch, sample_rows

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


COLUMNS = {"sample_index": np.int64, "score": np.float32, "nearest_real": np.float32}


def write_samples(
    run: Run,
    counts: Mapping[int, int],
    out: Path,
    format: Format = "hdf5",
    *,
    seed: int | None = None,
    overwrite: bool = False,
    command: str | None = None,
    refuses: Refusal | None = None,
    on_batch: Callable[[SampleBatch], object] | None = None,
) -> int:
    """Generate `counts[label]` samples of each class into `out`.

    `score` is NaN, for no filter has judged them; `nearest_real` is the root mean square distance (grey levels, 0 to 255)
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
        on_batch: called with every batch that was written, those made before an interruption included.

    Returns:
        The number of images written.

    Raises:
        DataError: a class whose samples are nearly all refused.
        OutputError: `out` exists or cannot be written, or another process is writing it.
        RunError: the run has no usable checkpoint.
    """
    refuse_existing(out, overwrite=overwrite)
    nearest = NearestReal(run.train.images)
    size = run.recipe.data.size_px
    shape = (size, size, run.recipe.data.channels)
    attributes = run.provenance(seed, command)
    key = {
        "model": attributes["model_fingerprint"],
        "data": attributes["data_fingerprint"],
        "seed": attributes["seed"],
        "counts": list(counts.items()),
        "refuses": None if refuses is None else refuses.rule,
        "device": next(run.generator.parameters()).device.type,
        "versions": {"augmentgan": augmentgan.__version__, "torch": torch.__version__},
    }
    template: Rows = {"images": np.empty((0, *shape), np.uint8), "labels": np.empty(0, np.int64)}
    template |= {name: np.empty(0, dtype) for name, dtype in COLUMNS.items()}
    with (
        open_spool(out, key, template) as spool,
        open_writer(
            out,
            format,
            shape=shape,
            class_names=run.class_names,
            attributes=attributes,
            columns=COLUMNS,
            overwrite=overwrite,
            scratch=spool.folder,
        ) as writer,
    ):
        n_made, next_number = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)

        def write(rows: Rows) -> None:
            writer.append(**rows)
            batch = SampleBatch(rows["images"], rows["labels"], rows["sample_index"])
            for label in np.unique(batch.labels).tolist():
                mine = batch.labels == label
                n_made[label] += int(mine.sum())
                next_number[label] = int(batch.sample_index[mine].max()) + 1
            if on_batch:
                on_batch(batch)

        for rows in spool.kept():
            if not np.isin(rows["labels"], list(counts)).all():
                raise OutputError(f"{str(spool.folder)!r} holds samples of other classes; remove it")
            write(rows)
        if refuses is None:
            batches = run.sample(dict(counts), seed, start=sum(n_made.values()))
        else:
            batches = _accepted(run, counts, seed, refuses, dict(n_made), dict(next_number))
        for batch in batches:
            rows = {
                "images": batch.images,
                "labels": batch.labels,
                "sample_index": batch.sample_index,
                "score": np.full(len(batch.images), np.nan, dtype=np.float32),
                "nearest_real": nearest(batch.images)[0],
            }
            spool.add(rows)
            write(rows)
    return sum(n_made.values())


def _accepted(
    run: Run,
    counts: Mapping[int, int],
    seed: int | None,
    refuses: Refusal,
    n_made: Mapping[int, int],
    next_number: Mapping[int, int],
) -> Iterator[SampleBatch]:
    """`counts[label]` samples of each class that are not refused, in the order of their numbers, after those made."""
    for label, wanted in counts.items():
        missing, number = wanted - n_made[label], next_number[label]
        labels = np.full(BATCH, label, dtype=np.int64)
        while missing:
            if number > MOST_CANDIDATES * wanted + BATCH:
                name = run.class_names[label]
                raise DataError(
                    f"class {name!r}: {number - wanted + missing} of {number} samples were refused; ask for fewer, "
                    "or look at augmentgan evaluate"
                )
            batch = sample_rows(
                run.generator, labels, np.arange(number, number + BATCH, dtype=np.int64), run.sampling_seed(seed)
            )
            kept = np.flatnonzero(~refuses.judge(batch.images, batch.labels))[:missing]
            yield SampleBatch(batch.images[kept], batch.labels[kept], batch.sample_index[kept])
            missing, number = missing - len(kept), number + BATCH
