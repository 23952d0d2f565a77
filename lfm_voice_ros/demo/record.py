"""What happened in a demo: everything that was seen on the topics, and the turns made of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lfm_voice_ros.core.types import Json, Samples, ToolResult

#: A joint that has turned by this much (rad) since the end of speech counts as moving.
_MOVED = math.radians(0.5)


@dataclass
class Turn:
    """One utterance and what followed. Times are ROS seconds, angles are degrees with REP-103 signs."""

    utterance_id: str
    start: float
    speech_start: float
    speech_end: float
    recording: str = ""  # the WAV or the sentence that the person said
    transcript: str = ""
    confidence: float = math.nan
    rejection: str = ""
    calls: list[tuple[str, Mapping[str, Json]]] = field(default_factory=list)
    decided_at: float = math.nan
    errors: list[str] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)
    reply: str | None = None
    reply_source: str = ""
    times: dict[str, float] = field(default_factory=dict)  # when utterance, words, decision and reply were there
    voice: list[Samples] = field(default_factory=list)
    voice_rate: int = 0
    voice_start: float = math.nan
    interrupted: bool = False
    latency: dict[str, float] = field(default_factory=dict)  # s from the end of speech
    head: tuple[float, float] = (math.nan, math.nan)  # pan and tilt when the turn and its motion were over
    closed: bool = False

    def as_data(self) -> dict[str, Json]:
        """For --json."""
        return {
            "utterance_id": self.utterance_id,
            "recording": self.recording,
            "transcript": self.transcript,
            "rejection": self.rejection,
            "calls": [{"name": name, "arguments": dict(arguments)} for name, arguments in self.calls],
            "head": {"pan_degrees": _number(self.head[0], 1), "tilt_degrees": _number(self.head[1], 1)},
            "reply": self.reply or "",
            "latency_ms": {name: _number(1e3 * seconds, 0) for name, seconds in self.latency.items()},
            "errors": list(self.errors),
        }


@dataclass
class Recording:
    """Everything of a demo, by the time of its first sample or stamp."""

    begin: float
    heard: deque[tuple[float, Samples]] = field(default_factory=deque)  # what the capture node gave on, 16 kHz
    joints: deque[tuple[float, float, float]] = field(default_factory=deque)  # time, pan, tilt in rad
    turns: dict[str, Turn] = field(default_factory=dict)

    def forget_before(self, time: float) -> None:
        """Drop the sound and the joint positions from before a time."""
        while self.heard and self.heard[0][0] < time:
            self.heard.popleft()
        while self.joints and self.joints[0][0] < time:
            self.joints.popleft()

    def note_head_latency(self, turn: Turn) -> None:
        """Add ``head``: from the end of speech to the first motion of a joint. Only turns with calls have one."""
        over = min((other.speech_start for other in self.turns.values() if other.start > turn.start), default=math.inf)
        after = [joint for joint in self.joints if turn.speech_end <= joint[0] < over]
        turn.latency["head"] = math.nan
        if turn.calls and after:
            _, pan, tilt = after[0]
            moved = (at for at, p, t in after if max(abs(p - pan), abs(t - tilt)) > _MOVED)
            turn.latency["head"] = next(moved, math.nan) - turn.speech_end

    def waveform(self) -> tuple[Any, Any]:
        """Time since the beginning (s) and what was heard, as two arrays for a plot."""
        if not self.heard:
            return np.zeros(0), np.zeros(0)
        times = [at - self.begin + np.arange(samples.size) / 16_000 for at, samples in self.heard]
        return np.concatenate(times), np.concatenate([samples for _, samples in self.heard])


def _number(value: float, digits: int) -> float | None:
    return round(value, digits) + 0.0 if math.isfinite(value) else None
