"""Writing synthetic sets: samples stream from the generator into a writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.writers import Format, open_writer
from augmentgan.errors import DataError
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import BATCH, SampleBatch, sample_rows

MOST_CANDIDATES = 20
"""Where samples are refused, at most this many are made for each that is wanted."""

Refuses = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.bool_]]
"""(images, labels) to which of them must not be written."""

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
    refuses: Refuses | None = None,
    on_batch: Callable[[SampleBatch], object] | None = None,
) -> int:
    """Generate `counts[label]` samples of each class into `out`.

    `score` is NaN, for no filter has judged them; `nearest_real` is the root mean square distance (grey levels, 0 to 255)
    to the nearest training image.

    Args:
        run: where the generator comes from.
        counts: samples of each label.
        out: the file or folder.
        format: "hdf5" or "folder".
        seed: of the samples; the run's where left out.
        overwrite: whether `out` may be replaced.
        command: what the user typed, kept with the samples.
        refuses: which samples must not be written; the next ones by number take their places.
        on_batch: called with every batch that was written.

    Returns:
        The number of images written.

    Raises:
        DataError: a class whose samples are nearly all refused.
        OutputError: `out` exists or cannot be written.
        RunError: the run has no usable checkpoint.
    """
    nearest = NearestReal(run.train.images)
    size = run.recipe.data.size_px
    total = 0
    with open_writer(
        out,
        format,
        shape=(size, size, run.recipe.data.channels),
        class_names=run.class_names,
        attributes=run.provenance(seed, command),
        columns=COLUMNS,
        overwrite=overwrite,
    ) as writer:
        batches = run.sample(dict(counts), seed) if refuses is None else _accepted(run, counts, seed, refuses)
        for batch in batches:
            writer.append(
                batch.images,
                batch.labels,
                sample_index=batch.sample_index,
                score=np.full(len(batch.images), np.nan, dtype=np.float32),
                nearest_real=nearest(batch.images)[0],
            )
            total += len(batch.images)
            if on_batch:
                on_batch(batch)
    return total


def _accepted(run: Run, counts: Mapping[int, int], seed: int | None, refuses: Refuses) -> Iterator[SampleBatch]:
    """`counts[label]` samples of each class that are not refused, in the order of their numbers."""
    for label, wanted in counts.items():
        missing, number = wanted, 0
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
            kept = np.flatnonzero(~refuses(batch.images, batch.labels))[:missing]
            yield SampleBatch(batch.images[kept], batch.labels[kept], batch.sample_index[kept])
            missing, number = missing - len(kept), number + BATCH
