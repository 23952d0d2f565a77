"""A robot that hears itself: its voice through a loudspeaker and a room into its microphone, faster than real time.

The sound takes the way that it takes in audio_capture: echo cancellation, voice activity, endpointing. Nothing is
random but by the seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from lfm_voice_ros.core.echo import Clean, EchoStage
from lfm_voice_ros.core.endpointing import Endpointer, Listener, SpeechDiscarded, SpeechStarted, UtteranceIds
from lfm_voice_ros.core.ports import EchoCanceller, VoiceActivityDetector
from lfm_voice_ros.core.sample_clock import SampleClock
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.training import acoustics

_CHUNK = 320  # samples of what is played, as audio_player publishes them
_BLOCK = 160  # samples of the microphone
_SPEECH = -26.0  # dBFS of the person's active speech at the microphone
_NEARER = 0.25  # the loudspeaker is 0.2 to 0.5 m from the microphone, where acoustics has people at 0.8 to 2 m
_LOUDSPEAKER_LOW = 180.0  # Hz, below which a small loudspeaker gives little

SENTENCES = (
    "I am looking to the left now.",
    "The head has turned by thirty degrees, and it stands still again.",
    "It is a quarter past ten in the morning.",
    "I could not find what you asked me for, so I have looked around once more.",
    "There are two chairs, a table, and a lamp in this room.",
    "Of course. I will tell you about the weather as soon as somebody gives me a window.",
    "My camera points to the ceiling, which is white and rather boring.",
    "Please ask me again when the motors have cooled down.",
    "I have nodded twice, because you asked me to say yes.",
    "The battery is at eighty percent, which is enough for another three hours of work.",
    "Good morning! How can I help you today?",
    "Once upon a time there was a small robot who lived in a laboratory at the end of a long corridor.",
    "That is further than my neck can turn. I have stopped at ninety degrees.",
    "Somebody has left the door open, and I can hear the street.",
)
INTERRUPTIONS = (
    "No, stop. Look to the right.",
    "Wait a moment, please.",
    "What time is it?",
    "That is enough, thank you.",
    "Turn your head to the left.",
    "Excuse me, I have another question.",
)


@dataclass(frozen=True)
class Scene:
    """A room with a robot in it."""

    seconds: float
    rt60: float  # s
    delay: float  # s by which the echo comes later than the stamps say
    jitter: float  # s by which blocks are handed to the device late (mean)
    drift: float  # ppm by which the loudspeaker's clock runs fast
    echo: float  # dBFS of the robot's active speech at the microphone
    distortion: float  # 0 is a perfect loudspeaker, 1 one at its limit
    noise: float  # dBFS
    path_change: float = 0.0  # s between two changes of the room, as of a head that turns; 0 is never
    barge_ins: float = 0.0  # a minute


@dataclass
class Outcome:
    """What became of some scenes; outcomes can be added up."""

    seconds: float = 0.0  # of scenes
    spoken: float = 0.0  # s in which the robot spoke
    false_starts: int = 0  # utterances of nobody
    false_at: list[float] = field(default_factory=list)  # s since the start of their scene
    discarded: int = 0  # what sounded like speech and was too short
    interruptions: int = 0
    heard: int = 0
    times: list[float] = field(default_factory=list)  # s from a person's first sample until it was heard
    erle: list[float] = field(default_factory=list)  # dB a scene: by how much the echo was made quieter

    def add(self, other: Outcome) -> None:
        """Add up."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


Speak = Callable[[str], Samples]


def scenes(seconds: float, each: float, seed: int, barge_ins: float = 0.0, echo: float | None = None) -> list[Scene]:
    """Rooms, delays and devices dealt by chance: ``seconds`` in all, ``each`` s in one room."""
    random = np.random.default_rng(seed)
    return [
        Scene(
            seconds=each,
            rt60=float(random.uniform(0.15, 0.7)),
            delay=float(random.uniform(0.0, 0.2)),
            jitter=float(random.uniform(0.0, 0.004)),
            drift=float(random.uniform(-50, 50)),
            echo=float(random.uniform(-32, -14)) if echo is None else echo,
            distortion=float(random.uniform(0.0, 0.3)),
            noise=float(random.uniform(-75, -55)),
            path_change=float(random.choice((0.0, 7.0))),
            barge_ins=barge_ins,
        )
        for _ in range(round(seconds / each))
    ]


