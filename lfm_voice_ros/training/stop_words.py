"""Speech with and without stop words, that their spotter is evaluated on.

Nothing but synthetic voices; those of EVALUATION_VOICES say nothing in the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.corpus import read_corpus
from lfm_voice_ros.evaluation.stop_words import Recording
from lfm_voice_ros.training import acoustics

WORDS = ("stop", "halt", "freeze")
#: What ends with the word, so that the word's end is that of the sound.
PHRASES = ("Stop.", "Stop!", "Halt.", "Halt!", "Freeze.", "Freeze!", "Robot, stop.", "No, no, stop!", "Okay, freeze!")
#: What goes on after the word: its end is that of the part in front, spoken alone.
LONGER = (("Please stop", " now."), ("Stop", " it."), ("Halt", " now."), ("Robot, freeze", " right there."))
#: Sentences with words that sound alike.
NEAR_WORDS = (
    "I set my stopwatch before the race.",
    "It is at the top of the hall.",
    "We went to the shop on the hill.",
    "Put the peas in the freezer.",
    "She hopped over the step.",
    "Please mop up the soup.",
    "There are three trees in the breeze.",
    "The cheese is on top of the fridge.",
    "A cop came to the shop.",
    "Step up to the top.",
    "He is fond of hot sauce and salt.",
    "Whole wheat and malt.",
    "Stuff the strap in the box.",
    "The stock is hot.",
    "Drop the rope.",
    "It is a hall of fame.",
    "Three of these please.",
    "Hold the line.",
    "The pop star is on top.",
    "Is that a hawk or an owl?",
)
EVALUATION_VOICES = ("piper", "flite:awb", "espeak:en-gb-scotland", "espeak:en-us+f3", "espeak:en-gb-x-rp+f2")
CONDITIONS = ("clean", "noise 20 dB", "noise 10 dB", "room 0.4 s", "over the robot")

_LEVEL = -26.0  # dBFS
_ROBOT = 15.0  # dB by which a person is louder than what is left of the robot's own voice
_BEFORE, _AFTER = 0.8, 0.8  # s of quiet around a phrase
_ROOM_NOISE = 2e-4
_VOICED = 1e-4  # of the loudest power: 40 dB below it a frame is silent
_FRAME = 160


@dataclass(frozen=True)
class Phrase:
    """A spoken phrase, and where its stop word ends."""

    text: str
    word: str
    samples: Samples  # 16 kHz
    word_end: float  # s


def make_voice(name: str) -> tuple[Synthesizer, ...]:
    """Give a voice in its manners. Raises ConfigurationError, ResourceError."""
    engine, _, voice = name.partition(":")
    if engine == "flite":
        from lfm_voice_ros.backends.flite import Flite

        return tuple(Flite(voice, stretch) for stretch in (0.9, 1.0, 1.15))
    if engine == "espeak":
        from lfm_voice_ros.backends.espeak import Espeak

        return tuple(Espeak(voice, speed, pitch) for speed, pitch in ((145, 38), (160, 50), (175, 62)))
    from lfm_voice_ros.backends.piper import Piper

    return (Piper("bundled", steady=True),)


def phrases(voice: Sequence[Synthesizer]) -> Iterator[Phrase]:
    """Speak all phrases in all manners of a voice. Raises ResourceError."""
    for manner in voice:
        for text in PHRASES:
            samples = _say(manner, text)
            yield Phrase(text, _word(text), samples, last_voiced(samples))
        for front, rest in LONGER:
            yield Phrase(front + rest, _word(front), _say(manner, front + rest), last_voiced(_say(manner, f"{front}.")))


def stop_recordings(voices: Sequence[str], conditions: Sequence[str], seed: int) -> Iterator[Recording]:
    """All phrases by all voices, each in each of the conditions. Raises ConfigurationError, ResourceError."""
    random = np.random.default_rng(seed)
    for name in voices:
        voice = make_voice(name)
        robot = _say(make_voice("flite:rms")[1], "I am looking to the left now, by twenty degrees, and then up again.")
        for phrase in phrases(voice):
            for condition in conditions:
                samples = np.pad(phrase.samples, (round(_BEFORE * SAMPLE_RATE), round(_AFTER * SAMPLE_RATE)))
                sound = _in_condition(samples, condition, robot, random)
                yield Recording(sound, name, condition, phrase.text, phrase.word, _BEFORE + phrase.word_end)


def other_recordings(
    corpora: Sequence[Path], voices: Sequence[str], conditions: Sequence[str], seconds: float, seed: int
) -> Iterator[Recording]:
    """Sentences of the corpora without stop words, and NEAR_WORDS, until there are so many seconds.

    Raises ConfigurationError, ResourceError.
    """
    random = np.random.default_rng(seed)
    made = [make_voice(name) for name in voices]
    robot = np.zeros(SAMPLE_RATE, np.float32)
    texts = [example.text for corpus in corpora for example in read_corpus(corpus)]
    texts = [text for text in texts if text and not any(word in text.casefold() for word in (*WORDS, "froze"))]
    total, number = 0.0, 0
    while total < seconds:
        near = number % 8 == 0
        text = str(random.choice(NEAR_WORDS if near else texts))
        index = number % len(voices)
        manner = made[index][int(random.integers(len(made[index])))]
        condition = str(random.choice([name for name in conditions if name != "over the robot"]))
        number += 1
        samples = _say(manner, text)
        if not samples.any():
            continue
        samples = np.pad(samples, (0, round(random.uniform(0.3, 1.0) * SAMPLE_RATE)))
        yield Recording(_in_condition(samples, condition, robot, random), voices[index], condition, text)
        total += samples.size / SAMPLE_RATE


def _in_condition(samples: Samples, condition: str, robot: Samples, random: Generator) -> Samples:
    kind, _, amount = condition.partition(" ")
    if kind == "noise":
        noise = acoustics.pink_noise(samples.size, random)
        samples = acoustics.with_noise(samples, noise, float(amount.removesuffix(" dB")))
    elif kind == "room":
        samples = acoustics.in_room(samples, float(amount.removesuffix(" s")), random)
    elif kind == "over":
        samples = acoustics.with_noise(samples, np.resize(robot, samples.size), _ROBOT)
    return _noisy(samples, _ROOM_NOISE, random)


def _noisy(samples: Samples, amplitude: float, random: Generator) -> Samples:
    noisy = samples + amplitude * random.standard_normal(samples.size)
    return np.clip(noisy, -1.0, 1.0).astype(np.float32)


def _say(manner: Synthesizer, text: str) -> Samples:
    pieces = list(manner.synthesize(text))
    if not pieces:
        return np.zeros(0, np.float32)
    return acoustics.at_level(resample(np.concatenate(pieces), manner.sample_rate, SAMPLE_RATE), _LEVEL)


def last_voiced(samples: Samples) -> float:
    """Give when (s) the last sound of a recording ends that is less than 40 dB below its loudest."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    powers = np.mean(np.square(frames), axis=1)
    return float((np.flatnonzero(powers > powers.max() * _VOICED)[-1] + 1) * _FRAME / SAMPLE_RATE)


def _word(text: str) -> str:
    return next(word for word in WORDS if word in text.casefold())
