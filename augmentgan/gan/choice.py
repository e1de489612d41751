"""Which look at the generator's EMA becomes the generator: the last one, unless it has collapsed since an earlier one.

Later is better as a rule: samples go on getting sharper. What can still go wrong late is collapse inside a class,
so a look is kept only while the least varied class keeps up with the best look so far. Noise is varied too, and lies far from every real
image; so variety counts for less the farther samples lie from the real images, and not at all beyond what these have. Classes of a few images have no
say: samples spread evenly over n images have (n - 1)/n of their `div`, so it falls while they get better
(`Status.div_worst` leaves such classes out). Training images alone are asked; test images are never seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from augmentgan.sections import ResolvedTrainingSection

KEEPS_UP = 0.9
"""Share of the best look's variety so far that a look must reach; looks differ by a few hundredths by chance."""


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
                self.takes(int(event["updates"]), _number(event.get("div_worst")), _number(event.get("near")))

    def takes(self, updates: int, div_worst: float | None, near: float | None) -> bool:
        """Whether this look becomes the chosen one; always where no class can be judged."""
        if div_worst is not None:
            variety = min(div_worst, 1.0) / max(near or 0.0, 1.0)
            if variety < KEEPS_UP * self._best:
                return False
            self._best = max(self._best, variety)
        self.updates = updates
        return True


def is_regular(updates: int, training: ResolvedTrainingSection) -> bool:
    """Whether a look at this update is one that the recipe asks for; one made because of a stop comes at a chance moment."""
    return updates % training.quality_updates == 0 or updates == training.updates


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
