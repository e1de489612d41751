"""Parts of a benchmark that are done, so that an interrupted one goes on where it stopped and a wider one adds to it: a small JSON file a part."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from augmentgan.files import read_json, write_json
from augmentgan.names import PARTS_FOLDER


class FinishedParts:
    """Values by name, each a file that appears whole or not at all.

    Args:
        folder: the folder that holds the folder of parts.
        key: everything that the parts depend on; each key has a folder of its own, so that one benchmark leaves alone what another, with
            other settings, has finished.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self._key = json.loads(json.dumps(key))
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._folder = folder / PARTS_FOLDER / digest[:12]

    def get(self, name: str) -> Any:
        """What was kept under this name, or None."""
        try:
            document = read_json(self._path(name))
            return document["value"] if document["key"] == self._key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # nothing kept, or nothing that can be used: the part is made again

    def keep(self, name: str, value: Any) -> None:
        """Keep a finished part."""
        write_json(self._path(name), {"key": self._key, "value": value}, indent=None)

    def clear(self) -> None:
        """Remove all parts of this key: the benchmark is to start anew."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # parts of another key are left, or there were none
            self._folder.parent.rmdir()

    def _path(self, name: str) -> Path:
        return self._folder / (re.sub(r"[^\w.-]", "_", name) + ".json")
