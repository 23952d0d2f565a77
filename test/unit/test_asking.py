"""Which utterance answers a question of the robot, and which of the expected answers it is."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.asking import Asked, which_answer


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("Yes.", ["yes", "no"], 0),
        ("Yeah, go ahead.", ["yes", "no"], 0),
        ("No, thank you.", ["yes", "no"], 1),
        ("Nope!", ["yes", "no"], 1),
        ("The kitchen, please.", ["kitchen", "hall"], 0),
        ("to the living room", ["room", "living room"], 1),
        ("with no sugar", ["no", "no sugar"], 1),
        ("Yes and no.", ["yes", "no"], -1),
        ("What?", ["yes", "no"], -1),
        ("nobody knows", ["no"], -1),
        ("I don’t", ["yes", "no"], 1),
        ("anything", [], -1),
        ("", ["yes"], -1),
        ("yes", [""], -1),
    ],
)
def test_an_answer_is_found_by_its_words(text: str, answers: list[str], expected: int) -> None:
    assert which_answer(text, answers) == expected


def test_what_ends_while_the_robot_waits_is_an_answer() -> None:
    asked = Asked()
    asked.update(True, 10.0)

    assert asked.waiting
    assert asked.covers(10.0)
    assert asked.covers(99.0)
    assert not asked.covers(9.9)


def test_what_ends_after_the_answer_is_none_even_where_the_message_comes_late() -> None:
    asked = Asked()
    asked.update(True, 10.0)
    asked.update(False, 12.0)
    asked.update(True, 20.0)

    assert asked.covers(12.0)
    assert not asked.covers(13.0)
    assert asked.covers(21.0)


def test_without_a_known_end_it_counts_whether_an_answer_is_due() -> None:
    asked = Asked()

    assert not asked.covers(0.0)
    asked.update(True, 10.0)
    assert asked.covers(0.0)
    asked.update(False, 12.0)
    assert not asked.covers(0.0)


def test_an_end_without_a_question_is_ignored() -> None:
    asked = Asked()
    asked.update(False, 12.0)

    assert not asked.waiting
    assert not asked.covers(12.0)
