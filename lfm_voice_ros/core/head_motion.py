"""A planned motion in the pieces in which some heads take it: positions at a rate, or one place after the other.

Times are seconds on one clock of the caller's. Called from one thread.
"""

from __future__ import annotations

from lfm_voice_ros.core.pan_tilt import Leg, Move
from lfm_voice_ros.core.trajectory import Pair


class Samples:
    """Where the head should be now, until the motion has ended."""

    def __init__(self) -> None:
        self._move: Move | None = None
        self._began = 0.0

    def begin(self, move: Move, now: float) -> None:
        """Begin a motion in the place of the one that runs."""
        self._move, self._began = move, now

    def end(self) -> None:
        """Give no more positions."""
        self._move = None

    def due(self, now: float) -> Pair | None:
        """The position for ``now``, the end of the motion once; None when there is nothing to say.

        Where the clock was set back nothing is said any more: nobody knows how much of the motion is over.
        """
        if self._move is None:
            return None
        elapsed = now - self._began
        if elapsed < 0.0:
            self.end()
            return None
        position, _ = self._move.trajectory.sample(elapsed)
        if elapsed >= self._move.trajectory.duration:
            self.end()
        return position


class Legs:
    """The places at which a motion rests, each when the one before should be reached."""

    def __init__(self) -> None:
        self._waiting: list[Leg] = []
        self._began = 0.0

    def begin(self, move: Move, now: float) -> None:
        """Begin a motion in the place of the one that runs."""
        self._waiting, self._began = list(move.legs), now

    def end(self) -> None:
        """Give no more places."""
        self._waiting.clear()

    @property
    def over(self) -> bool:
        """Whether the last place was given."""
        return not self._waiting

    def due(self, now: float) -> Leg | None:
        """The newest leg that begins by ``now``, once; None when there is none. Ends where the clock was set back."""
        elapsed = now - self._began
        if elapsed < 0.0:
            self.end()
            return None
        leg = None
        while self._waiting and self._waiting[0].begins <= elapsed:
            leg = self._waiting.pop(0)
        return leg
