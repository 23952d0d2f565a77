"""Numbers as people say them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.numbers import digits, parse, spell


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("twenty-five", 25),
        ("twenty five", 25),
        ("a hundred and ten", 110),
        ("one hundred ten", 110),
        ("one eighty", 180),
        ("seventeen", 17),
        ("zero", 0),
        ("12.5", 12.5),
        ("twelve point five", 12.5),
        ("twelve and a half", 12.5),
        ("ten point zero five", 10.05),
        ("minus ten", -10),
        ("-7", -7),
        ("Negative Forty", -40),
    ],
)
def test_a_spoken_number_is_read(words: str, number: float) -> None:
    assert parse(words) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "left", "ten degrees", "9.9.9", "ten twenty", "often", "nan", "∞", "hundred"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse(text) is None


def test_numbers_inside_a_sentence_become_digits_and_the_rest_stays() -> None:
    assert digits("Look left a hundred and ten degrees, then up ten.") == "Look left 110 degrees, then up 10."


def test_two_commands_joined_by_and_are_not_one_number() -> None:
    assert digits("left twenty and up ten") == "left 20 and up 10"


def test_words_that_contain_number_words_stay() -> None:
    assert digits("someone often weighs tents") == "someone often weighs tents"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (30.0, "thirty"),
        (21, "twenty-one"),
        (110, "one hundred and ten"),
        (999, "nine hundred and ninety-nine"),
        (12.54, "twelve point five"),
        (-10, "minus ten"),
        (-0.04, "zero"),
        (9.96, "ten"),
        (1000, "1000"),
    ],
)
def test_a_number_is_spoken(value: float, words: str) -> None:
    assert spell(value) == words


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_spoken(value: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        spell(value)


@given(st.integers(-9999, 9999))
def test_what_is_spoken_is_read_back(tenths: int) -> None:
    assert parse(spell(tenths / 10)) == pytest.approx(tenths / 10)


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(digits(text), str)
