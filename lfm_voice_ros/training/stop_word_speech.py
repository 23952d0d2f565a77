"""What the head of the stop words learns from: stop words, and other speech, in the training voices, as embeddings.

Everything is by lot: voice, speed, pitch, tempo, sentence, condition. The same Recipe gives the same embeddings.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lfm_voice_ros.backends.espeak import Espeak
from lfm_voice_ros.backends.flite import Flite
from lfm_voice_ros.backends.open_wake_word import BLOCK, SIZE, WINDOW, Embedder
from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.training import acoustics
from lfm_voice_ros.training.stop_words import EVALUATION_VOICES, WORDS, last_voiced

VOICES = (
    *("flite:slt", "flite:rms") * 10,
    *("espeak:en-us", "espeak:en-us+m1", "espeak:en-us+m3", "espeak:en-us+f4", "espeak:en-us+Andy"),
    *("espeak:en-us+Annie", "espeak:en-us+Lee", "espeak:en-us+klatt2", "espeak:en-us+linda", "espeak:en-us+john"),
    *("espeak:en-gb", "espeak:en-gb+m2", "espeak:en-gb+f1", "espeak:en-gb+m7", "espeak:en-gb+steph"),
    *("espeak:en-gb+Alicia", "espeak:en-gb+edward", "espeak:en-029", "espeak:en-029+f5", "espeak:en-029+m4"),
    *("espeak:en-gb-x-gbclan", "espeak:en-gb-x-gbclan+f4", "espeak:en-us-nyc", "espeak:en-us-nyc+f1"),
    "espeak:en-us-nyc+paul",
)
#: They teach nothing: the threshold is chosen by what they say.
HELD_BACK = (
    *("flite:kal16", "espeak:en-gb-x-gbcwmd", "espeak:en-gb-x-gbcwmd+f1", "espeak:en-us+belinda"),
    *("espeak:en-us+victor", "espeak:en-gb+grandma", "espeak:en-029+michel"),
)
#: Around a word, {}: what ends with it, so that the word's end is that of the sound.
ENDING = (
    *("{}.", "{}!", "{}.", "{}!", "Robot, {}.", "No, {}!", "No, no, {}!", "Okay, {}.", "Please {}.", "Now {}!"),
    *("Hey, {}!", "I said {}.", "Wait, {}!", "Stay there, {}.", "You must {}.", "Not there, {}!"),
)
#: What goes on after it: its end is that of the part in front, spoken alone.
LONGER = (
    *(("{}", " it."), ("{}", " now."), ("{}", " right there."), ("{}", " moving."), ("{}", " please.")),
    *(("Please {}", " now."), ("Robot, {}", " that."), ("{}", ", robot."), ("{}", " immediately.")),
)
#: Words that sound alike; those that hold a stop word ("stopwatch", "freezer") can't be told from it in time.
ALIKE = {
    "stop": "top stock step shop hop drop stuff stack star start pop stool store staff stab spot stub stay steps cop "
    "mop prop slot strap chop crop swap sob Bob job stalk sock tops up stamp style state still stick stone stood "
    "tap tip clock dog got not what hot lot rock box",
    "halt": "hall hold hot hat salt malt fault hole haul ought bolt old called help hulk hard heart half hawk all tall "
    "fall hunt held hurt hand home house how hello help left halls vault built felt belt small wall",
    "freeze": "free three trees breeze fries phrase please cheese these peas freed freak fleece fees tease knees "
    "priest sneeze squeeze bees prize Greece grease frog fruit friend fresh green dream cream degrees frame "
    "raise cruise shoes his is years",
}
ALIKE_FRAMES = (
    *ENDING,
    *("Look at the {}.", "Look at the {}.", "The {} and the {}.", "{} the {}.", "It is {}.", "Is it {} or {}?"),
    *("We have {} {} here.", "Turn to the {}.", "{} it.", "{} now.", "{}, please.", "My {} is at the {}.", "{} {} {}."),
)

_LEVELS = (-34.0, -18.0)  # dBFS
_TEMPOS = (0.86, 1.16)  # with the pitch and the size of the mouth: much like another person
_STRETCHES = (0.8, 1.3)  # of flite
_SPEEDS, _PITCHES = (120, 205), (25, 80)  # of espeak-ng
_TILT = 5.0  # dB by which a microphone may favour a band
_TILTED = (60.0, 250.0, 1000.0, 3000.0, 8000.0)  # Hz
_SNRS = (4.0, 26.0)  # dB
_ROOMS = (0.2, 0.7)  # s
_OTHERS = (10.0, 22.0)  # dB below
_ROOM_NOISES = (3e-5, 5e-4)
_ALIKE_SHARE = 0.4  # of the other sentences
_REMEMBERED = 40  # sentences that may be heard in front of others, or below them
#: s from the end of a word in which embeddings are of use
_AROUND = (-0.4, 0.26)
_MANNERS = 6  # of a voice, at most, that are kept at hand

type Condition = Literal["clean", "noise", "motor", "room", "others"]
_CONDITIONS: tuple[Condition, ...] = ("clean", "clean", "noise", "noise", "motor", "room", "room", "others", "others")


@dataclass(frozen=True)
class Recipe:
    """What is spoken, how much of it, and by whom."""

    texts: Sequence[str]  # other speech; those with a stop word are left out
    voices: tuple[str, ...] = VOICES
    held_back: tuple[str, ...] = HELD_BACK
    words: int = 1000  # recordings of stop words by the voices
    held_back_words: int = 210
    other_seconds: float = 1400.0
    held_back_seconds: float = 400.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a voice that may not teach, and where nothing is to be spoken."""
        if unfit := set(EVALUATION_VOICES) & {*self.voices, *self.held_back}:
            raise ConfigurationError(f"{min(unfit)} evaluates the stop words and may not teach them; leave it out")
        if not self.voices or not self.held_back:
            raise ConfigurationError("the stop words need voices to learn from, and others to choose the threshold by")

    def scaled(self, factor: float) -> Recipe:
        """Give the same with so many times the speech."""
        return replace(
            self,
            words=round(self.words * factor),
            held_back_words=round(self.held_back_words * factor),
            other_seconds=self.other_seconds * factor,
            held_back_seconds=self.held_back_seconds * factor,
        )


