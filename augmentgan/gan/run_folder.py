"""The files of a run folder, and who may write them."""

from __future__ import annotations

import contextlib
import json
import platform
import re
from collections.abc import Iterator
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
from augmentgan.errors import OutputError, RunError, TrainingError, writable
from augmentgan.files import (
    append_line,
    atomic_file,
    check_replaceable,
    is_run,
    is_special,
    os_errors_as_output_error,
    parse_json,
    read_json,
    remove,
    write_json,
)
from augmentgan.gan.checkpoint import has_checkpoint, read_numbers
from augmentgan.gan.device import resolve_precision
from augmentgan.gan.training import Status
from augmentgan.gan.watch import Rollback, TrainingFailure, next_rollback, parse_rollbacks
from augmentgan.locks import only_process
from augmentgan.names import (
    DATA_FILE,
    EVENTS_FILE,
    LOCK_FILE,
    OF_A_BENCHMARK,
    OF_A_RUN,
    PROTOCOL_FILE,
    RUN_FILE,
    SHEETS_FOLDER,
    SPLIT_FILE,
    sheets_of,
)
from augmentgan.recipe import MOST_CLASSES, ResolvedRecipe

LEGACY_DEFAULTS = {("objective", "class_weight"): 0.0, ("augment", "affine"): 0.0, ("benchmark", "classic_until"): 1.0}
"""Values that runs used before these recipe keys existed; today's defaults may differ."""

FORMAT = 1
"""Of run.json; a newer one is refused."""


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
        except OSError as error:
            raise OutputError(
                f"cannot write in {what} folder {str(folder)!r}: {error.strerror or error}; check its permissions, or name another"
            ) from error
        yield


def prepare(folder: Path, plan: Plan, overwrite: bool, command: str | None, device: torch.device) -> None:
    """Fill the run folder, or check that the run in it is this one, of as many updates or fewer.

    Raises:
        OutputError: it cannot be written.
        RunError: the folder holds a run of other data or another recipe, or a longer one.
    """
    for place in (folder, folder / SHEETS_FOLDER):
        for litter in place.glob(".*.part"):  # a killed process could not remove its own
            remove(litter)
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


def read_info(folder: Path) -> dict[str, Any]:
    """The content of run.json.

    Raises:
        RunError: missing, or not what this version writes.
    """
    try:
        info = read_json(folder / RUN_FILE)
        if isinstance(info, dict) and isinstance(info.get("format", FORMAT), int) and info.get("format", 0) > FORMAT:
            raise RunError(
                f"run {str(folder)!r} has format {info['format']}, this version reads {FORMAT}; "
                "use the version of augmentgan that made it"
            )
        needed = {"recipe", "seed", "state", "data_fingerprint", "class_names", "created"}
        if not isinstance(info, dict) or not needed <= info.keys():
            raise ValueError("keys are missing")
        if type(info["seed"]) is not int or not isinstance(info["state"], str):
            raise ValueError("values are of the wrong type")
        datetime.fromisoformat(str(info["created"]))
        if not 0 <= info["seed"] < 2**63:
            raise ValueError("the seed is out of range")
        if not re.fullmatch(r"[0-9a-f]{64}", str(info["data_fingerprint"])):
            raise ValueError("the fingerprint is none")
        names = info["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("class names are not strings")
        if len(names) > MOST_CLASSES:  # networks are as large as the names are many
            raise ValueError("there are too many classes")
        for (section, key), value in LEGACY_DEFAULTS.items():
            if isinstance(info["recipe"], dict) and isinstance(info["recipe"].get(section), dict):
                info["recipe"][section].setdefault(key, value)
        ResolvedRecipe.model_validate(info["recipe"])
        if not isinstance(info.get("lengthened_by", []), list):
            raise ValueError("commands are no list")
        parse_rollbacks(info.get("rollbacks", []))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(
            f"{str(folder)!r} is not a run folder (it has no {RUN_FILE}); train with augmentgan fit"
        ) from error
    except OSError as error:
        raise RunError(
            f"run {str(folder)!r}: {RUN_FILE} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except ValueError as error:
        raise RunError(f"run {str(folder)!r}: {RUN_FILE} cannot be used; remove the folder, or name another") from error
    return info


def read_rollbacks(folder: Path) -> list[Rollback]:
    """The rollbacks that run.json names, in order."""
    return parse_rollbacks(read_info(folder).get("rollbacks", []))


def roll_back(folder: Path, failure: TrainingFailure, from_updates: int) -> Rollback:
    """Record the return to the checkpoint that is on the disk, or to the beginning where there is none.

    Raises:
        TrainingError: it has been tried often enough; the state becomes "failed", with the reason.
    """
    before = read_rollbacks(folder)
    to_updates = read_numbers(folder).updates if has_checkpoint(folder) else 0
    try:
        rollback = next_rollback(failure, before, from_updates, to_updates)
    except TrainingError:
        write_json(folder / RUN_FILE, {**read_info(folder), "state": "failed", "reason": failure.reason})
        raise
    rollbacks = [each.to_json() for each in (*before, rollback)]
    write_json(folder / RUN_FILE, {**read_info(folder), "rollbacks": rollbacks})
    forget_after(folder, to_updates)
    append_line(folder / EVENTS_FILE, json.dumps({"updates": to_updates, "rollback": rollback.to_json()}))
    return rollback


def check_there(folder: Path) -> None:
    """Notice that the run folder was moved or removed, before parts of it are made anew.

    Raises:
        OutputError: it has vanished.
    """
    if not (folder / RUN_FILE).exists():
        raise OutputError(f"run folder {str(folder)!r} has vanished; put it back, and the same command continues")


def write_state(folder: Path, state: str, chosen_updates: int) -> None:
    """Replace the state in run.json, with the look that samples come from; an earlier failure's reason goes."""
    info = {key: value for key, value in read_info(folder).items() if key != "reason"}
    write_json(folder / RUN_FILE, {**info, "state": state, "chosen_updates": chosen_updates})


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The lines of events.jsonl; one that a crash cut off is passed over."""
    path = folder / EVENTS_FILE
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        with contextlib.suppress(ValueError):
            event = parse_json(line)
            if (
                isinstance(event, dict)
                and type(event.get("updates")) is int
                and all(_is_plain(*each) for each in event.items())
            ):
                events.append(event)
    return events


def _is_plain(key: str, value: Any) -> bool:
    """Whether an event's value is what we write there: a number that plots can show, a class's name, or a rollback."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) < 2**63  # false for NaN
    return isinstance(value, {"rollback": dict, "div_worst_class": str}.get(key, ()))


def append_event(folder: Path, status: Status) -> None:
    """Add a line to events.jsonl."""
    append_line(folder / EVENTS_FILE, json.dumps(status.to_json()))


def forget_after(folder: Path, updates: int) -> None:
    """Drop what was logged and drawn after the checkpoint that training continues from."""
    for sheet in sheets_of(folder):
        if int(sheet.stem) > updates:
            remove(sheet)
    if (folder / EVENTS_FILE).exists():
        kept = [event for event in read_events(folder) if event["updates"] <= updates]
        with atomic_file(folder / EVENTS_FILE) as part:
            part.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")
