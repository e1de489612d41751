"""Which look at the generator average becomes the generator: the last one, unless it has collapsed since an earlier one.

Later is better as a rule: samples go on getting sharper. What can still go wrong late is collapse inside a class,
so a look is kept only while the least varied class keeps up with the best look so far. Looks that have learned little set no bar, for noise is
varied; nor do classes of a few images: samples spread evenly over n images have (n - 1)/n of their `div`, so it falls while they get better
(`Status.div_worst` leaves such classes out). Training images alone are asked; test images are never seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from augmentgan.sections import ResolvedTrainingSection

KEEPS_UP = 0.9
"""Share of the best `div_worst` so far that a look must reach; looks differ by a few hundredths by chance."""

LEARNED = 1.25
"""A look with a greater `near`, samples so far from every real image, has not learned enough to set the bar for later ones."""


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
        if div_worst is not None and div_worst < KEEPS_UP * self._best:
            return False
        if near is None or near <= LEARNED:
            self._best = max(self._best, min(div_worst or 0.0, 1.0))
        self.updates = updates
        return True


def is_regular(updates: int, training: ResolvedTrainingSection) -> bool:
    """Whether a look at this update is one that the recipe asks for; one made because of a stop comes at a chance moment."""
    return updates % training.quality_updates == 0 or updates == training.updates


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
