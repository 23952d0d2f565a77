"""Echo cancellation by WebRTC's AEC3, through livekit's library (no server, no network)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_FULL_SCALE = 32_767.0
_DELAY = 20  # ms from a frame that is played to its echo: where AEC3 begins to look; it finds the rest itself


class WebRtcEchoCanceller:
    """The port EchoCanceller, used from one thread. Its noise suppression and gain control are off."""

    name = "WebRTC AEC3 (livekit)"
    frame_samples = SAMPLE_RATE // 100

    def __init__(self) -> None:
        """Raises ResourceError when the library is missing."""
        try:
            from livekit.rtc.apm import AudioProcessingModule
            from livekit.rtc.audio_frame import AudioFrame
        except (ImportError, OSError) as exc:
            raise ResourceError(
                f"echo cancellation can't be loaded ({exc}); install it with: pip install livekit"
            ) from exc
        self._module = AudioProcessingModule(echo_cancellation=True, high_pass_filter=True)
        self._frame = AudioFrame

    def process(self, microphone: Samples, played: Samples) -> Samples:
        """See the port."""
        near, far = self._of(microphone), self._of(played)
        try:
            self._module.process_reverse_stream(far)
            self._module.set_stream_delay_ms(_DELAY)
            self._module.process_stream(near)
        except RuntimeError as exc:
            raise ResourceError(f"{self.name} failed: {exc}; restart audio_capture") from exc
        return np.frombuffer(near.data, np.int16).astype(np.float32) / _FULL_SCALE

    def _of(self, samples: Samples) -> Any:
        whole = np.clip(samples * _FULL_SCALE, -_FULL_SCALE, _FULL_SCALE).astype(np.int16)
        return self._frame(bytearray(whole.tobytes()), SAMPLE_RATE, 1, self.frame_samples)
