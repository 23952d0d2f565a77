"""The cascade: who is asked, and whose answer counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lfm_voice_ros.core.fakes import ScriptedDetector
from lfm_voice_ros.core.types import ToolCall, ToolDecision
from lfm_voice_ros.detectors.cascade import Cascade

LEFT, RIGHT, NOD = ToolCall("pan_left"), ToolCall("pan_right"), ToolCall("nod")
Calls = Sequence[ToolCall]


class Trio:
    """Three detectors that answer the same to "x", behind a cascade with the thresholds 0.9 and 0.7."""

    def __init__(
        self, keywords: Calls, classifier: Calls, llm: Calls, classifier_sure: float = 0.8, llm_sure: float = 0.8
    ) -> None:
        self.classifier = ScriptedDetector({"x": classifier}, "classifier", classifier_sure)
        self.llm = ScriptedDetector({"x": llm}, "llm", llm_sure)
        self._cascade = Cascade(ScriptedDetector({"x": keywords}, "keywords"), self.classifier, self.llm, 0.9, 0.7)

    def decide(self) -> ToolDecision:
        return self._cascade.detect("x")


def test_calls_by_patterns_count_at_once_and_nobody_else_is_asked() -> None:
    trio = Trio([LEFT], [RIGHT], [NOD])
    decision = trio.decide()
    assert (list(decision.calls), decision.detector, decision.confidence) == ([LEFT], "auto: keywords", 1.0)
    assert trio.classifier.asked == trio.llm.asked == []


def test_a_sure_no_of_the_classifier_is_enough() -> None:
    trio = Trio([], [], [NOD], classifier_sure=0.95)
    decision = trio.decide()
    assert (list(decision.calls), decision.detector, decision.confidence) == ([], "auto: classifier", 0.95)
    assert trio.llm.asked == []


def test_an_unsure_no_is_put_to_the_bigger_one() -> None:
    trio = Trio([], [], [], classifier_sure=0.8)
    assert trio.decide().detector == "auto: llm"
    assert trio.llm.asked == ["x"]


def test_what_classifier_and_bigger_one_both_call_counts_however_unsure_they_are() -> None:
    assert list(Trio([], [LEFT], [LEFT], 0.3, 0.3).decide().calls) == [LEFT]


def test_the_arguments_of_one_call_are_the_classifiers_and_of_several_the_bigger_ones() -> None:
    ten, twenty = ToolCall("pan_left", {"degrees": 10}), ToolCall("pan_left", {"degrees": 20})
    assert list(Trio([], [ten], [twenty]).decide().calls) == [ten]
    assert list(Trio([], [ten, NOD], [twenty, NOD]).decide().calls) == [twenty, NOD]


@pytest.mark.parametrize(("sure", "expected", "by"), [(0.95, [LEFT], "classifier"), (0.8, [], "llm")])
def test_a_call_by_the_classifier_alone_counts_when_it_is_sure(sure: float, expected: Calls, by: str) -> None:
    decision = Trio([], [LEFT], [], classifier_sure=sure).decide()
    assert (list(decision.calls), decision.detector) == (expected, f"auto: {by}")


@pytest.mark.parametrize(
    ("classifier_sure", "llm_sure", "expected"), [(0.6, 0.95, [NOD]), (0.6, 0.8, []), (0.8, 0.95, [])]
)
def test_a_call_by_the_bigger_one_alone_counts_when_it_is_sure_and_the_classifier_in_doubt(
    classifier_sure: float, llm_sure: float, expected: Calls
) -> None:
    decision = Trio([], [], [NOD], classifier_sure, llm_sure).decide()
    assert list(decision.calls) == expected
    assert decision.detector == ("auto: llm" if expected else "auto: classifier")


@pytest.mark.parametrize(("llm_sure", "expected"), [(0.95, [NOD]), (0.8, [])])
def test_where_both_call_something_else_the_bigger_one_must_be_sure(llm_sure: float, expected: Calls) -> None:
    assert list(Trio([], [LEFT], [NOD], llm_sure=llm_sure).decide().calls) == expected
