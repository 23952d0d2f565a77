"""What the robot does about the link to its brain: it notices a loss, stops, says so, and says when it is back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

_SETTLED = 1.0  # s without a gap after which a brain that was lost counts as back
_GAP = 1.0  # s between heartbeats after which that count begins anew
_LONGEST_TURN = 60.0  # s after which a turn counts as over, whatever became of it


class Sentence(Enum):
    """What the robot can say without its brain."""

    LOST = "lost"
    AWAY = "away"
    BACK = "back"


@dataclass(frozen=True)
class StopHead:
    """The head must come to rest."""


@dataclass(frozen=True)
class Cut:
    """No more of this reply may be heard, also of what comes late."""

    utterance_id: str


@dataclass(frozen=True)
class Say:
    """Speak a sentence."""

    sentence: Sentence


Act = StopHead | Cut | Say


class LinkState(Enum):
    """Whether there is a brain."""

    EXPECTED = "expected"  # none has been heard of yet
    HERE = "here"
    LOST = "lost"


class LinkWatch:
    """The link as the robot sees it. Every method takes the time (s, a clock that never jumps); for one thread.

    What is to be done comes back from :meth:`beat`, :meth:`utterance` and :meth:`check`. A loss is spoken of when
    somebody notices it: a turn is open, the head moves, or a person speaks meanwhile; the return when the loss was.
    """

    def __init__(self, timeout: float) -> None:
        """``timeout``: s without a heartbeat after which the brain is lost."""
        self.state = LinkState.EXPECTED
        self.losses = 0
        self._timeout = timeout
        self._beat_at = 0.0
        self._since = 0.0  # heartbeats have come since then without a gap
        self._open: dict[str, float] = {}  # turns, and when they began
        self._complete: set[str] = set()  # replies that have come to their end
        self._head_moves = False
        self._spoken = False  # the loss was spoken of

    def beat(self, now: float) -> list[Act]:
        """The brain gives a sign of life."""
        if now - self._beat_at > _GAP:
            self._since = now
        self._beat_at = now
        if self.state is LinkState.HERE or (self.state is LinkState.LOST and now - self._since < _SETTLED):
            return []
        self.state = LinkState.HERE
        spoken, self._spoken = self._spoken, False
        return [Say(Sentence.BACK)] if spoken else []

    def check(self, now: float) -> list[Act]:
        """Look whether the brain is still there; to be called several times a second."""
        for utterance_id in [each for each, since in self._open.items() if now - since > _LONGEST_TURN]:
            self.closed(utterance_id)
        if self.state is not LinkState.HERE or now - self._beat_at <= self._timeout:
            return []
        self.state = LinkState.LOST
        self.losses += 1
        self._beat_at = -math.inf
        acts: list[Act] = [StopHead()]
        acts += [Cut(each) for each in self._open if each not in self._complete]
        if self._open or self._head_moves:
            self._spoken = True
            acts.append(Say(Sentence.LOST))
        self._open.clear()
        self._complete.clear()
        return acts

    def utterance(self, utterance_id: str, now: float) -> list[Act]:
        """A person has spoken."""
        if self.state is LinkState.HERE:
            self._open.setdefault(utterance_id, now)
            return []
        self._spoken = True
        return [Cut(utterance_id), Say(Sentence.AWAY)]

    def reply(self, utterance_id: str, last: bool) -> None:
        """A chunk of a reply has come."""
        if last and utterance_id in self._open:
            self._complete.add(utterance_id)

    def closed(self, utterance_id: str) -> None:
        """A turn is over: its reply was heard, or there was nothing to answer."""
        self._open.pop(utterance_id, None)
        self._complete.discard(utterance_id)

    def head(self, moving: bool) -> None:
        """Whether the head is on its way."""
        self._head_moves = moving
