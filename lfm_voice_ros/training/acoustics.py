"""What happens to speech on its way to a robot's microphone: noise, motors, other people, the echo of a room.

Everything takes and gives float32 mono sound in [-1, 1] at 16 kHz and takes its chance from a numpy Generator:
the same speech and the same state of the Generator give the same sound.

The signal-to-noise ratio (SNR) in dB is the power of the speech over its active frames against the power of the noise
over all of its length. A frame has 20 ms and is active when its power is at most 30 dB below that of the loudest one:
the pauses, of which a sentence may have more or fewer, don't count. Of speech in a room, the echo counts as speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

SILENCE_BEFORE = 0.3  # s
SILENCE_AFTER = 0.6  # s
LARGEST_PEAK = 0.95  # of full scale

_FRAME = SAMPLE_RATE // 50
_ACTIVE_RANGE = 30.0  # dB
_LOWEST_NOISE = 50.0  # Hz: small microphones hear nothing below
_DECAY = np.log(10) * 3  # of an amplitude by 60 dB

# A person who speaks towards the robot in a living room: how much echo comes with the direct sound.
_ROOM_VOLUME = 50.0  # m³
_DIRECTIVITY = 2.0  # of a mouth, in power
_DISTANCES = (0.8, 2.0)  # m
_FIRST_ECHO, _LAST_EARLY_ECHO = 0.003, 0.04  # s after the direct sound

_Sound = NDArray[np.floating[Any]]


def active_power(speech: Samples) -> float:
    """Give the mean square of the speech over its active frames; 0 for silence."""
    frames = np.pad(speech.astype(np.float64), (0, -speech.size % _FRAME)).reshape(-1, _FRAME)
    powers = np.mean(frames**2, axis=1)
    loudest = powers.max(initial=0.0)
    if loudest == 0.0:
        return 0.0
    return float(powers[powers >= loudest * _ratio(-_ACTIVE_RANGE)].mean())


def at_level(speech: Samples, dbfs: float) -> Samples:
    """Give the speech with its active frames at ``dbfs``, in dB below a full-scale square wave; silence stays so."""
    power = active_power(speech)
    return _samples(speech * np.sqrt(_ratio(dbfs) / power)) if power else speech


def between_silences(speech: Samples) -> Samples:
    """Give the speech with SILENCE_BEFORE and SILENCE_AFTER around it."""
    return np.pad(speech, (round(SILENCE_BEFORE * SAMPLE_RATE), round(SILENCE_AFTER * SAMPLE_RATE)))


def without_clipping(sound: Samples) -> Samples:
    """Give the sound, all of it made quieter if its peak exceeds LARGEST_PEAK."""
    peak = float(np.abs(sound).max(initial=0.0))
    return _samples(sound * (LARGEST_PEAK / peak)) if peak > LARGEST_PEAK else sound


def with_noise(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Give the sum of the speech, as it is, and the noise, scaled to ``snr_db``; both have the same length.

    To silence no noise is added. The sum may exceed full scale: see without_clipping.
    """
    power = float(np.mean(noise.astype(np.float64) ** 2))
    if power == 0.0:
        raise ValueError("the noise is silent")
    return _samples(speech + noise * np.sqrt(active_power(speech) * _ratio(-snr_db) / power))


def pink_noise(count: int, random: Generator) -> Samples:
    """Give ``count`` samples of what fans and streets sound like: the same power in each octave above 50 Hz."""
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    shape = np.where(frequencies < _LOWEST_NOISE, 0.0, 1 / np.sqrt(np.maximum(frequencies, _LOWEST_NOISE)))
    return _at_full_scale(np.fft.irfft(np.fft.rfft(random.standard_normal(count)) * shape, count))


