"""A turn as spans of time: which stage took how long, one behind the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: The stages with the moment of msg/TurnMetrics.msg at which each ends. A stage begins where the one before it has
#: ended; of one that did not happen there is no span.
_STAGES = (
    ("endpoint", "endpoint"),
    ("recognition", "transcript"),
    ("decision", "decision"),
    ("tools", "tools"),
    ("reply", "reply"),
    ("synthesis", "first_audio"),
    ("delivery", "playback"),
    ("playback", "end"),
)
#: What happens beside the stages.
_EVENTS = ("draft", "prepared")


@dataclass(frozen=True)
class Span:
    """A stage; times are seconds on the clock of the messages."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class TurnSpans:
    """A turn from the end of speech to its end."""

    whole: Span
    stages: tuple[Span, ...]
    events: tuple[tuple[str, float], ...]  # name and time


def spans_of(speech_end: float, moments: Mapping[str, float]) -> TurnSpans | None:
    """Make spans of a turn's moments, in seconds from ``speech_end`` (s), NaN for what did not happen.

    Messages that overtook each other make a stage of no length, never of less. None where nothing is known.
    """
    if not speech_end > 0.0:
        return None
    stages: list[Span] = []
    last = 0.0
    for name, moment in _STAGES:
        at = moments.get(moment, math.nan)
        if math.isfinite(at):
            begin, last = last, max(last, at)
            stages.append(Span(name, speech_end + begin, speech_end + last))
    if not stages:
        return None
    events = [(name, at) for name in _EVENTS if math.isfinite(at := moments.get(name, math.nan))]
    return TurnSpans(
        Span("turn", speech_end, speech_end + last),
        tuple(stages),
        tuple((name, speech_end + at) for name, at in sorted(events, key=lambda event: event[1])),
    )
