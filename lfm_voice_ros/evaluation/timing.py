"""Times of a model's work, on a CPU and on a GPU, and what is said to it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.scoring import Spread

SPEECH = 2.0  # s of each turn
SEED = 1


@dataclass(frozen=True)
class Loop:
    """A conversation in which frames are generated. Times in ms."""

    frame_ms: Spread  # from one frame to the next: a step of the LFM and a frame of the depthformer, no decoding
    first_frame_ms: list[float]  # of each turn, from the end of the person's speech
    positions: int  # of the history when the last reply begins


class Clock:
    """Moments in a device's work: a GPU's are those at which it has come so far, with the host far ahead of it."""

    def __init__(self, device: torch.device) -> None:
        """The first moment is now."""
        self._gpu = device.type == "cuda"
        self._moments: list[Any] = []
        self._counted: list[int] = []
        self.note()

    def note(self, *, counts: bool = False) -> None:
        """The next moment is now; ``counts`` says that the time since the last one is a frame's."""
        if counts:
            self._counted.append(len(self._moments))
        if self._gpu:
            self._moments.append(torch.cuda.Event(enable_timing=True))
            self._moments[-1].record()
        else:
            self._moments.append(time.perf_counter())

    def counted(self) -> list[float]:
        """The times of frames, ms."""
        return [self._between(moment - 1, moment) for moment in self._counted]

    def first(self) -> float:
        """The time to the first frame's end, ms; NaN without one."""
        return self._between(0, self._counted[0]) if self._counted else math.nan

    def whole(self) -> float:
        """The time from the first to the last moment, ms."""
        return self._between(0, -1)

    def _between(self, begin: int, end: int) -> float:
        if not self._gpu:
            return 1e3 * float(self._moments[end] - self._moments[begin])
        self._moments[end].synchronize()
        return float(self._moments[begin].elapsed_time(self._moments[end]))


def speech(seed: int) -> Samples:
    """What a person says: noise, of which the encoder makes as much as of words."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(SPEECH * SAMPLE_RATE))).astype(np.float32)
