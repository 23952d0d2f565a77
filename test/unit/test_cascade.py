"""The cascade: who is asked, and whose answer counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lfm_voice_ros.core.fakes import ScriptedDetector
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.detectors.cascade import Cascade

LEFT, RIGHT, NOD = ToolCall("pan_left"), ToolCall("pan_right"), ToolCall("nod")
Calls = Sequence[ToolCall]


def cascade(
    keywords: Calls, classifier: Calls, llm: Calls, sureness: float = 0.99, llm_sureness: float = 0.99
) -> tuple[Cascade, ScriptedDetector]:
    bigger = ScriptedDetector({"x": llm}, "llm", llm_sureness)
    patterns = ScriptedDetector({"x": keywords}, "keywords")
    return Cascade(patterns, ScriptedDetector({"x": classifier}, "classifier", sureness), bigger, 0.9, 0.9), bigger


@pytest.mark.parametrize("agreed", [[LEFT], [LEFT, NOD], []])
def test_where_the_cheap_ones_agree_and_are_sure_the_bigger_one_is_not_asked(agreed: Calls) -> None:
    detector, bigger = cascade(agreed, agreed, [RIGHT])
    decision = detector.detect("x")
    assert list(decision.calls) == agreed
    assert (decision.detector, decision.confidence) == ("auto: keywords", 0.99)
    assert bigger.asked == []


def test_calls_that_both_found_count_however_unsure_the_classifier_was() -> None:
    detector, bigger = cascade([LEFT], [LEFT], [RIGHT], sureness=0.5)
    assert list(detector.detect("x").calls) == [LEFT]
    assert bigger.asked == []


def test_an_unsure_no_is_put_to_the_bigger_one() -> None:
    detector, bigger = cascade([], [], [NOD], sureness=0.6)
    decision = detector.detect("x")
    assert bigger.asked == ["x"]
    assert (list(decision.calls), decision.detector) == ([NOD], "auto: llm")


def test_an_unsure_bigger_one_does_not_outvote_two_that_left_it_alone() -> None:
    detector, _ = cascade([], [], [NOD], sureness=0.6, llm_sureness=0.7)
    assert list(detector.detect("x").calls) == []


@pytest.mark.parametrize(
    ("keywords", "classifier", "llm", "expected", "by"),
    [
        ([LEFT], [], [LEFT], [LEFT], "keywords"),
        ([], [LEFT], [LEFT], [LEFT], "llm"),
        ([LEFT], [RIGHT], [RIGHT], [RIGHT], "llm"),
        ([], [LEFT], [], [], "llm"),
        ([LEFT], [], [], [], "llm"),
    ],
)
def test_where_they_disagree_two_of_three_decide(
    keywords: Calls, classifier: Calls, llm: Calls, expected: Calls, by: str
) -> None:
    decision = cascade(keywords, classifier, llm)[0].detect("x")
    assert list(decision.calls) == list(expected)
    assert decision.detector == f"auto: {by}"


def test_where_all_differ_patterns_count_first_and_then_a_sure_bigger_one() -> None:
    assert list(cascade([LEFT], [RIGHT], [NOD])[0].detect("x").calls) == [LEFT]
    assert list(cascade([], [RIGHT], [NOD])[0].detect("x").calls) == [NOD]
    assert list(cascade([], [RIGHT], [NOD], llm_sureness=0.5)[0].detect("x").calls) == []


def test_arguments_are_part_of_agreement() -> None:
    detector, bigger = cascade([ToolCall("pan_left", {"degrees": 10})], [LEFT], [LEFT])
    assert list(detector.detect("x").calls) == [LEFT]
    assert bigger.asked == ["x"]