def motor_noise(count: int, random: Generator) -> Samples:
    """Give ``count`` samples of a servo that turns: a hum, a whine, and the ticks of its gear.

    The hum has a fundamental of 90 to 180 Hz and harmonics; the whine lies at 1 to 3 kHz. Both follow the speed of the
    motor, which varies by up to 8 %, slowly.
    """
    turns = np.cumsum(random.uniform(97, 167) * _speed(count, random)) / SAMPLE_RATE
    hum = np.zeros(count)
    for harmonic in range(1, 13):
        strength = random.uniform(0.3, 1.0) / harmonic
        hum += strength * np.sin(2 * np.pi * (harmonic * turns + random.uniform()))
    teeth = random.uniform(1100, 2700) * count / (SAMPLE_RATE * max(float(turns[-1]), 1e-9))
    whine = np.sin(2 * np.pi * teeth * turns) * (1 + 0.3 * np.sin(2 * np.pi * turns / 8))
    ticks = _ticks(turns / random.uniform(6, 12), random)
    parts = ((hum, 1.0), (whine, 0.35), (ticks, 0.3), (random.standard_normal(count), 0.08))
    return _at_full_scale(sum(share * _normal(part) for part, share in parts))


def babble(talkers: Sequence[Samples], count: int, random: Generator) -> Samples:
    """Give ``count`` samples of several people who talk at once, equally loud, each over and over.

    ``talkers`` are the sentences, none of them silent. Each begins somewhere within.
    """
    together = np.zeros(count)
    for talker in talkers:
        begin = int(random.integers(talker.size))
        together += np.resize(np.roll(talker, -begin), count) / np.sqrt(active_power(talker))
    return _at_full_scale(together)


def impulse_response(rt60: float, random: Generator) -> Samples:
    """Give what a room makes of a single sample: the direct sound first, at 1, then echoes that decay.

    ``rt60`` is the time in s in which the echo decays by 60 dB. The echo is as strong as a mouth at a random distance
    of 0.8 to 2 m makes it in a room of 50 m³.
    """
    count = round(rt60 * SAMPLE_RATE)
    decay = np.exp(-_DECAY * np.arange(count) / count)
    first, last = (round(time * SAMPLE_RATE) for time in (_FIRST_ECHO, _LAST_EARLY_ECHO))
    echo = random.standard_normal(count)
    # Single reflections from the walls near by, then more and more of them, until they are noise.
    echo[:last] *= np.linspace(0.0, 1.0, last)[: echo[:last].size]
    walls = random.integers(first, last, size=6)
    echo[walls[walls < count]] += 4.0 * random.choice((-1.0, 1.0), size=int((walls < count).sum()))
    echo[:first] = 0.0
    echo *= decay
    critical = 0.057 * np.sqrt(_DIRECTIVITY * _ROOM_VOLUME / rt60)  # m, where echo and direct sound are equally strong
    strength = random.uniform(*_DISTANCES) / critical
    response = strength * echo / np.sqrt(np.sum(echo**2))
    response[0] = 1.0
    return _samples(response)


def in_room(speech: Samples, rt60: float, random: Generator) -> Samples:
    """Give the speech in a room of that ``rt60`` (s), as long and as loud as it was; an echo beyond its end is cut."""
    response = impulse_response(rt60, random)
    size = 1 << int(speech.size + response.size - 1).bit_length()
    echoing = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(response, size), size)[: speech.size]
    power = active_power(_samples(echoing))
    return _samples(echoing * np.sqrt(active_power(speech) / power)) if power else speech


def _speed(count: int, random: Generator) -> _Sound:
    """A factor around 1 that wanders by up to 8 %, to a new value each 0.3 s."""
    step = round(0.3 * SAMPLE_RATE)
    knots = np.arange(count // step + 2)
    return 1 + 0.08 * np.interp(np.arange(count) / step, knots, random.uniform(-1, 1, knots.size))


def _ticks(positions: _Sound, random: Generator) -> _Sound:
    """A short burst of noise wherever ``positions`` passes a whole number."""
    at = np.flatnonzero(np.diff(np.floor(positions))) + 1
    clicks = np.zeros(positions.size)
    clicks[at] = random.uniform(0.5, 1.0, at.size)
    burst = random.standard_normal(64) * np.exp(-np.arange(64) / 12)  # 4 ms
    return np.convolve(clicks, burst)[: positions.size]


def _normal(sound: _Sound) -> _Sound:
    power = float(np.mean(sound**2))
    return sound / np.sqrt(power) if power else sound


def _at_full_scale(sound: Any) -> Samples:
    peak = float(np.abs(sound).max(initial=0.0))
    return _samples(sound / peak if peak else sound)


def _ratio(decibels: float) -> float:
    return float(10.0 ** (decibels / 10.0))


def _samples(sound: Any) -> Samples:
    return np.asarray(sound, np.float32)
