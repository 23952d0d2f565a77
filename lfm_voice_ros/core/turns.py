"""Puts the messages of a turn together, whatever order they come in, and tells when there is something to answer."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from lfm_voice_ros.core.types import ToolResult, Transcript

#: How many ended turns are remembered, so that their late messages don't open them again.
_REMEMBERED = 256
_NOT_UNDERSTOOD = "I am sorry, I can't understand speech right now."
_NOT_DECIDED = "I am sorry, I could not decide what to do."
_NO_RESULT = "I am sorry, I don't know whether that worked. My tools did not answer."
#: What a turn's problem can be.
PROBLEMS = (_NOT_UNDERSTOOD, _NOT_DECIDED, _NO_RESULT)


@dataclass
class Turn:
    """One utterance and what has become of it. Times are seconds on the clock of the messages."""

    utterance_id: str
    opened: float
    speech_end: float = math.nan
    transcript: Transcript | None = None
    calls: int | None = None  # how many tools were decided; None before the decision
    results: dict[int, ToolResult] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)  # by the names of msg/TurnMetrics.msg
    answering: bool = False  # handed out to be answered
    problem: str = ""  # why it can't be answered as it should, as a sentence to be spoken
    interrupted: bool = False
    reply: str = ""
    spoken_until: float = math.nan  # when its sound will have been heard at the latest

    def latency(self, name: str) -> float:
        """Seconds from the end of speech to a moment of ``times``; NaN when it didn't happen."""
        return self.times.get(name, math.nan) - self.speech_end

    def ordered_results(self) -> tuple[ToolResult, ...]:
        """The results in the order of the calls."""
        return tuple(self.results[index] for index in sorted(self.results))


class TurnBook:
    """The open turns. For one thread.

    ``utterance`` to ``result`` note what came; :meth:`ready` then gives, once each, the turns that can be answered.
    """

    def __init__(self, decision_timeout: float, result_timeout: float) -> None:
        """Both time-outs in seconds; see DialogueSettings."""
        self.decision_timeout = decision_timeout
        self.result_timeout = result_timeout
        self._open: dict[str, Turn] = {}
        self._closed: deque[str] = deque(maxlen=_REMEMBERED)

    def utterance(self, utterance_id: str, speech_end: float, now: float) -> None:
        """A person has spoken."""
        if turn := self._turn(utterance_id, now):
            turn.speech_end = speech_end
            turn.times["endpoint"] = now

    def transcript(self, utterance_id: str, transcript: Transcript, now: float) -> None:
        """The words are known; a failed transcript is a problem to be spoken of."""
        if turn := self._turn(utterance_id, now):
            turn.transcript = transcript
            turn.times["transcript"] = now
            if transcript.failed:
                turn.problem = _NOT_UNDERSTOOD

    def decision(self, utterance_id: str, calls: int, now: float) -> None:
        """So many tools will be called."""
        if turn := self._turn(utterance_id, now):
            turn.calls = calls
            turn.times["decision"] = now

    def result(self, utterance_id: str, result: ToolResult, now: float) -> None:
        """A tool has answered."""
        if turn := self._turn(utterance_id, now):
            turn.results[result.index] = result
            turn.times["tools"] = now

    def ready(self, now: float) -> Iterator[Turn]:
        """Turns to be answered, each given once; those that waited too long have a ``problem``."""
        for turn in list(self._open.values()):
            if turn.answering:
                continue
            self._note_overdue(turn, now)
            complete = turn.transcript is not None and turn.calls is not None and len(turn.results) >= turn.calls
            if turn.problem or complete:
                turn.answering = True
                yield turn

    def wordless(self) -> Iterator[Turn]:
        """Turns in which nothing was understood: they are closed and need no answer."""
        for turn in list(self._open.values()):
            if turn.transcript is not None and not turn.transcript.text and not turn.transcript.failed:
                self.close(turn.utterance_id)
                yield turn

    def unheard(self, now: float) -> Iterator[Turn]:
        """Turns that were answered but whose sound nobody reports as heard any more; they are closed."""
        for turn in list(self._open.values()):
            if turn.spoken_until < now:
                self.close(turn.utterance_id)
                yield turn

    def extend(self, until: float) -> None:
        """A reply is being heard until then; those that are answered wait behind it."""
        for turn in self._open.values():
            if turn.spoken_until < until:
                turn.spoken_until = until

    def get(self, utterance_id: str) -> Turn | None:
        """An open turn."""
        return self._open.get(utterance_id)

    def all(self) -> tuple[Turn, ...]:
        """The open turns."""
        return tuple(self._open.values())

    def close(self, utterance_id: str) -> Turn | None:
        """End a turn; None when it isn't open."""
        turn = self._open.pop(utterance_id, None)
        if turn is not None:
            self._closed.append(utterance_id)
        return turn

    def _turn(self, utterance_id: str, now: float) -> Turn | None:
        if not utterance_id or utterance_id in self._closed:
            return None
        return self._open.setdefault(utterance_id, Turn(utterance_id, opened=now))

    def _note_overdue(self, turn: Turn, now: float) -> None:
        if turn.transcript is None or turn.calls is None:
            since = turn.times.get("transcript", turn.opened)
            if abs(now - since) > self.decision_timeout:  # also when the clock was set back
                turn.problem = _NOT_UNDERSTOOD if turn.transcript is None else _NOT_DECIDED
        elif len(turn.results) < turn.calls:
            since = max(turn.times["decision"], turn.times.get("tools", 0.0))
            if abs(now - since) > self.result_timeout:
                turn.problem = _NO_RESULT
