"""`inspect`: what a data set holds and what fit would do with it, without learning anything (and without torch)."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from augmentgan.data.decode import POLICIES
from augmentgan.data.images import TEST, LabelledImages
from augmentgan.data.load import read_files, refusal, working_size
from augmentgan.data.plan import plan_fit
from augmentgan.data.sources import read_source
from augmentgan.data.split import identical_images
from augmentgan.errors import AugmentGANError, DataError
from augmentgan.recipe import Recipe

MAX_LISTED = 20


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        data: the path.
        kind: "folder", "imagefolder" (with a metadata file), "table", "hdf5", "npz" or "idx".
        counts: usable images of each class.
        test_counts: those that the data marks as test; empty where it has no split.
        sizes: how often each width x height occurs, as seen after the EXIF orientation.
        modes: how often each pixel format occurs.
        bad: file and reason of each file that cannot be used.
        n_ignored: dot files, system litter and links to folders passed over.
        n_loose: files that belong to no class.
        duplicates_within: surplus images with the same pixels as another of their class.
        duplicates_across: images whose pixels occur under more than one class.
        duplicate_examples: some duplicates, as lists of files or rows.
        fit: what fit would do: working size, channels, training and test images, updates, `scarce` classes; None where it would refuse.
        refusal: why fit would refuse the data as they are; None where it would not.
        skip_bad_helps: whether `--skip-bad` would make fit accept them.
        dark: a line about 16-bit images that use a small part of their range; None where there are none.
        policies: how unusual images are read.
    """

    data: str
    kind: str
    counts: dict[str, int]
    test_counts: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    bad: dict[str, str]
    n_ignored: int
    n_loose: int
    duplicates_within: int
    duplicates_across: int
    duplicate_examples: list[list[str]]
    fit: dict[str, Any] | None
    refusal: str | None
    skip_bad_helps: bool
    dark: str | None
    policies: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON document."""
        return asdict(self)


def inspect(path: str | Path, recipe: Recipe | None = None, seed: int = 0) -> Inspection:
    """Look at a data set as `fit` would.

    Raises:
        DataError: nothing there, no known kind, or arrays or a table that cannot be used.
    """
    path, recipe = Path(path), recipe or Recipe()
    kind, source = read_source(path)
    size_px, channels = recipe.data.given_size_px, recipe.data.given_channels
    if isinstance(source, LabelledImages):
        height, width, n_channels = source.images.shape[1:]
        sizes = Counter({f"{width}x{height}": len(source)})
        modes = Counter({"grey" if n_channels == 1 else "RGB": len(source)})
        names = [f"row {row}" for row in range(len(source))]
        source = working_size(source, size_px, channels, recipe.data.resize)
        return _inspection(path, kind, source, names, sizes, modes, {}, 0, 0, None, None, recipe, seed)
    found = read_files(source, size_px, channels, recipe.data.resize, stop_at_bad=False)
    good = [probe for probe in found.probes if probe is not None]
    return _inspection(
        path,
        kind,
        found.data,
        [os.path.relpath(file, source.root) for file in found.files],
        Counter(f"{probe.width}x{probe.height}" for probe in good),
        Counter(probe.mode for probe in good),
        {os.path.relpath(file, source.root): reason for file, reason in sorted(found.bad.items())},
        source.n_ignored,
        len(source.loose),
        found.dark,
        refusal(source, found),
        recipe,
        seed,
    )


def _inspection(
    path: Path,
    kind: str,
    data: LabelledImages | None,
    names: list[str],
    sizes: Counter[str],
    modes: Counter[str],
    bad: dict[str, str],
    n_ignored: int,
    n_loose: int,
    dark: str | None,
    problem: DataError | None,
    recipe: Recipe,
    seed: int,
) -> Inspection:
    counts: dict[str, int] = {}
    test_counts: dict[str, int] = {}
    within, across, examples = 0, 0, []
    plan: dict[str, Any] | None = None
    reason = None if problem is None else str(problem)
    skip_bad_helps = False
    if data is not None:
        counts = dict(zip(data.class_names, data.counts.tolist(), strict=True))
        if data.split is not None:
            test_counts = dict(zip(data.class_names, data.part(TEST).counts.tolist(), strict=True))
        within, across, rows = _duplicates(data)
        examples = [[names[row] for row in group] for group in rows]
        try:
            planned = plan_fit(data, recipe, seed)
            settled, split = planned.recipe, planned.split
            skip_bad_helps = reason is not None
            plan = {
                "size_px": settled.data.size_px,
                "channels": settled.data.channels,
                "resize": settled.data.resize,
                "n_train": len(split.train),
                "n_test": len(split.test),
                "n_dropped": len(split.dropped),
                "split": split.source,
                "updates": settled.training.updates,
                "scarce": planned.scarce,
            }
        except AugmentGANError as error:
            reason = reason or str(error)
    return Inspection(
        data=str(path),
        kind=kind,
        counts=counts,
        test_counts=test_counts,
        sizes=dict(sizes.most_common()),
        modes=dict(modes.most_common()),
        bad=bad,
        n_ignored=n_ignored,
        n_loose=n_loose,
        duplicates_within=within,
        duplicates_across=across,
        duplicate_examples=examples,
        fit=plan,
        refusal=reason,
        skip_bad_helps=skip_bad_helps,
        dark=dark,
        policies=POLICIES,
    )


def _duplicates(data: LabelledImages) -> tuple[int, int, list[list[int]]]:
    """Surplus rows within classes, rows that occur across classes, and the rows of some groups."""
    numbers = identical_images(data)
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    repeated = [group for group in groups if len(group) > 1]
    within = across = 0
    for group in repeated:
        labels = data.labels[group]
        n_labels = len(np.unique(labels))
        within += len(group) - n_labels
        across += len(group) if n_labels > 1 else 0
    # what is in two classes at once matters most
    repeated.sort(key=lambda group: len(np.unique(data.labels[group])) == 1)
    return within, across, [group[:6].tolist() for group in repeated[:MAX_LISTED]]
