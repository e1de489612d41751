"""The files of a run folder, and who may write them."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

import augmentgan
from augmentgan.data.hdf5 import write_hdf5
from augmentgan.data.images import TEST, TRAIN
from augmentgan.data.plan import Plan
from augmentgan.errors import OutputError, RunError, writable
from augmentgan.files import (
    check_replaceable,
    is_run,
    is_special,
    os_errors_as_output_error,
    remove,
    write_json,
)
from augmentgan.gan.checkpoint import has_checkpoint
from augmentgan.gan.device import resolve_precision
from augmentgan.gan.run_info import FORMAT, read_info
from augmentgan.locks import only_process
from augmentgan.names import (
    BENCHMARK_FILE,
    BENCHMARK_PLOT_FILE,
    DATA_FILE,
    EVALUATE_FILE,
    LOCK_FILE,
    NEAREST_FILE,
    OF_A_BENCHMARK,
    OF_A_RUN,
    PARTS_FOLDER,
    PROTOCOL_FILE,
    RUN_FILE,
    SHEETS_FOLDER,
    SPLIT_FILE,
)
from augmentgan.recipe import ResolvedRecipe

_OF_THE_LOCKS_HOLDER = (
    *(f".{name}.*.part" for name in (RUN_FILE, PROTOCOL_FILE, EVALUATE_FILE, NEAREST_FILE)),
    *(f".{name}.*.part" for name in (BENCHMARK_FILE, BENCHMARK_PLOT_FILE)),
    f"{PARTS_FOLDER}/*/.*.part",
)
"""What commands leave unfinished that write under the lock; a page or an export may be under way without it."""


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make the run folder if need be, and keep other processes from writing into it.

    Raises:
        OutputError: `folder` holds something that is not a run, or cannot be made.
        RunError: another process is at work in it.
    """
    _refuse_others(folder)
    with locked(folder, "run"):
        yield


def check_place(folder: Path, plan: Plan, *, overwrite: bool) -> None:
    """Refuse a folder that no fit may go into, without touching it.

    Raises:
        OutputError: it holds something that is not a run.
        RunError: it holds a run of other data or another recipe, or a longer one.
    """
    _refuse_others(folder)
    if (folder / RUN_FILE).exists() and not overwrite:
        _check_same(folder, plan)


def _refuse_others(folder: Path) -> None:
    with os_errors_as_output_error(folder):
        if not is_free(folder, RUN_FILE):
            check_replaceable(folder, is_run, "is not a run folder")


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Make a folder if need be, and keep other processes from writing into it.

    Args:
        folder: of a run or a benchmark.
        what: which of the two.

    Raises:
        OutputError: `folder` cannot be made, has a name that checkpoints cannot be read under, or a link or a pipe where a file of ours
            belongs: a folder from a stranger could have us write or remove anything elsewhere.
        RunError: another process is at work in it.
    """
    if writable(str(folder)) != str(folder):  # safetensors writes there, and then cannot open what it has written
        raise OutputError(
            f"{what} folder {str(folder)!r}: its name is not UTF-8; name another with --out, or rename it"
        )
    for name in (RUN_FILE, LOCK_FILE, PROTOCOL_FILE, *OF_A_RUN, *OF_A_BENCHMARK):
        if (folder / name).is_symlink() or is_special(folder / name):
            raise OutputError(
                f"{what} folder {str(folder)!r}: {name!r} is a link, or neither a file nor a folder; put what it stands for in its place, or remove it"
            )
    busy = RunError(f"{what} {str(folder)!r} is being written by another process; wait for it or name another --out")
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_process(folder, busy))
            _remove_litter(folder, _OF_THE_LOCKS_HOLDER)
        except OSError as error:
            raise OutputError(
                f"cannot write in {what} folder {str(folder)!r}: {error.strerror or error}; check its permissions, or name another"
            ) from error
        yield


def _remove_litter(folder: Path, patterns: Iterable[str]) -> None:
    """Remove unfinished files, which a killed process could not remove itself; nothing beyond a link, where all belongs to others."""
    for pattern in patterns:
        for litter in folder.glob(pattern):
            if not litter.parent.is_symlink():
                remove(litter)


def prepare(folder: Path, plan: Plan, overwrite: bool, command: str | None, device: torch.device) -> None:
    """Fill the run folder, or check that the run in it is this one, of as many updates or fewer.

    Raises:
        OutputError: it cannot be written.
        RunError: the folder holds a run of other data or another recipe, or a longer one.
    """
    _remove_litter(folder, (".*.part", f"{SHEETS_FOLDER}/.*.part"))
    kept: dict[str, Any] = {}
    if (folder / RUN_FILE).exists():
        if overwrite:
            _clear(folder)
        else:
            _check_same(folder, plan)
            if has_checkpoint(folder):
                _adopt(folder, plan.recipe, command)
                return
            # what went wrong before there was a checkpoint must not be forgotten with the rest
            kept = {name: value for name, value in read_info(folder).items() if name == "rollbacks"}
    train, test = (plan.data.counts_of(which).tolist() for which in (TRAIN, TEST))
    # first the file that marks the folder as ours: whatever is missing after a crash is then written again
    write_json(
        folder / RUN_FILE,
        {
            "format": FORMAT,
            "state": "started",
            "recipe": plan.recipe.model_dump(),
            "seed": plan.seed,
            "data_fingerprint": plan.fingerprint,
            "class_names": list(plan.data.class_names),
            "counts": {"train": train, "test": test},
            "versions": _versions(),
            # what else the bytes depend on: the same seed promises the same ones on the same machine only
            "machine": {
                "device": str(device),
                "precision": str(resolve_precision(plan.recipe.training.precision, device)).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "platform": platform.platform(),
            },
            "command": command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **kept,
        },
    )
    # further columns are the user's own: nothing here asks for them, and the file has no place for most
    write_hdf5(folder / DATA_FILE, replace(plan.data, extra={}), overwrite=True)
    rows = {name: getattr(plan.split, name).tolist() for name in ("train", "test", "dropped")}
    write_json(folder / SPLIT_FILE, {"source": plan.split.source, "seed": plan.seed, **rows})


def _versions() -> dict[str, str]:
    return {
        "augmentgan": augmentgan.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }


def is_free(folder: Path, marker: str) -> bool:
    """Nothing there, or no more than what a process killed at its very start leaves; `marker` is the file that it writes first."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        entry.name == LOCK_FILE or (entry.name.startswith(f".{marker}.") and entry.suffix == ".part")
        for entry in folder.iterdir()
    )


