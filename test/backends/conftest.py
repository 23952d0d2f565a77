"""Speech and noise for the tests of the backends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr

from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples


@pytest.fixture(scope="session")
def voice() -> Piper:
    """The bundled voice, the same in every run."""
    return Piper("bundled", steady=True)


@pytest.fixture(scope="session")
def speak(voice: Piper) -> Callable[[str], Samples]:
    """Give a sentence as sound at 16 kHz, with the silences around it that an utterance has."""

    def speak(text: str) -> Samples:
        spoken = soxr.resample(np.concatenate(list(voice.synthesize(text))), voice.sample_rate, SAMPLE_RATE)
        return np.pad(0.5 * spoken, (SAMPLE_RATE * 3 // 10, SAMPLE_RATE // 2)).astype(np.float32)

    return speak


@pytest.fixture(scope="session")
def noises() -> dict[str, Samples]:
    """Sounds without speech, one and a half seconds each."""
    random = np.random.default_rng(3)
    time = np.arange(SAMPLE_RATE * 3 // 2) / SAMPLE_RATE
    white = random.standard_normal(time.size)
    brown = np.cumsum(white)
    throat = np.convolve(white, np.hanning(9) - np.hanning(9).mean(), "same")  # without the lowest and the highest
    low = sum(0.3 / h**2 * np.sin(2 * np.pi * 120 * h * time) for h in range(1, 6))  # a voice behind closed lips
    made = {
        "silence": np.zeros(time.size),
        "white noise": 0.3 * white / np.abs(white).max(),
        "faint white noise": 0.003 * white / np.abs(white).max(),
        "brown noise": 0.3 * (brown - brown.mean()) / np.abs(brown).max(),
        "hum": sum(0.2 / h * np.sin(2 * np.pi * 50 * h * time) for h in range(1, 6)),
        "door slam": 0.9 * white / np.abs(white).max() * np.exp(-np.maximum(time - 0.3, 0) / 0.1) * (time > 0.3),
        "knocks": 0.8 * white / np.abs(white).max() * np.exp(-(time % 0.4) / 0.02),
        "coughs": 0.6 * throat / np.abs(throat).max() * np.exp(-(time % 0.35) / 0.05) * (time < 1.05),
        "mhm": low * np.sin(np.pi * np.clip((time - 0.3) / 0.25, 0, 1))
        + low * np.sin(np.pi * np.clip((time - 0.6) / 0.4, 0, 1)),
        "chirp": 0.5 * np.sin(2 * np.pi * (200 * time + 900 * time**2)),
        "chord": sum(0.15 * np.sin(2 * np.pi * f * time) for f in (220, 277, 330, 440)),
    }
    return {name: np.asarray(sound, np.float32) for name, sound in made.items()}
