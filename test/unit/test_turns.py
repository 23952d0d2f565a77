"""Turns put together from messages in any order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest

from lfm_voice_ros.core.turns import TurnBook
from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolStatus, Transcript

SAID = Transcript("look left")


def book() -> TurnBook:
    return TurnBook(decision_timeout=8.0, result_timeout=5.0)


def result(index: int) -> ToolResult:
    return ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, f"result {index}", index=index, total=2)


STEPS: dict[str, Callable[[TurnBook], None]] = {
    "utterance": lambda turns: turns.utterance("u1", 10.0, 10.5),
    "transcript": lambda turns: turns.transcript("u1", SAID, 10.9),
    "decision": lambda turns: turns.decision("u1", 2, 11.0),
    "first": lambda turns: turns.result("u1", result(0), 11.1),
    "second": lambda turns: turns.result("u1", result(1), 11.2),
}


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
def test_a_turn_is_ready_once_when_all_is_known_in_whatever_order_it_came(order: tuple[str, ...]) -> None:
    turns = book()
    needed = set(STEPS) - {"utterance"}

    seen: set[str] = set()
    for step in order:
        STEPS[step](turns)
        already = needed <= seen
        seen.add(step)
        ready = [turn.utterance_id for turn in turns.ready(11.3)]
        assert ready == (["u1"] if needed <= seen and not already else [])

    turn = turns.get("u1")
    assert turn is not None
    assert [each.speech for each in turn.ordered_results()] == ["result 0", "result 1"]
    assert turn.problem == ""


def test_a_turn_without_tools_is_ready_at_the_decision() -> None:
    turns = book()
    turns.transcript("u1", SAID, 1.0)
    assert list(turns.ready(1.0)) == []

    turns.decision("u1", 0, 1.1)

    assert [turn.utterance_id for turn in turns.ready(1.1)] == ["u1"]


def test_a_turn_without_words_is_closed_without_an_answer_and_stays_closed() -> None:
    turns = book()
    turns.utterance("u1", 1.0, 1.5)
    turns.transcript("u1", Transcript("", rejection="no speech"), 2.0)

    assert [turn.utterance_id for turn in turns.wordless()] == ["u1"]
    turns.decision("u1", 0, 2.1)
    assert turns.get("u1") is None
    assert list(turns.ready(100.0)) == []


def test_a_failed_transcriber_is_spoken_of_at_once() -> None:
    turns = book()
    turns.transcript("u1", Transcript("", rejection="the model is missing", failed=True), 1.0)

    (turn,) = turns.ready(1.0)

    assert "can't understand speech" in turn.problem
    assert list(turns.wordless()) == []


@pytest.mark.parametrize(
    ("steps", "since", "timeout", "said"),
    [
        (["utterance"], 10.5, 8.0, "can't understand speech"),
        (["utterance", "transcript"], 10.9, 8.0, "could not decide"),
        (["utterance", "transcript", "decision"], 11.0, 5.0, "don't know whether that worked"),
        (["utterance", "transcript", "decision", "first"], 11.1, 5.0, "don't know whether that worked"),
    ],
)
def test_what_does_not_come_in_time_is_spoken_of(steps: list[str], since: float, timeout: float, said: str) -> None:
    turns = book()
    for step in steps:
        STEPS[step](turns)

    assert list(turns.ready(since + timeout - 0.01)) == []
    (turn,) = turns.ready(since + timeout + 0.01)

    assert said in turn.problem
    assert list(turns.ready(since + 100.0)) == []


def test_latencies_count_from_the_end_of_speech_and_are_nan_where_nothing_happened() -> None:
    turns = book()
    STEPS["utterance"](turns)
    STEPS["transcript"](turns)
    turn = turns.get("u1")

    assert turn is not None
    assert turn.latency("endpoint") == pytest.approx(0.5)
    assert turn.latency("transcript") == pytest.approx(0.9)
    assert math.isnan(turn.latency("playback"))


def test_an_answer_that_nobody_reports_as_heard_ends_its_turn() -> None:
    turns = book()
    turns.transcript("u1", SAID, 1.0)
    turn = turns.get("u1")
    assert turn is not None
    assert list(turns.unheard(1e9)) == []

    turn.spoken_until = 5.0

    assert list(turns.unheard(4.9)) == []
    assert [each.utterance_id for each in turns.unheard(5.1)] == ["u1"]
    assert turns.get("u1") is None


def test_late_messages_of_a_closed_turn_do_not_open_it_again() -> None:
    turns = book()
    for step in STEPS.values():
        step(turns)
    turns.close("u1")

    for step in STEPS.values():
        step(turns)

    assert turns.get("u1") is None


def test_messages_without_an_utterance_belong_to_no_turn() -> None:
    turns = book()

    turns.result("", result(0), 1.0)

    assert list(turns.ready(1e9)) == []
