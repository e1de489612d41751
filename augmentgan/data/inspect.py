"""`inspect`: what a data set holds and what fit would do with it, without learning anything (and without torch)."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from augmentgan.data.decode import POLICIES
from augmentgan.data.file_list import FileList
from augmentgan.data.images import TEST, LabelledImages
from augmentgan.data.load import crop_notice, link_notice, lost_test_part, read_files, refusal, working_size
from augmentgan.data.plan import Plan, plan_fit
from augmentgan.data.sources import read_source
from augmentgan.data.split import identical_images, under_several_labels
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
        notices: further lines about what people may not expect.
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
    notices: list[str]
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
    notices: list[str] = []
    kind, source = read_source(path, notices.append)
    found = _seen_arrays(source, recipe) if isinstance(source, LabelledImages) else _seen_files(source, recipe)
    data, plan = found.data, None
    problem = found.lost or found.problem
    reason = None if problem is None else str(problem)
    within, across, examples = (0, 0, []) if data is None else _duplicates(data)
    if data is not None and found.lost is None:
        try:
            plan = _fit_plan(plan_fit(data, recipe, seed))
        except AugmentGANError as error:
            reason = str(error) if reason is None else f"{reason}; and without those: {error}"
    return Inspection(
        data=str(path),
        kind=kind,
        counts={} if data is None else _by_class(data),
        test_counts={} if data is None or not data.is_split else _by_class(data.part(TEST)),
        sizes=dict(found.sizes.most_common()),
        modes=dict(found.modes.most_common()),
        bad=found.bad,
        n_ignored=found.n_ignored,
        n_loose=found.n_loose,
        duplicates_within=within,
        duplicates_across=across,
        duplicate_examples=[[found.names[row] for row in group] for group in examples],
        fit=plan,
        refusal=reason,
        skip_bad_helps=found.problem is not None and plan is not None,
        dark=found.dark,
        notices=[*notices, *found.notices],
        policies={**POLICIES, "not square": f"{POLICIES['not square']}; here {recipe.data.resize}"},
    )


@dataclass(frozen=True)
class _Seen:
    """What reading a source brought to light.

    Attributes:
        data: what can be read of it, at the working size; None where that is nothing.
        names: of its images, for the user.
        sizes, modes: as in `Inspection`.
        bad, n_ignored, n_loose, dark, notices: as in `Inspection`; of these, arrays have notices only.
        problem: why it would be refused as it is.
        lost: why it would be refused without its bad files, too.
    """

    data: LabelledImages | None
    names: list[str]
    sizes: Counter[str]
    modes: Counter[str]
    bad: dict[str, str] = field(default_factory=dict)
    n_ignored: int = 0
    n_loose: int = 0
    dark: str | None = None
    notices: tuple[str, ...] = ()
    problem: DataError | None = None
    lost: DataError | None = None


def _seen_arrays(source: LabelledImages, recipe: Recipe) -> _Seen:
    height, width, n_channels = source.images.shape[1:]
    return _Seen(
        working_size(source, recipe.data.given_size_px, recipe.data.given_channels, recipe.data.resize),
        [f"row {row}" for row in range(len(source))],
        Counter({f"{width}x{height}": len(source)}),
        Counter({"grey" if n_channels == 1 else "RGB": len(source)}),
        notices=_lines(crop_notice([(height, width)], recipe.data.resize)),
    )


def _seen_files(source: FileList, recipe: Recipe) -> _Seen:
    settings = recipe.data
    found = read_files(source, settings.given_size_px, settings.given_channels, settings.resize, stop_at_bad=False)
    good = [probe for probe in found.probes if probe is not None]
    return _Seen(
        found.data,
        [os.path.relpath(file, source.root) for file in found.files],
        Counter(f"{probe.width}x{probe.height}" for probe in good),
        Counter(probe.mode for probe in good),
        bad={os.path.relpath(file, source.root): reason for file, reason in sorted(found.bad.items())},
        n_ignored=source.n_ignored,
        n_loose=len(source.loose),
        dark=found.dark,
        notices=_lines(*source.notices, found.cropped, link_notice(source)),
        problem=refusal(source, found),
        lost=lost_test_part(source, found),
    )


def _lines(*lines: str | None) -> tuple[str, ...]:
    """Those that there are."""
    return tuple(line for line in lines if line is not None)


def _by_class(data: LabelledImages) -> dict[str, int]:
    return dict(zip(data.class_names, data.counts.tolist(), strict=True))


def _fit_plan(plan: Plan) -> dict[str, Any]:
    """`Inspection.fit`."""
    return {
        "size_px": plan.recipe.data.size_px,
        "channels": plan.recipe.data.channels,
        "resize": plan.recipe.data.resize,
        "n_train": len(plan.split.train),
        "n_test": len(plan.split.test),
        "n_dropped": len(plan.split.dropped),
        "split": plan.split.source,
        "updates": plan.recipe.training.updates,
        "scarce": plan.scarce,
    }


def _duplicates(data: LabelledImages) -> tuple[int, int, list[list[int]]]:
    """Surplus rows within classes, rows that occur across classes, and the rows of some groups."""
    numbers = identical_images(data)
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    repeated = [group for group in groups if len(group) > 1]
    within = sum(len(group) - len(np.unique(data.labels[group])) for group in repeated)
    # what is in two classes at once matters most
    repeated.sort(key=lambda group: len(np.unique(data.labels[group])) == 1)
    return (
        within,
        int(under_several_labels(numbers, data.labels).sum()),
        [group[:6].tolist() for group in repeated[:MAX_LISTED]],
    )
