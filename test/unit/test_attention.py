"""Which utterances are for the robot, where it listens for a wake word."""

from __future__ import annotations

import numpy as np
import pytest

from lfm_voice_ros.core.attention import AFTER_WAKE, Attention
from lfm_voice_ros.core.types import Utterance


def said(begin: float, end: float) -> Utterance:
    """An utterance with 0.3 s before its speech and 0.5 s after it; its samples count up."""
    count = round((end - begin + 0.8) * 16_000)
    return Utterance("u", np.arange(count, dtype=np.float32), 16_000, begin - 0.3, begin, end)


@pytest.fixture
def attention() -> Attention:
    return Attention(follow_up=8.0)


def test_without_the_wake_word_nothing_is_for_the_robot(attention: Attention) -> None:
    assert attention.takes(said(10.0, 11.0)) is None


def test_what_follows_the_wake_word_in_one_breath_begins_after_it(attention: Attention) -> None:
    attention.woken(10.6)
    utterance = attention.takes(said(10.0, 12.0))
    assert utterance is not None
    assert utterance.samples[0] == round(0.9 * 16_000)
    assert utterance.start == pytest.approx(10.6)
    assert utterance.speech_start == pytest.approx(10.6)
    assert utterance.speech_end == 12.0


def test_the_wake_word_alone_is_no_turn_and_opens_the_ears_for_the_next_sentence(attention: Attention) -> None:
    attention.woken(10.7)
    assert attention.takes(said(10.0, 10.8)) is None
    following = said(13.0, 14.0)
    assert attention.takes(following) is following


def test_a_sentence_long_after_the_wake_word_needs_another(attention: Attention) -> None:
    attention.woken(10.7)
    assert attention.takes(said(10.7 + AFTER_WAKE + 0.1, 20.0)) is None


def test_the_last_wake_word_of_a_sentence_counts(attention: Attention) -> None:
    attention.woken(10.5)
    attention.woken(11.5)
    utterance = attention.takes(said(10.0, 12.5))
    assert utterance is not None
    assert utterance.start == pytest.approx(11.5)


def test_talk_goes_on_without_the_wake_word_during_a_reply_and_for_a_while_after_it(attention: Attention) -> None:
    attention.talking(20.0)
    assert attention.takes(said(21.0, 22.0)) is not None
    attention.fell_silent(25.0)
    assert attention.takes(said(33.0, 34.0)) is not None
    assert attention.takes(said(33.1, 34.0)) is None
    assert attention.takes(said(18.0, 19.0)) is None, "it was said before the reply"


def test_a_follow_up_of_none_wants_the_wake_word_each_time() -> None:
    attention = Attention(follow_up=0.0)
    attention.talking(20.0)
    attention.fell_silent(25.0)
    assert attention.takes(said(25.0, 26.0)) is None


def test_an_answer_to_the_robots_question_needs_no_wake_word(attention: Attention) -> None:
    attention.asked(True, 10.0)
    assert attention.takes(said(12.0, 13.0)) is not None
    attention.asked(False, 15.0)
    assert attention.takes(said(12.0, 13.0)) is not None, "it was said while the robot waited"
    assert attention.takes(said(16.0, 17.0)) is None


def test_a_pressed_button_needs_no_wake_word(attention: Attention) -> None:
    attention.pressed(True, 10.0)
    assert attention.takes(said(10.5, 12.0)) is not None
    attention.pressed(False, 12.0)
    assert attention.takes(said(11.0, 12.1)) is not None, "it was begun while the button was down"
    assert attention.takes(said(13.0, 14.0)) is None


def test_a_player_that_never_tells_the_end_does_not_open_the_ears_for_ever(attention: Attention) -> None:
    attention.talking(20.0)
    assert attention.takes(said(5000.0, 5001.0)) is None
