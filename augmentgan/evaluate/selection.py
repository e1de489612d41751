"""Which samples a set takes, and what is said of each: the wishes of `generate` as what `write_samples` asks."""

from __future__ import annotations

from dataclasses import dataclass

from augmentgan.errors import DataError
from augmentgan.evaluate.copies import ENOUGH_HELD_OUT, CopyJudge
from augmentgan.evaluate.filtering import LEVELS, SampleFilter
from augmentgan.evaluate.teachers import Teachers
from augmentgan.gan.run import Run
from augmentgan.gan.write_samples import Judge, Refusal, any_of

FILTERS = ("off", *LEVELS)
POLICIES = ("none", "weights", "soft-labels")


@dataclass(frozen=True)
class Selection:
    """What `write_samples` takes as `refuses` and `judges`.

    Attributes:
        refuses: which samples are left out; None where all are taken.
        judges: what adds columns to every sample.
        copies: tells near copies of the run's training images, left out or not.
    """

    refuses: Refusal | None
    judges: tuple[Judge, ...]
    copies: CopyJudge


def select_samples(run: Run, *, no_copies: bool = False, filter: str = "off", policy: str = "none") -> Selection:
    """Wishes about samples, settled for one run; teachers are trained where they are needed.

    Args:
        run: where samples come from.
        no_copies: whether near copies of training images are left out, judged by how near the run's held-out test images come.
        filter: "off", "light" or "strong": keep what teachers of the real images rate best (`evaluate.filtering`).
        policy: "none", "weights" or "soft-labels": what teachers say of each sample, for `as_torch_dataset(..., policy=True)`.

    Raises:
        DataError: an unknown word, or `no_copies` where too few images were held out to judge by.
        RunError: the run has no usable checkpoint.
    """
    if policy not in POLICIES:
        raise DataError(f"--policy {policy!r} is not known; use none, weights or soft-labels")
    if filter not in FILTERS:
        raise DataError(f"--filter {filter!r} is not known; use {', '.join(FILTERS[:-1])} or {FILTERS[-1]}")
    device = next(run.generator.parameters()).device
    copies = CopyJudge(run.train, run.test)
    if no_copies and copies.threshold is None:
        raise DataError(
            f"--no-copies: run {str(run.folder)!r} held fewer than {ENOUGH_HELD_OUT} test images out to judge copies by"
        )
    refusals = [Refusal(copies.rule, copies.copies)] if no_copies else []
    judges: list[Judge] = []
    if policy != "none" or filter != "off":
        teachers = Teachers(run.train, run.recipe.benchmark, run.seed, device, soft=policy == "soft-labels")
        if policy != "none":
            judges.append(teachers)
        if filter != "off":
            chosen = SampleFilter(run, filter, teachers)
            judges.append(chosen)
            refusals.append(Refusal(chosen.rule, chosen.refuses))
    return Selection(any_of(refusals), tuple(judges), copies)
