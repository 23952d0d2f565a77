"""Whether the robot itself was just saying a stop word."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.own_words import OwnWords
from lfm_voice_ros.core.playback import PlaybackState


@pytest.fixture
def words() -> OwnWords:
    """A reply of 6 s with "Stopped" from 2.0 to 2.5 s, that has been playing since 100.0."""
    own = OwnWords()
    own.spoken("r", "All right then.", 2.0, False)
    own.spoken("r", "Stopped at ten degrees left.", 1.0, False)
    own.spoken("r", "", 1.0, False)
    own.spoken("r", "What now?", 2.0, True)
    own.played("r", PlaybackState.STARTED, 100.0, 0.0)
    return own


def test_its_own_word_is_known_while_it_is_heard(words: OwnWords) -> None:
    assert words.says("stop", 102.4)


def test_the_same_word_at_another_time_is_a_persons(words: OwnWords) -> None:
    assert not words.says("stop", 101.0)
    assert not words.says("stop", 105.0)


def test_another_word_is_a_persons(words: OwnWords) -> None:
    assert not words.says("halt", 102.4)


def test_a_reply_that_was_held_up_is_followed(words: OwnWords) -> None:
    words.played("r", PlaybackState.PLAYING, 110.0, 1.0)
    assert not words.says("stop", 102.4)
    assert words.says("stop", 111.4)


def test_a_reply_that_is_not_played_says_nothing() -> None:
    own = OwnWords()
    own.spoken("r", "Stop.", 1.0, True)
    assert not own.says("stop", 100.0)


def test_while_a_sentence_is_still_being_made_its_words_may_be_anywhere_in_it() -> None:
    own = OwnWords()
    own.spoken("r", "I can stop whenever you like.", 0.5, False)
    own.played("r", PlaybackState.STARTED, 100.0, 0.0)
    assert own.says("stop", 104.0)


def test_only_the_newest_replies_are_remembered(words: OwnWords) -> None:
    for number in range(20):
        words.spoken(f"later {number}", "Yes.", 1.0, True)
    assert not words.says("stop", 102.4)
