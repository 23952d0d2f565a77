"""Where an utterance begins and ends: frames of sound and their probability of speech in, events out. No clocks."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lfm_voice_ros.core.end_of_turn import Ending, Windows
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.ports import VoiceActivityDetector
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Utterance

_GAP = 0.2  # s; a stream that jumps further than this is not one stream
_SAME_PAUSE = 1e-3  # s; a time that has been a stamp is another by some nanoseconds, other pauses are frames away


@dataclass(frozen=True)
class SpeechStarted:
    """A person speaks; sent as soon as there is ``min_speech`` of it."""

    utterance_id: str
    at: float  # s, first voiced sample


@dataclass(frozen=True)
class SpeechPaused:
    """The person is silent and may have ended, or not. At most one for each pause."""

    utterance: Utterance  # until now


@dataclass(frozen=True)
class SpeechEnded:
    """The utterance is complete. A :class:`SpeechStarted` with its id went before."""

    utterance: Utterance


@dataclass(frozen=True)
class SpeechDiscarded:
    """What sounded like speech was shorter than ``min_speech``; it was never announced."""

    at: float  # s, first voiced sample
    seconds: float  # s of speech that there was


Event = SpeechStarted | SpeechPaused | SpeechEnded | SpeechDiscarded


class UtteranceIds:
    """Gives ids that are unique, short, and sort by time: milliseconds and a counter, both in hexadecimal digits."""

    def __init__(self) -> None:
        self._counter = itertools.count()

    def __call__(self, at: float) -> str:
        """Take the time in seconds at which the speech began; give its id."""
        return f"{max(0, round(at * 1e3)):011x}-{next(self._counter) & 0xFFF:03x}"


@dataclass
class _Candidate:
    """Sound in which there may be enough speech for an utterance."""

    frames: list[Samples]
    samples: int  # in frames
    anchor: float  # s, time of the first sample
    first_voiced: int | None = None  # sample at which speech begins
    voiced: int = 0  # samples of speech
    voiced_end: int = 0  # end of the last voiced sample
    utterance_id: str = ""  # given when there is enough speech
    paused: bool = False  # the present pause has been told
    ending: Ending | None = None  # what the words say of the present pause; None when nobody looks at them

    def time(self, sample: int) -> float:
        return self.anchor + sample / SAMPLE_RATE

    def add(self, frame: Samples, voiced: bool) -> None:
        if voiced:
            self.first_voiced = self.samples if self.first_voiced is None else self.first_voiced
            self.voiced += frame.size
            self.voiced_end = self.samples + frame.size
            self.paused, self.ending = False, None
        self.frames.append(frame)
        self.samples += frame.size

    @property
    def silence(self) -> int:
        """Samples since the last voiced one."""
        return self.samples - self.voiced_end

    def utterance(self) -> Utterance:
        """All of it. There must be speech in it."""
        return Utterance(
            utterance_id=self.utterance_id,
            samples=np.concatenate(self.frames),
            sample_rate=SAMPLE_RATE,
            start=self.time(0),
            speech_start=self.time(self.first_voiced or 0),
            speech_end=self.time(self.voiced_end),
        )


class Endpointer:
    """Finds utterances in a stream of frames.

    Speech begins with a frame whose probability reaches ``speech_threshold``; from there on a frame below
    ``silence_threshold`` is silence. ``draft_silence`` of it is told as a pause, and the window that goes with what
    the words say of that pause (:meth:`judge`; where nobody judges, ``silence_window``) ends the utterance. It carries
    ``pre_roll`` of the sound before its first voiced frame and the silence that ended it. One that reaches
    ``max_utterance`` is ended and the next sample begins another, without pre-roll.

    ``new_id`` gives the id of an utterance from the time (s) of its first voiced sample. Not for several threads.
    Raises ConfigurationError for settings that exclude each other.
    """

    def __init__(self, settings: AudioCaptureSettings, new_id: Callable[[float], str]) -> None:
        if settings.silence_threshold > settings.speech_threshold:
            raise ConfigurationError(
                f"silence_threshold ({settings.silence_threshold}) must not be above "
                f"speech_threshold ({settings.speech_threshold})"
            )
        if settings.pre_roll + settings.min_speech >= settings.max_utterance:
            raise ConfigurationError(
                f"max_utterance ({settings.max_utterance}) must be above pre_roll and min_speech together "
                f"({settings.pre_roll + settings.min_speech})"
            )
        self._settings = settings
        self._new_id = new_id
        self._pre_roll_samples = round(settings.pre_roll * SAMPLE_RATE)
        self._min_voiced = round(settings.min_speech * SAMPLE_RATE)
        windows = Windows.of(settings)
        self._silence_samples = {ending: round(windows.seconds(ending) * SAMPLE_RATE) for ending in (None, *Ending)}
        self._draft_samples = round(settings.draft_silence * SAMPLE_RATE)
        self._max_samples = round(settings.max_utterance * SAMPLE_RATE)
        self._before: deque[Samples] = deque()
        self._before_samples = 0
        self._candidate: _Candidate | None = None

    @property
    def speaking(self) -> str:
        """The id of the utterance that is being spoken; empty while nobody speaks."""
        return self._candidate.utterance_id if self._candidate else ""

    def push(self, frame: Samples, probability: float, at: float) -> list[Event]:
        """Take the next frame (16 kHz), its probability of speech and the time (s) of its first sample.

        Times within an utterance count samples from the frame that began it. NaN counts as silence.
        """
        candidate = self._candidate
        if candidate is None:
            if not probability >= self._settings.speech_threshold:
                self._remember(frame)
                return []
            candidate = self._candidate = self._begin(at)
        candidate.add(frame, self._voiced(candidate, probability))
        events: list[Event] = []
        if not candidate.utterance_id and candidate.first_voiced is not None and candidate.voiced >= self._min_voiced:
            began = candidate.time(candidate.first_voiced)
            candidate.utterance_id = self._new_id(began)
            events.append(SpeechStarted(candidate.utterance_id, began))
        if candidate.silence >= self._silence_samples[candidate.ending]:
            events += self._end()
        elif candidate.samples + frame.size > self._max_samples:
            goes_on = _Candidate([], 0, candidate.time(candidate.samples))
            events += self._end()
            self._forget()
            self._candidate = goes_on
        elif self._draft_samples and candidate.silence >= self._draft_samples and not candidate.paused:
            candidate.paused = True
            if candidate.utterance_id:
                events.append(SpeechPaused(candidate.utterance()))
        return events

    def judge(self, utterance_id: str, speech_end: float, ending: Ending) -> list[Event]:
        """Take what the words say of the pause after ``speech_end`` (s); of any other pause than the present, nothing.

        A silence that is already longer than that ending's window ends the utterance at once.
        """
        candidate = self._candidate
        if candidate is None or not candidate.paused or not utterance_id or candidate.utterance_id != utterance_id:
            return []
        if abs(candidate.time(candidate.voiced_end) - speech_end) > _SAME_PAUSE:
            return []
        candidate.ending = ending
        return self._end() if candidate.silence >= self._silence_samples[ending] else []

    def finish(self) -> list[Event]:
        """The stream ends or jumps: end what is being spoken and forget the rest."""
        events = self._end()
        self._forget()
        return events

    def _voiced(self, candidate: _Candidate, probability: float) -> bool:
        begun = candidate.first_voiced is not None
        return probability >= (self._settings.silence_threshold if begun else self._settings.speech_threshold)

    def _begin(self, at: float) -> _Candidate:
        before = np.concatenate(self._before) if self._before else np.empty(0, np.float32)
        pre_roll = before[max(0, before.size - self._pre_roll_samples) :]
        self._forget()
        return _Candidate([pre_roll], pre_roll.size, at - pre_roll.size / SAMPLE_RATE)

    def _end(self) -> list[Event]:
        candidate, self._candidate = self._candidate, None
        if candidate is None:
            return []
        if candidate.first_voiced is not None and candidate.utterance_id:
            utterance = candidate.utterance()
            # The silence at the end is the pre-roll of speech that comes right after it.
            self._remember(utterance.samples[candidate.voiced_end :])
            return [SpeechEnded(utterance)]
        for frame in candidate.frames:
            self._remember(frame)
        if candidate.first_voiced is None:
            return []
        return [SpeechDiscarded(candidate.time(candidate.first_voiced), candidate.voiced / SAMPLE_RATE)]

    def _remember(self, frame: Samples) -> None:
        self._before.append(frame)
        self._before_samples += frame.size
        while self._before_samples - self._before[0].size >= self._pre_roll_samples and len(self._before) > 1:
            self._before_samples -= self._before.popleft().size

    def _forget(self) -> None:
        self._before.clear()
        self._before_samples = 0


@dataclass(frozen=True)
class Heard:
    """One frame that was listened to."""

    frame: Samples  # 16 kHz, frame_samples of the detector
    at: float  # s, first sample
    probability: float  # of speech, [0, 1]
    events: list[Event]


class Listener:
    """Cuts a stream of sound into frames, asks the voice activity detector, and feeds the endpointer.

    A stream that jumps by more than 0.2 s, forwards or backwards, ends what is being spoken and begins anew.
    Not for several threads.
    """

    def __init__(self, detector: VoiceActivityDetector, endpointer: Endpointer) -> None:
        self._detector = detector
        self._endpointer = endpointer
        self._next: Endpointer | None = None
        self._rest = np.empty(0, np.float32)
        self._rest_at = 0.0  # s, time of the first sample of the rest
        self._expected: float | None = None  # s, time at which the next samples begin when nothing is lost

    @property
    def speaking(self) -> str:
        """The id of the utterance that is being spoken; empty while nobody speaks."""
        return self._endpointer.speaking

    def use(self, endpointer: Endpointer) -> None:
        """Find utterances in another way, as soon as nobody speaks."""
        self._next = endpointer

    def push(self, samples: Samples, at: float) -> tuple[list[Event], list[Heard]]:
        """Take sound at 16 kHz and the time (s) of its first sample.

        Gives the events of a jump that went before it, and each complete frame with its own events.
        """
        before: list[Event] = []
        if self._next is not None and not self.speaking:
            self._endpointer, self._next = self._next, None
        if self._expected is not None and abs(at - self._expected) > _GAP:
            before = self.finish()
        if self._rest.size == 0:
            self._rest_at = at
        self._expected = at + samples.size / SAMPLE_RATE
        self._rest = np.concatenate((self._rest, samples))
        size = self._detector.frame_samples
        heard = []
        while self._rest.size >= size:
            frame, self._rest = self._rest[:size].copy(), self._rest[size:]
            probability = self._detector.probability(frame)
            events = self._endpointer.push(frame, probability, self._rest_at)
            heard.append(Heard(frame, self._rest_at, probability, events))
            # Measured from the newest samples, so that the clock of the sound can't drift away from that of the stamps.
            self._rest_at = self._expected - self._rest.size / SAMPLE_RATE
        return before, heard

    def judge(self, utterance_id: str, speech_end: float, ending: Ending) -> list[Event]:
        """See Endpointer."""
        return self._endpointer.judge(utterance_id, speech_end, ending)

    def finish(self) -> list[Event]:
        """The stream ends: end what is being spoken; what comes next is a new stream."""
        self._rest = np.empty(0, np.float32)
        self._expected = None
        self._detector.reset()
        return self._endpointer.finish()
