"""Puts what was played beside what the microphone heard of it, by their stamps, and has the echo taken out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lfm_voice_ros.core.echo_filter import EchoFilter
from lfm_voice_ros.core.ports import EchoCanceller
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_KEPT = 1 << 16  # samples of the reference, 4 s: far more than the longest delay between the two
_SEAM = 0.02  # s; a reference that jumps less goes on without a seam
_FOLLOW = 0.002  # of the difference between stamps and counted samples, a chunk: stamps jitter, clocks drift slowly
_SLIP = 0.1  # samples a frame by which reading may run faster or slower (600 ppm)
_JUMP = 0.005  # s; where reading is off by more, it begins anew
_SMOOTH = 0.88  # of powers from one frame to the next: 80 ms
_CLOSED = 10 ** (-4.5 / 10)  # of the power that was heard; less than that is left by echo that is not quite cancelled
_HANGS = 50  # frames after what was played, in which a late echo is still to be told from a person
_BREAK = 20  # frames without the robot's voice, after which it begins anew
_ONSET = 40  # frames in which what begins is not yet cancelled: 0.2 s of delay at most, and 0.2 s
_QUIET = 2.0  # s after what was played, in which a room may still echo
_NOTHING = np.empty(0, np.float32)
_LEARNING = 6.0  # s of the robot's voice, until the way from its loudspeaker to its microphone is known
_GOES_ON = 0.15  # s after what was played, in which more of it may be on its way


@dataclass
class _Reference:
    """What was played, on the axis of time. The newest 4 s are kept."""

    ring: Samples = field(default_factory=lambda: np.zeros(_KEPT, np.float32))
    end: int = 0  # sample behind the newest
    origin: float = 0.0  # s, time of sample 0
    until: float = -np.inf  # s, the end of what is known

    def add(self, samples: Samples, at: float) -> None:
        """What is played from ``at`` (s) on; comes in order."""
        lag = at - (self.origin + self.end / SAMPLE_RATE)
        if not abs(lag) < _SEAM:
            self._move(lag, at)
        else:
            self.origin += _FOLLOW * lag
        samples = samples[-_KEPT:]
        self.ring[(self.end + np.arange(samples.size)) % _KEPT] = samples
        self.end += samples.size
        self.until = at + samples.size / SAMPLE_RATE

    def _move(self, lag: float, at: float) -> None:
        """The sound goes on at another time: silence in between, or what is there is dropped."""
        if 0 < lag < _KEPT / SAMPLE_RATE:
            gap = round(lag * SAMPLE_RATE)
            self.ring[(self.end + np.arange(gap)) % _KEPT] = 0.0
            self.end += gap
        elif lag < 0 and -lag < 1.0:
            self.end -= min(self.end, round(-lag * SAMPLE_RATE))
        else:
            self.ring[:] = 0.0
            self.end = 0
        self.origin = at - self.end / SAMPLE_RATE

    def position(self, at: float) -> float:
        """The sample, with its fraction, that is played at ``at`` (s)."""
        return (at - self.origin) * SAMPLE_RATE

    def read(self, position: float, step: float, count: int) -> Samples:
        """``count`` samples from ``position`` on, ``step`` apart; zeros where nothing was played."""
        places = position + step * np.arange(count)
        whole = np.floor(places).astype(np.int64)
        part = (places - whole).astype(np.float32)
        # Cubic through four samples: a straight line would take the height from the sound, now more and now less.
        before, here, after, behind = (self._at(whole + shift) for shift in (-1, 0, 1, 2))
        slope, bend = 0.5 * (after - before), before - 2.5 * here + 2.0 * after - 0.5 * behind
        twist = 0.5 * (behind - before) + 1.5 * (here - after)
        return np.asarray(here + part * (slope + part * (bend + part * twist)), np.float32)

    def _at(self, samples: np.ndarray) -> Samples:  # type: ignore[type-arg]
        known = (samples < self.end) & (samples >= max(0, self.end - _KEPT))
        return np.where(known, self.ring[samples % _KEPT], np.float32(0.0))


@dataclass(frozen=True)
class Clean:
    """Sound of the microphone without the robot's echo."""

    samples: Samples  # 16 kHz
    at: float  # s, first sample
    person: Samples  # the same, silent where what is left is most likely a rest of the echo


