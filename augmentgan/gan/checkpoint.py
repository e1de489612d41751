"""Checkpoints: tensors in safetensors, the rest in JSON; no pickle anywhere."""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from augmentgan.errors import RunError, one_line, writable
from augmentgan.files import atomic_file, is_special, write_json
from augmentgan.gan.device import random_state, set_random_state
from augmentgan.gan.training import Trainer
from augmentgan.names import NUMBERS_FILE, TENSORS_FILE
from augmentgan.sections import LARGEST_COUNT

FORMAT = 1
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


@dataclass(frozen=True)
class Numbers:
    """How far training had come.

    Attributes:
        updates: of the generator.
        seconds: spent on them.
        chosen_updates: the look that samples come from, 0 before the first; None in a checkpoint of an earlier version.
        chosen_plan: the updates that were planned when that look was chosen, for how often classes came up follows from them (`class_shares`);
            None in a checkpoint of an earlier version.
    """

    updates: int
    seconds: float
    chosen_updates: int | None
    chosen_plan: int | None


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Write everything that training needs to go on: networks, EMA, optimisers, random states, counters."""
    tensors = {
        **_prefixed("generator", trainer.generator.state_dict()),
        **_prefixed("average", trainer.ema.state_dict()),
        **_prefixed("chosen", trainer.chosen.state_dict()),
        **_prefixed("discriminator", trainer.discriminator.state_dict()),
        **_optimizer_tensors("optimizer_generator", trainer.optimizer_generator),
        **_optimizer_tensors("optimizer_discriminator", trainer.optimizer_discriminator),
        "coverage.rows": trainer.coverage.rows,
        "coverage.latents": trainer.coverage.latents,
        "lecam.anchors": trainer.anchors,
        "random.cpu": torch.get_rng_state(),
    }
    on_device = random_state(trainer.device)
    if on_device is not None:
        tensors[f"random.{trainer.device.type}"] = on_device
    numbers = {
        "format": FORMAT,
        "updates": trainer.updates,
        "seconds": trainer.seconds,
        "chosen_updates": trainer.chosen_updates,
    }
    # the numbers travel inside the tensors' file, so that one rename replaces all; the JSON beside it is for reading
    if trainer.chosen_plan is not None:
        numbers["chosen_plan"] = trainer.chosen_plan
    write_tensors(folder / TENSORS_FILE, tensors, {name: repr(value) for name, value in numbers.items()})
    write_json(folder / NUMBERS_FILE, numbers)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all.

    Raises:
        OutputError: they cannot be written.
    """
    with atomic_file(path) as part:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, part, metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error


def has_checkpoint(folder: Path) -> bool:
    """Whether a run folder holds a checkpoint."""
    return (folder / TENSORS_FILE).exists()


