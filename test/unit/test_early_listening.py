"""An utterance is heard in the pause that may end it, and again where the person has gone on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lfm_voice_ros.core.ports import SpeechOut
from lfm_voice_ros.core.types import Question, ToolCall, Utterance
from lfm_voice_ros.dialogue.early_listening import EarlyListening


class Engine:
    """A DialogueEngine that notes what it hears and forgets."""

    name = description = "test"
    sample_rate = 100
    hears = True

    def __init__(self) -> None:
        self.did: list[tuple[str, str, float]] = []

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        self.did.append(("listen", utterance.utterance_id, utterance.speech_end))
        return (ToolCall("pan_left", {"degrees": utterance.speech_end}),)

    def forget(self, utterance_id: str) -> None:
        self.did.append(("forget", utterance_id, 0.0))

    def prepare(self, question: Question) -> Iterator[str]:
        return iter(())

    def answer(self, question: Question, out: SpeechOut) -> None: ...

    def heard(self, question: Question, seconds: float | None, words: str) -> None: ...

    def rest(self, waiting: Callable[[], bool]) -> bool:
        return False

    def close(self) -> None: ...


def spoken(utterance_id: str, end: float) -> Utterance:
    return Utterance(utterance_id, np.zeros(1600, np.float32), 16_000, 0.0, 0.1, end)


def test_what_was_heard_in_the_same_pause_is_not_heard_again() -> None:
    engine, early = Engine(), EarlyListening()

    early.draft(engine, spoken("u1", 5.0))
    calls = early.utterance(engine, spoken("u1", 5.0))

    assert calls == (ToolCall("pan_left", {"degrees": 5.0}),)
    assert engine.did == [("listen", "u1", 5.0)]


def test_a_person_who_goes_on_is_heard_again() -> None:
    engine, early = Engine(), EarlyListening()

    early.draft(engine, spoken("u1", 5.0))
    early.draft(engine, spoken("u1", 6.0))
    calls = early.utterance(engine, spoken("u1", 7.0))

    assert calls == (ToolCall("pan_left", {"degrees": 7.0}),)
    assert engine.did == [
        ("listen", "u1", 5.0),
        ("forget", "u1", 0.0),
        ("listen", "u1", 6.0),
        ("forget", "u1", 0.0),
        ("listen", "u1", 7.0),
    ]


def test_a_draft_that_no_utterance_follows_is_forgotten_with_the_next() -> None:
    engine, early = Engine(), EarlyListening()

    early.draft(engine, spoken("noise", 5.0))
    early.draft(engine, spoken("u1", 9.0))
    early.utterance(engine, spoken("u1", 9.0))

    assert engine.did == [("listen", "noise", 5.0), ("forget", "noise", 0.0), ("listen", "u1", 9.0)]


def test_what_another_engine_has_heard_counts_for_nothing() -> None:
    before, engine, early = Engine(), Engine(), EarlyListening()

    early.draft(before, spoken("u1", 5.0))
    early.utterance(engine, spoken("u1", 5.0))

    assert before.did == [("listen", "u1", 5.0)]
    assert engine.did == [("listen", "u1", 5.0)]
