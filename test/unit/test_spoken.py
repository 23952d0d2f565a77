"""Spoken replies: what is prepared is what is said, and nothing is said before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Question, Reply, Samples, ToolCall, ToolResult, ToolStatus, Transcript
from lfm_voice_ros.dialogue.lite import LiteEngine
from lfm_voice_ros.dialogue.sentence_cache import CachingSynthesizer, SentenceCache
from lfm_voice_ros.dialogue.small_talk import SmallTalk
from lfm_voice_ros.dialogue.spoken import SpokenEngine, parts, pieces

RESULT = ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, "Looking left. It is warm.")


class Voice:
    """A Synthesizer that notes what it has made, or fails."""

    name = "test"
    sample_rate = 100

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails = False

    def synthesize(self, text: str) -> Iterator[Samples]:
        if self.fails:
            raise ResourceError("broken")
        self.made.append(text)
        yield np.ones(60, np.float32)


class Out:
    """A SpeechOut that notes what it gets."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.said: list[str] = []

    def canceled(self) -> bool:
        return False

    def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def say(self, words: str, samples: Samples) -> None:
        self.said.append(words)


class Bench:
    """An engine with a voice that is watched."""

    def __init__(self, *phrases: str, limit: int = 10**6) -> None:
        self.voice = Voice()
        self.out = Out()
        self.failures: list[str] = []
        talk = SmallTalk([("hello", ["Hello.", "Hello again."])], ["Hm."])
        caching = CachingSynthesizer(self.voice, SentenceCache(limit), "joe")
        self.engine = SpokenEngine(LiteEngine(talk), caching, self.failures.append, phrases)


def test_a_prepared_reply_is_spoken_without_being_made_again() -> None:
    bench = Bench()
    question = Question("u1", Transcript("look left"), (RESULT,))

    prepared = list(bench.engine.prepare(question))
    assert (bench.out.replies, bench.out.said) == ([], [])
    bench.engine.answer(question, bench.out)

    assert prepared == ["Looking left.", "It is warm."]
    assert bench.voice.made == ["Looking left.", "It is warm."]
    assert [words for words in bench.out.said if words] == prepared


def test_each_sentence_is_made_when_it_is_asked_for() -> None:
    bench = Bench()

    assert next(bench.engine.prepare(Question("u1", Transcript("look left"), (RESULT,)))) == "Looking left."
    assert bench.voice.made == ["Looking left."]


def test_preparing_an_answer_of_small_talk_does_not_use_it_up() -> None:
    bench = Bench()
    question = Question("u1", Transcript("hello"))

    assert [list(bench.engine.prepare(question)) for _ in range(3)] == [["Hello."]] * 3
    for _ in range(2):
        bench.engine.answer(question, bench.out)

    assert [reply.text for reply in bench.out.replies] == ["Hello.", "Hello again."]


def test_a_reply_that_turned_out_otherwise_is_spoken_as_it_is() -> None:
    bench = Bench()
    list(bench.engine.prepare(Question("u1", Transcript("look left"), (RESULT,))))
    other = ToolResult(RESULT.call, ToolStatus.FAILED, "I could not look left.")

    bench.engine.answer(Question("u1", Transcript("look left"), (other,)), bench.out)

    assert [reply.text for reply in bench.out.replies] == ["I could not look left."]
    assert bench.voice.made[-1] == "I could not look left."


def test_without_a_cache_nothing_is_prepared() -> None:
    bench = Bench(limit=0)

    assert list(bench.engine.prepare(Question("u1", Transcript("hello")))) == []
    assert bench.voice.made == []


def test_phrases_are_made_one_at_a_time_while_nobody_waits() -> None:
    bench = Bench("I am sorry.", "Nodding.")

    assert bench.engine.rest(lambda: True)
    assert bench.voice.made == []
    more = [bench.engine.rest(lambda: False) for _ in range(5)]

    assert more == [True, True, True, True, False]
    assert bench.voice.made == ["I am sorry.", "Nodding.", "Hello.", "Hello again.", "Hm."]


def test_a_voice_that_fails_ends_the_phrases_and_is_told() -> None:
    bench = Bench("I am sorry.")
    bench.voice.fails = True

    assert not bench.engine.rest(lambda: False)
    assert bench.failures == ["broken"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Looking left, thirty degrees.", ["Looking left, thirty degrees."]),
        (
            "I can turn my head left, right, up and down, nod, shake my head, and tell you the time.",
            ["I can turn my head left,", "right, up and down, nod, shake my head, and tell you the time."],
        ),
        (
            "Yes, the thing that you have asked me about has 1,000 parts that nobody can count.",
            ["Yes, the thing that you have asked me about has 1,000 parts that nobody can count."],
        ),
        (
            "Done. I can turn my head left, right, up and down, nod, shake my head, and tell you the time.",
            ["Done.", "I can turn my head left, right, up and down, nod, shake my head, and tell you the time."],
        ),
    ],
)
def test_only_a_long_first_sentence_is_begun_with_a_clause(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_the_parts_of_a_text_are_its_words() -> None:
    text = "I heard you well this time, but I have no good answer to that: nobody has told me. Sorry."

    assert " ".join(words for words, _ in pieces(Voice(), text) if words) == text
