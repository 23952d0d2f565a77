"""Trajectories stay within speed, acceleration and time, whatever state they start from."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lfm_voice_ros.core.trajectory import (
    Bounds,
    Follower,
    Pair,
    Point,
    Trajectory,
    TrajectoryError,
    brake,
    move_through,
    read_points,
    stop_at,
)

BOUNDS = Bounds(speed=1.5, acceleration=4.0)
REST = (0.0, 0.0)

angles = st.floats(-1.6, 1.6, allow_subnormal=False)
pairs = st.tuples(angles, angles)
speeds = st.tuples(st.floats(-1.5, 1.5, allow_subnormal=False), st.floats(-1.5, 1.5, allow_subnormal=False))
bounds = st.builds(Bounds, speed=st.floats(0.05, 20.0), acceleration=st.floats(0.05, 200.0))


def peaks(trajectory: Trajectory, joint: int) -> tuple[float, float]:
    """The highest speed and acceleration of a joint, as a cubic spline between the points has them.

    The acceleration of a cubic is highest at an end of its span, the speed at an end or where the acceleration is zero.
    """
    speed = acceleration = 0.0
    for before, after in itertools.pairwise(trajectory.points):
        assert before.velocities is not None
        assert after.velocities is not None
        span = after.time - before.time
        slope = (after.positions[joint] - before.positions[joint]) / span
        v0, v1 = before.velocities[joint], after.velocities[joint]
        a0 = (6.0 * slope - 4.0 * v0 - 2.0 * v1) / span
        a1 = (2.0 * v0 + 4.0 * v1 - 6.0 * slope) / span
        acceleration = max(acceleration, abs(a0), abs(a1))
        speed = max(speed, abs(v0), abs(v1))
        if a0 * a1 < 0.0:
            top = before.time + span * a0 / (a0 - a1)
            speed = max(speed, abs(trajectory.sample(top)[1][joint]))
    return speed, acceleration


@given(start=pairs, waypoints=st.lists(pairs, min_size=1, max_size=4), limits=bounds)
def test_from_rest_no_joint_is_faster_or_brisker_than_allowed(
    start: Pair, waypoints: list[Pair], limits: Bounds
) -> None:
    trajectory, _ = move_through(start, REST, waypoints, limits)
    for joint in (0, 1):
        speed, acceleration = peaks(trajectory, joint)
        assert speed <= limits.speed * 1.001
        assert acceleration <= limits.acceleration * 1.03


@given(start=pairs, velocities=speeds, waypoint=pairs)
@example(start=(0.0, 0.0), velocities=(1.5, 0.0), waypoint=(0.1, 0.0))
@example(start=(0.0, 0.0), velocities=(0.0, 6.1e-05), waypoint=(0.0, 0.0))
@example(start=(0.0, 0.0), velocities=(1.5, -1.5), waypoint=(1.5**2 / 8.0, 1.0))
def test_in_motion_no_joint_is_faster_or_brisker_than_allowed(start: Pair, velocities: Pair, waypoint: Pair) -> None:
    trajectory, _ = move_through(start, velocities, [waypoint], BOUNDS)
    for joint in (0, 1):
        speed, acceleration = peaks(trajectory, joint)
        assert speed <= BOUNDS.speed * 1.001
        assert acceleration <= BOUNDS.acceleration * 1.03


def test_a_motion_goes_on_from_where_it_was_when_the_clock_is_set_back() -> None:
    follower = Follower()
    follower.follow([Point(1.0, (1.0, 0.0), None)], 100.0, 100.0)
    before, _ = follower.state(100.5)

    same, _ = follower.state(40.0)
    end, _ = follower.state(40.5)

    assert before == same == (0.5, 0.0)
    assert end == (1.0, 0.0)


@given(start=pairs, velocities=speeds, waypoints=st.lists(pairs, min_size=1, max_size=4), limits=bounds)
def test_times_increase_in_whole_nanoseconds_and_the_end_is_at_rest(
    start: Pair, velocities: Pair, waypoints: list[Pair], limits: Bounds
) -> None:
    trajectory, arrivals = move_through(start, velocities, waypoints, limits)
    times = [round(point.time * 1e9) for point in trajectory.points]
    assert times[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert trajectory.points[-1].velocities == REST
    assert len(arrivals) == len(waypoints)
    assert sorted(arrivals) == list(arrivals)


@given(start=pairs, waypoints=st.lists(pairs, min_size=1, max_size=4))
def test_each_waypoint_is_reached_at_its_time(start: Pair, waypoints: list[Pair]) -> None:
    trajectory, arrivals = move_through(start, REST, waypoints, BOUNDS)
    for waypoint, arrival in zip(waypoints, arrivals, strict=True):
        positions, velocities = trajectory.sample(arrival)
        assert positions == pytest.approx(waypoint, abs=1e-5)
        assert velocities == pytest.approx(REST, abs=1e-4)


@given(start=pairs, end=pairs)
def test_both_joints_arrive_together(start: Pair, end: Pair) -> None:
    assume(all(abs(a - b) > 0.01 for a, b in zip(start, end, strict=True)))
    trajectory, _ = move_through(start, REST, [end], BOUNDS)
    shortly_before, _ = trajectory.sample(trajectory.duration * 0.98)
    assert shortly_before[0] != pytest.approx(end[0], abs=1e-7)
    assert shortly_before[1] != pytest.approx(end[1], abs=1e-7)


@given(start=pairs, end=pairs)
def test_the_way_between_two_rests_does_not_leave_the_box_they_span(start: Pair, end: Pair) -> None:
    trajectory, _ = move_through(start, REST, [end], BOUNDS)
    for step in range(101):
        positions, _ = trajectory.sample(trajectory.duration * step / 100)
        for joint in (0, 1):
            low, high = sorted((start[joint], end[joint]))
            assert low - 1e-9 <= positions[joint] <= high + 1e-9


def test_a_long_move_takes_as_long_as_a_trapezoid() -> None:
    trajectory, _ = move_through((0.0, 0.0), REST, [(1.5, 0.3)], BOUNDS)
    assert trajectory.duration == pytest.approx(1.5 / 1.5 + 1.5 / 4.0)


def test_a_short_move_takes_as_long_as_a_triangle() -> None:
    trajectory, _ = move_through((0.0, 0.0), REST, [(0.1, 0.0)], BOUNDS)
    assert trajectory.duration == pytest.approx(2.0 * math.sqrt(0.1 / 4.0))


def test_a_move_to_where_the_joints_are_is_a_short_hold() -> None:
    trajectory, arrivals = move_through((0.4, 0.2), REST, [(0.4, 0.2)], BOUNDS)
    assert arrivals == (0.0,)
    assert 0.0 < trajectory.duration < 0.1
    assert trajectory.end == (0.4, 0.2)


def test_too_fast_to_stop_at_the_waypoint_it_overshoots_by_the_braking_distance_only() -> None:
    trajectory, _ = move_through((0.0, 0.0), (1.5, 0.0), [(0.1, 0.0)], BOUNDS)
    furthest = max(trajectory.sample(trajectory.duration * step / 1000)[0][0] for step in range(1001))
    assert furthest == pytest.approx(1.5**2 / 8.0, abs=1e-4)
    assert trajectory.end == (0.1, 0.0)


def test_faster_than_allowed_it_brakes_to_the_allowed_speed_first() -> None:
    trajectory, _ = move_through((0.0, 0.0), (2.5, 0.0), [(3.0, 0.0)], BOUNDS)
    _, velocities = trajectory.sample((2.5 - 1.5) / 4.0 + 0.01)
    assert velocities[0] == pytest.approx(1.5)
    assert peaks(trajectory, 0)[1] <= 4.0 * 1.001


@given(start=pairs, velocities=speeds)
def test_a_stop_brakes_each_joint_as_hard_as_allowed(start: Pair, velocities: Pair) -> None:
    ends = brake(start, velocities, BOUNDS)
    trajectory = stop_at(start, velocities, ends, BOUNDS)
    for joint in (0, 1):
        time = abs(velocities[joint]) / BOUNDS.acceleration
        positions, speeds_then = trajectory.sample(time)
        assert positions[joint] == pytest.approx(ends[joint], abs=1e-5)
        assert speeds_then[joint] == pytest.approx(0.0, abs=1e-4)
        assert peaks(trajectory, joint)[1] <= BOUNDS.acceleration * 1.03
    assert trajectory.duration <= max(1.5 / 4.0, 0.02) + 1e-6


def test_points_without_velocities_are_joined_by_straight_lines() -> None:
    trajectory = Trajectory((Point(0.0, (0.0, 0.0), REST), Point(2.0, (1.0, -1.0), None)))
    assert trajectory.sample(0.5) == ((0.25, -0.25), (0.5, -0.5))


def test_points_with_velocities_are_joined_by_a_cubic() -> None:
    trajectory = Trajectory((Point(0.0, (0.0, 0.0), REST), Point(2.0, (1.0, 0.0), REST)))
    positions, velocities = trajectory.sample(0.5)
    assert positions[0] == pytest.approx(3 * 0.25**2 - 2 * 0.25**3)
    assert velocities[0] == pytest.approx((6 * 0.25 - 6 * 0.25**2) / 2.0)


def line(end: float, seconds: float) -> tuple[Point, ...]:
    return (Point(seconds, (end, 0.0), None),)


def test_a_follower_rests_where_it_was_put() -> None:
    assert Follower((0.3, 0.1)).state(5.0) == ((0.3, 0.1), REST)


def test_a_follower_follows_from_now_on_and_rests_at_the_end() -> None:
    follower = Follower()
    follower.follow(line(1.0, 2.0), start=10.0, now=10.0)
    assert follower.state(11.0)[0][0] == pytest.approx(0.5)
    assert follower.state(13.0) == ((1.0, 0.0), REST)


def test_a_new_trajectory_replaces_the_running_one_from_where_it_is() -> None:
    follower = Follower()
    follower.follow(line(1.0, 2.0), start=0.0, now=0.0)
    follower.follow(line(0.0, 1.0), start=1.0, now=1.0)
    assert follower.state(1.0)[0][0] == pytest.approx(0.5)
    assert follower.state(1.5)[0][0] == pytest.approx(0.25)
    assert follower.state(9.0)[0][0] == 0.0


def test_a_start_in_the_future_waits_while_the_running_trajectory_goes_on() -> None:
    follower = Follower()
    follower.follow(line(1.0, 2.0), start=0.0, now=0.0)
    follower.follow(line(0.0, 1.0), start=1.5, now=0.5)
    assert follower.state(1.0)[0][0] == pytest.approx(0.5)
    assert follower.state(2.0)[0][0] == pytest.approx(0.75 / 2)


def test_a_start_in_the_past_is_joined_where_it_would_be_now() -> None:
    follower = Follower()
    follower.follow((Point(1.0, (0.5, 0.0), None), Point(2.0, (1.0, 0.0), None)), start=0.0, now=1.5)
    assert follower.state(1.75)[0][0] == pytest.approx(0.5)
    assert follower.state(2.0)[0][0] == pytest.approx(1.0)


def test_a_trajectory_in_the_past_is_refused_and_the_running_one_goes_on() -> None:
    follower = Follower()
    follower.follow(line(1.0, 2.0), start=10.0, now=10.0)
    with pytest.raises(TrajectoryError, match="in the past"):
        follower.follow(line(-1.0, 1.0), start=5.0, now=10.5)
    assert follower.state(11.0)[0][0] == pytest.approx(0.5)


def test_hold_stops_where_it_is_and_forgets_what_waits() -> None:
    follower = Follower()
    follower.follow(line(1.0, 2.0), start=0.0, now=0.0)
    follower.follow(line(-1.0, 1.0), start=1.5, now=0.5)
    follower.hold(1.0)
    positions, velocities = follower.state(9.0)
    assert positions == pytest.approx((0.5, 0.0))
    assert velocities == REST


@settings(max_examples=50)
@given(start=pairs, end=pairs)
def test_a_follower_fed_with_our_points_arrives_with_them(start: Pair, end: Pair) -> None:
    trajectory, _ = move_through(start, REST, [end], BOUNDS)
    follower = Follower(start)
    follower.follow(trajectory.points[1:], start=100.0, now=100.0)
    middle = trajectory.duration / 2
    assert follower.state(100.0 + middle)[0] == pytest.approx(trajectory.sample(middle)[0], abs=1e-6)
    assert follower.state(100.0 + trajectory.duration)[0] == pytest.approx(end, abs=1e-6)


NAMES = ("pan", "tilt")


def test_the_order_of_the_joints_in_a_message_does_not_matter() -> None:
    read = read_points(NAMES, ["tilt", "pan"], [(1.0, [0.1, 0.2], [0.3, 0.4]), (2.0, [0.5, 0.6], [0.0, 0.0])])
    assert read[0] == Point(1.0, (0.2, 0.1), (0.4, 0.3))


@pytest.mark.parametrize(
    ("names", "points", "reason"),
    [
        (["pan"], [(1.0, [0.0], [])], "send pan and tilt"),
        (["pan", "roll"], [(1.0, [0.0, 0.0], [])], "send pan and tilt"),
        (["pan", "pan"], [(1.0, [0.0, 0.0], [])], "send pan and tilt"),
        ([], [(1.0, [0.0, 0.0], [])], "(none)"),
        (["pan", "tilt"], [(1.0, [0.0], [])], "2 positions"),
        (["pan", "tilt"], [(1.0, [0.0, 0.0], [0.0])], "2 positions"),
        (["pan", "tilt"], [(1.0, [0.0, math.nan], [])], "NaN"),
        (["pan", "tilt"], [(1.0, [0.0, 0.0], [math.inf, 0.0])], "NaN"),
        (["pan", "tilt"], [(0.0, [0.0, 0.0], [])], "above zero"),
        (["pan", "tilt"], [(1.0, [0.0, 0.0], []), (1.0, [0.1, 0.0], [])], "point 2"),
        (["pan", "tilt"], [(1.0, [0.0, 0.0], [0.1, 0.0])], "last point"),
    ],
)
def test_a_trajectory_that_no_controller_follows_is_refused_with_its_reason(
    names: list[str], points: list[tuple[float, list[float], list[float]]], reason: str
) -> None:
    with pytest.raises(TrajectoryError) as refusal:
        read_points(NAMES, names, points)
    assert reason in str(refusal.value)
