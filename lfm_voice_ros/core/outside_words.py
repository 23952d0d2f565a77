"""Words from a recognizer outside, each for the utterance that it was given. Pure; times are seconds of one clock."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from lfm_voice_ros.core.types import Transcript

Item = TypeVar("Item")

_EARLY = 0.1  # s by which the clocks and the way of a message may be off
_LENGTH = 0.2  # s by which the length of the sound may be off
#: What Whisper writes where there are no words: [BLANK_AUDIO], (music), *coughs*.
_NOTES = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪[^♪]*♪?")


@dataclass
class _Asked(Generic[Item]):
    item: Item
    seconds: float  # of sound
    until: float
    sent: float


class Outside(Generic[Item]):
    """Utterances that wait for their words. One at a time is with the recognizer. For one thread.

    A recognizer gives its words without a name: they belong to the utterance that it has if it began on them after it
    got it, and if they are of as much sound. Others are late, or somebody else's.
    """

    def __init__(self, timeout: float, capacity: int) -> None:
        """So many seconds after it came an utterance is given up; more than ``capacity`` don't wait."""
        self._timeout = timeout
        self._capacity = capacity
        self._waiting: deque[_Asked[Item]] = deque()
        self._asked: _Asked[Item] | None = None

    def ask(self, item: Item, seconds: float, now: float) -> bool:
        """An utterance with so much sound came; False when too many wait."""
        if len(self._waiting) >= self._capacity:
            return False
        self._waiting.append(_Asked(item, seconds, now + self._timeout, now))
        return True

    def next(self, now: float) -> Item | None:
        """What to give to the recognizer now; None while it has something, or when nothing waits."""
        if self._asked is not None or not self._waiting:
            return None
        self._asked = self._waiting.popleft()
        self._asked.sent = now
        return self._asked.item

    def words(self, audio_time: float, transcription_time: float, now: float) -> Item | None:
        """Words came that were recognized in so many seconds, of so much sound: the utterance that they belong to."""
        asked = self._asked
        if asked is None or now - transcription_time < asked.sent - _EARLY:
            return None
        if abs(audio_time - asked.seconds) > _LENGTH:
            return None
        self._asked = None
        return asked.item

    def overdue(self, now: float) -> list[Item]:
        """Utterances that have waited too long, each once, in order."""
        late = []
        if self._asked is not None and now > self._asked.until:
            late.append(self._asked.item)
            self._asked = None
        while self._waiting and now > self._waiting[0].until:
            late.append(self._waiting.popleft().item)
        return late


def transcript_of(text: str, confidence: float = 1.0, language: str = "") -> Transcript:
    """The transcript of what a recognizer wrote; its notes about sounds, such as [BLANK_AUDIO], are no words."""
    words = " ".join(_NOTES.sub(" ", text).split())
    if not any(character.isalnum() for character in words):
        return Transcript("", 0.0, language, rejection="no words")
    return Transcript(words, min(max(confidence, 0.0), 1.0), language)
