"""When somebody spoke, was heard or moved, read off the sound and the joints themselves. All times are in s."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import numpy as np

from lfm_voice_ros.core.types import Samples

#: From when to when something lasted.
Span = tuple[float, float]

#: Time, pan and tilt (rad).
Joints = tuple[float, float, float]

_FRAME = 0.005  # s
_VOICED_RANGE = 35.0  # dB below the loudest frame; quieter than that is the synthesizer's breath
_AUDIBLE = 0.01  # of full scale
_SYLLABLE = 0.05  # s; sound with a shorter hole is one piece
_PAUSE = 0.4  # s; a speaker that is silent for longer has ended
_MOVED = math.radians(0.05)  # a simulated head doesn't tremble
_BEFORE = 0.1  # s before a moment in which a joint that moves would be seen
_RESTS = 0.2  # s without motion that are a rest


def voiced_bounds(speech: Samples, rate: int) -> tuple[int, int]:
    """Give the first voiced sample of clean speech, and the end of its last one; (0, 0) for silence.

    A frame of 5 ms is voiced when its power is at most 35 dB below that of the loudest.
    """
    size = max(1, round(_FRAME * rate))
    frames = np.pad(speech.astype(np.float64), (0, -speech.size % size)).reshape(-1, size)
    power = np.mean(frames**2, axis=1)
    loudest = power.max(initial=0.0)
    if loudest == 0.0:
        return 0, 0
    voiced = np.flatnonzero(power >= loudest * 10.0 ** (-_VOICED_RANGE / 10.0))
    return int(voiced[0]) * size, min((int(voiced[-1]) + 1) * size, speech.size)


def first_audible(samples: Samples, rate: int) -> float:
    """Seconds until the first sample that one hears; NaN where there is none."""
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    return float(loud[0]) / rate if loud.size else math.nan


class Track:
    """What a loudspeaker has played, kept as the spans in which it was audible. Pieces come in order of time."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, at: float, rate: int, samples: Samples) -> None:
        """Take a piece whose first sample left the loudspeaker at ``at``."""
        loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        if not loud.size:
            return
        holes = np.flatnonzero(np.diff(loud) > _SYLLABLE * rate)
        begins = loud[np.concatenate(([0], holes + 1))]
        ends = loud[np.concatenate((holes, [loud.size - 1]))] + 1
        self._spans += [(at + b / rate, at + e / rate) for b, e in zip(begins.tolist(), ends.tolist(), strict=True)]

    def spans(self) -> list[Span]:
        """The spans in which it spoke: those that are less than 0.4 s apart are one."""
        joined: list[Span] = []
        for begin, end in self._spans:
            if joined and begin - joined[-1][1] < _PAUSE:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        return joined

    def onset(self, since: float) -> float:
        """When it began to speak for the first time after ``since``; NaN when it didn't."""
        return next((begin for begin, _ in self.spans() if begin >= since), math.nan)

    def silence(self, since: float) -> float:
        """When the voice that was heard at ``since`` fell silent; NaN when none was heard then."""
        return next((end for begin, end in self.spans() if begin <= since < end), math.nan)

    def silent_for(self, now: float) -> float:
        """Seconds since the last audible sample; infinite when there was none."""
        return now - self._spans[-1][1] if self._spans else math.inf


def moving(joints: Sequence[Joints], at: float) -> bool:
    """Whether a joint moved in the tenth of a second before ``at``."""
    seen = _between(joints, at - _BEFORE, at)
    return len(seen) > 1 and _apart(seen[0], seen[-1]) > _MOVED


def first_motion(joints: Sequence[Joints], since: float, until: float = math.inf) -> float:
    """When a joint left the place where it was at ``since``; NaN when none did by ``until``, or one moved then."""
    index = bisect.bisect_right(joints, since, key=lambda joint: joint[0])
    if index == 0 or moving(joints, since):
        return math.nan
    place = joints[index - 1]
    later = _between(joints, since, until)
    return next((joint[0] for joint in later if _apart(joint, place) > _MOVED), math.nan)


def rest(joints: Sequence[Joints], since: float) -> float:
    """When joints that moved at ``since`` came to rest; NaN when they didn't move then, or don't rest."""
    if not moving(joints, since):
        return math.nan
    later = _between(joints, since, math.inf)
    for index, joint in enumerate(later):
        following = _between(later[index:], joint[0], joint[0] + _RESTS)
        if later[-1][0] < joint[0] + _RESTS:
            return math.nan
        if all(_apart(joint, other) <= _MOVED for other in following):
            return joint[0]
    return math.nan


def overlap(one: Span, other: Span) -> float:
    """Seconds that two spans have in common; negative when they are apart."""
    return min(one[1], other[1]) - max(one[0], other[0])


def _between(joints: Sequence[Joints], since: float, until: float) -> Sequence[Joints]:
    begin = bisect.bisect_left(joints, since, key=lambda joint: joint[0])
    end = bisect.bisect_right(joints, until, key=lambda joint: joint[0])
    return joints[begin:end]


def _apart(one: Joints, other: Joints) -> float:
    return max(abs(one[1] - other[1]), abs(one[2] - other[2]))
