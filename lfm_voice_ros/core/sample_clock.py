"""Stamps for a stream of sound that jitter less than the moments at which its blocks come."""

from __future__ import annotations

_JUMP = 0.2  # s; a stream that is off by more has lost or got sound


class SampleClock:
    """Counts samples, so that a late callback moves no stamp, and follows the measured time, slowly but at first.

    ``follow`` is the share of the difference that a block makes up for in the long run. Not for several threads.
    """

    def __init__(self, rate: int, follow: float = 0.001) -> None:
        self._rate = rate
        self._follow = follow
        self._next = 0.0
        self._blocks = 0

    def reset(self) -> None:
        """The stream has lost sound: find its time anew."""
        self._blocks = 0

    def stamp(self, samples: int, measured: float) -> float:
        """Take the size of a block and when (s) it seems to have begun; give when it began."""
        if self._blocks and abs(measured - self._next) > _JUMP:
            self._blocks = 0
        if not self._blocks:
            self._next = measured
        self._blocks += 1
        began = self._next + max(self._follow, 1 / self._blocks) * (measured - self._next)
        self._next = began + samples / self._rate
        return began
