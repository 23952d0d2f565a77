"""How the plain pipeline of the benchmark cuts sound into turns."""

from __future__ import annotations

import numpy as np

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.yardstick import cut

FRAME = 512


class Loudness:
    """A voice activity detector for which a frame's first sample is the probability of speech."""

    frame_samples = FRAME

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, frame: Samples) -> float:
        return float(frame[0])

    def reset(self) -> None:
        self.resets += 1


def sound(*parts: tuple[float, int]) -> Samples:
    """So many frames of each probability."""
    return np.concatenate([np.full(count * FRAME, probability, np.float32) for probability, count in parts])


def test_a_pause_of_less_than_half_a_second_is_within_a_turn() -> None:
    frames = int(0.5 * SAMPLE_RATE / FRAME)

    assert cut(sound((0.0, 5), (0.9, 10), (0.0, frames), (0.9, 10), (0.0, 20)), Loudness()) == [
        (5 * FRAME, (25 + frames) * FRAME)
    ]


def test_a_longer_pause_ends_the_turn_and_another_one_begins() -> None:
    turns = cut(sound((0.9, 10), (0.0, 20), (0.9, 10), (0.0, 20)), Loudness())

    assert turns == [(0, 10 * FRAME), (30 * FRAME, 40 * FRAME)]


def test_speech_goes_on_with_less_certainty_than_it_begins_with() -> None:
    assert cut(sound((0.4, 10), (0.9, 5), (0.4, 5), (0.0, 20)), Loudness()) == [(10 * FRAME, 20 * FRAME)]


def test_what_is_too_short_for_speech_is_none() -> None:
    assert cut(sound((0.9, 2), (0.0, 20)), Loudness()) == []


def test_each_recording_is_heard_without_memory_of_the_last() -> None:
    detector = Loudness()
    cut(sound((0.9, 10)), detector)
    cut(sound((0.9, 10)), detector)

    assert detector.resets == 2
