"""Which look at the generator average becomes the generator: the last one, unless it has collapsed since an earlier one.

Later is better as a rule: samples go on getting sharper. What can still go wrong late is collapse inside a class,
so a look is kept only while the least varied class keeps up with the best look so far. Training images alone are asked;
test images are never seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KEEPS_UP = 0.9
"""Share of the best `div_worst` so far that a look must reach; looks differ by a few hundredths by chance."""


class Choice:
    """The rule, looking at one status after another.

    Args:
        events: the lines of events.jsonl so far; what they chose is chosen again.

    Attributes:
        updates: when the chosen look was made; 0 where there was none.
    """

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self.updates = 0
        self._best = 0.0
        for event in events:
            if "div" in event:
                self.takes(int(event["updates"]), event.get("div_worst"))

    def takes(self, updates: int, div_worst: float | None) -> bool:
        """Whether this look becomes the chosen one; always where no class can be judged."""
        if div_worst is not None and div_worst < KEEPS_UP * self._best:
            return False
        self._best = max(self._best, min(div_worst or 0.0, 1.0))
        self.updates = updates
        return True
