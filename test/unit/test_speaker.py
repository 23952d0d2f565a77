"""The loudspeaker at the level of samples, with a device that takes blocks when told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.backends.sound_card import Speaker
from lfm_voice_ros.core.types import Samples

DEVICE_RATE = 48_000
BLOCK = 480


class Device:
    """What sounddevice is to a speaker; :meth:`take` is the callback of so many blocks."""

    PortAudioError = RuntimeError

    def __init__(self) -> None:
        self.active = True
        self.heard: list[Samples] = []
        self.callback: Callable[..., None] | None = None

    def query_devices(self, _device: object, _kind: str) -> dict[str, Any]:
        rates = {"default_samplerate": float(DEVICE_RATE), "max_input_channels": 0, "max_output_channels": 1}
        return {"name": "of the test", "index": 0, **rates}

    def check_output_settings(self, **_options: object) -> None:
        """All settings fit."""

    def OutputStream(self, *, callback: Callable[..., None], **options: Any) -> Device:  # noqa: N802
        self.callback, self.options = callback, options
        return self

    def start(self) -> None:
        """It runs when told."""

    def take(self, blocks: int) -> None:
        times = SimpleNamespace(currentTime=0.0, outputBufferDacTime=0.025)
        for _ in range(blocks):
            out = np.empty((BLOCK, 1), np.float32)
            assert self.callback is not None
            self.callback(out, BLOCK, times, SimpleNamespace(output_underflow=False))
            self.heard.append(out[:, 0].copy())

    @property
    def sound(self) -> Samples:
        return np.concatenate(self.heard)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def told() -> list[tuple[Samples, int, float]]:
    return []


@pytest.fixture
def speaker(device: Device, told: list[tuple[Samples, int, float]]) -> Speaker:
    speaker = Speaker("", 0.02, lambda *piece: told.append(piece))
    speaker.open_stream(device)
    return speaker


def wave(seconds: float, rate: int) -> Samples:
    return np.asarray(0.5 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate), np.float32)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, DEVICE_RATE])
def test_pieces_of_any_size_are_joined_sample_by_sample(speaker: Speaker, device: Device, rate: int) -> None:
    sound = wave(1.0, rate)
    at = 0
    for size in np.random.default_rng(1).integers(1, 2_000, 200):
        speaker.write(sound[at : at + size], rate)
        at += size
    speaker.finish()
    device.take(101)
    assert device.sound[:DEVICE_RATE] == pytest.approx(resample(sound, rate, DEVICE_RATE), abs=1e-3)
    assert not device.sound[DEVICE_RATE + 2 :].any()
    assert np.abs(np.diff(device.sound)).max() < 0.5 * 2 * np.pi * 300 / DEVICE_RATE * 1.5


def test_a_sentence_follows_the_one_before_without_a_gap(speaker: Speaker, device: Device) -> None:
    for _ in range(2):
        speaker.write(wave(0.3, 22_050), 22_050)
        speaker.finish()
    device.take(61)
    loud = np.flatnonzero(device.sound)
    assert loud[-1] - loud[0] == pytest.approx(0.6 * DEVICE_RATE, abs=10)
    assert np.flatnonzero(np.diff(loud) > 2).size == 0


def test_what_is_thrown_away_fades_within_five_milliseconds(speaker: Speaker, device: Device) -> None:
    speaker.write(wave(1.0, DEVICE_RATE), DEVICE_RATE)
    device.take(7)
    speaker.flush()
    device.take(3)
    silent = 7 * BLOCK + round(0.005 * DEVICE_RATE)
    assert not device.sound[silent:].any()
    assert device.sound[7 * BLOCK : silent - 10].any()
    assert np.abs(np.diff(device.sound)).max() < 0.5 * 2 * np.pi * 300 / DEVICE_RATE * 1.5


def test_what_is_played_is_told_with_the_time_at_which_it_is_heard(
    speaker: Speaker, device: Device, told: list[tuple[Samples, int, float]]
) -> None:
    sound = wave(0.1, DEVICE_RATE)
    speaker.write(sound, DEVICE_RATE)
    device.take(12)
    pieces = [piece for piece in told if piece[0].size]
    assert np.concatenate([samples for samples, _, _ in pieces]) == pytest.approx(sound)
    assert {rate for _, rate, _ in pieces} == {DEVICE_RATE}
    assert told[-1][0].size == 0  # silence follows
    assert speaker.latency == pytest.approx(0.025)
    assert device.options["latency"] == 0.02
