"""Whether there is anything to listen to: what costs much is not asked about the noise of an empty room. No clocks."""

from __future__ import annotations

import math

import numpy as np

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_ABOVE = 6.0  # dB over the noise of the room
_QUIETEST = -66.0  # dBFS; what is below is silence in any room
_HOLD = 0.8  # s for which sound still counts after its end
_RISE = 3.0  # dB/s at which a louder room is believed
_SILENT = -120.0  # dBFS


class SoundGate:
    """Follows the level of the noise in the room, and opens for what is louder. For one thread."""

    def __init__(self) -> None:
        self._floor = _QUIETEST  # dBFS
        self._left = 0.0  # s

    def opens(self, samples: Samples) -> bool:
        """Take the next sound at 16 kHz, some hundredths of a second; say whether it is worth listening to."""
        seconds = samples.size / SAMPLE_RATE
        power = float(np.dot(samples, samples)) / max(1, samples.size)
        level = 10.0 * math.log10(power) if power > 0.0 else _SILENT
        loud = level > max(self._floor, _QUIETEST) + _ABOVE
        self._floor = min(level, self._floor + _RISE * seconds) if level > _SILENT else self._floor
        self._left = _HOLD if loud else self._left - seconds
        return self._left > 0.0
