"""The node that watches a running assistant: it records everything and tells what happens, a line an event."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from lfm_voice_ros.core.tool_calls import call_text
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.demo.record import Recording, Turn
from lfm_voice_ros.msg import (
    Audio,
    HeadState,
    Playback,
    Reply,
    SpeechAudio,
    ToolDecision,
    ToolResult,
    Transcript,
    TurnMetrics,
    Utterance,
)
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import result_from_msg, samples_to_field
from lfm_voice_ros.watching.node import WatchingNode, level_of
from lfm_voice_ros.watching.seen import LATENCIES

_REMEMBERED = 600.0  # s; what the picture shows of a long talk
#: Topics that join two of the assistant's nodes: how many readers each has when all of them have found each other.
_JOINTS = {"utterance": 2, "transcript": 2, "tool_decision": 2, "tool_result": 1, "audio/output": 1, "playback": 2}


class Observer(WatchingNode):
    """Spun in a thread of its own; :meth:`wait` is called from another."""

    def __init__(self, tell: Callable[[float, str, str], None], joints: tuple[str, str]) -> None:
        """``tell`` gets the seconds since the beginning, the kind of an event and its text."""
        super().__init__("demo")
        self.recording = Recording(begin=self.now())
        self.statuses: dict[str, tuple[int, str]] = {}  # level and message of each node
        self.head: HeadState | None = None
        self._tell = tell
        self._joints = joints
        self._told_head = (math.nan, math.nan)
        self._said = ""
        self._person = self.create_publisher(Audio, "audio/external", qos.AUDIO)
        for topic, kind, react, profile in (
            ("audio/input", Audio, self._on_input, qos.AUDIO),
            ("utterance", Utterance, self._on_utterance, qos.EVENT),
            ("transcript", Transcript, self._on_transcript, qos.EVENT),
            ("tool_decision", ToolDecision, self._on_decision, qos.EVENT),
            ("tool_result", ToolResult, self._on_result, qos.EVENT),
            ("reply", Reply, self._on_reply, qos.EVENT),
            ("audio/output", SpeechAudio, self._on_speech, qos.AUDIO),
            ("playback", Playback, self._on_playback, qos.EVENT),
            ("turn_metrics", TurnMetrics, self._on_metrics, qos.EVENT),
            ("head/state", HeadState, self._on_head, qos.STATE),
            ("joint_states", JointState, self._on_joints, qos.AUDIO),
            ("/diagnostics", DiagnosticArray, self._on_diagnostics, qos.EVENT),
        ):
            self.watch(kind, topic, react, profile)

    def speak(self, samples: Samples, at: float) -> None:
        """Publish 16 kHz sound of the person, captured at ``at`` (s). May be called from any thread."""
        msg = Audio(sample_rate=16_000, samples=samples_to_field(samples))
        msg.header.stamp = to_stamp(at)
        self._person.publish(msg)

    def person_says(self, label: str) -> None:
        """The person begins to speak; turns from now on belong to this recording."""
        self._said = label
        self.event("person", label)

    def ready(self, nodes: Sequence[str]) -> bool:
        """Whether all nodes have loaded what they need, or said why not, and have found each other."""
        return all(
            node in self.statuses and not self.statuses[node][1].startswith("loading") for node in nodes
        ) and all(self.count_subscribers(topic) > readers for topic, readers in _JOINTS.items())

    def at_rest(self) -> bool:
        """Whether every turn is closed, and where the head stands after it is known."""
        unknown = self.head is None or self.head.stale
        return all(turn.closed and (unknown or math.isfinite(turn.head[0])) for turn in self.recording.turns.values())

    def event(self, kind: str, text: str) -> None:
        """Tell an event that happens now."""
        self._tell(self.now() - self.recording.begin, kind, text)

    def _on_input(self, msg: Audio) -> None:
        at = to_seconds(msg.header.stamp)
        self.recording.heard.append((at, np.asarray(msg.samples, np.float32)))
        self.recording.forget_before(at - _REMEMBERED)

    def _on_utterance(self, msg: Utterance) -> None:
        turn = self._turn(msg.utterance_id)
        turn.start = to_seconds(msg.header.stamp)
        turn.speech_start, turn.speech_end = to_seconds(msg.speech_start), to_seconds(msg.speech_end)
        # Its words are told behind it, also where it comes here behind them.
        turn.times["utterance"] = min(self.now(), turn.times.get("words", math.inf))

    def _on_transcript(self, msg: Transcript) -> None:
        turn = self._turn(msg.utterance_id)
        turn.transcript, turn.confidence, turn.rejection = msg.text, msg.confidence, msg.rejection
        turn.times["words"] = to_seconds(msg.header.stamp)
        self.event("heard", f"“{msg.text}”  (confidence {msg.confidence:.2f})" if msg.text else msg.rejection)

    def _turn(self, utterance_id: str) -> Turn:
        """The turn of an utterance or its words: topics have no order, and DDS may have to send the long one again."""
        unknown = Turn(utterance_id, math.nan, math.nan, math.nan, recording=self._said)
        return self.recording.turns.setdefault(utterance_id, unknown)

    def _on_decision(self, msg: ToolDecision) -> None:
        turn = self.recording.turns.get(msg.utterance_id)
        if turn:
            turn.times["decision"] = to_seconds(msg.header.stamp)
        if turn and turn.transcript:
            turn.calls = [(call.name, json.loads(call.arguments_json)) for call in msg.calls]
            turn.decided_at = to_seconds(msg.header.stamp)
            self.event("decided", ", ".join(call_text(*call) for call in turn.calls) or "no tool")

    def _on_result(self, msg: ToolResult) -> None:
        turn = self.recording.turns.get(msg.utterance_id)
        if turn:
            turn.results.append(result_from_msg(msg))
        if turn and msg.error:
            turn.errors.append(f"{msg.call.name}: {msg.error}")
            self.event("failed", turn.errors[-1])

    def _on_reply(self, msg: Reply) -> None:
        if turn := self.recording.turns.get(msg.utterance_id):
            turn.reply, turn.reply_source = msg.text, msg.source
            turn.times["reply"] = to_seconds(msg.header.stamp)

    def _on_speech(self, msg: SpeechAudio) -> None:
        if turn := self.recording.turns.get(msg.utterance_id):
            turn.voice.append(np.asarray(msg.samples, np.float32))
            turn.voice_rate = msg.sample_rate

    def _on_playback(self, msg: Playback) -> None:
        turn = self.recording.turns.get(msg.utterance_id)
        if turn and msg.state == Playback.STARTED:
            turn.voice_start = to_seconds(msg.header.stamp)
            self.event("said", f"“{turn.reply or ''}”")

    def _on_metrics(self, msg: TurnMetrics) -> None:
        if turn := self.recording.turns.get(msg.utterance_id):
            turn.latency = {name: float(getattr(msg, name)) for name in LATENCIES}
            turn.interrupted = msg.interrupted
            turn.closed = True

    def _on_head(self, msg: HeadState) -> None:
        self.head = msg
        if msg.moving or msg.stale:
            return
        for turn in self.recording.turns.values():
            if turn.closed and math.isnan(turn.head[0]):
                turn.head = (math.degrees(msg.pan), math.degrees(msg.tilt))
        where = (round(math.degrees(msg.pan)) + 0, round(math.degrees(msg.tilt)) + 0)
        if where != self._told_head:
            if not math.isnan(self._told_head[0]):
                self.event("head", f"pan {where[0]:+d}°, tilt {where[1]:+d}°")
            self._told_head = where

    def _on_joints(self, msg: JointState) -> None:
        at = dict(zip(msg.name, msg.position, strict=False))
        if all(joint in at for joint in self._joints):
            self.recording.joints.append((to_seconds(msg.header.stamp), at[self._joints[0]], at[self._joints[1]]))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            level = level_of(status)
            before = self.statuses.get(status.name)
            self.statuses[status.name] = (level, status.message)
            if level and before != (level, status.message) and not status.message.startswith("loading"):
                self.event("warning" if level == 1 else "error", f"{status.name}: {status.message}")
