"""brain_codec: what people say is unpacked on the brain's side, and its replies are compressed for the way back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np

from lfm_voice_ros.backends.opus import OpusEncoder, restore
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.settings import BrainCodecSettings
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.core.wire import Piece
from lfm_voice_ros.msg import CompressedAudio, SpeechAudio, Utterance
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import piece_from_msg, piece_to_msg, samples_from_field, samples_to_field
from lfm_voice_ros.nodes.runtime import run

_TOGETHER = 3  # packets in a message: 60 ms, about as much as is worth a datagram and can be concealed when it is lost
_REPETITIONS = 2  # of a reply's end: without it the player would wait for more
_REPETITION_PERIOD = 0.1  # s
_BACKLOG = 1000  # messages that may wait
_NOTHING = np.empty(0, np.float32)
_OPEN = 16  # replies that may be on their way at once; one that was interrupted has no end


class BrainCodec(VoiceNode[BrainCodecSettings]):
    """``utterance/opus`` to ``utterance``, ``audio/output`` to ``audio/output/opus``. The worker ``coding`` does it."""

    def __init__(self) -> None:
        super().__init__("brain_codec", BrainCodecSettings)
        self._encoders: OrderedDict[str, OpusEncoder] = OrderedDict()
        self._ends: list[tuple[CompressedAudio, int]] = []  # what is repeated, and how often still
        self._unusable = 0
        self._utterances = self.create_publisher(Utterance, "utterance", qos.EVENT)
        self._packed = self.create_publisher(CompressedAudio, "audio/output/opus", qos.AUDIO_WIRE)
        self._coding = self.add_worker("coding", _call, _BACKLOG)
        self.every(_REPETITION_PERIOD, self._on_tick)
        self.listen(CompressedAudio, "utterance/opus", self._on_packed, qos.EVENT)
        self.listen(SpeechAudio, "audio/output", self._on_sound, qos.AUDIO)

    def publish_diagnostics(self) -> None:
        """Send the node's health, with the messages that could not be used."""
        self.health.value("messages unusable", self._unusable)
        super().publish_diagnostics()

    def _on_packed(self, msg: CompressedAudio) -> None:
        self._coding.put(partial(self._unpack, msg))

    def _on_sound(self, msg: SpeechAudio) -> None:
        self._coding.put(partial(self._pack, msg))

    def _on_tick(self) -> None:
        if self._ends and self._coding.waiting() == 0:
            self._coding.put(self._repeat_ends)

    # What follows runs in the worker.

    def _unpack(self, msg: CompressedAudio) -> None:
        try:
            samples = restore(piece_from_msg(msg).packets, msg.samples, SAMPLE_RATE)
        except AudioError as exc:
            self._unusable += 1
            self.get_logger().warning(f"utterance/opus: {exc}")
            return
        self._utterances.publish(
            Utterance(
                header=msg.header,
                utterance_id=msg.utterance_id,
                speech_start=msg.speech_start,
                speech_end=msg.speech_end,
                sample_rate=SAMPLE_RATE,
                samples=samples_to_field(samples),
            )
        )

    def _pack(self, msg: SpeechAudio) -> None:
        encoder = self._encoders.get(msg.utterance_id)
        if encoder is None:
            encoder = self._encoders[msg.utterance_id] = OpusEncoder(msg.sample_rate, self.settings.bitrate)
            if len(self._encoders) > _OPEN:
                self._encoders.popitem(last=False)
        first = encoder.packets
        packets: list[bytes] = []
        if msg.samples or msg.last:
            try:
                sound = samples_from_field(msg.samples, msg.sample_rate) if msg.samples else _NOTHING
                if sound.size and msg.sample_rate != encoder.sample_rate:
                    raise AudioError(
                        f"sound of {msg.sample_rate} Hz in a reply of {encoder.sample_rate} Hz was dropped"
                    )
            except AudioError as exc:
                self._unusable += 1
                self.get_logger().warning(f"audio/output: {exc}")
                sound = _NOTHING  # the end must be told even so
            packets = encoder.push(sound, msg.last)
        text = msg.text
        groups = [tuple(packets[at : at + _TOGETHER]) for at in range(0, len(packets), _TOGETHER)]
        if not groups and (text or msg.last):
            groups = [()]
        for number, group in enumerate(groups, 1):
            ends = msg.last and number == len(groups)
            packed = self._send(msg, Piece(first, group, text, ends, encoder.samples if ends else 0))
            first, text = first + len(group), ""
        if msg.last:
            self._ends.append((packed, _REPETITIONS))
            del self._encoders[msg.utterance_id]

    def _send(self, msg: SpeechAudio, piece: Piece) -> CompressedAudio:
        packed = piece_to_msg(piece, msg.utterance_id, msg.header)
        self._packed.publish(packed)
        return packed

    def _repeat_ends(self) -> None:
        for end, _ in self._ends:
            self._packed.publish(end)
        self._ends = [(end, times - 1) for end, times in self._ends if times > 1]


def _call(job: Callable[[], None]) -> None:
    job()


def main() -> int:
    """Run the node; give the exit code."""
    return run([BrainCodec])
