"""Other sample rates, through soxr."""

from __future__ import annotations

import numpy as np

from lfm_voice_ros.core.types import Samples


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Take a whole recording at ``from_rate`` Hz; give it at ``to_rate`` Hz, as long as it was."""
    import soxr

    if from_rate == to_rate:
        return samples
    return np.asarray(soxr.resample(samples, from_rate, to_rate), np.float32)


class StreamResampler:
    """Resamples a stream piece by piece, without a seam between the pieces. Not for several threads."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        import soxr

        self.from_rate = from_rate
        self.to_rate = to_rate
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, "float32") if from_rate != to_rate else None
        self._taken = 0
        self._given = 0

    @property
    def held_seconds(self) -> float:
        """Seconds of sound that were taken and not given yet: what comes out next is that much older than the input."""
        return self._taken / self.from_rate - self._given / self.to_rate

    def push(self, samples: Samples, last: bool = False) -> Samples:
        """Take the next samples at ``from_rate``; give what is ready at ``to_rate``, after ``last`` all that was held.

        Nothing may be pushed after the last.
        """
        ready = samples if self._stream is None else self._stream.resample_chunk(samples, last)
        self._taken += samples.size
        self._given += ready.size
        return np.asarray(ready, np.float32)
