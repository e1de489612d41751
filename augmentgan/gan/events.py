"""events.jsonl: one line a status or a return to a checkpoint, in the order of training."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from augmentgan.files import append_line, atomic_file, parse_json, remove
from augmentgan.gan.training import Status
from augmentgan.gan.watch import Rollback
from augmentgan.names import EVENTS_FILE, sheets_of


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


def is_status(event: dict[str, Any]) -> bool:
    """Whether an event says how training went; the others are returns to a checkpoint."""
    return "rollback" not in event


def append_status(folder: Path, status: Status) -> None:
    """Add the line of a status."""
    append_line(folder / EVENTS_FILE, json.dumps(status.to_json()))


def append_rollback(folder: Path, to_updates: int, rollback: Rollback) -> None:
    """Add the line of a return to the checkpoint of such an update."""
    append_line(folder / EVENTS_FILE, json.dumps({"updates": to_updates, "rollback": rollback.to_json()}))


def forget_after(folder: Path, updates: int) -> None:
    """Drop what was logged and drawn after the checkpoint that training continues from."""
    for sheet in sheets_of(folder):
        if int(sheet.stem) > updates:
            remove(sheet)
    if (folder / EVENTS_FILE).exists():
        kept = [event for event in read_events(folder) if event["updates"] <= updates]
        with atomic_file(folder / EVENTS_FILE) as part:
            part.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")