def listen_to_itself(
    scene: Scene,
    seed: int,
    robot: Speak,
    person: Speak,
    canceller: EchoCanceller | None,
    detector: VoiceActivityDetector,
    settings: AudioCaptureSettings,
) -> Outcome:
    """Let the robot talk in a scene, to a person or to nobody.

    ``robot`` and ``person`` speak a sentence at 16 kHz; without a ``canceller`` the echo is heard as it is.
    """
    random = np.random.default_rng(seed)
    count = round(scene.seconds * SAMPLE_RATE)
    played = _talk(count, robot, random)
    echo = _through_room(played, scene, random)
    said, begins = _person(count, played, scene, person, random)
    noise = acoustics.pink_noise(count, random)
    noise *= 10 ** (scene.noise / 20) / np.sqrt(np.mean(noise**2))
    microphone = np.clip(echo + said + noise, -1.0, 1.0).astype(np.float32)
    stage = EchoStage(canceller) if canceller is not None else None
    listener = Listener(detector, Endpointer(settings, UtteranceIds()))
    outcome = Outcome(scene.seconds, float(np.count_nonzero(_active(played))) / SAMPLE_RATE)
    residual = np.zeros(count, np.float32)
    starts: list[tuple[float, float]] = []  # when speech began, when that was known
    for clean, now in _heard(microphone, played, scene, stage, random):
        place = round(clean.at * SAMPLE_RATE)
        residual[place : place + clean.samples.size] = clean.samples[: count - place]
        deaf = stage is not None and not stage.learnt
        _, frames = listener.push(np.zeros_like(clean.person) if deaf else clean.person, clean.at)
        for event in itertools.chain.from_iterable(frame.events for frame in frames):
            if isinstance(event, SpeechStarted):
                starts.append((event.at, now))
            elif isinstance(event, SpeechDiscarded):
                outcome.discarded += 1
    _score(outcome, starts, begins)
    if not begins:
        alone = _active(echo)
        alone[: SAMPLE_RATE * 10] = False  # while it still learns the room
        outcome.erle.append(10 * float(np.log10(np.mean(microphone[alone] ** 2) / np.mean(residual[alone] ** 2))))
    return outcome


def _score(outcome: Outcome, starts: Sequence[tuple[float, float]], begins: Sequence[tuple[float, float]]) -> None:
    outcome.interruptions += len(begins)
    of_somebody = set()
    for began, ended in begins:
        hits = [n for n, (at, _) in enumerate(starts) if began - 0.15 <= at <= ended]
        of_somebody.update(hits)
        if hits:
            outcome.heard += 1
            outcome.times.append(starts[hits[0]][1] - began)
    false = [at for n, (at, _) in enumerate(starts) if n not in of_somebody]
    outcome.false_starts += len(false)
    outcome.false_at += false


def _talk(count: int, robot: Speak, random: Generator) -> Samples:
    """The robot's replies, one after the other."""
    sound = np.zeros(count, np.float32)
    at = round(0.5 * SAMPLE_RATE)
    while True:
        sentence = acoustics.at_level(robot(str(random.choice(SENTENCES))), -20.0)
        if at + sentence.size >= count:
            return sound
        sound[at : at + sentence.size] = sentence
        pause = random.uniform(1.0, 3.0) if random.random() < 0.25 else random.uniform(0.1, 0.5)
        at += sentence.size + round(pause * SAMPLE_RATE)


