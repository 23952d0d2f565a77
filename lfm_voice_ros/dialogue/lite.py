"""The lite engine: replies composed from tool results, small talk from a list or a small language model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.grounding import RETOLD, claims_an_act, compose, tells_the_same
from lfm_voice_ros.core.types import Reply, ToolCall, ToolResult, Transcript
from lfm_voice_ros.dialogue.small_talk import Answers, SmallTalk

_SYSTEM = (
    "The robot has a camera head. It answers in one short, friendly, honest sentence. It talks only; it never says "
    "that it moves, sees or does something."
)
_REMEMBERED_TURNS = 4
_MAX_TOKENS = 48


class AnswersText(Protocol):
    """A language model, as backends/language_model.py has one."""

    def answer(self, system: str, turns: Sequence[tuple[str, str]], text: str, max_tokens: int) -> str:
        """Take the rules, past pairs of (person, robot) and what the person says; give the answer."""


class TellsResults(Protocol):
    """A tool model, as detectors/language_model.py has one."""

    def summarize(self, text: str, results: Sequence[ToolResult]) -> str:
        """Take what the person said and what the tools did; give a sentence that tells it. Raises ResourceError."""


@dataclass(frozen=True)
class _Made:
    """A reply before it is given."""

    said: str
    results: tuple[ToolResult, ...]
    reply: Reply
    answers: Answers | None = None  # among which it is the next

    def fits(self, said: str, results: tuple[ToolResult, ...]) -> bool:
        return self.said == said and _told(self.results) == _told(results)


class LiteEngine:
    """Port TextEngine. Without a language model it needs nothing but the small talk."""

    name = "lite"

    def __init__(
        self,
        small_talk: SmallTalk,
        language_model: AnswersText | None = None,
        model_failed: Callable[[str], None] = lambda reason: None,
        tool_model: TellsResults | None = None,
    ) -> None:
        """``model_failed`` is told why a model failed; small talk, or the tools themselves, then answer in its place.

        ``tool_model`` may tell a single result in its own words; they are spoken only if they tell the same.
        """
        self._small_talk = small_talk
        self._model_failed = model_failed
        self._language_model = language_model
        self._tool_model = tool_model
        self._turns: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_TURNS)
        self._prepared: _Made | None = None

    def phrases(self) -> list[str]:
        """What it says again and again."""
        return self._small_talk.all()

    def prepare(self, transcript: Transcript, results: tuple[ToolResult, ...]) -> Reply:
        """See the port. A model is asked once, here or in :meth:`reply`."""
        if self._prepared is None or not self._prepared.fits(transcript.text, results):
            self._prepared = self._make(transcript.text, results)
        return self._prepared.reply

    def reply(self, transcript: Transcript, results: tuple[ToolResult, ...]) -> Reply:
        """After tool calls what they say; otherwise an answer that claims no act."""
        reply = self.prepare(transcript, results)
        if self._prepared is not None and self._prepared.answers is not None:
            self._prepared.answers.give()
        self._prepared = None
        return reply

    def heard(self, transcript: Transcript, reply: str) -> None:
        """Remember the turn as it was heard."""
        self._turns.append((transcript.text, reply))
        self._prepared = None  # a language model may answer otherwise now

    def _make(self, said: str, results: tuple[ToolResult, ...]) -> _Made:
        if results:
            return _Made(said, results, self._tell(said, results))
        if self._language_model is None:
            return self._choose(said, self._small_talk.answers(said))
        try:
            text = self._language_model.answer(_SYSTEM, list(self._turns), said, _MAX_TOKENS)
        except ResourceError as exc:
            self._model_failed(str(exc))
            return self._choose(said, self._small_talk.answers(said))
        if not text or claims_an_act(text):
            return self._choose(said, self._small_talk.excuses)
        return _Made(said, (), Reply(text, "language_model"))

    @staticmethod
    def _choose(said: str, answers: Answers) -> _Made:
        return _Made(said, (), Reply(answers.next, "small_talk"), answers)

    def _tell(self, said: str, results: tuple[ToolResult, ...]) -> Reply:
        composed = compose(results)
        # Of several results that are foretold the others may still be missing; only a single one is retold.
        if self._tool_model is None or results[0].total != 1 or len(results) != 1 or results[0].call.name not in RETOLD:
            return composed
        try:
            text = self._tool_model.summarize(said, results)
        except ResourceError as exc:
            self._model_failed(str(exc))
            return composed
        return Reply(text, "tools") if text and tells_the_same(text, results[0]) else composed


def _told(results: tuple[ToolResult, ...]) -> list[tuple[ToolCall, int, str]]:
    return [(result.call, result.status, result.speech) for result in results]
