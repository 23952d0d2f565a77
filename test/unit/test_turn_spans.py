"""A turn as spans: where each stage begins and ends."""

from __future__ import annotations

import math

import pytest

from lfm_voice_ros.core.turn_spans import Span, spans_of

TURN = {
    "endpoint": 0.5,
    "draft": 0.3,
    "transcript": 0.55,
    "decision": 0.75,
    "tools": 1.0,
    "prepared": 0.45,
    "reply": 1.0625,
    "first_audio": 1.125,
    "playback": 1.25,
    "end": 3.0,
}


def test_the_stages_follow_each_other_from_the_end_of_speech_to_the_end_of_the_turn() -> None:
    turn = spans_of(1000.0, TURN)

    assert turn is not None
    assert turn.whole == Span("turn", 1000.0, 1003.0)
    assert [stage.name for stage in turn.stages] == [
        "endpoint",
        "recognition",
        "decision",
        "tools",
        "reply",
        "synthesis",
        "delivery",
        "playback",
    ]
    assert (turn.stages[0].begin, turn.stages[-1].end) == (1000.0, 1003.0)
    for before, after in zip(turn.stages, turn.stages[1:], strict=False):
        assert before.end == after.begin
    assert turn.stages[2] == Span("decision", 1000.55, 1000.75)
    assert [name for name, _ in turn.events] == ["draft", "prepared"]


@pytest.mark.parametrize("missing", sorted(set(TURN) - {"draft", "prepared"}))
def test_what_did_not_happen_has_no_span_and_leaves_no_gap(missing: str) -> None:
    turn = spans_of(1000.0, {**TURN, missing: math.nan})
    whole = spans_of(1000.0, TURN)

    assert turn is not None
    assert whole is not None
    assert len(turn.stages) == len(whole.stages) - 1
    assert sum(stage.end - stage.begin for stage in turn.stages) == pytest.approx(turn.whole.end - turn.whole.begin)


def test_messages_that_overtook_each_other_make_no_stage_of_less_than_no_length() -> None:
    turn = spans_of(1000.0, {**TURN, "transcript": 0.4})

    assert turn is not None
    assert next(stage for stage in turn.stages if stage.name == "recognition") == Span("recognition", 1000.5, 1000.5)


@pytest.mark.parametrize("speech_end", [0.0, math.nan, -1.0])
def test_without_the_end_of_speech_there_are_no_spans(speech_end: float) -> None:
    assert spans_of(speech_end, TURN) is None


def test_a_turn_of_which_nothing_is_known_has_no_spans() -> None:
    assert spans_of(1000.0, dict.fromkeys(TURN, math.nan)) is None
