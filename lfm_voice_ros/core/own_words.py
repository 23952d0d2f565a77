"""Which words the robot itself is saying, so that it doesn't obey its own voice. No clocks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from lfm_voice_ros.core.playback import PlaybackState

_BEFORE, _AFTER = 0.4, 1.0  # s around the place of a word in a sentence, which is estimated from its letters
_REMEMBERED = 8  # replies


@dataclass
class _Sentence:
    """Words of the robot, and where in its reply they are said."""

    text: str
    begin: float  # s of the reply
    end: float = math.inf  # while the next sentence isn't known


@dataclass
class _Reply:
    seconds: float = 0.0  # of its sound that is known
    sentences: list[_Sentence] = field(default_factory=list)
    began: float = math.nan  # s, when its first sample was played, had it not paused


class OwnWords:
    """Knows when the robot itself says a word, from what it was given to play and from what the player reports.

    For one thread. Times are in s of the clock of the sound.
    """

    def __init__(self) -> None:
        self._replies: dict[str, _Reply] = {}

    def spoken(self, utterance_id: str, text: str, seconds: float, last: bool) -> None:
        """Take a piece of audio/output: the words that begin with it, and its length."""
        reply = self._reply(utterance_id)
        if text:
            if reply.sentences:
                reply.sentences[-1].end = reply.seconds
            reply.sentences.append(_Sentence(text, reply.seconds))
        reply.seconds += seconds
        if last and reply.sentences:
            reply.sentences[-1].end = reply.seconds

    def played(self, utterance_id: str, state: int, at: float, heard: float) -> None:
        """Take a state of msg/Playback.msg: at ``at`` so many seconds of the reply had left the speaker."""
        if state in (PlaybackState.STARTED, PlaybackState.PLAYING):
            self._reply(utterance_id).began = at - heard

    def says(self, word: str, at: float) -> bool:
        """Whether the robot was just saying the word, or one that begins with it, when it was heard to end at ``at``.

        The estimate is wide: half a second before a word's place and a second after it, which also holds for a player
        that reports late.
        """
        return any(
            begin - _BEFORE <= at - reply.began <= end + _AFTER
            for reply in self._replies.values()
            for sentence in reply.sentences
            for begin, end in _places(sentence, word)
        )

    def _reply(self, utterance_id: str) -> _Reply:
        reply = self._replies.setdefault(utterance_id, _Reply())
        while len(self._replies) > _REMEMBERED:
            del self._replies[next(iter(self._replies))]
        return reply


def _places(sentence: _Sentence, word: str) -> list[tuple[float, float]]:
    """Where a word, or one that begins with it, is said: s of the reply."""
    found = [match.span() for match in re.finditer(rf"\b{re.escape(word)}\w*", sentence.text, re.IGNORECASE)]
    if not math.isfinite(sentence.end):
        return [(sentence.begin, math.inf)] if found else []
    scale = (sentence.end - sentence.begin) / max(1, len(sentence.text))
    return [(sentence.begin + begin * scale, sentence.begin + end * scale) for begin, end in found]
