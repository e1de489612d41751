"""run.json: what a run was made of, and what became of it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from augmentgan.errors import RunError, TrainingError
from augmentgan.files import read_json, write_json
from augmentgan.gan.checkpoint import has_checkpoint, read_numbers
from augmentgan.gan.events import append_rollback, forget_after
from augmentgan.gan.watch import Rollback, TrainingFailure, next_rollback, parse_rollbacks
from augmentgan.names import RUN_FILE
from augmentgan.recipe import MOST_CLASSES, ResolvedRecipe

LEGACY_DEFAULTS = {("objective", "class_weight"): 0.0, ("augment", "affine"): 0.0, ("benchmark", "classic_until"): 1.0}
"""Values that runs used before these recipe keys existed; today's defaults may differ."""

FORMAT = 1
"""Of run.json; a newer one is refused."""


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
    append_rollback(folder, to_updates, rollback)
    return rollback


def write_state(folder: Path, state: str, chosen_updates: int) -> None:
    """Replace the state in run.json, with the look that samples come from; an earlier failure's reason goes."""
    info = {key: value for key, value in read_info(folder).items() if key != "reason"}
    write_json(folder / RUN_FILE, {**info, "state": state, "chosen_updates": chosen_updates})
