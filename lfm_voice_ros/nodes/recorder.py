"""recorder: keeps turns as a dataset and as MCAP files, where that was switched on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message

from lfm_voice_ros.core.errors import AudioError, ConfigurationError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.playback import Chunk
from lfm_voice_ros.core.settings import RecorderSettings
from lfm_voice_ros.dataset.collecting import Collector, OpenTurn
from lfm_voice_ros.dataset.forgetting import days_before, forget_days
from lfm_voice_ros.dataset.recording import RecordedMessage, RecordedTurn, Recordings
from lfm_voice_ros.msg import (
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
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import (
    call_from_msg,
    result_from_msg,
    samples_from_field,
    transcript_from_msg,
    utterance_from_msg,
)
from lfm_voice_ros.nodes.runtime import run

_TICK = 0.25  # s between looks for turns that have ended
_EXPIRE_PERIOD = 3600.0  # s between looks for days that are too old
_FINISH_TIMEOUT = 0.4  # s for the turns that have ended when the node ends
_BACKLOG = 1000  # messages that may wait


class Recorder(VoiceNode[RecorderSettings]):
    """Writes each turn that has ended into ``folder``; while it is off it subscribes to nothing.

    The worker ``writing`` owns the open turns and the folder; callbacks hand the messages over as they came.
    """

    def __init__(self) -> None:
        super().__init__("recorder", RecorderSettings)
        if not self.settings.folder:
            raise ConfigurationError("recorder.folder is empty; give the folder that recordings go into")
        self._folder = Path(self.settings.folder).expanduser().absolute()
        self._turns = Collector()
        self._recordings = Recordings(self._folder, self.settings.speaker)
        self._recorded = 0
        self._unwritten = 0  # turns that could not be written
        self._overrun = False  # messages were lost
        self._ending = False
        self._finished = threading.Event()
        if not self.settings.enabled:
            self.health.set("recording", Level.OK, "off")
            self._finished.set()
            return
        for topic, message_type, profile, note in _TOPICS:
            take = partial(self._on_message, f"{self._absolute(topic)}", message_type, note)
            self.listen(message_type, topic, take, profile, raw=True)
        self._writing = self.add_worker("writing", self._work, _BACKLOG)
        self.every(_TICK, self._on_tick)
        self.every(_EXPIRE_PERIOD, lambda: self._writing.put(self._expire))

    def activate(self) -> None:
        """Light the lamp, and begin to record."""
        if not self.settings.enabled:
            return
        what = f"recording what people say into {self._folder}"
        kept = f"for {self.settings.keep_days} days" if self.settings.keep_days else "until they are forgotten"
        self.health.set("recording", Level.WARN, what)
        self.get_logger().warning(
            f"{what}; turns are kept {kept}. Tell the people; stop with record:=false or recorder.enabled: false, "
            "delete with `lfm-voice data forget`"
        )
        self._writing.put(self._prepare)
        self._writing.put(self._expire)

    def deactivate(self) -> None:
        """Record no more; turns that have ended are still written."""
        if self.settings.enabled:
            self.health.set("recording", Level.OK, "off")
            self._writing.put(self._write_rest)

    def end(self) -> None:
        """Begin no new turn; those that have ended are written before :meth:`close` returns."""
        if self.settings.enabled and not self._ending:
            self._ending = True
            self._writing.put(self._finish)

    def close(self) -> bool:
        """End within half a second; False when the disk is too slow for that."""
        self.end()
        self._finished.wait(_FINISH_TIMEOUT)
        return super().close()

    def publish_diagnostics(self) -> None:
        """Send the node's health, with the number of turns."""
        if self.settings.enabled:
            self.health.value("recorded turns", self._recorded)
            self.health.value("dropped turns", self._turns.dropped + self._unwritten)
        super().publish_diagnostics()

    def _on_message(self, topic: str, message_type: Any, note: Note, cdr: bytes) -> None:
        kind = f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
        message = RecordedMessage(topic, kind, time.time_ns(), cdr)
        if not self._writing.put(partial(self._take, message, message_type, note)):
            self._overrun = True

    def _on_tick(self) -> None:
        if self._writing.waiting() == 0:
            self._writing.put(_nothing)

    # What follows runs in the worker.

    def _work(self, job: Callable[[], None]) -> None:
        if self._overrun:
            self._overrun = False
            self._turns.drop_all()
        job()
        for turn in self._turns.ready(time.monotonic()):
            self._write(turn)

    def _take(self, message: RecordedMessage, message_type: Any, note: Note) -> None:
        content = deserialize_message(message.cdr, message_type)
        if message_type is Reply and content.source == "ask":
            self._turns.leave(content.utterance_id)  # an answer to a question is no turn that could be learned from
            return
        # What is heard of a reply begins no turn: other nodes speak as well.
        begins = message_type not in (SpeechAudio, Playback)
        turn = self._turns.take(content.utterance_id, message, time.monotonic(), begins)
        if turn is None:
            return
        try:
            note(turn, content)
        except (AudioError, ValueError) as exc:
            self._turns.drop(turn.utterance_id)
            self.trouble("turn", f"a turn was not recorded: {exc}", Level.WARN)

    def _write(self, turn: RecordedTurn) -> None:
        try:
            self._recordings.add(turn)
        except VoiceError as exc:
            self._unwritten += 1
            self.trouble("folder", str(exc))
        else:
            self._recorded += 1
            self.well("folder")
            self.well("turn")

    def _prepare(self) -> None:
        try:
            self._recordings.prepare()
        except VoiceError as exc:
            self.trouble("folder", str(exc))

    def _expire(self) -> None:
        if not self.settings.keep_days:
            return
        today = datetime.now(UTC).astimezone().date()
        try:
            forgotten = forget_days(self._folder, days_before(self._folder, self.settings.keep_days, today))
        except VoiceError as exc:
            self.trouble("expiry", f"turns that are too old were not deleted: {exc}")
            return
        self.well("expiry")
        if forgotten.turns:
            self.get_logger().info(
                f"forgot {forgotten.turns} turns that were older than {self.settings.keep_days} days"
            )

    def _write_rest(self) -> None:
        for turn in self._turns.rest():
            self._write(turn)

    def _finish(self) -> None:
        self._write_rest()
        self._finished.set()

    def _absolute(self, topic: str) -> str:
        return str(self.resolve_topic_name(topic))


