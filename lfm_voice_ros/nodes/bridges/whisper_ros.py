"""whisper_ros as an outside transcriber: it gets each utterance, and what it writes is the utterance's transcript.

It gets the sound where its own voice activity detector would give it (``whisper/vad``), so that there is one opinion
on where an utterance begins and ends.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from std_msgs.msg import Float32MultiArray

from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.outside_words import Outside, transcript_of
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.core.types import Transcript as Words
from lfm_voice_ros.msg import Transcript, Utterance
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.bridges.packages import messages
from lfm_voice_ros.nodes.conversions import samples_from_field, samples_to_field, transcript_to_msg

_SOUND = "whisper/vad"
_WORDS = "whisper/transcription"
_SHORTEST = 1.05  # s; whisper.cpp hears nothing in less than a second
_TICK = 0.1  # s between looks for utterances that waited too long
_CAPACITY = 4  # utterances that may wait


class WhisperRosWords:
    """Takes ``utterance``; gives ``transcript``, exactly one for each."""

    def __init__(self, node: VoiceNode[Any], timeout: float) -> None:
        """An utterance without words after ``timeout`` seconds has failed. Raises ConfigurationError."""
        whisper = messages("whisper_msgs", "bridge.transcripts: whisper_ros")
        self._node = node
        self._timeout = timeout
        self._strays = 0
        self._outside: Outside[tuple[Utterance, Samples]] = Outside(timeout, _CAPACITY)
        self._sound = node.create_publisher(Float32MultiArray, _SOUND, qos.EVENT)
        self._transcripts = node.create_publisher(Transcript, "transcript", qos.EVENT)
        node.listen(Utterance, "utterance", self._on_utterance, qos.EVENT)
        node.listen(whisper.Transcription, _WORDS, self._on_words, qos.EVENT)
        node.every(_TICK, self._on_tick)

    def _on_utterance(self, msg: Utterance) -> None:
        try:
            samples = samples_from_field(msg.samples, msg.sample_rate)
            if msg.sample_rate != SAMPLE_RATE:
                raise AudioError(f"an utterance at {msg.sample_rate} Hz was dropped; send {SAMPLE_RATE} Hz")
        except AudioError as exc:
            self._fail(msg, str(exc))
            return
        samples = np.pad(samples, (0, max(0, round(_SHORTEST * SAMPLE_RATE) - samples.size)))
        if self._outside.ask((msg, samples), samples.size / SAMPLE_RATE, time.monotonic()):
            self._send_next()
        else:
            self._fail(msg, "whisper_ros is busy with earlier utterances; say it again")

    def _on_words(self, msg: Any) -> None:
        asked = self._outside.words(msg.audio_time, msg.transcription_time, time.monotonic())
        if asked is None:
            self._strays += 1
            self._node.health.value("words of whisper_ros without an utterance", self._strays)
            self._node.trouble(
                "strays",
                f"{_WORDS} has words that belong to no utterance; is whisper_ros listening to a microphone of its own?",
                Level.WARN,
            )
            return
        self._node.well("strays")
        self._node.well("whisper_ros")
        self._publish(asked[0], transcript_of(msg.text))
        self._send_next()

    def _on_tick(self) -> None:
        for utterance, _ in self._outside.overdue(time.monotonic()):
            reason = (
                f"whisper_ros gave no words within {self._timeout} s"
                if self._listens()
                else f"whisper_ros doesn't listen to {_SOUND}; start it with stream:=True"
            )
            self._fail(utterance, reason)
        self._send_next()

    def _listens(self) -> bool:
        return bool(self._sound.get_subscription_count())

    def _send_next(self) -> None:
        if self._listens() and (asked := self._outside.next(time.monotonic())):
            self._sound.publish(Float32MultiArray(data=samples_to_field(asked[1])))

    def _fail(self, utterance: Utterance, reason: str) -> None:
        self._node.trouble("whisper_ros", reason)
        self._publish(utterance, Words("", 0.0, rejection=reason, failed=True))

    def _publish(self, utterance: Utterance, words: Words) -> None:
        msg = transcript_to_msg(words, utterance.utterance_id, self._node.header())
        msg.speech_end = utterance.speech_end
        self._transcripts.publish(msg)
