"""Writing synthetic sets: samples stream from the generator into a writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from augmentgan.data.writers import Format, open_writer
from augmentgan.gan.diversity import NearestReal
from augmentgan.gan.run import Run

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
    on_progress: Callable[[int], object] | None = None,
) -> int:
    """Generate `counts[label]` samples of each class into `out`.

    `score` is NaN, for no filter has judged them; `nearest_real` is the root mean square distance (grey levels, 0 to 255)
    to the nearest training image.

    Returns:
        The number of images written.

    Raises:
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
        for batch in run.sample(dict(counts), seed):
            writer.append(
                batch.images,
                batch.labels,
                sample_index=batch.sample_index,
                score=np.full(len(batch.images), np.nan, dtype=np.float32),
                nearest_real=nearest(batch.images)[0],
            )
            total += len(batch.images)
            if on_progress:
                on_progress(total)
    return total