Note = Callable[[OpenTurn, Any], None]


def _note_utterance(turn: OpenTurn, msg: Utterance) -> None:
    turn.utterance = utterance_from_msg(msg)


def _note_transcript(turn: OpenTurn, msg: Transcript) -> None:
    turn.transcript = transcript_from_msg(msg)


def _note_decision(turn: OpenTurn, msg: ToolDecision) -> None:
    turn.calls = tuple(map(call_from_msg, msg.calls))


def _note_result(turn: OpenTurn, msg: ToolResult) -> None:
    turn.results[msg.index] = result_from_msg(msg)


def _note_reply(turn: OpenTurn, msg: Reply) -> None:
    turn.reply = msg.text
    turn.failed = msg.source == "error"


def _note_sound(turn: OpenTurn, msg: SpeechAudio) -> None:
    samples = samples_from_field(msg.samples, msg.sample_rate) if msg.samples else np.empty(0, np.float32)
    turn.chunks[msg.sequence] = Chunk(msg.utterance_id, msg.sequence, msg.last, samples, msg.sample_rate, msg.text)


def _note_playback(turn: OpenTurn, msg: Playback) -> None:
    if msg.state == Playback.INTERRUPTED and math.isfinite(msg.heard_seconds):
        turn.heard = max(0.0, msg.heard_seconds)


def _note_metrics(turn: OpenTurn, msg: TurnMetrics) -> None:
    turn.interrupted = msg.interrupted
    turn.closed = time.monotonic()


#: Everything that belongs to a turn: topic, type, QoS, and what it says of the turn.
_TOPICS: tuple[tuple[str, Any, Any, Note], ...] = (
    ("utterance", Utterance, qos.EVENT, _note_utterance),
    ("transcript", Transcript, qos.EVENT, _note_transcript),
    ("tool_decision", ToolDecision, qos.EVENT, _note_decision),
    ("tool_result", ToolResult, qos.EVENT, _note_result),
    ("reply", Reply, qos.EVENT, _note_reply),
    ("audio/output", SpeechAudio, qos.AUDIO, _note_sound),
    ("playback", Playback, qos.EVENT, _note_playback),
    ("turn_metrics", TurnMetrics, qos.EVENT, _note_metrics),
)


def _nothing() -> None:
    """Lets the worker look for turns that have ended."""


def main() -> int:
    """Run the node."""
    return run([Recorder])
