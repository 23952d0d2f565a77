"""The voices of the benchmark: its script as sound, and what a microphone hears besides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lfm_voice_ros.backends.espeak import Espeak
from lfm_voice_ros.backends.flite import Flite
from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.backends.resampling import StreamResampler, resample
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.sound_times import voiced_bounds
from lfm_voice_ros.evaluation.turn_script import Line
from lfm_voice_ros.training import acoustics

_LEVEL = -26.0  # dBFS of a person who speaks to the robot
_FURTHER_AWAY = -20.0  # dB, of somebody who doesn't
_FLOOR = -66.0  # dBFS of the noise in a quiet room
_MOTORS = -46.0  # dBFS: 20 dB below the person
_LOOP = 10 * SAMPLE_RATE  # samples after which the noises begin anew
_ECHO = 0.5  # of the loudspeaker's sound at the microphone, without the room
_ECHO_DELAY = 0.08  # s from the loudspeaker's stamp to the microphone's
_ECHO_ROOM = 0.3  # s, RT60
_KEPT = 30 * SAMPLE_RATE  # samples of echo that may be on their way


@dataclass(frozen=True)
class Take:
    """A line as sound at 16 kHz."""

    line: Line
    voice: str
    samples: Samples
    start: int  # first voiced sample
    end: int  # end of the last voiced sample


def record(lines: Sequence[Line], seed: int) -> list[Take]:
    """Speak the lines: Piper, and the voices of flite where it is installed, drawn by ``seed``.

    Somebody else, espeak-ng's or flite's where one is installed, speaks the background. Raises ResourceError.
    """
    voices: list[Synthesizer] = [Piper("bundled", steady=True)]
    others: list[Synthesizer] = []
    installed: list[tuple[Callable[[], Synthesizer], list[Synthesizer]]] = [
        (lambda: Flite("rms"), voices),
        (lambda: Flite("slt"), voices),
        (lambda: Espeak("en-gb"), others),
    ]
    for load, those in installed:
        try:
            those.append(load())
        except ResourceError:
            continue  # the benchmark can do without it
    others = others or voices[-1:]
    random = np.random.default_rng(seed)
    made: dict[tuple[str, str], Samples] = {}
    takes = []
    for line in lines:
        away = line.kind == "background"
        voice = others[0] if away else voices[int(random.integers(len(voices)))]
        key = (line.text, voice.name)
        if key not in made:
            made[key] = acoustics.at_level(_speak(line, voice), _LEVEL + (_FURTHER_AWAY if away else 0.0))
        takes.append(Take(line, voice.name, made[key], *voiced_bounds(made[key], SAMPLE_RATE)))
    return takes


def _speak(line: Line, voice: Synthesizer) -> Samples:
    pieces: list[Samples] = []
    for part in line.parts():
        if isinstance(part, float):
            pieces.append(np.zeros(round(part * SAMPLE_RATE), np.float32))
            continue
        sound = resample(np.concatenate(list(voice.synthesize(part))), voice.sample_rate, SAMPLE_RATE)
        begin, end = voiced_bounds(sound, SAMPLE_RATE)
        pieces.append(sound[begin:end])
    return np.concatenate(pieces)


class Room:
    """What the microphone hears besides the person: the room's own noise, the head's motors, the robot's echo.

    :meth:`mixed` and :meth:`play` may be called from two threads.
    """

    def __init__(self, moves: Callable[[], bool], echo: bool, seed: int) -> None:
        """``moves`` says whether the motors are heard; ``echo`` whether the robot's own voice is."""
        random = np.random.default_rng(seed)
        self._moves = moves
        self._floor = _at(random.standard_normal(_LOOP).astype(np.float32), _FLOOR)
        self._motors = _at(acoustics.motor_noise(_LOOP, random), _MOTORS)
        self._response = _ECHO * acoustics.impulse_response(_ECHO_ROOM, random) if echo else None
        self._lock = threading.Lock()
        self._position = 0  # of the next sample of the microphone
        self._origin = 0.0  # s, when its first sample was taken
        self._echo = np.zeros(_KEPT, np.float32)  # by the position, modulo its size
        self._resampler: StreamResampler | None = None
        self._expected = 0.0  # s, the stamp of sound that goes on without a gap

    def mixed(self, person: Samples, at: float) -> Samples:
        """Give what is heard with the person's sound, whose first sample is taken at ``at``. Pieces have no gaps."""
        where = np.arange(self._position, self._position + person.size)
        sound = person + self._floor[where % _LOOP]
        if self._moves():
            sound += self._motors[where % _LOOP]
        with self._lock:
            self._origin = at - self._position / SAMPLE_RATE
            self._position += person.size
            if self._response is not None:
                sound += self._echo[where % _KEPT]
                self._echo[where % _KEPT] = 0.0
        return np.asarray(np.clip(sound, -1.0, 1.0), np.float32)

    def play(self, at: float, rate: int, samples: Samples) -> None:
        """The loudspeaker plays this, its first sample at ``at``."""
        if self._response is None or not samples.size:
            return
        if self._resampler is None or self._resampler.from_rate != rate or abs(at - self._expected) > 0.02:
            self._resampler = StreamResampler(rate, SAMPLE_RATE)
        begin = at - self._resampler.held_seconds
        self._expected = at + samples.size / rate
        sound = self._resampler.push(samples)
        if not sound.size:
            return
        size = 1 << int(sound.size + self._response.size).bit_length()
        wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(self._response, size), size)
        wet = wet[: sound.size + self._response.size - 1].astype(np.float32)
        with self._lock:
            first = round((begin + _ECHO_DELAY - self._origin) * SAMPLE_RATE)
            wet = wet[max(0, self._position - first) :][:_KEPT]
            where = np.arange(max(first, self._position), max(first, self._position) + wet.size)
            self._echo[where % _KEPT] += wet


def _at(noise: Samples, dbfs: float) -> Samples:
    power = float(np.mean(noise.astype(np.float64) ** 2))
    return np.asarray(noise * np.sqrt(10.0 ** (dbfs / 10.0) / power), np.float32)
