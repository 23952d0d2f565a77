"""Drafts: what is put together, and what belongs to another pause."""

from __future__ import annotations

import itertools
import math

import pytest

from lfm_voice_ros.core.drafts import Draft, DraftBook
from lfm_voice_ros.core.types import Question, ToolCall, ToolResult, ToolStatus, Transcript

LEFT, TIME = ToolCall("pan_left", {"degrees": 30}), ToolCall("get_time")


def result(call: ToolCall, index: int = 0, total: int = 1) -> ToolResult:
    return ToolResult(call, ToolStatus.SUCCEEDED, f"Done {call.name}.", index=index, total=total)


def questions(draft: Draft | None) -> list[str] | None:
    question = draft.question() if draft else None
    return None if question is None else [each.speech for each in question.results]


def test_a_draft_without_calls_is_answered_once_words_and_decision_are_there() -> None:
    book = DraftBook()

    assert questions(book.transcript("u1", 5.0, Transcript("hello"), now=5.4)) is None
    draft = book.decision("u1", 5.0, ())

    assert draft is not None
    assert draft.question() == Question("u1", Transcript("hello"))
    assert draft.worded == 5.4


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_words_and_decision_may_come_in_any_order_and_results_are_waited_for(order: tuple[int, ...]) -> None:
    book = DraftBook()
    steps = [
        lambda: book.transcript("u1", 5.0, Transcript("look left"), now=5.4),
        lambda: book.decision("u1", 5.0, (LEFT, TIME)),
    ]
    assert [questions(steps[step]()) for step in order] == [None, None]

    assert questions(book.result("u1", result(TIME, 1, 2))) is None
    assert questions(book.result("u1", result(LEFT, 0, 2))) == ["Done pan_left.", "Done get_time."]


def test_of_the_results_those_up_to_a_missing_one_are_told() -> None:
    book = DraftBook()
    book.transcript("u1", 5.0, Transcript("look left and dance"), now=5.4)
    book.decision("u1", 5.0, (LEFT, ToolCall("dance"), TIME))

    book.result("u1", result(TIME, 2, 3))

    assert questions(book.result("u1", result(LEFT, 0, 3))) == ["Done pan_left."]


def test_results_of_an_earlier_pause_belong_to_the_present_one_only_where_the_call_is_the_same() -> None:
    book = DraftBook()
    book.transcript("u1", 5.0, Transcript("look left"), now=5.4)
    book.decision("u1", 5.0, (LEFT,))
    book.result("u1", result(LEFT))

    book.transcript("u1", 6.0, Transcript("look left forty degrees"), now=6.4)
    draft = book.decision("u1", 6.0, (ToolCall("pan_left", {"degrees": 40}),))

    assert questions(draft) is None
    assert questions(book.decision("u1", 6.0, (LEFT,))) == ["Done pan_left."]


def test_what_comes_late_from_an_earlier_pause_changes_nothing() -> None:
    book = DraftBook()
    book.transcript("u1", 6.0, Transcript("hello robot"), now=6.4)

    assert book.decision("u1", 5.0, ()) is None
    assert book.transcript("u1", 5.0, Transcript("hello"), now=6.5) is None

    draft = book.find("u1", 6.0)
    assert draft is not None
    assert draft.transcript == Transcript("hello robot")
    assert draft.calls is None


def test_a_draft_is_found_by_its_pause_until_its_turn_is_over() -> None:
    book = DraftBook()
    book.transcript("u1", 5.0, Transcript("hello"), now=5.4)

    assert book.find("u1", 5.0 + 1e-7) is not None
    assert book.find("u1", 5.5) is None
    assert book.find("u1", math.nan) is None
    book.close("u1")
    assert book.find("u1", 5.0) is None


def test_a_draft_without_words_has_nothing_to_answer() -> None:
    book = DraftBook()
    book.transcript("u1", 5.0, Transcript(""), now=5.4)

    assert questions(book.decision("u1", 5.0, ())) is None


def test_only_a_few_utterances_are_remembered() -> None:
    book = DraftBook()
    for number in range(10):
        book.transcript(f"u{number}", 5.0, Transcript("hello"), now=5.4)

    assert book.find("u0", 5.0) is None
    assert book.find("u9", 5.0) is not None