@dataclass(frozen=True)
class Clip:
    """A part of a recording as the spotter hears it."""

    vectors: NDArray[np.float32]  # shape (n, SIZE), in order
    times: NDArray[np.float64]  # s, shape (n,): the end of each, from the word's end or from the beginning
    word: str  # the stop word in it, or none
    exact: bool  # whether the word's end is known well
    held_back: bool
    text: str
    voice: str


class Studio:
    """Speaks by lot."""

    def __init__(self, voices: Sequence[str], random: Generator) -> None:
        self._voices = voices
        self._random = random
        self._manners: dict[str, list[Synthesizer]] = {voice: [] for voice in voices}
        self.voice = ""  # that spoke last
        self._memory: deque[Samples] = deque(maxlen=_REMEMBERED)

    def word(self, word: str) -> tuple[Samples, float, bool, str]:
        """Give a sentence with the word: its sound, the word's end (s), whether that is exact, the text."""
        random, manner, tempo = self._random, *self._next()
        if random.random() < 0.7:
            text = _filled(str(random.choice(ENDING)), [word])
            samples, exact = _say(manner, text, tempo), True
            end = last_voiced(samples)
        else:
            front, rest = (str(part) for part in random.choice(LONGER))
            front = _filled(front, [word])
            text = front + rest
            samples, exact = _say(manner, text, tempo), False
            end = last_voiced(_say(manner, f"{front}.", tempo))
        before = round(random.uniform(0.8, 1.0) * SAMPLE_RATE)
        sound = np.pad(samples, (before, SAMPLE_RATE // 2))
        if self._memory and random.random() < 0.25:
            other = self._memory[int(random.integers(len(self._memory)))]
            gap = int(random.integers(SAMPLE_RATE // 10, SAMPLE_RATE // 2))
            put = other[-(before - gap) :] if gap < before else other[:0]
            sound[before - gap - put.size : before - gap] += put
        return self._heard(sound), before / SAMPLE_RATE + end, exact, text

    def sentence(self, text: str) -> Samples:
        """Give a sentence, with a pause behind it."""
        manner, tempo = self._next()
        samples = _say(manner, text, tempo)
        if samples.any():
            self._memory.append(samples)
        before = int(self._random.integers(BLOCK))
        after = int(self._random.integers(SAMPLE_RATE // 5, SAMPLE_RATE // 2))
        return self._heard(np.pad(samples, (before, after)))

    def _next(self) -> tuple[Synthesizer, float]:
        self.voice = voice = self._voices[int(self._random.integers(len(self._voices)))]
        manners = self._manners[voice]
        if len(manners) < _MANNERS:
            manners.append(_manner(voice, self._random))
        return manners[int(self._random.integers(len(manners)))], float(self._random.uniform(*_TEMPOS))

    def _heard(self, samples: Samples) -> Samples:
        """Bring it to the robot's microphone."""
        random = self._random
        samples = acoustics.at_level(_tilted(samples, random), random.uniform(*_LEVELS))
        condition = _CONDITIONS[int(random.integers(len(_CONDITIONS)))]
        if condition == "room":
            samples = acoustics.in_room(samples, random.uniform(*_ROOMS), random)
        elif condition == "others" and self._memory:
            other = self._memory[int(random.integers(len(self._memory)))]
            other = np.roll(np.resize(other, samples.size), int(random.integers(samples.size)))
            samples = acoustics.with_noise(samples, other, random.uniform(*_OTHERS))
        elif condition in ("noise", "motor"):
            make = acoustics.pink_noise if condition == "noise" else acoustics.motor_noise
            samples = acoustics.with_noise(samples, make(samples.size, random), random.uniform(*_SNRS))
        samples = samples + np.exp(random.uniform(*np.log(_ROOM_NOISES))) * random.standard_normal(samples.size)
        return np.clip(samples, -1.0, 1.0).astype(np.float32)


def words(recipe: Recipe, held_back: bool, tell: Callable[[int, int], None]) -> Iterator[Clip]:
    """Speak the stop words; ``tell`` how many of how many. Raises ConfigurationError, ResourceError."""
    random = np.random.default_rng((recipe.seed, 1, held_back))
    studio = Studio(recipe.held_back if held_back else recipe.voices, random)
    embedder = Embedder()
    count = recipe.held_back_words if held_back else recipe.words
    for text in _other_texts(recipe, random, 10):
        studio.sentence(text)
    for number in range(count):
        word = WORDS[number % len(WORDS)]
        samples, end, exact, text = studio.word(word)
        first = max(0, int((end + _AROUND[0]) * SAMPLE_RATE / BLOCK))
        last = min(samples.size // BLOCK, int((end + _AROUND[1]) * SAMPLE_RATE / BLOCK))
        vectors, times = _embedded(embedder, samples, first, last)
        yield Clip(vectors, times - end, word, exact, held_back, text, studio.voice)
        tell(number + 1, count)


def others(recipe: Recipe, held_back: bool, texts: Iterator[str], seconds: float, part: int) -> Iterator[Clip]:
    """Speak other sentences until there are so many seconds. Raises ConfigurationError, ResourceError."""
    studio = Studio(
        recipe.held_back if held_back else recipe.voices, np.random.default_rng((recipe.seed, 2, held_back, part))
    )
    embedder = Embedder()
    total = 0.0
    while total < seconds:
        text = next(texts)
        samples = studio.sentence(text)
        vectors, times = _embedded(embedder, samples, 0, samples.size // BLOCK)
        total += samples.size / SAMPLE_RATE
        yield Clip(vectors, times, "", True, held_back, text, studio.voice)


def other_texts(recipe: Recipe, held_back: bool) -> Iterator[str]:
    """Give sentences without stop words, by lot and without end: of the recipe, and made of words that sound alike."""
    random = np.random.default_rng((recipe.seed, 3, held_back))
    while True:
        yield from _other_texts(recipe, random, 100)


def _other_texts(recipe: Recipe, random: Generator, count: int) -> list[str]:
    fit = [text for text in recipe.texts if text and not re.search(r"stop|halt|freeze|froze", text.casefold())]
    alike = [word for words in ALIKE.values() for word in words.split()]
    texts = []
    for _ in range(count):
        if not fit or random.random() < _ALIKE_SHARE:
            texts.append(_filled(str(random.choice(ALIKE_FRAMES)), [str(word) for word in random.choice(alike, 3)]))
        else:
            texts.append(fit[int(random.integers(len(fit)))])
    return texts


def _embedded(
    embedder: Embedder, samples: Samples, first: int, last: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Give the embeddings of the blocks from ``first`` to before ``last``, and the times (s) of their ends."""
    blocks = [samples[at * BLOCK : (at + 1) * BLOCK] for at in range(last)]
    embedder.restart(blocks[max(0, first - WINDOW + 1) : first])
    vectors = [embedder.embed(block) for block in blocks[first:]]
    return np.array(vectors, np.float32).reshape(-1, SIZE), (np.arange(first, last) + 1) * BLOCK / SAMPLE_RATE


def _manner(voice: str, random: Generator) -> Synthesizer:
    engine, _, name = voice.partition(":")
    if engine == "flite":
        return Flite(name, round(float(random.uniform(*_STRETCHES)), 2))
    if engine == "espeak":
        return Espeak(name, int(random.integers(*_SPEEDS)), int(random.integers(*_PITCHES)))
    raise ConfigurationError(f"'{voice}' can't teach the stop words; there are flite:VOICE and espeak:VOICE")


def _say(manner: Synthesizer, text: str, tempo: float) -> Samples:
    pieces = list(manner.synthesize(text))
    if not pieces:
        raise ResourceError(f"{manner.name} doesn't say '{text}'; choose another voice")
    sound = resample(np.concatenate(pieces), manner.sample_rate, round(SAMPLE_RATE / tempo))
    return acoustics.at_level(sound, -26.0)


def _tilted(samples: Samples, random: Generator) -> Samples:
    frequencies = np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE)
    curve = random.uniform(-_TILT, _TILT, len(_TILTED))
    gains = 10 ** (np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(_TILTED), curve) / 20)
    return np.fft.irfft(np.fft.rfft(samples) * gains, samples.size).astype(np.float32)


def _filled(frame: str, words: Sequence[str]) -> str:
    """Put words into a frame, and begin it with a capital."""
    text = frame.format(*words)
    return text[:1].upper() + text[1:]
