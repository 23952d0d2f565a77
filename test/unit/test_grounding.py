"""Replies that may be said, and replies that may not."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.grounding import claims_an_act, compose, sentences
from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolStatus


def result(speech: str, status: ToolStatus = ToolStatus.SUCCEEDED) -> ToolResult:
    return ToolResult(ToolCall("any"), status, speech)


def test_a_reply_says_every_result_in_order() -> None:
    reply = compose([result("Looking left, thirty degrees."), result("It is 9:05 PM in Tokyo.")])

    assert reply.text == "Looking left, thirty degrees. It is 9:05 PM in Tokyo."
    assert reply.source == "tools"


def test_a_failure_is_said_too() -> None:
    assert compose([result("I could not look left.", ToolStatus.FAILED)]).text == "I could not look left."


def test_a_canceled_call_says_nothing() -> None:
    assert compose([result("", ToolStatus.CANCELED), result("Stopped.")]).text == "Stopped."


@pytest.mark.parametrize(
    "text",
    [
        "I am turning my head to the left.",
        "I'm looking at you now.",
        "Okay, looking left.",
        "Sure, I will look up.",
        "I've moved my head.",
        "I just nodded.",
        "Turning right!",
        "It is 3:45 now.",
        "It's five o'clock.",
        "It is 3 pm.",
        "Panning left.",
        "Okay, panning left.",
        "Of course, turning left.",
        "My head turned left.",
        "It is half past nine.",
    ],
)
def test_what_only_a_tool_can_make_true_counts_as_a_claim(text: str) -> None:
    assert claims_an_act(text)


@pytest.mark.parametrize(
    "text",
    [
        "I am fine, thank you.",
        "I can turn my head left and right.",
        "That sounds like a nice table.",
        "Your keys may be on the right side.",
        "Hello, nice to hear you.",
        "I would, but my head is full of left and right.",
        "I can't see that from here.",
        "My head can turn left and right.",
    ],
)
def test_ordinary_talk_claims_nothing(text: str) -> None:
    assert not claims_an_act(text)


def test_a_reply_is_split_into_its_sentences() -> None:
    assert sentences(" It is 9:05 PM in Tokyo. I am at my limit!  Really? ") == [
        "It is 9:05 PM in Tokyo.",
        "I am at my limit!",
        "Really?",
    ]
    assert sentences("  ") == []
