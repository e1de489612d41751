"""How a table writes a figure."""

from __future__ import annotations

import statistics
from typing import Any


def points(comparison: dict[str, Any]) -> str:
    low, high = comparison["ci95"]
    return f"{100 * comparison['mean_difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def percent_of(values: list[float], sign: str = "") -> str:
    spread = f" \u00b1 {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):{sign}.1f}{spread}"
