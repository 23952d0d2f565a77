"""How well stop words are spotted: misses, false stops, and how soon after a word's end it is known."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from lfm_voice_ros.core.ports import KeywordSpotter
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

PIECE = 160  # samples that a sound card gives at once
_EARLY = 0.3  # s before a word's end at which it may be known
_LATE = 1.0  # s after it at which it still counts


@dataclass(frozen=True)
class Recording:
    """Sound in which somebody says a stop word, or none."""

    samples: Samples  # 16 kHz
    voice: str
    condition: str
    text: str
    word: str = ""  # the stop word in it
    word_end: float = math.nan  # s, end of its last voiced sample


@dataclass
class Score:
    """What a spotter made of recordings."""

    said: int = 0  # stop words
    missed: int = 0
    wrong: int = 0  # other words than the stop word, that were spotted in its place or beside it
    other_seconds: float = 0.0  # of speech without stop words, pauses between the sentences included
    false: int = 0  # words that were spotted in it
    delays: list[float] = field(default_factory=list)  # s from a word's end until it was known
    seconds: float = 0.0  # of all sound
    cpu_seconds: float = 0.0
    false_texts: list[tuple[str, str, str]] = field(default_factory=list)  # voice, text, the word that was spotted

    @property
    def false_per_hour(self) -> float:
        """False stops per hour of other speech; NaN without any."""
        return self.false / self.other_seconds * 3600.0 if self.other_seconds else math.nan

    @property
    def cpu_share(self) -> float:
        """Seconds of one core for a second of sound."""
        return self.cpu_seconds / self.seconds if self.seconds else math.nan

    def delay(self, percent: float) -> float:
        """A percentile of the delays in s; NaN without any."""
        return float(np.percentile(self.delays, percent)) if self.delays else math.nan


def score(spotter: KeywordSpotter, recordings: Iterable[Recording]) -> dict[tuple[str, str], Score]:
    """Play the recordings to the spotter one after the other, as one stream; give a score per voice and condition."""
    scores: dict[tuple[str, str], Score] = {}
    at = 0.0
    for recording in recordings:
        one = scores.setdefault((recording.voice, recording.condition), Score())
        began = time.process_time()
        spotted = list(_spotted(spotter, recording.samples, at))
        one.cpu_seconds += time.process_time() - began
        seconds = recording.samples.size / SAMPLE_RATE
        at += seconds
        one.seconds += seconds
        _count(one, recording, spotted)
    return scores


def together(scores: Iterable[Score]) -> Score:
    """Add scores up."""
    total = Score()
    for one in scores:
        for name in ("said", "missed", "wrong", "other_seconds", "false", "seconds", "cpu_seconds"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.delays += one.delays
        total.false_texts += one.false_texts
    return total


def _spotted(spotter: KeywordSpotter, samples: Samples, at: float) -> Iterator[tuple[float, str]]:
    """When (s of the recording) which words were known."""
    for begin in range(0, samples.size, PIECE):
        piece = samples[begin : begin + PIECE]
        for spot in spotter.push(piece, at + begin / SAMPLE_RATE):
            yield (begin + piece.size) / SAMPLE_RATE, spot.word


def _count(one: Score, recording: Recording, spotted: list[tuple[float, str]]) -> None:
    if not recording.word:
        one.other_seconds += recording.samples.size / SAMPLE_RATE
        one.false += len(spotted)
        one.false_texts += [(recording.voice, recording.text, word) for _, word in spotted]
        return
    one.said += 1
    end = recording.word_end
    # Which of the words it was makes no difference to the robot: each of them stops.
    known = next((when for when, _ in spotted if end - _EARLY <= when <= end + _LATE), None)
    if known is None:
        one.missed += 1
    else:
        one.delays.append(known - end)
    one.wrong += len(spotted) - (known is not None)
