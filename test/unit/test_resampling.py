"""Other sample rates."""

from __future__ import annotations

import numpy as np
import pytest

from lfm_voice_ros.backends.resampling import StreamResampler, resample
from lfm_voice_ros.core.types import Samples


def tone(rate: int, seconds: float = 1.0) -> Samples:
    return np.asarray(0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate), np.float32)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_a_tone_stays_the_same_tone_of_the_same_length(rate: int) -> None:
    ready = resample(tone(rate), rate, 16_000)
    assert ready.dtype == np.float32
    assert ready.size == 16_000
    assert np.abs(ready - tone(16_000))[200:-200].max() < 0.01


def test_the_same_rate_changes_nothing() -> None:
    assert np.array_equal(resample(tone(16_000), 16_000, 16_000), tone(16_000))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_stream_in_pieces_sounds_like_the_whole(rate: int) -> None:
    stream = StreamResampler(rate, 16_000)
    pieces = [stream.push(piece) for piece in np.array_split(tone(rate), 37)]
    pieces.append(stream.push(np.empty(0, np.float32), last=True))
    ready = np.concatenate(pieces)
    assert abs(ready.size - 16_000) <= 1
    assert np.abs(ready[:15_990] - tone(16_000)[:15_990])[200:-200].max() < 0.01


def test_what_is_held_back_is_known_and_comes_with_the_last_piece() -> None:
    stream = StreamResampler(44_100, 16_000)
    ready = stream.push(tone(44_100, 0.1))
    assert stream.held_seconds == pytest.approx(0.1 - ready.size / 16_000)
    assert stream.held_seconds > 0
    stream.push(np.empty(0, np.float32), last=True)
    assert abs(stream.held_seconds) <= 1 / 16_000
