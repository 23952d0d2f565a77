"""Noise, motors, babble and rooms: as loud, as long and as echoing as asked, and the same again with the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.training import acoustics

COUNT = 3 * SAMPLE_RATE
Noise = Callable[[int, Generator], Samples]


def speech(seed: int = 1, level: float = 0.1) -> Samples:
    """Bursts like syllables, 0.2 s of them and 0.3 s of pause, in the middle of three seconds of silence."""
    sound = level * default_rng(seed).standard_normal(COUNT)
    time = np.arange(COUNT) / SAMPLE_RATE
    return np.asarray(sound * (time % 0.5 < 0.2) * (time > 0.5) * (time < 2.5), np.float32)


def babble(count: int, random: Generator) -> Samples:
    return acoustics.babble([speech(2), speech(3)[8000:], speech(4, 0.01)], count, random)


NOISES: dict[str, Noise] = {"pink": acoustics.pink_noise, "motor": acoustics.motor_noise, "babble": babble}
noises = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def spectrum(sound: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The power of each frequency, in Hz."""
    return np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE), np.abs(np.fft.rfft(sound)).astype(np.float64) ** 2


def share(sound: Samples, low: float, high: float) -> float:
    """How much of the power lies between two frequencies."""
    frequencies, powers = spectrum(sound)
    return float(powers[(frequencies >= low) & (frequencies < high)].sum() / powers.sum())


@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0, 30.0])
@noises
def test_the_snr_is_that_of_the_syllables_against_the_noise(noise: Noise, snr: float) -> None:
    spoken = speech()
    sound = acoustics.with_noise(spoken, noise(COUNT, default_rng(5)), snr)
    syllables = np.mean(spoken[spoken != 0].astype(np.float64) ** 2)
    added = np.mean((sound - spoken).astype(np.float64) ** 2)
    assert decibels(syllables / added) == pytest.approx(snr, abs=0.5)


def test_pauses_do_not_change_the_level_of_speech() -> None:
    longer = np.concatenate([speech(), np.zeros(5 * SAMPLE_RATE, np.float32), speech()])
    assert acoustics.active_power(longer) == pytest.approx(acoustics.active_power(speech()), rel=1e-3)


def test_to_silence_no_noise_is_added() -> None:
    silence = np.zeros(COUNT, np.float32)
    assert not acoustics.with_noise(silence, acoustics.pink_noise(COUNT, default_rng(1)), 10.0).any()


def test_silent_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="the noise is silent"):
        acoustics.with_noise(speech(), np.zeros(COUNT, np.float32), 10.0)


@noises
def test_the_same_seed_gives_the_same_noise_and_another_seed_another(noise: Noise) -> None:
    first, again, other = (noise(COUNT, default_rng(seed)) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [1, 100, 12_345, 10 * SAMPLE_RATE])
@noises
def test_noise_has_the_length_that_was_asked_for_and_stays_in_range(noise: Noise, count: int) -> None:
    made = noise(count, default_rng(1))
    assert made.dtype == np.float32
    assert made.shape == (count,)
    assert np.abs(made).max() <= 1.0


def test_pink_noise_has_the_same_power_in_each_octave() -> None:
    made = acoustics.pink_noise(10 * SAMPLE_RATE, default_rng(1))
    octaves = [share(made, low, 2 * low) for low in (125, 250, 500, 1000, 2000, 4000)]
    assert decibels(max(octaves) / min(octaves)) < 1.0
    assert share(made, 0, 40) < 1e-6


