"""Sound as Opus packets of 20 ms, through PyAV, which brings libopus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lfm_voice_ros.backends.resampling import StreamResampler, resample
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.core.wire import PACKET, PACKETS_PER_SECOND, PRE_SKIP, RATE

_RATES = (8_000, 12_000, 16_000, 24_000)  # Hz that the encoder takes; above them lies nothing of a voice
_LONGEST_PACKET = 1275  # bytes of 20 ms, by the format


class OpusEncoder:
    """One stream of sound to packets. Not for several threads."""

    def __init__(self, sample_rate: int, bitrate: int) -> None:
        """Take sound of ``sample_rate`` Hz; make about ``bitrate`` bit/s of it. Raises ResourceError without PyAV."""
        self.sample_rate = sample_rate
        self.packets = 0  # that were made
        self._av = _library()
        self._rate = next((rate for rate in _RATES if rate >= sample_rate), _RATES[-1])
        self._resampler = StreamResampler(sample_rate, self._rate)
        self._codec = self._av.CodecContext.create("libopus", "w")
        self._codec.sample_rate = self._rate
        self._codec.layout = "mono"
        self._codec.format = "flt"
        self._codec.bit_rate = bitrate
        self._codec.options = {"application": "voip", "frame_duration": "20"}
        self._frame = self._rate // PACKETS_PER_SECOND
        self._waiting: Samples = np.empty(0, np.float32)
        self._taken = 0  # samples

    @property
    def samples(self) -> int:
        """How long the sound is that was pushed, in samples at 48 kHz."""
        return round(self._taken * RATE / self.sample_rate)

    def push(self, samples: Samples, last: bool = False) -> list[bytes]:
        """Take the next sound; give the packets that are full, after ``last`` all. Nothing may be pushed after it."""
        self._taken += samples.size
        self._waiting = np.concatenate([self._waiting, self._resampler.push(samples, last)])
        if last and self._taken:
            # Decoded sound comes late by the pre-skip: so much silence brings out its end.
            whole = -(-(self.samples + PRE_SKIP) // PACKET) - self.packets
            self._waiting = np.pad(self._waiting, (0, max(0, whole * self._frame - self._waiting.size)))
        packets = []
        while self._waiting.size >= self._frame:
            packets.append(self._encode(self._waiting[: self._frame]))
            self._waiting = self._waiting[self._frame :]
        return packets

    def _encode(self, samples: Samples) -> bytes:
        frame = self._av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
        frame.sample_rate = self._rate
        frame.pts = self.packets * self._frame
        self.packets += 1
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class OpusDecoder:
    """One stream of packets to sound at 48 kHz. Not for several threads."""

    def __init__(self) -> None:
        """Raises ResourceError without PyAV."""
        self.unusable = 0  # packets that were concealed because they are none
        self._av = _library()
        self._codec = self._av.CodecContext.create("libopus", "r")
        self._codec.layout = "mono"
        self._codec.sample_rate = RATE
        self._toc = b""

    def decode(self, packet: bytes | None) -> Samples:
        """Give the 20 ms of a packet; None, or what is no packet, has the decoder go on from what it gave last."""
        if packet and len(packet) <= _LONGEST_PACKET and (sound := self._decode(packet)) is not None:
            self._toc = packet[:1]
            return sound
        self.unusable += packet is not None
        # A packet without a frame stands for a lost one (RFC 6716, 3.2): its first byte only says which kind it was.
        sound = self._decode(self._toc) if self._toc else None
        return np.zeros(PACKET, np.float32) if sound is None else sound

    def _decode(self, packet: bytes) -> Samples | None:
        try:
            frames = self._codec.decode(self._av.Packet(packet))
        except self._av.error.FFmpegError:
            return None
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]) if frames else np.empty(0)
        return np.asarray(sound, np.float32) / np.float32(32768) if sound.size == PACKET else None


def compress(samples: Samples, sample_rate: int, bitrate: int) -> tuple[list[bytes], int]:
    """Give the packets of a whole recording, and its length in samples at 48 kHz. Raises ResourceError without PyAV."""
    encoder = OpusEncoder(sample_rate, bitrate)
    return encoder.push(samples, last=True), encoder.samples


def restore(packets: Sequence[bytes], samples: int, sample_rate: int) -> Samples:
    """Give a whole recording back, at ``sample_rate`` Hz.

    Raises AudioError when none of the packets is usable, ResourceError without PyAV.
    """
    decoder = OpusDecoder()
    sound = [decoder.decode(packet) for packet in packets]
    if not sound or decoder.unusable == len(sound):
        raise AudioError("compressed sound without a usable packet was dropped")
    return np.clip(resample(np.concatenate(sound)[PRE_SKIP : PRE_SKIP + samples], RATE, sample_rate), -1.0, 1.0)


def _library() -> Any:
    try:
        import av
    except ImportError as exc:
        raise ResourceError("PyAV is not installed, which compresses sound; run scripts/setup") from exc
    return av
