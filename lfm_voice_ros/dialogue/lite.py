"""The lite engine: replies composed from tool results, small talk from a list or a small language model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.grounding import RETOLD, claims_an_act, compose, tells_the_same
from lfm_voice_ros.core.types import Reply, ToolResult, Transcript
from lfm_voice_ros.dialogue.small_talk import SmallTalk

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

    def reply(self, transcript: Transcript, results: tuple[ToolResult, ...]) -> Reply:
        """After tool calls what they say; otherwise an answer that claims no act."""
        if results:
            return self._told(transcript.text, results)
        if self._language_model is None:
            return Reply(self._small_talk.answer(transcript.text), "small_talk")
        try:
            text = self._language_model.answer(_SYSTEM, list(self._turns), transcript.text, _MAX_TOKENS)
        except ResourceError as exc:
            self._model_failed(str(exc))
            return Reply(self._small_talk.answer(transcript.text), "small_talk")
        if not text or claims_an_act(text):
            return Reply(self._small_talk.excuse(), "small_talk")
        return Reply(text, "language_model")

    def _told(self, said: str, results: tuple[ToolResult, ...]) -> Reply:
        composed = compose(results)
        if self._tool_model is None or len(results) != 1 or results[0].call.name not in RETOLD:
            return composed
        try:
            text = self._tool_model.summarize(said, results)
        except ResourceError as exc:
            self._model_failed(str(exc))
            return composed
        return Reply(text, "tools") if text and tells_the_same(text, results[0]) else composed

    def heard(self, transcript: Transcript, reply: str) -> None:
        """Remember the turn as it was heard."""
        self._turns.append((transcript.text, reply))
