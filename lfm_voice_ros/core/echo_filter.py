"""A linear model of the way from loudspeaker to microphone, learnt as it goes: a Kalman filter per frequency.

WebRTC's AEC3 suppresses what it can't model, and with it most of a person who speaks into a loud robot. This filter
only subtracts what the robot says, so that the person stays as loud as they were, and leaves AEC3 a small rest.
After Enzner and Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control" (2006), in partitions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_FRAME = SAMPLE_RATE // 100
_TAIL = 24  # frames that the model is long: 0.24 s
_KEEP = 0.9995  # of the model from one frame to the next; what is lost is what the room may change
_UNSURE = 1.0  # variance of the model before it has heard anything
_SMOOTH = 0.8  # of the spectrum of what isn't echo, from one frame to the next

_Complex = NDArray[np.complex64]


class EchoFilter:
    """The port EchoCanceller, linear. Not for several threads."""

    name = "Kalman filter"
    frame_samples = _FRAME

    def __init__(self) -> None:
        bins = _FRAME + 1
        self._played = np.zeros(2 * _FRAME, np.float32)
        self._spectra: _Complex = np.zeros((_TAIL, bins), np.complex64)  # newest first
        self._model: _Complex = np.zeros((_TAIL, bins), np.complex64)
        self._variance = np.full((_TAIL, bins), _UNSURE, np.float32)
        self._rest = np.full(bins, 1e-3, np.float32)  # power of what isn't echo

    def process(self, microphone: Samples, played: Samples) -> Samples:
        """See the port; raises nothing."""
        self._played = np.concatenate((self._played[_FRAME:], played))
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(self._played)
        if not self._spectra.any():
            return microphone
        echo = np.fft.irfft(np.sum(self._model * self._spectra, axis=0))[_FRAME:]
        left = np.asarray(microphone - echo, np.float32)
        self._learn(left)
        # A model that makes the sound louder is wrong: the room has changed, or the stamps have.
        return left if np.dot(left, left) <= 1.5 * np.dot(microphone, microphone) else microphone

    def _learn(self, left: Samples) -> None:
        error = np.fft.rfft(np.concatenate((np.zeros(_FRAME, np.float32), left))).astype(np.complex64)
        self._rest = _SMOOTH * self._rest + (1 - _SMOOTH) * np.abs(error) ** 2
        power = np.abs(self._spectra) ** 2
        unexplained = 0.5 * np.sum(power * self._variance, axis=0) + self._rest
        gain = self._variance / (unexplained + np.float32(1e-9))
        step = gain * self._spectra.conj() * error
        # Only what lies in the partition's own 10 ms; the rest would wrap around.
        response = np.fft.irfft(step, axis=1)
        response[:, _FRAME:] = 0.0
        self._model = (_KEEP * (self._model + np.fft.rfft(response, axis=1))).astype(np.complex64)
        shrunk = (1 - 0.5 * gain * power) * self._variance
        change = (1 - _KEEP**2) * np.abs(self._model) ** 2
        self._variance = (_KEEP**2 * shrunk + change).astype(np.float32)
