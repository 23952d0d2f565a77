"""Words from a recognizer outside: each utterance gets its own or none, and nobody else's."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.outside_words import Outside, transcript_of


def test_utterances_are_given_one_at_a_time_and_get_their_words() -> None:
    outside: Outside[str] = Outside(timeout=6.0, capacity=4)
    assert outside.ask("a", 2.0, now=10.0)
    assert outside.ask("b", 3.0, now=10.1)

    assert outside.next(10.2) == "a"
    assert outside.next(10.3) is None
    assert outside.words(2.0, 0.5, now=10.9) == "a"
    assert outside.next(10.9) == "b"
    assert outside.words(3.0, 0.5, now=11.5) == "b"
    assert outside.overdue(99.0) == []


def test_an_utterance_without_words_is_overdue_once_and_the_next_has_its_turn() -> None:
    outside: Outside[str] = Outside(timeout=6.0, capacity=4)
    outside.ask("a", 2.0, now=10.0)
    outside.ask("b", 3.0, now=15.0)
    outside.next(10.0)

    assert outside.overdue(15.9) == []
    assert outside.overdue(16.1) == ["a"]
    assert outside.next(16.1) == "b"
    assert outside.overdue(16.2) == []


def test_words_that_come_too_late_go_to_nobody() -> None:
    outside: Outside[str] = Outside(timeout=6.0, capacity=4)
    outside.ask("a", 2.0, now=10.0)
    outside.ask("b", 2.0, now=15.0)
    outside.next(10.0)
    outside.overdue(16.1)
    outside.next(16.1)

    assert outside.words(2.0, 6.0, now=17.0) is None, "these were begun before b was given"
    assert outside.words(2.0, 0.5, now=17.5) == "b"


def test_words_of_other_sound_go_to_nobody() -> None:
    outside: Outside[str] = Outside(timeout=6.0, capacity=4)
    assert outside.words(2.0, 0.5, now=9.0) is None
    outside.ask("a", 2.0, now=10.0)
    outside.next(10.0)

    assert outside.words(7.0, 0.5, now=11.0) is None
    assert outside.words(2.0, 0.5, now=11.5) == "a"
    assert outside.words(2.0, 0.5, now=11.6) is None


def test_no_more_wait_than_fit_and_those_that_wait_too_long_are_given_up() -> None:
    outside: Outside[str] = Outside(timeout=6.0, capacity=2)

    assert [outside.ask(name, 2.0, now=10.0) for name in "abc"] == [True, True, False]
    assert outside.overdue(16.1) == ["a", "b"]
    assert outside.next(16.1) is None


@pytest.mark.parametrize("text", ["", " ", "[BLANK_AUDIO]", "(wind blowing)", "*coughs*", "♪", "..."])
def test_notes_about_sounds_are_no_words(text: str) -> None:
    transcript = transcript_of(text)

    assert transcript.text == ""
    assert transcript.rejection == "no words"
    assert not transcript.failed


def test_words_stay_without_the_notes() -> None:
    assert transcript_of("[music]  Look left. ", 1.5, "en").text == "Look left."
    assert transcript_of("Look left.", 1.5).confidence == 1.0
