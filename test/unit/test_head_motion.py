"""A motion in pieces: positions at a rate, and places one after the other."""

from __future__ import annotations

import math

import pytest

from lfm_voice_ros.core.head_motion import Legs, Samples
from lfm_voice_ros.core.pan_tilt import Move, PanTilt
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.trajectory import Pair

NAMES = ("head_pan_joint", "head_tilt_joint")


def planner() -> PanTilt:
    head = PanTilt(PanTiltSettings())
    head.observe(NAMES, (0.0, 0.0), (), 10.0, 10.0)
    return head


def move(motion: str, pan: float = math.nan, tilt: float = math.nan) -> Move:
    return planner().move(motion, pan, tilt, False, 10.0)


def test_positions_follow_the_plan_and_its_end_is_given_once() -> None:
    motion = move("absolute", 1.0, 0.2)
    samples = Samples()
    samples.begin(motion, 10.0)

    assert samples.due(10.0) == (0.0, 0.0)
    middle = samples.due(10.0 + 0.5 * motion.trajectory.duration)
    assert middle is not None
    assert middle == pytest.approx((0.5, 0.1))
    assert samples.due(10.1 + motion.trajectory.duration) == (1.0, 0.2)
    assert samples.due(10.2 + motion.trajectory.duration) is None


def test_no_position_is_given_after_an_end_or_when_the_clock_was_set_back() -> None:
    samples = Samples()
    samples.begin(move("absolute", 1.0), 10.0)
    samples.end()
    assert samples.due(10.1) is None
    samples.begin(move("absolute", 1.0), 10.0)
    assert samples.due(3.0) is None
    assert samples.due(10.1) is None


def ends(legs: Legs, times: list[float]) -> list[Pair]:
    return [leg.end for time in times if (leg := legs.due(time)) is not None]


def test_places_are_given_one_after_the_other_when_they_are_due() -> None:
    nod = move("nod")
    assert len(nod.legs) == 4
    assert [leg.begins for leg in nod.legs[1:]] == [leg.ends for leg in nod.legs[:-1]]
    legs = Legs()
    legs.begin(nod, 10.0)

    assert ends(legs, [10.0, 10.01]) == [nod.legs[0].end]
    assert not legs.over
    assert ends(legs, [10.0 + leg.begins for leg in nod.legs[1:]]) == [leg.end for leg in nod.legs[1:]]
    assert legs.over
    assert legs.due(100.0) is None


def test_a_place_that_was_missed_is_left_out() -> None:
    nod = move("nod")
    legs = Legs()
    legs.begin(nod, 10.0)

    assert ends(legs, [100.0]) == [nod.target]


def test_a_new_motion_a_stop_and_a_clock_set_back_end_the_places() -> None:
    legs = Legs()
    legs.begin(move("nod"), 10.0)
    legs.begin(move("absolute", 0.3), 10.0)
    assert ends(legs, [10.0, 20.0]) == [(0.3, 0.0)]
    legs.begin(move("nod"), 10.0)
    legs.end()
    assert legs.due(10.0) is None
    legs.begin(move("nod"), 10.0)
    assert legs.due(9.0) is None
    assert legs.over


def test_a_motion_can_be_asked_to_be_slower() -> None:
    assert planner().move("absolute", 1.0, math.nan, False, 10.0, duration=5.0).trajectory.duration == pytest.approx(
        5.0, abs=0.01
    )
    slow = planner().move("absolute", 1.0, math.nan, False, 10.0, speed=0.1).trajectory
    assert max(abs(point.velocities[0]) for point in slow.points if point.velocities) == pytest.approx(0.1)
    fast = planner().move("absolute", 1.0, math.nan, False, 10.0, speed=100.0).trajectory
    assert max(abs(point.velocities[0]) for point in fast.points if point.velocities) <= 1.5


def test_a_motion_that_the_controller_gave_up_leaves_the_head_where_it_is() -> None:
    head = planner()
    head.move("absolute", 1.0, 0.0, False, 10.0)
    head.observe(NAMES, (0.1, 0.0), (0.0, 0.0), 10.1, 10.1)
    head.abandon()

    status = head.status(10.1)
    assert status.target == (0.1, 0.0)
    assert not status.moving
