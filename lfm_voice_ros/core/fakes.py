"""Stand-ins at the ports, for tests of what lies behind them: they answer from a table and remember what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import ChatMessage, Completion, ToolCall, ToolDecision


class ScriptedDetector:
    """A Detector that gives the calls of a table, and none for what isn't in it."""

    def __init__(
        self, answers: Mapping[str, Sequence[ToolCall]], name: str = "scripted", confidence: float = 1.0
    ) -> None:
        self.name = name
        self.asked: list[str] = []
        self._answers = answers
        self._confidence = confidence

    def detect(self, text: str) -> ToolDecision:
        """See the port."""
        self.asked.append(text)
        return ToolDecision(tuple(self._answers.get(text, ())), self.name, self._confidence)


class ScriptedTextModel:
    """A TextModel that writes what a table has for the last turn; it fails where the table has a ResourceError."""

    name = "scripted"

    def __init__(
        self,
        answers: Mapping[str, str | ResourceError],
        *,
        otherwise: str = "",
        keeps_to_grammars: bool = False,
        finished: bool = True,
    ) -> None:
        self.keeps_to_grammars = keeps_to_grammars
        self.asked: list[Sequence[ChatMessage]] = []
        self.grammars: list[str] = []
        self._answers = answers
        self._otherwise = otherwise
        self._finished = finished

    def complete(
        self, messages: Sequence[ChatMessage], stop: Sequence[str], max_tokens: int, grammar: str = ""
    ) -> Completion:
        """See the port; ends before the first of ``stop``."""
        self.asked.append(messages)
        self.grammars.append(grammar)
        answer = self._answers.get(messages[-1].content, self._otherwise)
        if isinstance(answer, ResourceError):
            raise answer
        end = min((at for text in stop if (at := answer.find(text)) >= 0), default=len(answer))
        return Completion(answer[:end], 0.8, self._finished)
