"""Whether an adapter is better: only where the intervals leave no other reading."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfm_voice_ros.evaluation.adapter import Calls, Side, judge, mean_change, paired


def side(right: int, of: int = 100, left_alone: int = 50, talk: float = 1.0) -> Side:
    exact = [place < right for place in range(of)]
    alone = [place < left_alone for place in range(50)]
    losses = [talk + 0.01 * (place % 5) for place in range(30)]
    return Side("model", Calls(exact, exact, alone, alone), losses, contradicts=0, replies=20)


def test_pairs_that_agree_make_the_interval_narrower() -> None:
    gained = [False] * 20 + [True] * 30
    agreeing = paired(gained, [True] * 10 + [False] * 10 + [True] * 30)
    mixed = paired(gained, [True] * 20 + [False] * 10 + [True] * 20)

    assert agreeing.value == pytest.approx(0.2)
    assert mixed.value == pytest.approx(0.2)
    assert agreeing.high - agreeing.low < mixed.high - mixed.low


def test_exchanging_before_and_after_turns_the_difference_around() -> None:
    some, others = [True] * 20 + [False] * 30, [True] * 15 + [False] * 5 + [True] * 12 + [False] * 18
    there, back = paired(some, others), paired(others, some)

    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)
    assert there.high == pytest.approx(-back.low)


def test_nothing_measured_leaves_everything_open() -> None:
    assert paired([], []) == paired([True], []) == replace(paired([], []), value=0.0, low=-1.0, high=1.0)


def test_a_clear_gain_with_nothing_lost_is_better() -> None:
    assert judge(side(40), side(70)).better


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (side(42), "don't show"),
        (side(70, left_alone=30), "where nothing is asked for"),
        (side(70, talk=1.2), "ordinary talk"),
        (replace(side(70), talk=[]), "ordinary talk"),
        (replace(side(70), contradicts=15), "contradict"),
    ],
)
def test_what_may_be_chance_or_costs_something_else_is_not_called_better(after: Side, why: str) -> None:
    verdict = judge(side(40), after)

    assert not verdict.better
    assert why in verdict.why


def test_the_change_of_a_loss_is_a_share_of_what_it_was() -> None:
    change = mean_change([2.0, 2.0, 4.0], [1.0, 1.0, 2.0])

    assert change.value == pytest.approx(-0.5)
    assert change.low < -0.5 < change.high < 0
