"""When there is something to listen to; a piece of sound is 80 ms."""

from __future__ import annotations

import numpy as np

from lfm_voice_ros.core.sound_gate import SoundGate

PIECE = 1280


def openings(levels: list[float]) -> list[bool]:
    """Whether the gate is open at each of these levels (dBFS) of noise."""
    random = np.random.default_rng(0)
    gate = SoundGate()
    return [gate.opens((10 ** (level / 20) * random.standard_normal(PIECE)).astype(np.float32)) for level in levels]


def test_silence_is_not_worth_listening_to() -> None:
    assert not any(openings([-90.0] * 50))
    assert not SoundGate().opens(np.zeros(PIECE, np.float32))


def test_what_is_louder_than_the_room_opens_at_once_and_stays_open_for_a_while() -> None:
    heard = openings([-60.0] * 100 + [-30.0] + [-60.0] * 20)
    assert not any(heard[80:100])
    assert heard[100]
    assert heard[109]
    assert not heard[-1]


def test_a_room_that_has_become_loud_is_got_used_to() -> None:
    heard = openings([-70.0] * 10 + [-45.0] * 200)
    assert heard[10]
    assert not any(heard[-20:])


def test_speech_stands_out_of_a_loud_room() -> None:
    heard = openings([-45.0] * 200 + [-25.0] * 5)
    assert all(heard[-5:])
