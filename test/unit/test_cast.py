"""What the microphone of the benchmark hears: the person, the motors, and the robot's echo."""

from __future__ import annotations

import numpy as np
import pytest

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.demo.cast import Room
from lfm_voice_ros.demo.person import Person

RATE, CHUNK = 16_000, 800
SILENCE = np.zeros(CHUNK, np.float32)


def loudness(sound: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64))) + 1e-12))


def listen(room: Room, chunks: int, at: float = 100.0) -> Samples:
    return np.concatenate([room.mixed(SILENCE, at + number * CHUNK / RATE) for number in range(chunks)])


def test_a_quiet_room_is_not_digitally_silent() -> None:
    assert loudness(listen(Room(lambda: False, False, 1), 20)) == pytest.approx(-66.0, abs=1.0)


def test_the_motors_are_heard_while_the_head_moves() -> None:
    moves = iter([False] * 10 + [True] * 10)
    heard = listen(Room(lambda: next(moves), False, 1), 20)

    assert loudness(heard[: 10 * CHUNK]) < -60.0
    assert loudness(heard[10 * CHUNK :]) == pytest.approx(-46.0, abs=3.0)


def test_the_robots_voice_comes_back_with_the_delay_of_its_device() -> None:
    room = Room(lambda: False, True, 1)
    listen(room, 2)
    click = np.zeros(480, np.float32)
    click[0] = 1.0
    room.play(100.2, RATE, click)

    heard = listen(room, 10, 100.1)

    assert np.argmax(np.abs(heard)) / RATE == pytest.approx(0.18, abs=1e-3)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.05)
    assert loudness(listen(room, 10, 100.6)) < -60.0, "it is heard once"


def test_what_was_played_long_ago_is_not_heard_now() -> None:
    room = Room(lambda: False, True, 1)
    listen(room, 40)
    room.play(100.5, RATE, np.ones(480, np.float32))

    assert loudness(listen(room, 10, 102.0)) < -60.0


def test_without_echo_the_robot_is_not_heard() -> None:
    room = Room(lambda: False, False, 1)
    room.play(100.0, RATE, np.ones(480, np.float32))

    assert loudness(listen(room, 10)) < -60.0


def test_the_same_seed_gives_the_same_noise() -> None:
    assert np.array_equal(listen(Room(lambda: True, False, 3), 5), listen(Room(lambda: True, False, 3), 5))


def test_a_person_says_when_its_first_sample_is_taken() -> None:
    delivered: list[tuple[Samples, float]] = []
    person = Person(lambda samples, at: delivered.append((samples, at)), lambda: 50.0)
    person.start()
    try:
        begin = person.begin(np.full(CHUNK + 100, 0.5, np.float32))
        person.say(np.full(CHUNK, 0.25, np.float32), timeout=20.0)
    finally:
        person.stop()

    sound = np.concatenate([samples for samples, _ in delivered])
    first = int(np.flatnonzero(sound)[0])
    assert delivered[0][1] == 50.0
    assert begin == pytest.approx(50.0 + first / RATE)