def _clear(folder: Path) -> None:
    """Remove a former run's files, and only those; run.json stays until it is replaced, for it marks the folder as ours.

    Sets that were generated stay: they name the model that made them.
    """
    for name in OF_A_RUN:
        remove(folder / name)


def _check_same(folder: Path, plan: Plan) -> None:
    info = read_info(folder)
    hint = "use --overwrite to start over or --out for another folder"
    changed = _changed(info["recipe"], plan.recipe.model_dump())
    if info["data_fingerprint"] != plan.fingerprint:
        # a setting of the data may be all that differs, and may also follow from other data
        of_data = ", ".join(key for key in changed if key.startswith("data."))
        settings = f", or with other settings ({of_data})" if of_data else ""
        # options of the command line that are no settings, such as --test, stand in the command alone
        command = info.get("command")
        repeat = f"repeat the options of {command!r}, or " if isinstance(command, str) else ""
        raise RunError(f"run {str(folder)!r} was made from other data, split or seed{settings}; {repeat}{hint}")
    # not in the fingerprint where nothing of the data is drawn
    if info["seed"] != plan.seed:
        raise RunError(f"run {str(folder)!r} was made with seed {info['seed']}, not {plan.seed}; {hint}")
    if changed == ["training.updates"]:
        planned, wanted = info["recipe"]["training"]["updates"], plan.recipe.training.updates
        if wanted < planned:
            raise RunError(
                f"run {str(folder)!r} was made for {planned} updates, not {wanted}; --resume goes on with those, or {hint}"
            )
    elif changed:
        raise RunError(
            f"run {str(folder)!r} was made with another recipe, or other defaults ({', '.join(changed[:4])}); {hint}"
        )


def _adopt(folder: Path, recipe: ResolvedRecipe, command: str | None) -> None:
    """Apply what may change in an existing run: the number of updates, with the command that changed it, and the benchmark's settings."""
    info, wanted = read_info(folder), recipe.model_dump()
    longer = info["recipe"]["training"]["updates"] != wanted["training"]["updates"]
    if longer or info["recipe"]["benchmark"] != wanted["benchmark"]:
        info["recipe"]["training"]["updates"] = wanted["training"]["updates"]
        info["recipe"]["benchmark"] = wanted["benchmark"]
        if longer:
            commands = [*info.get("lengthened_by", []), *([command] if command else [])]
            info |= {"state": "stopped", **({"lengthened_by": commands} if commands else {})}
        write_json(folder / RUN_FILE, info)


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The `section.key` of two resolved recipes that differ and that training depends on."""
    return [
        f"{section}.{key}"
        for section, settings in now.items()
        if isinstance(settings, dict) and section != "benchmark"
        for key, value in settings.items()
        if before.get(section, {}).get(key) != value
    ]


def check_there(folder: Path) -> None:
    """Notice that the run folder was moved or removed, before parts of it are made anew.

    Raises:
        OutputError: it has vanished.
    """
    if not (folder / RUN_FILE).exists():
        raise OutputError(f"run folder {str(folder)!r} has vanished; put it back, and the same command continues")
