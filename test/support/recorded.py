"""Turns as the recorder writes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, ToolCall, ToolResult, ToolStatus, Utterance
from lfm_voice_ros.dataset.recording import RecordedMessage, RecordedTurn, Recordings
from lfm_voice_ros.msg import Reply, Transcript

#: An afternoon, in a time zone in which it is the next day already.
WHEN = datetime(2026, 10, 8, 1, 30, tzinfo=timezone(timedelta(hours=9)))

RESULT = ToolResult(
    call=ToolCall("pan_left", {"degrees": 30}),
    status=ToolStatus.SUCCEEDED,
    speech="Looking left, thirty degrees.",
    data={"pan_degrees": 30.0},
)


def tone(seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    """A tone that isn't silence."""
    return np.asarray(0.3 * np.sin(np.arange(round(seconds * rate)) * 0.1), np.float32)


def message(topic: str, content: Any, received: int = 1) -> RecordedMessage:
    """A ROS message as the recorder gets it."""
    return RecordedMessage(
        f"/{topic}", f"lfm_voice_ros/msg/{type(content).__name__}", received, serialize_message(content)
    )


def recorded_turn(utterance_id: str = "u1", **changes: Any) -> RecordedTurn:
    """A turn in which the head was asked to turn."""
    turn = RecordedTurn(
        utterance=Utterance(utterance_id, tone(0.5), SAMPLE_RATE, 100.0, 100.1, 100.4),
        transcript="Look left.",
        calls=(RESULT.call,),
        results=(RESULT,),
        reply=RESULT.speech,
        reply_sound=tone(0.25, 22_050),
        reply_rate=22_050,
        kind="",
        recorded=WHEN,
        messages=(
            message("reply", Reply(utterance_id=utterance_id, text=RESULT.speech, source="tools"), received=2),
            message("transcript", Transcript(utterance_id=utterance_id, text="Look left."), received=1),
        ),
    )
    return replace(turn, **changes)


def record(root: Path, first: int, number: int, tell: bool = False) -> None:
    """Write so many turns, for another process; ``tell`` writes each number to standard output when it is done."""
    recordings = Recordings(root)
    for each in range(first, first + number):
        recordings.add(recorded_turn(f"r{each}"))
        if tell:
            print(each, flush=True)
