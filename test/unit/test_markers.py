"""What is shown in RViz: the words above the head, and the arrow to where a command will turn it."""

from __future__ import annotations

import math

import pytest

from lfm_voice_ros.core.markers import COMMAND, HEARD, SAID, Arrow, Board, Label, direction, wrapped
from lfm_voice_ros.core.settings import MarkersSettings

SETTINGS = MarkersSettings(axis_height=0.1, arrow_length=0.5, text_above=0.2, text_size=0.02, lifetime=5.0)
AHEAD = (0.0, 0.0)


@pytest.fixture
def board() -> Board:
    return Board(SETTINGS)


def texts(board: Board, now: float) -> dict[str, str]:
    return {mark.namespace: mark.text for mark in board.marks(now) if isinstance(mark, Label)}


def arrows(board: Board, now: float = 0.0) -> list[Arrow]:
    return [mark for mark in board.marks(now) if isinstance(mark, Arrow)]


def test_nothing_is_shown_before_anything_has_happened(board: Board) -> None:
    assert board.marks(0.0) == []


def test_words_are_shown_with_their_confidence_until_their_time_is_over(board: Board) -> None:
    board.heard("Look left.", 0.934, "", now=10.0)
    board.said("Looking left, thirty degrees.", now=11.0)

    assert texts(board, 14.9) == {
        HEARD: 'heard: "Look left." (93 %)',
        SAID: 'said: "Looking left, thirty degrees."',
    }
    assert texts(board, 15.0) == {SAID: 'said: "Looking left, thirty degrees."'}
    assert texts(board, 16.0) == {}


def test_a_clock_that_was_set_back_leaves_no_words_for_ever(board: Board) -> None:
    board.said("Hello.", now=1000.0)

    assert texts(board, 3.0) == {}


@pytest.mark.parametrize(("rejection", "shown"), [("no speech", "(no speech)"), ("", "(nothing understood)")])
def test_what_was_not_understood_says_why(board: Board, rejection: str, shown: str) -> None:
    board.heard("", 0.0, rejection, now=0.0)

    assert texts(board, 0.0) == {HEARD: f"heard: {shown}"}


def test_an_empty_reply_leaves_the_last_one(board: Board) -> None:
    board.said("Hello.", now=0.0)
    board.said("", now=1.0)

    assert texts(board, 1.0) == {SAID: 'said: "Hello."'}


def test_words_lie_above_each_other_however_long_they_are(board: Board) -> None:
    board.heard("Look left. " * 30, 0.5, "", now=0.0)
    board.said("I am looking to the left. " * 30, now=0.0)

    said, heard = (mark for mark in board.marks(0.0) if isinstance(mark, Label))
    assert (said.namespace, heard.namespace) == (SAID, HEARD)
    for label in (said, heard):
        assert label.text.count("\n") == 3
        assert label.text.endswith(" ...")
        assert max(map(len, label.text.split("\n"))) <= SETTINGS.text_width
    half = (4 * 2 * SETTINGS.text_size + 3 * 0.01) / 2  # of a block of four lines as RViz draws it
    assert said.position[2] - half == pytest.approx(SETTINGS.text_above)
    assert heard.position[2] - half > said.position[2] + half


def test_only_what_rviz_can_draw_is_written() -> None:
    assert wrapped("“Zoë’s café – 21°…” 你好", 80) == '"Zoe\'s cafe - 21 deg..." ??'


@pytest.mark.parametrize(
    ("pan", "tilt", "looks"),
    [
        (0.0, 0.0, (1.0, 0.0, 0.0)),
        (math.pi / 2, 0.0, (0.0, 1.0, 0.0)),  # left
        (0.0, math.pi / 2, (0.0, 0.0, -1.0)),  # down
        (-math.pi / 2, 0.3, (0.0, -math.cos(0.3), -math.sin(0.3))),  # right and a little down
    ],
)
def test_directions_count_pan_to_the_left_and_tilt_down(
    pan: float, tilt: float, looks: tuple[float, float, float]
) -> None:
    assert direction(pan, tilt) == pytest.approx(looks, abs=1e-12)


def test_a_command_is_an_arrow_from_the_axis_to_where_the_head_will_look(board: Board) -> None:
    board.head(AHEAD, (math.pi / 6, 0.0), moving=True, stale=False)

    (arrow,) = arrows(board)
    assert arrow.start == (0.0, 0.0, 0.1)
    assert arrow.end == pytest.approx((0.5 * math.cos(math.pi / 6), 0.25, 0.1))
    assert texts(board, 0.0) == {COMMAND: "pan +30 deg, tilt +0 deg"}


@pytest.mark.parametrize(
    ("position", "target", "moving", "stale", "shown"),
    [
        (AHEAD, AHEAD, True, False, True),  # a nod ends where it began
        (AHEAD, (0.5, 0.0), False, False, True),  # told, and not there: it is blocked
        ((0.48, 0.0), (0.5, 0.0), False, False, False),  # what a servo falls short of
        (AHEAD, AHEAD, False, False, False),
        (AHEAD, (0.5, 0.0), True, True, False),  # nobody knows where it is
        ((math.nan, math.nan), (math.nan, math.nan), True, False, False),
    ],
)
def test_a_command_is_shown_until_the_head_is_there(
    board: Board,
    position: tuple[float, float],
    target: tuple[float, float],
    moving: bool,
    stale: bool,
    shown: bool,
) -> None:
    board.head(position, target, moving, stale)

    assert bool(arrows(board)) is shown