def restore_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Bring a freshly made trainer to the state that was saved.

    Raises:
        RunError: no checkpoint, or one that does not fit.
    """
    numbers, tensors = read_checkpoint(folder)
    try:
        trainer.ema.load_state_dict(_with_prefix(tensors, "average"))
        for name in ("generator", "chosen", "discriminator"):
            getattr(trainer, name).load_state_dict(_with_prefix(tensors, name))
        for name in ("optimizer_generator", "optimizer_discriminator"):
            _restore_optimizer(getattr(trainer, name), _with_prefix(tensors, name), numbers.updates)
        rows, latents = tensors["coverage.rows"], tensors["coverage.latents"]
        fits = latents.shape == (len(rows), trainer.recipe.model.latent_dim) and latents.dtype == torch.float32
        fits = fits and bool(latents.isfinite().all()) and rows.dtype == torch.int64
        if not fits or rows.ndim != 1 or not (0 <= int(rows.min()) <= int(rows.max()) < len(trainer.batches.images)):
            raise ValueError("coverage pairs are of other data")
        labels = trainer.batches.labels.cpu()
        if not torch.isin(torch.unique(labels), labels[rows]).all():
            raise ValueError("a class has no coverage pair")
        trainer.coverage.rows, trainer.coverage.latents = rows, latents
        trainer.anchors.copy_(tensors["lecam.anchors"])
        torch.set_rng_state(tensors["random.cpu"])
        on_device = tensors.get(f"random.{trainer.device.type}")
        if on_device is not None and trainer.device.type != "cpu":
            set_random_state(trainer.device, on_device)
        trainer.updates, trainer.seconds = numbers.updates, numbers.seconds
        trainer.chosen_updates = numbers.chosen_updates or 0
        trainer.chosen_plan = numbers.chosen_plan
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"checkpoint in {str(folder)!r} does not fit this run; start over with augmentgan fit DATA --overwrite"
        ) from error


def read_checkpoint(folder: Path) -> tuple[Numbers, dict[str, Tensor]]:
    """The numbers and tensors of a run folder's checkpoint.

    Raises:
        RunError: missing, unreadable, or written by a newer version.
    """
    return _read(folder, with_tensors=True)


def read_numbers(folder: Path) -> Numbers:
    """The numbers alone, which takes no time.

    Raises:
        RunError: as `read_checkpoint`.
    """
    return _read(folder, with_tensors=False)[0]


def _read(folder: Path, *, with_tensors: bool) -> tuple[Numbers, dict[str, Tensor]]:
    try:
        if is_special(folder / TENSORS_FILE):
            raise OSError(errno.EINVAL, "it is not a regular file")
        (folder / TENSORS_FILE).open("rb").close()  # safetensors calls any file missing that it cannot open
        with safe_open(folder / TENSORS_FILE, framework="pt") as file:
            metadata = file.metadata() or {}
            version = metadata.get("format")
            if version != repr(FORMAT):
                raise RunError(
                    f"checkpoint in {str(folder)!r} has format {version}, this version reads {FORMAT}; "
                    "use the version of augmentgan that made it"
                )
            chosen, plan = (
                None if metadata.get(name) is None else int(metadata[name])
                for name in ("chosen_updates", "chosen_plan")
            )
            numbers = Numbers(int(metadata["updates"]), float(metadata["seconds"]), chosen, plan)
            names = list(file.keys()) if with_tensors else []
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise RunError(f"run {str(folder)!r} has no checkpoint yet; train it with augmentgan fit") from error
    except OSError as error:
        raise RunError(
            f"checkpoint in {str(folder)!r} cannot be read ({error.strerror or one_line(error)}); check the file, its permissions and the disk"
        ) from error
    except (KeyError, ValueError, SafetensorError) as error:
        if writable(str(folder)) != str(folder):
            raise RunError(
                f"run {str(folder)!r}: its name is not UTF-8, so that its checkpoint cannot be read; rename it"
            ) from error
        raise RunError(
            f"checkpoint in {str(folder)!r} cannot be read; start over with augmentgan fit DATA --overwrite"
        ) from error
    plan_is_none = numbers.chosen_plan is not None and not 1 <= numbers.chosen_plan <= LARGEST_COUNT
    if numbers.updates < 0 or plan_is_none or not math.isfinite(numbers.seconds):
        raise RunError(
            f"checkpoint in {str(folder)!r} has impossible counters ({numbers.updates} updates); start over with augmentgan fit DATA --overwrite"
        )
    return numbers, tensors


def chosen_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a checkpoint that samples come from (the EMA at the chosen look), as a state dict."""
    return _with_prefix(tensors, "chosen")


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix + "."): value for name, value in tensors.items() if name.startswith(prefix + ".")}


def _optimizer_tensors(prefix: str, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{row}.{name}": torch.as_tensor(value) for row, slot in state.items() for name, value in slot.items()
    }


def _restore_optimizer(optimizer: torch.optim.Adam, tensors: dict[str, Tensor], updates: int) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        row, _, name = key.partition(".")
        parameter = parameters[int(row)]
        if value.shape == parameter.shape:
            # the fused kernels walk memory in order: moments must lie in memory as their weights do
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        elif name != "step":
            raise ValueError(f"{key} has another shape than its weight")
        state.setdefault(int(row), {})[name] = value
    whole = all(slot.keys() == _MOMENTS and slot["step"].numel() == 1 for slot in state.values())
    if not whole or len(state) not in (0, len(parameters)) or bool(state) != bool(updates):
        raise ValueError("some moments are missing")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