class _Gate:
    """Closed while the robot's echo is far louder than what is left of it: that may well be a rest of the echo.

    And where the robot begins to speak: the first syllable after a silence is cancelled less well than what follows.
    """

    def __init__(self) -> None:
        self._before = 0.0  # power, smoothed
        self._after = 0.0
        self._gain = 1.0
        self._echoes = 0  # frames for which there may be echo yet
        self._silence = _BREAK  # frames without the robot's voice
        self._onset = 0  # frames for which its beginning may be heard yet

    def pass_on(self, heard: Samples, left: Samples, played: Samples) -> Samples:
        """Take a frame before and after cancellation, and what is played with it; give what may pass."""
        speaks = bool(played.any())
        self._echoes = _HANGS if speaks else max(0, self._echoes - 1)
        self._onset = _ONSET if speaks and self._silence >= _BREAK else max(0, self._onset - 1)
        self._silence = 0 if speaks else self._silence + 1
        self._before = _SMOOTH * self._before + float(np.dot(heard, heard))
        self._after = _SMOOTH * self._after + float(np.dot(left, left))
        gain = 0.0 if self._onset or (self._echoes and self._after < _CLOSED * self._before) else 1.0
        ramp = np.linspace(self._gain, gain, left.size, dtype=np.float32)
        self._gain = gain
        return left * ramp


class EchoStage:
    """Takes the microphone's sound and what was played, both with stamps of one clock; gives the sound without echo.

    The reference is given to the canceller ``lead`` s early, so that stamps that are off by so much still have the echo
    behind what caused it. Sound of the microphone waits for its reference, but for no more than ``patience`` s of
    sound, and only while the robot speaks. Two seconds after it has ended sound passes as it is, which costs nothing.
    Not for several threads.
    """

    def __init__(self, canceller: EchoCanceller, lead: float = 0.02, patience: float = 0.08) -> None:
        self._filter = EchoFilter()
        self._gate = _Gate()
        self._canceller = canceller
        self._heard = 0  # samples in which the robot spoke
        self._lead = lead
        self._patience = round(patience * SAMPLE_RATE)
        self._reference = _Reference()
        self._held = np.empty(0, np.float32)
        self._held_at = 0.0  # s
        self._reading: float | None = None  # where the next frame's reference begins, in samples
        self.late = 0  # frames whose reference had not come in time

    def played(self, samples: Samples, at: float) -> None:
        """The loudspeaker plays this at 16 kHz from ``at`` (s) on."""
        self._reference.add(samples, at)

    def covers(self, at: float) -> bool:
        """Whether it is known what was played shortly before ``at`` (s), or soon after it."""
        return self._reference.until > at - 0.5

    @property
    def learnt(self) -> bool:
        """Whether enough was heard of the robot to tell a person from it."""
        return self._heard >= _LEARNING * SAMPLE_RATE

    def push(self, samples: Samples, at: float) -> Clean:
        """Take the microphone's next sound (16 kHz) with the time (s) of its first sample.

        Gives what is ready: whole frames, none while they wait.
        """
        if self._held.size == 0 or abs(at - self._held_at - self._held.size / SAMPLE_RATE) > _SEAM:
            # After a jump the few samples that wait for the rest of a frame are no loss.
            self._held, self._held_at = np.empty(0, np.float32), at
        else:
            self._held_at = at - self._held.size / SAMPLE_RATE
        self._held = np.concatenate((self._held, samples))
        began = self._held_at
        size = self._canceller.frame_samples
        ready: list[tuple[Samples, Samples]] = []
        while self._held.size >= size and self._known(size):
            frame, self._held = self._held[:size], self._held[size:]
            ready.append(self._without_echo(frame, self._held_at))
            self._held_at += size / SAMPLE_RATE
        if not ready:
            return Clean(_NOTHING, began, _NOTHING)
        samples, person = (np.concatenate(frames) for frames in zip(*ready, strict=True))
        return Clean(samples, began, person)

    def _known(self, size: int) -> bool:
        needed = self._held_at + self._lead + size / SAMPLE_RATE
        until = self._reference.until
        if until >= needed or until < needed - _GOES_ON:
            return True
        if self._held.size - size >= self._patience:
            self.late += 1
            return True
        return False

    def _without_echo(self, frame: Samples, at: float) -> tuple[Samples, Samples]:
        if self._reference.until < at - _QUIET:
            self._reading = None
            return frame, frame
        wanted = self._reference.position(at + self._lead)
        if self._reading is None or abs(wanted - self._reading) > _JUMP * SAMPLE_RATE:
            self._reading = wanted
        step = 1.0 + float(np.clip(0.05 * (wanted - self._reading), -_SLIP, _SLIP)) / frame.size
        reference = self._reference.read(self._reading, step, frame.size)
        self._reading += step * frame.size
        self._heard += frame.size if reference.any() else 0
        left = self._canceller.process(self._filter.process(frame, reference), reference)
        return left, self._gate.pass_on(frame, left, reference)
