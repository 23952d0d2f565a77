"""Hears an utterance in the silence that may end it, so that the model has read it when the turn has ended."""

from __future__ import annotations

from dataclasses import dataclass

from lfm_voice_ros.core.ports import DialogueEngine
from lfm_voice_ros.core.types import ToolCall, Utterance


@dataclass(frozen=True)
class _Heard:
    engine: DialogueEngine
    utterance: Utterance
    calls: tuple[ToolCall, ...] | None


class EarlyListening:
    """Listens to drafts, and again where the person has gone on. For the thread that owns the engine."""

    def __init__(self) -> None:
        self._heard: _Heard | None = None

    def draft(self, engine: DialogueEngine, utterance: Utterance) -> None:
        """The person may have ended. Raises what the port's ``listen`` raises."""
        self._take_back(engine)
        self._heard = _Heard(engine, utterance, engine.listen(utterance))

    def utterance(self, engine: DialogueEngine, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """The person has ended. See the port's ``listen``; what was heard in the same pause is not read again."""
        heard = self._heard
        if heard and heard.engine is engine and _pause(heard.utterance) == _pause(utterance):
            self._heard = None
            return heard.calls
        self._take_back(engine)
        return engine.listen(utterance)

    def _take_back(self, engine: DialogueEngine) -> None:
        heard, self._heard = self._heard, None
        if heard is not None and heard.engine is engine:
            engine.forget(heard.utterance.utterance_id)


def _pause(utterance: Utterance) -> tuple[str, float]:
    return utterance.utterance_id, utterance.speech_end