def test_a_motor_hums_and_whines_and_its_speed_varies() -> None:
    for seed in range(10):
        made = acoustics.motor_noise(10 * SAMPLE_RATE, default_rng(seed))
        frequencies, powers = spectrum(made)
        assert share(made, 80, 1000) > 0.5
        whine = frequencies[np.argmax(powers * (frequencies > 900))]
        assert 1000 <= whine <= 3000
        frames = made[: made.size // 4096 * 4096].reshape(-1, 4096) * np.hanning(4096)
        band = slice(round(1000 * 4096 / SAMPLE_RATE), round(3000 * 4096 / SAMPLE_RATE))
        pitches = np.argmax(np.abs(np.fft.rfft(frames, axis=1))[:, band], axis=1) * SAMPLE_RATE / 4096 + 1000
        assert 0.02 < np.ptp(pitches) / np.median(pitches) < 0.2


def test_the_gear_of_a_motor_ticks() -> None:
    made = acoustics.motor_noise(10 * SAMPLE_RATE, default_rng(1))
    powers = np.abs(np.fft.rfft(made))
    powers[: 4000 * 10] = 0  # what is left lies above the hum and the whine
    above = np.fft.irfft(powers * np.exp(1j * np.angle(np.fft.rfft(made))), made.size)
    loudness = np.mean(above.reshape(-1, 80) ** 2, axis=1)  # of 5 ms
    loud = loudness > 10 * np.median(loudness)
    assert 5 <= np.count_nonzero(loud[1:] & ~loud[:-1]) / 10 <= 35  # a second


def test_each_person_of_the_babble_is_equally_loud() -> None:
    time = np.arange(COUNT) / SAMPLE_RATE
    loud, quiet = (np.asarray(a * np.sin(2 * np.pi * f * time), np.float32) for a, f in ((0.5, 500), (0.01, 2000)))
    made = acoustics.babble([loud, quiet], COUNT, default_rng(1))
    assert share(made, 400, 600) == pytest.approx(0.5, abs=0.02)
    assert share(made, 1900, 2100) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rt60", [0.2, 0.3, 0.6, 1.2])
def test_a_room_echoes_as_long_as_asked(rt60: float) -> None:
    measured = []
    for seed in range(20):
        response = acoustics.impulse_response(rt60, default_rng(seed)).astype(np.float64)
        response[: round(0.05 * SAMPLE_RATE)] = 0  # the direct sound and single reflections
        left = np.cumsum(response[::-1] ** 2)[::-1]
        level = 10 * np.log10(left[left > 0] / left[0])
        down = [int(np.argmax(level < limit)) for limit in (-5, -25)]
        measured.append(3 * (down[1] - down[0]) / SAMPLE_RATE)
    assert np.mean(measured) == pytest.approx(rt60, rel=0.15)


def test_the_direct_sound_comes_first_and_alone() -> None:
    response = acoustics.impulse_response(0.5, default_rng(1))
    assert response[0] == 1.0
    assert not response[1 : round(0.003 * SAMPLE_RATE)].any()
    assert np.abs(response[1:]).max() < 1.0


def test_the_more_a_room_echoes_the_less_of_it_is_direct() -> None:
    echoes = [
        np.mean([np.sum(acoustics.impulse_response(rt60, default_rng(seed))[1:] ** 2) for seed in range(20)])
        for rt60 in (0.2, 0.4, 0.8)
    ]
    assert 0.5 < echoes[0] < echoes[1] < echoes[2] < 10


@pytest.mark.parametrize("rt60", [0.1, 0.3, 1.5])
def test_speech_in_a_room_is_as_long_and_as_loud_as_it_was_and_echoes_in_its_pauses(rt60: float) -> None:
    spoken = speech()
    sound = acoustics.in_room(spoken, rt60, default_rng(3))
    assert sound.dtype == np.float32
    assert sound.shape == spoken.shape
    assert decibels(acoustics.active_power(sound) / acoustics.active_power(spoken)) == pytest.approx(0, abs=0.1)
    assert np.flatnonzero(np.abs(sound) > 1e-3)[0] == np.flatnonzero(np.abs(spoken) > 1e-3)[0]
    pause = slice(round(2.2 * SAMPLE_RATE) + 1, round(2.25 * SAMPLE_RATE))
    assert not spoken[pause].any()
    assert np.abs(sound[pause]).max() > 1e-3


def test_a_sound_that_ends_is_not_heard_at_the_beginning() -> None:
    click = np.zeros(COUNT, np.float32)
    click[-1000] = 0.5
    assert np.abs(acoustics.in_room(click, 1.5, default_rng(3))[:-1000]).max() < 1e-6


def test_the_same_seed_gives_the_same_room() -> None:
    first, again, other = (acoustics.in_room(speech(), 0.4, default_rng(seed)) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other)


def test_a_silent_room_stays_silent() -> None:
    assert not acoustics.in_room(np.zeros(COUNT, np.float32), 0.4, default_rng(1)).any()


@pytest.mark.parametrize("level", [0.001, 0.1, 1.0])
def test_speech_gets_the_level_that_was_asked_for(level: float) -> None:
    assert decibels(acoustics.active_power(acoustics.at_level(speech(level=level), -26.0))) == pytest.approx(
        -26, abs=0.1
    )


def test_silence_has_no_level() -> None:
    assert not acoustics.at_level(np.zeros(COUNT, np.float32), -26.0).any()
    assert acoustics.active_power(np.zeros(0, np.float32)) == 0.0


def test_what_would_clip_becomes_quieter_as_a_whole() -> None:
    loud = acoustics.with_noise(speech(level=1.0), acoustics.pink_noise(COUNT, default_rng(1)), -10.0)
    assert np.abs(loud).max() > 1.0
    sound = acoustics.without_clipping(loud)
    assert np.abs(sound).max() <= 0.9501
    assert np.allclose(sound / np.abs(sound).max(), loud / np.abs(loud).max(), atol=1e-5)


def test_what_does_not_clip_stays_as_it_is() -> None:
    assert np.array_equal(acoustics.without_clipping(speech()), speech())


def test_silence_surrounds_the_speech() -> None:
    sound = acoustics.between_silences(np.ones(1000, np.float32))
    assert sound.size == 1000 + round(0.9 * SAMPLE_RATE)
    assert np.flatnonzero(sound)[0] == round(0.3 * SAMPLE_RATE)
