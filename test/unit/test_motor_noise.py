"""What the voice activity detector is believed while the head moves; a frame is 32 ms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lfm_voice_ros.core.motor_noise import MotorAware
from lfm_voice_ros.core.types import Samples

FRAME = np.zeros(512, np.float32)


class Scripted:
    """A VoiceActivityDetector that says what it was told to."""

    frame_samples = 512

    def __init__(self, probabilities: Sequence[float]) -> None:
        self._probabilities = iter(probabilities)

    def probability(self, frame: Samples) -> float:
        return next(self._probabilities)

    def reset(self) -> None:
        pass


def believed(probabilities: Sequence[float], moving: Sequence[bool], mode: str) -> list[float]:
    detector = MotorAware(Scripted(probabilities), mode)
    heard = []
    for moves in moving:
        detector.moving(moves)
        heard.append(detector.probability(FRAME))
    return heard


RATTLE = [0.1, 0.8, 0.95, 0.7, 0.2, 0.6, 0.1]
SPEECH = [0.1, 0.95, 0.97, 0.98, 0.99, 0.99, 0.6, 0.4]


def test_while_the_head_rests_all_is_believed() -> None:
    assert believed(RATTLE, [False] * 7, "lift") == RATTLE


def test_a_rattle_of_the_motors_is_not_speech() -> None:
    assert max(believed(RATTLE, [True] * 7, "lift")) == 0.0


def test_speech_over_the_motors_is_heard_once_it_is_sure_and_to_its_end() -> None:
    assert believed(SPEECH, [True] * 8, "lift") == [0.0, 0.0, 0.0, 0.0, 0.99, 0.99, 0.6, 0.4]


def test_a_motion_that_begins_while_a_person_speaks_does_not_cut_them_off() -> None:
    moving = [False, False, True, True, True, True, True, True]
    assert believed(SPEECH, moving, "lift") == SPEECH


def test_a_gate_lets_nothing_through_while_the_head_moves_and_a_tenth_of_a_second_longer() -> None:
    heard = believed([0.9] * 8, [True] * 2 + [False] * 6, "gate")
    assert heard[:5] == [0.0] * 5
    assert heard[-1] == 0.9


def test_switched_off_the_motors_change_nothing() -> None:
    assert believed(RATTLE, [True] * 7, "off") == RATTLE


@pytest.mark.parametrize("mode", ["lift", "gate", "off"])
def test_a_new_stream_begins_with_doubt_again(mode: str) -> None:
    detector = MotorAware(Scripted([0.9, 0.4]), mode)
    detector.probability(FRAME)
    detector.reset()
    detector.moving(True)
    assert detector.probability(FRAME) == (0.4 if mode == "off" else 0.0)


def test_a_head_that_says_nothing_more_does_not_make_deaf_for_ever() -> None:
    detector = MotorAware(Scripted([0.9] * 40), "gate")
    detector.moving(True)
    heard = [detector.probability(FRAME) for _ in range(40)]
    assert heard[0] == 0.0
    assert heard[-1] == 0.9
