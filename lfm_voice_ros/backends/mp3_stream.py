"""MP3 that comes in pieces, through PyAV."""

from __future__ import annotations

from typing import Any

import numpy as np

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.sound_formats import scaled
from lfm_voice_ros.core.types import Samples


class Mp3Stream:
    """Decodes a stream of MP3 piece by piece, wherever it is cut. Not for several threads.

    Raises ResourceError where PyAV isn't installed.
    """

    def __init__(self) -> None:
        try:
            import av
        except ImportError as exc:
            raise ResourceError("MP3 can't be decoded without PyAV: pip install av, or send wave") from exc
        self._av: Any = av
        self._codec: Any = av.CodecContext.create("mp3", "r")

    def push(self, data: bytes) -> tuple[Samples, int]:
        """Take the next bytes; give what they complete, channels mixed to one, and its rate in Hz (0 for nothing).

        Raises AudioError for what is no MP3; the next bytes may be fine.
        """
        pieces: list[Samples] = []
        rate = 0
        broken: Exception | None = None
        for packet in self._codec.parse(data):
            try:
                frames = self._codec.decode(packet)
            except self._av.error.FFmpegError as exc:
                broken = exc  # the packets behind it may be whole
                continue
            for frame in frames:
                pieces.append(np.asarray(scaled(frame.to_ndarray()).mean(axis=0), np.float32))
                rate = frame.sample_rate
        if pieces:
            return np.concatenate(pieces), rate
        if broken is not None:
            raise AudioError("this is no MP3") from broken
        return np.empty(0, np.float32), 0