def _through_room(played: Samples, scene: Scene, random: Generator) -> Samples:
    """What the microphone hears of what is played."""
    import soxr

    loud = played / max(float(np.abs(played).max()), 1e-9)
    if scene.distortion:
        drive = 0.5 + 2.5 * scene.distortion
        loud = np.tanh(drive * (loud + 0.1 * scene.distortion * loud**2)) / np.tanh(drive)
    spectrum = np.fft.rfft(loud)
    frequencies = np.fft.rfftfreq(loud.size, 1 / SAMPLE_RATE)
    loud = np.fft.irfft(spectrum * (1 / np.sqrt(1 + (_LOUDSPEAKER_LOW / np.maximum(frequencies, 1.0)) ** 4)), loud.size)
    step = round((scene.path_change or scene.seconds) * SAMPLE_RATE)
    first = _response(scene, random)
    echo = np.zeros(played.size + first.size)
    for begin in range(0, played.size, step):
        response = _changed(first, _response(scene, random)) if begin else first
        piece = loud[begin : begin + step]
        size = 1 << int(piece.size + response.size).bit_length()
        through = np.fft.irfft(np.fft.rfft(piece, size) * np.fft.rfft(response, size), size)
        end = min(begin + piece.size + response.size, echo.size)
        echo[begin:end] += through[: end - begin]
    shift = round(scene.delay * SAMPLE_RATE)
    echo = np.pad(echo, (shift, 0))[: played.size]
    if scene.drift:
        echo = soxr.resample(echo, 1e6 + scene.drift, 1e6)
        echo = np.pad(echo, (0, max(0, played.size - echo.size)))[: played.size]
    return acoustics.at_level(np.asarray(echo, np.float32), scene.echo)


def _changed(one: Samples, other: Samples) -> Samples:
    """The response after something has moved: a tenth of the echo's energy comes another way."""
    response = np.sqrt(0.9) * one + np.sqrt(0.1) * other
    response[0] = 1.0
    return np.asarray(response, np.float32)


def _response(scene: Scene, random: Generator) -> Samples:
    response = acoustics.impulse_response(scene.rt60, random)
    response[1:] *= _NEARER
    return response


def _person(
    count: int, played: Samples, scene: Scene, person: Speak, random: Generator
) -> tuple[Samples, list[tuple[float, float]]]:
    """What a person says into the robot's speech, and from when until when (s)."""
    said = np.zeros(count, np.float32)
    times: list[tuple[float, float]] = []
    if not scene.barge_ins:
        return said, times
    talking = _active(played)
    period = round(60 / scene.barge_ins * SAMPLE_RATE)
    for earliest in range(10 * SAMPLE_RATE, count - 8 * SAMPLE_RATE, period):
        places = np.flatnonzero(talking[earliest : earliest + period - 5 * SAMPLE_RATE])
        if not places.size:
            continue
        at = earliest + int(random.choice(places))
        sentence = acoustics.at_level(person(str(random.choice(INTERRUPTIONS))), _SPEECH)
        sentence = acoustics.in_room(sentence, scene.rt60, random)[: count - at]
        said[at : at + sentence.size] += sentence
        times.append((at / SAMPLE_RATE, (at + sentence.size) / SAMPLE_RATE))
    return said, times


def _heard(
    microphone: Samples, played: Samples, scene: Scene, stage: EchoStage | None, random: Generator
) -> Iterator[tuple[Clean, float]]:
    """The sound that is left, and when (s) it is there."""
    rate = 1 + scene.drift * 1e-6
    clock = SampleClock(SAMPLE_RATE)
    chunk = 0
    for begin in range(0, microphone.size - _BLOCK + 1, _BLOCK):
        block, at = microphone[begin : begin + _BLOCK], begin / SAMPLE_RATE
        now = at + _BLOCK / SAMPLE_RATE
        if stage is None:
            yield Clean(block, at, block), now
            continue
        # What is played is told about when its end is, at times a little later.
        while chunk * _CHUNK < played.size and chunk * _CHUNK / SAMPLE_RATE < now + random.uniform(-0.02, 0.02):
            piece = played[chunk * _CHUNK : (chunk + 1) * _CHUNK]
            # The device asks for a block at its time, and Python answers when it can.
            late = random.exponential(scene.jitter) if scene.jitter else 0.0
            stamp = clock.stamp(piece.size, chunk * _CHUNK / SAMPLE_RATE / rate + late)
            if piece.any():
                stage.played(piece, stamp)
            chunk += 1
        clean = stage.push(block, at)
        if clean.samples.size:
            yield clean, now


def _active(sound: Samples) -> np.ndarray:  # type: ignore[type-arg]
    """Where there is speech, sample by sample."""
    frames = np.pad(sound, (0, -sound.size % _CHUNK)).reshape(-1, _CHUNK)
    power = np.mean(frames**2, axis=1)
    return np.repeat(power > 1e-3 * power.max(initial=0.0), _CHUNK)[: sound.size]
