"""Watching the game: what has gone wrong in training, and which gentler setting to try from the last good checkpoint.

A rollback is a continuation like any other, from the checkpoint on the disk, with learning rates that run.json names: it
is recorded, it survives a crash, and it can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch

from augmentgan.errors import TrainingError
from augmentgan.gan.training import Status, Trainer

MAX_ROLLBACKS = 3
GENTLER = 0.5
"""What a rollback multiplies learning rates by."""

EXPLODED = 1e4
"""A loss beyond this has exploded: all of them are of the order of one when networks are fresh."""

VANISHED = 1e-3
"""A discriminator's loss below this says that it is sure of every image; Wasserstein critics have no such floor."""

BLIND = 1e-6
"""Mean D(x) and D(G(z)) closer than this: the answer no longer depends on the image. An even game differs by far more."""

PATIENCE = 10
"""Lines of events.jsonl in a row after which a discriminator that is too sure, or blind, is taken to stay so."""


class TrainingFailure(TrainingError):
    """Training went wrong.

    Attributes:
        reason: what was seen, without what to do.
        gentler_generator: what to multiply the generator's learning rate by; the discriminator's is multiplied by `GENTLER`.
    """

    def __init__(self, reason: str, gentler_generator: float = GENTLER) -> None:
        super().__init__(reason)
        self.reason = reason
        self.gentler_generator = gentler_generator


@dataclass(frozen=True)
class Rollback:
    """One return to the last good checkpoint.

    Attributes:
        updates: that checkpoint's.
        from_updates: where trouble was seen.
        reason: what was seen.
        rate_generator, rate_discriminator: from here on, the recipe's learning rates times these.
    """

    updates: int
    from_updates: int
    reason: str
    rate_generator: float
    rate_discriminator: float

    def to_json(self) -> dict[str, Any]:
        """An entry of run.json's `rollbacks`."""
        return asdict(self)


class Watch:
    """Sees every status, and remembers enough to tell a bad moment from a bad state.

    Args:
        loss: the recipe's adversarial loss.
        events: the run's earlier lines of events.jsonl, so that a continued run judges as an uninterrupted one does.
    """

    def __init__(self, loss: str, events: Iterable[dict[str, Any]] = ()) -> None:
        self._has_floor = loss != "wasserstein"
        self._doubts: list[str | None] = []
        for event in events:
            if "rollback" in event:  # what came before was answered by it
                self._doubts.clear()
            elif all(isinstance(event.get(key), float) for key in ("loss_d", "d_real", "d_fake")):
                self._doubts.append(self._warning_sign(event["loss_d"], event["d_real"], event["d_fake"]))

    @property
    def in_doubt(self) -> bool:
        """Whether the last status may be the beginning of trouble; such a state should not replace a good one."""
        return bool(self._doubts) and self._doubts[-1] is not None

    def see(self, status: Status) -> None:
        """Take a status.

        Raises:
            TrainingFailure: a loss is no number or has exploded, or the discriminator has been too sure, or blind, for long.
        """
        losses = {"discriminator": status.loss_d, "generator": status.loss_g, "coverage": status.loss_coverage or 0.0}
        for name, value in losses.items():
            if not math.isfinite(value):
                raise TrainingFailure(f"the {name} loss became {value} before update {status.updates}")
            if abs(value) > EXPLODED:
                raise TrainingFailure(f"the {name} loss exploded to {value:.3g} before update {status.updates}")
        self._doubts.append(self._warning_sign(status.loss_d, status.d_real, status.d_fake))
        lately = self._doubts[-PATIENCE:]
        if len(lately) == PATIENCE and all(lately):
            only_discriminator = self._doubts[-1] == _TOO_SURE
            raise TrainingFailure(
                f"{self._doubts[-1]}, for {PATIENCE} statuses up to update {status.updates}",
                gentler_generator=1.0 if only_discriminator else GENTLER,
            )

    def _warning_sign(self, loss_d: float, d_real: float, d_fake: float) -> str | None:
        if self._has_floor and loss_d < VANISHED:
            return _TOO_SURE
        return _BLIND if abs(d_real - d_fake) < BLIND else None


_TOO_SURE = f"the discriminator's loss vanished (below {VANISHED:g}): it is sure of every image"
_BLIND = "the discriminator gives every image the same answer"


def check_weights(trainer: Trainer) -> None:
    """Refuse weights that are no numbers; they must never reach a checkpoint.

    Raises:
        TrainingFailure: a weight or statistic is not finite.
    """
    networks = {"generator": trainer.generator, "discriminator": trainer.discriminator, "EMA": trainer.ema}
    for name, network in networks.items():
        tensors = [tensor for tensor in chain(network.parameters(), network.buffers()) if tensor.is_floating_point()]
        if not torch.stack([tensor.isfinite().all() for tensor in tensors]).all():
            raise TrainingFailure(f"weights of the {name} became no numbers before update {trainer.updates}")


def slow_down(trainer: Trainer, rollbacks: Sequence[Rollback]) -> None:
    """Give a trainer the learning rates of the last rollback, if there was one."""
    if rollbacks:
        training, last = trainer.recipe.training, rollbacks[-1]
        for optimizer, rate in (
            (trainer.optimizer_generator, training.learning_rate_generator * last.rate_generator),
            (trainer.optimizer_discriminator, training.learning_rate_discriminator * last.rate_discriminator),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate


def next_rollback(failure: TrainingFailure, before: Sequence[Rollback], from_updates: int, to_updates: int) -> Rollback:
    """The rollback that answers a failure.

    Raises:
        TrainingError: there were `MAX_ROLLBACKS` already.
    """
    if len(before) >= MAX_ROLLBACKS:
        kept = f"the state of update {to_updates} is kept" if to_updates else "nothing worth keeping was learned"
        raise TrainingError(
            f"{failure.reason}, also after {len(before)} returns with gentler learning rates; {kept}; start over with "
            "--overwrite and lower training.learning_rate_discriminator and training.learning_rate_generator"
        ) from failure
    generator, discriminator = (before[-1].rate_generator, before[-1].rate_discriminator) if before else (1.0, 1.0)
    return Rollback(
        to_updates,
        from_updates,
        failure.reason,
        generator * failure.gentler_generator,
        discriminator * GENTLER,
    )


def parse_rollbacks(value: Any) -> list[Rollback]:
    """The rollbacks of a run.json.

    Raises:
        ValueError: not what `Rollback.to_json` gives.
    """
    try:
        rollbacks = [Rollback(**entry) for entry in value]
        sound = all(
            type(each.updates) is int
            and type(each.from_updates) is int
            and isinstance(each.reason, str)
            and all(
                isinstance(rate, int | float) and 0 < rate <= 1
                for rate in (each.rate_generator, each.rate_discriminator)
            )
            for each in rollbacks
        )
    except TypeError as error:
        raise ValueError("rollbacks are not what this version writes") from error
    if not sound:
        raise ValueError("rollbacks are out of range")
    return rollbacks
