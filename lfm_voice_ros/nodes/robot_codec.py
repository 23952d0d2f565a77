"""robot_codec: what people say is compressed for the way to the brain, and its replies are unpacked."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial

from lfm_voice_ros.backends.opus import OpusDecoder, compress
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.settings import RobotCodecSettings
from lfm_voice_ros.core.wire import RATE, Heard, ReplyStream
from lfm_voice_ros.msg import CompressedAudio, SpeechAudio, Utterance
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import piece_from_msg, samples_from_field, samples_to_field
from lfm_voice_ros.nodes.runtime import run

_TICK = 0.02  # s between looks for what can be heard
_SILENCE = 3.0  # s without a piece after which a reply counts as over; the player itself waits for 5 s
_BACKLOG = 2000  # messages that may wait: more than a reply has
_REMEMBERED = 256  # replies whose late pieces are still recognised


class RobotCodec(VoiceNode[RobotCodecSettings]):
    """``utterance`` to ``utterance/opus``, ``audio/output/opus`` to ``audio/output``.

    The worker ``coding`` owns the streams. Replies come out at 48 kHz, to which Opus decodes.
    """

    def __init__(self) -> None:
        super().__init__("robot_codec", RobotCodecSettings)
        self._streams: dict[str, tuple[ReplyStream, OpusDecoder]] = {}
        self._sequences: dict[str, int] = {}
        self._over: deque[str] = deque(maxlen=_REMEMBERED)
        self._late = 0
        self._lost = 0
        self._unusable = 0
        self._packed = self.create_publisher(CompressedAudio, "utterance/opus", qos.EVENT)
        self._sound = self.create_publisher(SpeechAudio, "audio/output", qos.AUDIO)
        self._coding = self.add_worker("coding", _call, _BACKLOG)
        self.every(_TICK, self._on_tick)
        self.listen(Utterance, "utterance", self._on_utterance, qos.EVENT)
        self.listen(CompressedAudio, "audio/output/opus", self._on_piece, qos.AUDIO_WIRE)

    def publish_diagnostics(self) -> None:
        """Send the node's health, with the packets of replies that came late or not at all."""
        self.health.value("packets late", self._late)
        self.health.value("packets lost", self._lost)
        self.health.value("packets unusable", self._unusable)
        super().publish_diagnostics()

    def _on_utterance(self, msg: Utterance) -> None:
        self._coding.put(partial(self._pack, msg))

    def _on_piece(self, msg: CompressedAudio) -> None:
        self._coding.put(partial(self._take, msg))

    def _on_tick(self) -> None:
        if self._streams and self._coding.waiting() == 0:
            self._coding.put(self._give)

    # What follows runs in the worker.

    def _pack(self, msg: Utterance) -> None:
        try:
            sound = samples_from_field(msg.samples, msg.sample_rate)
        except AudioError as exc:
            self.get_logger().warning(f"an utterance was not sent: {exc}")
            return
        packets, samples = compress(sound, msg.sample_rate, self.settings.bitrate)
        self._packed.publish(
            CompressedAudio(
                header=msg.header,
                utterance_id=msg.utterance_id,
                speech_start=msg.speech_start,
                speech_end=msg.speech_end,
                sizes=[len(packet) for packet in packets],
                data=b"".join(packets),
                last=True,
                samples=samples,
            )
        )

    def _take(self, msg: CompressedAudio) -> None:
        try:
            piece = piece_from_msg(msg)
        except AudioError as exc:
            self._unusable += 1
            self.get_logger().warning(f"audio/output/opus: {exc}")
            return
        if msg.utterance_id in self._over:
            self._late += len(piece.packets)
            return
        if msg.utterance_id not in self._streams:
            decoder = OpusDecoder()
            self._streams[msg.utterance_id] = (ReplyStream(decoder.decode, self.settings.patience), decoder)
        self._streams[msg.utterance_id][0].add(piece, time.monotonic())
        self._give()

    def _give(self) -> None:
        now = time.monotonic()
        for utterance_id, (stream, decoder) in list(self._streams.items()):
            heard = stream.pop(now)
            if heard is None and stream.silent_for(now) > _SILENCE:
                heard = stream.finish()
            if heard is not None:
                self._publish(utterance_id, heard)
            if stream.ended:
                self._over.append(utterance_id)
                self._late += stream.late
                self._lost += stream.lost
                self._unusable += decoder.unusable
                del self._streams[utterance_id]
                self._sequences.pop(utterance_id, None)

    def _publish(self, utterance_id: str, heard: Heard) -> None:
        sequence = self._sequences.get(utterance_id, 0)
        self._sequences[utterance_id] = sequence + 1
        self._sound.publish(
            SpeechAudio(
                header=self.header(),
                utterance_id=utterance_id,
                sequence=sequence,
                last=heard.last,
                sample_rate=RATE,
                samples=samples_to_field(heard.samples),
                text=heard.text,
            )
        )


def _call(job: Callable[[], None]) -> None:
    job()


def main() -> int:
    """Run the node; give the exit code."""
    return run([RobotCodec])
