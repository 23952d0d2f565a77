"""Turns for the recorder: put together in whatever order their messages come, few at a time."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import RESULT, WHEN, tone

from lfm_voice_ros.core.playback import Chunk
from lfm_voice_ros.core.types import SAMPLE_RATE, ToolCall, Transcript, Utterance
from lfm_voice_ros.dataset.collecting import Collector, OpenTurn
from lfm_voice_ros.dataset.recording import RecordedMessage

RATE = 22_050


def some_message(size: int = 10) -> RecordedMessage:
    return RecordedMessage("/reply", "lfm_voice_ros/msg/Reply", round(WHEN.timestamp() * 1e9), bytes(size))


def take(collector: Collector, utterance_id: str = "u1", now: float = 0.0) -> OpenTurn:
    turn = collector.take(utterance_id, some_message(), now)
    assert turn is not None
    return turn


def spoken(turn: OpenTurn, *seconds: float, last: bool = True) -> None:
    for sequence, length in enumerate(seconds):
        turn.chunks[sequence] = Chunk(turn.utterance_id, sequence, False, tone(length, RATE), RATE, "")
    if last:
        end = len(seconds)
        turn.chunks[end] = Chunk(turn.utterance_id, end, True, np.empty(0, np.float32), RATE, "")


def fill(turn: OpenTurn, closed: float | None = 0.0) -> OpenTurn:
    turn.utterance = Utterance(turn.utterance_id, tone(0.5), SAMPLE_RATE, 0.0, 0.1, 0.4)
    turn.transcript = Transcript("Look left.")
    turn.calls = (RESULT.call,)
    turn.results[0] = RESULT
    turn.reply = RESULT.speech
    turn.closed = closed
    return turn


def test_a_turn_is_given_once_when_what_was_late_has_had_its_time() -> None:
    collector = Collector(grace=1.0)
    turn = fill(take(collector), closed=5.0)

    assert list(collector.ready(5.9)) == []
    turn.reply = "a late reply"
    (given,) = collector.ready(6.0)
    assert given.reply == "a late reply"
    assert list(collector.ready(7.0)) == []
    assert collector.dropped == 0


def test_messages_that_come_after_that_open_no_turn() -> None:
    collector = Collector()
    fill(take(collector))
    assert len(list(collector.ready(1.0))) == 1

    assert collector.take("u1", some_message(), 2.0) is None
    assert collector.dropped == 0


def test_messages_of_no_turn_are_not_kept() -> None:
    assert Collector().take("", some_message(), 0.0) is None


def test_turns_without_words_are_not_recorded_and_not_counted_as_lost() -> None:
    collector = Collector()
    for utterance_id, transcript in (
        ("u1", Transcript("", rejection="no speech")),
        ("u2", Transcript("", failed=True)),
    ):
        fill(take(collector, utterance_id)).transcript = transcript

    assert list(collector.ready(0.0)) == []
    assert collector.take("u1", some_message(), 0.1) is None
    assert list(collector.rest()) == []
    assert collector.dropped == 0


@pytest.mark.parametrize("missing", ["utterance", "transcript", "reply"])
def test_a_turn_of_which_something_is_missing_is_dropped_and_counted(missing: str) -> None:
    collector = Collector()
    setattr(fill(take(collector)), missing, None)

    assert list(collector.ready(1.0)) == []
    assert collector.dropped == 1


def test_a_turn_that_never_ends_is_given_up_after_its_last_message() -> None:
    collector = Collector(timeout=60.0)
    fill(take(collector, "whole", now=0.0), closed=None)
    take(collector, "part", now=0.0)
    take(collector, "part", now=30.0)

    assert [turn.utterance.utterance_id for turn in collector.ready(60.0)] == ["whole"]
    assert collector.dropped == 0
    assert list(collector.ready(90.0)) == []
    assert collector.dropped == 1


def test_more_turns_than_there_is_room_for_are_dropped() -> None:
    collector = Collector(most_turns=2)
    take(collector, "u1")
    fill(take(collector, "u2"))

    assert collector.take("u3", some_message(), 0.0) is None
    assert collector.take("u3", some_message(), 0.0) is None
    assert collector.dropped == 1
    assert len(list(collector.ready(1.0))) == 1
    assert collector.take("u4", some_message(), 0.0) is not None


def test_a_turn_that_is_too_large_is_dropped() -> None:
    collector = Collector(most_bytes=100)
    fill(take(collector))

    assert collector.take("u1", some_message(91), 0.0) is None
    assert collector.dropped == 1
    assert list(collector.ready(1.0)) == []


def test_when_messages_were_lost_no_open_turn_is_believed() -> None:
    collector = Collector()
    fill(take(collector, "u1"))
    take(collector, "u2")

    collector.drop_all()

    assert list(collector.ready(1.0)) == []
    assert collector.dropped == 2


def test_at_the_end_turns_that_have_ended_are_given_at_once() -> None:
    collector = Collector(grace=100.0)
    fill(take(collector, "ended"))
    fill(take(collector, "open"), closed=None)

    assert [turn.utterance.utterance_id for turn in collector.rest()] == ["ended"]
    assert list(collector.rest()) == []


def test_the_reply_sounds_as_it_was_spoken() -> None:
    turn = fill(take(Collector()))
    spoken(turn, 0.2, 0.3)

    whole = turn.whole()

    assert whole is not None
    assert whole.reply_sound is not None
    assert (whole.reply_sound.size, whole.reply_rate, whole.kind) == (round(0.5 * RATE), RATE, "")
    assert whole.results == (RESULT,)
    assert whole.recorded == WHEN


@pytest.mark.parametrize(("heard", "seconds"), [(0.25, 0.25), (9.0, 0.5), (None, 0.5)])
def test_of_a_reply_that_was_cut_only_what_was_heard_is_kept(heard: float | None, seconds: float) -> None:
    turn = fill(take(Collector()))
    spoken(turn, 0.2, 0.3, last=False)
    turn.interrupted, turn.heard = True, heard

    whole = turn.whole()

    assert whole is not None
    assert whole.reply_sound is not None
    assert whole.reply_sound.size == round(seconds * RATE)
    assert whole.kind == "interrupted"


def test_a_reply_that_was_cut_before_it_was_heard_has_no_sound() -> None:
    turn = fill(take(Collector()))
    spoken(turn, 0.2, last=False)
    turn.interrupted, turn.heard = True, 0.0

    whole = turn.whole()

    assert whole is not None
    assert whole.reply_sound is None


def test_a_reply_of_which_a_part_was_lost_or_that_has_two_rates_has_no_sound() -> None:
    gap, endless, two, silent = (fill(take(Collector())) for _ in range(4))
    spoken(gap, 0.1, 0.1, 0.1)
    del gap.chunks[1]
    spoken(endless, 0.1, 0.1, last=False)
    spoken(two, 0.1, 0.1)
    two.chunks[1] = Chunk("u1", 1, False, tone(0.1), SAMPLE_RATE, "")
    spoken(silent)

    for turn in (gap, endless, two, silent):
        whole = turn.whole()
        assert whole is not None
        assert whole.reply_sound is None


def test_results_are_in_the_order_of_the_calls_and_an_error_is_marked() -> None:
    turn = fill(take(Collector()))
    turn.failed = True
    turn.results = {1: RESULT, 0: RESULT.__class__(ToolCall("nod"), RESULT.status, "Nodding.")}

    whole = turn.whole()

    assert whole is not None
    assert [result.call.name for result in whole.results] == ["nod", "pan_left"]
    assert whole.kind == "error"
