"""The lite engine: tools speak for themselves, small talk claims nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolStatus, Transcript
from lfm_voice_ros.dialogue.lite import LiteEngine
from lfm_voice_ros.dialogue.small_talk import SmallTalk


class ScriptedModel:
    """A language model that gives one answer, or fails, and notes what it was asked."""

    def __init__(self, answer: str | ResourceError) -> None:
        self._answer = answer
        self.turns: list[tuple[str, str]] = []
        self.asked: list[str] = []

    def answer(self, system: str, turns: Sequence[tuple[str, str]], text: str, max_tokens: int) -> str:
        self.turns = list(turns)
        self.asked.append(text)
        if isinstance(self._answer, ResourceError):
            raise self._answer
        return self._answer


@pytest.fixture
def small_talk() -> SmallTalk:
    return SmallTalk.from_file(config_file("small_talk.yaml"))


def test_after_a_tool_call_the_results_are_the_reply_whatever_a_language_model_would_say(small_talk: SmallTalk) -> None:
    engine = LiteEngine(small_talk, ScriptedModel("I did nothing."))
    done = ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, "Looking left, thirty degrees.")

    reply = engine.reply(Transcript("look left"), (done,))

    assert (reply.text, reply.source) == ("Looking left, thirty degrees.", "tools")


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        ("How are you today?", {"I am fine, thank you.", "All my joints are well, thank you."}),
        ("Hello robot!", {"Hello.", "Hello, nice to hear you."}),
        ("Thank you.", {"You are welcome.", "My pleasure."}),
    ],
)
def test_small_talk_answers_take_turns(small_talk: SmallTalk, said: str, answers: set[str]) -> None:
    engine = LiteEngine(small_talk)

    replies = [engine.reply(Transcript(said), ()) for _ in range(len(answers))]

    assert {reply.text for reply in replies} == answers
    assert {reply.source for reply in replies} == {"small_talk"}


def test_what_it_cannot_talk_about_gets_an_honest_answer(small_talk: SmallTalk) -> None:
    reply = LiteEngine(small_talk).reply(Transcript("I left my keys on the right side of the table."), ())

    assert "I can turn my head" in reply.text


def test_a_language_model_answers_small_talk_and_knows_what_was_heard(small_talk: SmallTalk) -> None:
    model = ScriptedModel("Blue, like the sky.")
    engine = LiteEngine(small_talk, model)
    engine.heard(Transcript("hello"), "Hello.")

    reply = engine.reply(Transcript("What is your favourite colour?"), ())

    assert (reply.text, reply.source) == ("Blue, like the sky.", "language_model")
    assert model.turns == [("hello", "Hello.")]


@pytest.mark.parametrize("answer", ["I am turning left now.", "", ResourceError("broken")])
def test_a_language_model_that_claims_an_act_or_fails_is_not_repeated(
    small_talk: SmallTalk, answer: str | ResourceError
) -> None:
    reply = LiteEngine(small_talk, ScriptedModel(answer)).reply(Transcript("My cat is asleep."), ())

    assert reply.source == "small_talk"
    assert reply.text


def test_a_language_model_is_asked_once_for_what_was_prepared_and_is_said(small_talk: SmallTalk) -> None:
    model = ScriptedModel("Blue, like the sky.")
    engine = LiteEngine(small_talk, model)

    prepared = engine.prepare(Transcript("What colour?"), ())
    assert engine.prepare(Transcript("What colour?"), ()) == prepared
    assert engine.reply(Transcript("What colour?"), ()) == prepared

    assert model.asked == ["What colour?"]
    engine.reply(Transcript("What colour?"), ())
    assert model.asked == ["What colour?"] * 2


def test_what_was_heard_in_between_has_a_language_model_asked_again(small_talk: SmallTalk) -> None:
    model = ScriptedModel("Blue, like the sky.")
    engine = LiteEngine(small_talk, model)
    engine.prepare(Transcript("What colour?"), ())
    engine.heard(Transcript("hello"), "Hello.")

    engine.reply(Transcript("What colour?"), ())

    assert model.turns == [("hello", "Hello.")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("answers: [{pattern: '(', says: [a]}]\notherwise: [b]", "pattern"),
        ("answers: [{pattern: a, says: []}]\notherwise: [b]", "without an answer"),
        ("answers: [{pattern: a, says: word}]\notherwise: [b]", "list of sentences"),
        ("answers: []\notherwise: [I am turning around.]", "claims"),
        ("answers: []", "otherwise"),
        ("answers: []\notherwise: [b]\nextra: 1", "extra"),
        ("- a", "list of small talk"),
        ("[", "not YAML"),
    ],
)
def test_a_wrong_file_of_small_talk_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=complaint):
        SmallTalk.from_file(path)


class ScriptedToolModel:
    """A tool model that tells results with one text, or fails."""

    def __init__(self, text: str | ResourceError) -> None:
        self._text = text

    def summarize(self, text: str, results: Sequence[ToolResult]) -> str:
        if isinstance(self._text, ResourceError):
            raise self._text
        return self._text


LEFT = ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, "Looking left, thirty degrees.", {"moved_degrees": 30})


def test_a_tool_model_may_tell_results_in_its_own_words(small_talk: SmallTalk) -> None:
    engine = LiteEngine(small_talk, tool_model=ScriptedToolModel("I turned 30 degrees to the left."))
    assert engine.reply(Transcript("look left"), (LEFT,)).text == "I turned 30 degrees to the left."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Done.",
        "I turned 40 degrees to the left.",
        "I turned 30 degrees to the right.",
        "I could not turn 30 degrees to the left.",
        "I turned 30 degrees to the left and nodded.",
        "I turned 30 degrees to the left. It is 5:30.",
        "I turned 30 degrees to the left in Paris.",
        "I turned left 30 degrees and left again.",
    ],
)
def test_words_of_a_tool_model_that_tell_something_else_are_not_spoken(small_talk: SmallTalk, text: str) -> None:
    engine = LiteEngine(small_talk, tool_model=ScriptedToolModel(text))
    assert engine.reply(Transcript("look left"), (LEFT,)).text == "Looking left, thirty degrees."


def test_what_a_skill_of_the_robot_has_done_is_told_in_its_own_words(small_talk: SmallTalk) -> None:
    going = ToolResult(ToolCall("go_to"), ToolStatus.SUCCEEDED, "I am on my way to the kitchen.")
    engine = LiteEngine(small_talk, tool_model=ScriptedToolModel("I have arrived at the desk."))
    assert engine.reply(Transcript("go to the kitchen"), (going,)).text == "I am on my way to the kitchen."


def test_several_results_are_told_by_the_tools_themselves(small_talk: SmallTalk) -> None:
    engine = LiteEngine(small_talk, tool_model=ScriptedToolModel("I turned 30 degrees left and 30 degrees left."))
    assert engine.reply(Transcript("look left"), (LEFT, LEFT)).text == " ".join(["Looking left, thirty degrees."] * 2)


def test_a_failing_tool_model_leaves_the_tools_own_words_and_says_why(small_talk: SmallTalk) -> None:
    told: list[str] = []
    engine = LiteEngine(small_talk, model_failed=told.append, tool_model=ScriptedToolModel(ResourceError("no memory")))
    assert engine.reply(Transcript("look left"), (LEFT,)).text == "Looking left, thirty degrees."
    assert told == ["no memory"]
