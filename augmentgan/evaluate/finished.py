"""Parts of a benchmark that are done, so that an interrupted one goes on where it stopped: a small JSON file a part."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from augmentgan.files import read_json, write_json

PARTS_FOLDER = "benchmark.parts"


class FinishedParts:
    """Values by name, each a file that appears whole or not at all.

    Args:
        folder: the folder that holds the folder of parts.
        key: everything that the parts depend on; what was kept under another key is of no use and is passed over.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self._folder = folder / PARTS_FOLDER
        self._key = json.loads(json.dumps(key))

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
        """Remove all parts: the benchmark is whole."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / (re.sub(r"[^\w.-]", "_", name) + ".json")
