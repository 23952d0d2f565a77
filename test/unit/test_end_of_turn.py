"""What the words so far say of the pause after them."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.end_of_turn import Ending, judge
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import ToolCall, Transcript
from lfm_voice_ros.detectors.keywords import KeywordDetector


@pytest.fixture(scope="session")
def keywords() -> KeywordDetector:
    return KeywordDetector.from_file(config_file("keywords.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "Look left.",
        "Turn left by 30 degrees.",
        "Stop.",
        "Nod.",
        "What time is it?",
        "What time is it in London?",
        "Look left and then nod.",
        "Go back to the center.",
        "What is your name?",
        "How are you?",
        "Where are you from?",
        "Can you tell me a joke?",
        "Thank you.",
    ],
)
def test_a_command_or_a_question_in_which_nothing_is_missing_is_complete(keywords: KeywordDetector, text: str) -> None:
    assert judge(Transcript(text, 0.9), keywords.detect(text).calls) is Ending.COMPLETE


@pytest.mark.parametrize(
    "text",
    [
        "Look to the",
        "Look to the.",
        "Look to the, uhm,",
        "Please look to the...",
        "Turn the",
        "Turn your head",
        "Turn left by 40.",
        "Turn left by forty",
        "Turn left by",
        "Look left and",
        "Look left and then",
        "Look up and Ben.",
        "Can you?",
        "Could you please",
        "Please.",
        "I want you to",
        "Uh,",
        "What",
        "What day?",
        "What is the",
        "What's the capital of?",
        "Which way are you?",
        "Why is the sky?",
        "My name is",
        "My brother and my sister",
        "The weather is really",
        "When I was young.",
        "If it rains",
        "I'd like to show you.",
        "It's a pity that.",
        "They have two",
        "I went to the m—",
        "Do you have any?",
        "Have you ever?",
    ],
)
def test_a_sentence_in_which_something_must_follow_is_unfinished(keywords: KeywordDetector, text: str) -> None:
    assert judge(Transcript(text, 0.9), keywords.detect(text).calls) is Ending.UNFINISHED


@pytest.mark.parametrize(
    "text",
    [
        "My name is Peter.",
        "The weather is nice today.",
        "If it rains, we stay at home.",
        "Because of the traffic we were late.",
        "When is the next train?",
        "What is seven times eight?",
        "What are you looking at?",
        "Hello.",
        "Yes.",
        "I don't know.",
    ],
)
def test_a_sentence_that_may_be_over_or_not_is_unclear(keywords: KeywordDetector, text: str) -> None:
    assert judge(Transcript(text, 0.9), keywords.detect(text).calls) is Ending.UNCLEAR


@pytest.mark.parametrize(
    ("text", "sure", "unsure"),
    [
        ("Look left.", Ending.COMPLETE, Ending.UNCLEAR),
        ("I like it here.", Ending.UNCLEAR, Ending.UNFINISHED),
        ("Look to the", Ending.UNFINISHED, Ending.UNFINISHED),
    ],
)
def test_what_ends_with_a_word_that_may_be_made_up_is_waited_for_longer(
    keywords: KeywordDetector, text: str, sure: Ending, unsure: Ending
) -> None:
    calls = keywords.detect(text).calls
    assert judge(Transcript(text, 0.9, end_confidence=0.9), calls) is sure
    assert judge(Transcript(text, 0.9, end_confidence=0.5), calls) is unsure


def test_where_nothing_was_understood_the_person_is_waited_for() -> None:
    assert judge(Transcript("", 0.3, rejection="no speech"), ()) is Ending.UNFINISHED
    assert judge(Transcript("I like robots.", 0.4), ()) is Ending.UNFINISHED


def test_a_transcriber_that_failed_says_nothing() -> None:
    assert judge(Transcript("", 0.0, rejection="no model", failed=True), ()) is Ending.UNCLEAR


def test_of_another_language_only_the_calls_count() -> None:
    assert judge(Transcript("schau nach links, und", 0.9, "de"), (ToolCall("pan_left"),)) is Ending.COMPLETE
    assert judge(Transcript("was in", 0.9, "de"), ()) is Ending.UNCLEAR


@pytest.mark.parametrize("text", ["\x00‮ 左を見て", "...", "?", "a" * 100_000, "and " * 10_000, "'"])
def test_any_text_is_judged(text: str) -> None:
    assert judge(Transcript(text, 0.9), ()) in Ending
