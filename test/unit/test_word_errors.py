"""Words as they are compared, errors between them, and their interval."""

import math

import pytest

from lfm_voice_ros.evaluation.word_errors import interval, word_errors, words


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Turn thirty-five degrees left.", "turn 35° left"),
        ("twelve point five percent", "12.5 %"),
        ("What's the time?", "what’s the time"),
        ("Pan left, pan right", "pan left pan-right"),
    ],
)
def test_what_sounds_the_same_is_no_error(said: str, heard: str) -> None:
    assert words(said) == words(heard)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("look left", "look left", 0),
        ("look left", "", 2),
        ("", "look left", 2),
        ("look left", "look right", 1),
        ("look to the left", "look left", 2),
        ("look left", "look left look left", 2),
    ],
)
def test_errors_are_words_put_in_left_out_and_replaced(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors


def test_the_interval_holds_the_rate_and_is_the_same_each_time() -> None:
    errors, lengths = [0, 1, 0, 2, 0, 0, 1, 0], [4, 5, 3, 6, 4, 4, 5, 3]
    low, high = interval(errors, lengths)

    assert low < sum(errors) / sum(lengths) < high
    assert interval(errors, lengths) == (low, high)


def test_nothing_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interval([], []))
