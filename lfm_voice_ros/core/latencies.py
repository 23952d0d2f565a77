"""How long things took lately."""

from __future__ import annotations

import math
from collections import deque

import numpy as np


class Latencies:
    """The newest times by name, and their quantiles. For one thread; names are few, times per name are bounded."""

    def __init__(self, window: int = 100) -> None:
        """``window`` is how many times of each name are remembered."""
        self._window = window
        self._seconds: dict[str, deque[float]] = {}

    def add(self, name: str, seconds: float) -> None:
        """Take a time; NaN and infinity stand for what did not happen and are left out."""
        if math.isfinite(seconds):
            self._seconds.setdefault(name, deque(maxlen=self._window)).append(seconds)

    def names(self) -> tuple[str, ...]:
        """The names that have a time, in the order in which they came first."""
        return tuple(self._seconds)

    def quantiles(self, name: str) -> tuple[float, float, int]:
        """The median and the 95th percentile in seconds, NaN without any time, and of how many times they are."""
        seconds = self._seconds.get(name)
        if not seconds:
            return math.nan, math.nan, 0
        half, most = np.quantile(np.asarray(seconds), (0.5, 0.95))
        return float(half), float(most), len(seconds)
