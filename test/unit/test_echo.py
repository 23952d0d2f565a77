"""The reference beside the microphone, on the axis of time; what is left of the echo, and of a person."""

from __future__ import annotations

import numpy as np
import pytest

from lfm_voice_ros.core.echo import EchoStage
from lfm_voice_ros.core.echo_filter import EchoFilter
from lfm_voice_ros.core.sample_clock import SampleClock
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

FRAME = SAMPLE_RATE // 100
BEGAN = 1_000.0  # s


class Beside:
    """A canceller that cancels nothing, and keeps what it was given."""

    name = "beside"
    frame_samples = FRAME

    def __init__(self) -> None:
        self.microphone: list[Samples] = []
        self.played: list[Samples] = []

    def process(self, microphone: Samples, played: Samples) -> Samples:
        self.microphone.append(microphone)
        self.played.append(played)
        return microphone


def noise(seconds: float, seed: int = 0) -> Samples:
    """Sound below 3 kHz, which a microphone's and a loudspeaker's sample rates both carry well."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)))
    spectrum[round(3_000 * seconds) :] = 0.0
    sound = np.fft.irfft(spectrum)
    return np.asarray(0.3 * sound / np.abs(sound).max(), np.float32)


def play(stage: EchoStage, sound: Samples, at: float, chunk: int = 320, drift: float = 0.0) -> None:
    for begin in range(0, sound.size, chunk):
        stage.played(sound[begin : begin + chunk], at + begin / SAMPLE_RATE * (1 + drift))


def hear(stage: EchoStage, sound: Samples, at: float, block: int = 256) -> Samples:
    pieces = [stage.push(sound[b : b + block], at + b / SAMPLE_RATE).samples for b in range(0, sound.size, block)]
    return np.concatenate(pieces)


def test_each_frame_gets_what_is_played_a_lead_later() -> None:
    canceller = Beside()
    stage = EchoStage(canceller, lead=0.02)
    sound = noise(1.0)
    play(stage, sound, BEGAN)
    hear(stage, np.zeros(8_000, np.float32), BEGAN)
    given = np.concatenate(canceller.played)
    assert given[:7_000] == pytest.approx(sound[320:7_320], abs=2e-3)


def test_nothing_of_the_microphone_is_lost_or_moved() -> None:
    stage = EchoStage(Beside())
    sound = noise(1.0, 3)
    play(stage, noise(2.0), BEGAN)
    times = [stage.push(sound[b : b + 100], BEGAN + b / SAMPLE_RATE) for b in range(0, sound.size, 100)]
    heard = np.concatenate([clean.samples for clean in times])
    count = 0
    for clean in times:
        assert clean.at == pytest.approx(BEGAN + count / SAMPLE_RATE)
        count += clean.samples.size
    assert count == sound.size // FRAME * FRAME
    assert heard.size == count


def test_while_the_robot_is_silent_sound_passes_as_it_is_and_at_once() -> None:
    canceller = Beside()
    sound = noise(0.5)
    assert hear(EchoStage(canceller), sound, BEGAN) == pytest.approx(sound)
    assert canceller.played == []


def test_sound_waits_for_its_reference_but_not_for_ever() -> None:
    stage = EchoStage(Beside(), lead=0.0, patience=0.05)
    play(stage, noise(0.1), BEGAN)
    assert hear(stage, np.zeros(1_600 + 640, np.float32), BEGAN).size == 1_600
    assert stage.late == 0
    rest = hear(stage, np.zeros(1_600, np.float32), BEGAN + 0.14)
    assert stage.late > 0
    assert rest.size >= 1_600 - 800


def test_a_reference_with_a_gap_stays_at_its_time() -> None:
    canceller = Beside()
    stage = EchoStage(canceller, lead=0.0)
    first, second = noise(0.3, 1), noise(0.3, 2)
    play(stage, first, BEGAN)
    play(stage, second, BEGAN + 0.5)
    hear(stage, np.zeros(12_800, np.float32), BEGAN)
    given = np.concatenate(canceller.played)
    assert given[:4_800] == pytest.approx(first, abs=2e-3)
    assert not given[4_810:7_990].any()
    assert given[8_000:12_700] == pytest.approx(second[:4_700], abs=2e-3)


def test_a_loudspeaker_whose_clock_is_wrong_is_followed_without_a_jump() -> None:
    canceller = Beside()
    stage = EchoStage(canceller, lead=0.0)
    seconds, ppm = 30.0, 100e-6
    count = round(seconds * SAMPLE_RATE)
    slow = np.asarray(0.3 * np.sin(2 * np.pi * 200 * np.arange(count) / SAMPLE_RATE), np.float32)
    # What lasts 30 s by the loudspeaker's clock lasts 3 ms more by ours, as the stamps tell.
    block = 320
    for begin in range(0, count, block):
        at = BEGAN + begin / SAMPLE_RATE * (1 + ppm)
        stage.played(slow[begin : begin + block], at)
        if begin >= 3_200:
            at = BEGAN + (begin - 3_200) / SAMPLE_RATE
            stage.push(np.zeros(block, np.float32), at)
    given = np.concatenate(canceller.played)
    assert np.abs(np.diff(given)).max() < 0.3 * 2 * np.pi * 200 / SAMPLE_RATE * 1.05
    wanted = 0.3 * np.sin(2 * np.pi * 200 * np.arange(given.size) / SAMPLE_RATE / (1 + ppm))
    # Half a millisecond may be between them, which the canceller doesn't mind as long as it stays so.
    assert np.abs(given[-1_600:] - wanted[-1_600:]).max() < 0.3 * 2 * np.pi * 200 * 1e-3


def test_it_knows_the_robot_after_six_seconds_of_its_voice() -> None:
    stage = EchoStage(Beside())
    for second in range(7):
        play(stage, noise(1.0), BEGAN + second)
        assert not stage.learnt
        hear(stage, np.zeros(SAMPLE_RATE, np.float32), BEGAN + second)
    assert stage.learnt
    assert stage.covers(BEGAN + 7.4)
    assert not stage.covers(BEGAN + 7.6)


def test_what_the_robot_begins_to_say_after_a_silence_is_not_taken_for_a_person() -> None:
    stage = EchoStage(Beside())  # cancels nothing: the gate by level stays open
    play(stage, noise(1.5), BEGAN)
    echo = np.pad(noise(1.5), (800, 0))[: round(1.5 * SAMPLE_RATE)]
    person = np.concatenate(
        [stage.push(echo[b : b + 160], BEGAN + b / SAMPLE_RATE).person for b in range(0, echo.size, 160)]
    )
    assert not person[: round(0.35 * SAMPLE_RATE)].any()
    assert person[round(0.45 * SAMPLE_RATE) : SAMPLE_RATE].any()


def echo_of(sound: Samples, seed: int = 4) -> Samples:
    response = np.random.default_rng(seed).standard_normal(1_600) * np.exp(-np.arange(1_600) / 200)
    return np.asarray(np.convolve(sound, 0.3 * response / np.sqrt(np.sum(response**2)))[: sound.size], np.float32)


def through(played: Samples, microphone: Samples) -> Samples:
    cancel = EchoFilter()
    frames = range(0, played.size - FRAME + 1, FRAME)
    return np.concatenate([cancel.process(microphone[b : b + FRAME], played[b : b + FRAME]) for b in frames])


def test_the_filter_learns_the_way_of_the_echo_and_subtracts_it() -> None:
    played = np.asarray(np.random.default_rng(5).standard_normal(5 * SAMPLE_RATE) * 0.1, np.float32)
    echo = echo_of(played)
    left = through(played, echo)
    last = slice(-SAMPLE_RATE, None)
    assert np.mean(left[last] ** 2) < 0.01 * np.mean(echo[last] ** 2)


def test_a_person_who_speaks_meanwhile_stays_as_loud() -> None:
    played = np.asarray(np.random.default_rng(5).standard_normal(5 * SAMPLE_RATE) * 0.1, np.float32)
    person = np.zeros_like(played)
    person[-SAMPLE_RATE:] = noise(1.0, 6) * 0.1
    left = through(played, echo_of(played) + person)
    last = slice(-SAMPLE_RATE, None)
    assert np.mean((left - person)[last] ** 2) < 0.5 * np.mean(person[last] ** 2)


def test_a_wrong_model_never_makes_the_sound_much_louder() -> None:
    played = np.asarray(np.random.default_rng(5).standard_normal(4 * SAMPLE_RATE) * 0.1, np.float32)
    echo = np.concatenate((echo_of(played[: played.size // 2]), -echo_of(played[played.size // 2 :], 9)))
    left = through(played, echo)
    assert np.mean(left**2) < 1.5 * np.mean(echo**2)


def test_stamps_count_samples_and_follow_the_clock_slowly() -> None:
    clock = SampleClock(1_000)
    chance = np.random.default_rng(0)
    stamps = [clock.stamp(10, 5.0 + 0.01 * block + chance.exponential(0.003)) for block in range(2_000)]
    steps = np.diff(stamps)
    assert np.abs(steps[200:] - 0.01).max() < 1e-4
    assert stamps[-1] == pytest.approx(5.0 + 0.01 * 1_999 + 0.003, abs=5e-4)


def test_stamps_jump_with_a_stream_that_has_lost_sound() -> None:
    clock = SampleClock(1_000)
    for block in range(100):
        clock.stamp(10, 0.01 * block)
    assert clock.stamp(10, 3.0) == pytest.approx(3.0)
    clock.reset()
    assert clock.stamp(10, 3.1) == pytest.approx(3.1)
