"""When somebody spoke, was heard or moved, as read off sound and joints."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.evaluation.sound_times import (
    Joints,
    Track,
    first_audible,
    first_motion,
    moving,
    overlap,
    rest,
    voiced_bounds,
)

RATE = 16_000
FRAME = 80  # samples, 5 ms


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def voice(seconds: float, level: float = 0.3) -> Samples:
    return np.asarray(level * np.sin(2 * np.pi * 200 * np.arange(round(seconds * RATE)) / RATE), np.float32)


def turning(*legs: tuple[float, float], begin: float = 0.0) -> list[Joints]:
    """Joint states at 50 Hz; each leg lasts so many seconds at so many rad/s."""
    at, pan, states = begin, 0.0, [(begin, 0.0, 0.0)]
    for seconds, speed in legs:
        for _ in range(round(seconds * 50)):
            at, pan = at + 0.02, pan + 0.02 * speed
            states.append((at, pan, 0.0))
    return states


def test_the_voiced_part_of_a_recording_is_what_is_not_much_quieter_than_the_rest() -> None:
    breath = voice(0.2, 0.001)  # 50 dB below
    begin, end = voiced_bounds(np.concatenate((breath, silence(0.1), voice(1.0), breath)), RATE)

    assert begin == pytest.approx(0.3 * RATE, abs=FRAME)
    assert end == pytest.approx(1.3 * RATE, abs=FRAME)


def test_a_pause_inside_a_sentence_belongs_to_it() -> None:
    assert voiced_bounds(np.concatenate((voice(0.5), silence(0.7), voice(0.5))), RATE) == (0, round(1.7 * RATE))


def test_silence_has_no_voiced_part_and_nothing_audible() -> None:
    assert voiced_bounds(silence(1.0), RATE) == (0, 0)
    assert math.isnan(first_audible(silence(1.0), RATE))


def test_the_first_audible_sample_is_found_behind_the_silence_of_a_synthesizer() -> None:
    assert first_audible(np.concatenate((silence(0.2), voice(0.5))), RATE) == pytest.approx(0.2, abs=0.002)


def track(*pieces: tuple[float, Samples]) -> Track:
    made = Track()
    for at, samples in pieces:
        made.add(at, RATE, samples)
    return made


def test_pieces_of_a_reply_with_short_pauses_are_one_span() -> None:
    (span,) = track(
        (10.0, voice(0.5)), (10.5, silence(0.2)), (10.7, np.concatenate((silence(0.1), voice(0.2))))
    ).spans()

    assert span == pytest.approx((10.0, 11.0), abs=0.005)


def test_a_reply_begins_when_it_is_first_audible_after_the_end_of_speech() -> None:
    played = track((10.0, voice(1.0)), (12.0, np.concatenate((silence(0.3), voice(1.0)))))

    assert played.onset(10.5) == pytest.approx(12.3, abs=0.005)
    assert math.isnan(played.onset(12.5))


def test_an_interrupted_voice_is_silent_after_its_last_audible_sample() -> None:
    played = track((10.0, voice(1.0)), (11.0, voice(0.25)), (13.0, voice(1.0)))

    assert played.silence(11.0) == pytest.approx(11.25, abs=0.005)
    assert math.isnan(played.silence(12.0)), "nothing was heard then"
    assert played.silent_for(15.0) == pytest.approx(1.0, abs=0.005)


def test_a_head_at_rest_begins_to_move_when_it_leaves_its_place() -> None:
    joints = turning((1.0, 0.0), (1.0, 0.5))

    assert first_motion(joints, 0.5) == pytest.approx(1.02, abs=0.021)
    assert math.isnan(first_motion(joints, 0.5, until=0.9))
    assert not moving(joints, 0.9)
    assert moving(joints, 1.5)


def test_of_a_head_that_moves_already_no_first_motion_is_told() -> None:
    assert math.isnan(first_motion(turning((1.0, 0.5)), 0.5))
    assert math.isnan(first_motion([], 0.5))


def test_a_head_is_at_rest_when_it_stays_where_it_is() -> None:
    joints = turning((1.0, 0.5), (0.06, 0.0), (0.5, 0.5), (1.0, 0.0))

    assert rest(joints, 0.5) == pytest.approx(1.56, abs=0.021)


def test_a_head_that_did_not_move_or_never_rests_has_no_time_of_rest() -> None:
    assert math.isnan(rest(turning((2.0, 0.0)), 1.0))
    assert math.isnan(rest(turning((2.0, 0.5)), 1.0))
    assert math.isnan(rest(turning((1.0, 0.5), (0.1, 0.0)), 0.5)), "too little was seen of it"


def test_spans_that_are_apart_overlap_by_less_than_nothing() -> None:
    assert overlap((1.0, 3.0), (2.0, 5.0)) == 1.0
    assert overlap((1.0, 2.0), (3.0, 4.0)) == -1.0
