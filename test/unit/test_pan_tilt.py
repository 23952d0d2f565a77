"""The head's planner: targets, limits, gestures, stops, and what it does when it doesn't know where the head is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.pan_tilt import Move, PanTilt, Refused
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.trajectory import Follower, Pair

SETTINGS = PanTiltSettings()
NAMES = ("head_pan_joint", "head_tilt_joint")
NAN = math.nan


class Bench:
    """A planner with a controller that obeys at once and a clock that the test turns."""

    def __init__(self, settings: PanTiltSettings = SETTINGS, at: Pair = (0.0, 0.0)) -> None:
        self.planner = PanTilt(settings)
        self.follower = Follower(self.planner.to_joints(at))
        self.now = 100.0
        self.measured: list[tuple[Pair, Pair]] = []
        self.observe()

    def observe(self) -> None:
        positions, velocities = self.follower.state(self.now)
        self.measured.append((positions, velocities))
        assert self.planner.observe(NAMES, positions, velocities, self.now, self.now)

    def run(self, seconds: float) -> None:
        """Let time pass, with joint states at 50 Hz."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(self.now + 0.02, end)
            self.observe()

    def move(self, motion: str, pan: float = NAN, tilt: float = NAN, append: bool = False) -> Move:
        return self.send(self.planner.move(motion, pan, tilt, append, self.now))

    def stop(self) -> Move:
        return self.send(self.planner.stop(self.now))

    def send(self, move: Move) -> Move:
        points = [
            replace(
                point,
                positions=self.planner.to_joints(point.positions),
                velocities=self.planner.to_joints(point.velocities or (0.0, 0.0)),
            )
            for point in move.trajectory.points[1:]
        ]
        self.follower.follow(points, self.now, self.now)
        return move

    @property
    def position(self) -> Pair:
        return self.planner.status(self.now).position

    @property
    def moving(self) -> bool:
        return self.planner.status(self.now).moving

    def seen(self, joint: int) -> list[float]:
        return [positions[joint] for positions, _ in self.measured]


def test_an_absolute_move_arrives_when_it_said() -> None:
    bench = Bench()
    move = bench.move("absolute", 0.5, -0.3)
    assert move.target == (0.5, -0.3)
    assert bench.moving
    bench.run(move.trajectory.duration)
    assert bench.position == pytest.approx((0.5, -0.3))
    assert not bench.moving


def test_nan_leaves_a_joint_where_it_was_to_go() -> None:
    bench = Bench()
    bench.move("absolute", 0.5, 0.2)
    bench.run(0.1)
    assert bench.move("absolute", NAN, -0.2).target == (0.5, -0.2)


def test_beyond_the_limit_it_goes_to_the_limit_and_says_so() -> None:
    move = Bench().move("absolute", 3.0, -0.1)
    assert move.target == (SETTINGS.pan_max, -0.1)
    assert move.limited == (True, False)
    assert move.change == pytest.approx((SETTINGS.pan_max, -0.1))


def test_exactly_the_limit_is_not_beyond_it() -> None:
    move = Bench().move("absolute", SETTINGS.pan_min, SETTINGS.tilt_max)
    assert move.limited == (False, False)


def test_relative_moves_count_from_the_target_while_the_head_is_on_its_way() -> None:
    bench = Bench()
    bench.move("relative", 0.5)
    bench.run(0.1)
    assert bench.move("relative", 0.5).target[0] == pytest.approx(1.0)


def test_what_a_servo_falls_short_of_does_not_add_up() -> None:
    planner = PanTilt(SETTINGS)
    now = 0.0
    target = 0.0
    for step in range(20):
        side = 1.0 if step % 2 == 0 else -1.0
        planner.observe(NAMES, (target - 0.03, 0.0), (), 0.0, now)
        target = planner.move("relative", side * 0.5, NAN, False, now).target[0]
        for _ in range(100):
            now += 0.02
            planner.observe(NAMES, (target - 0.03, 0.0), (0.0, 0.0), 0.0, now)
    assert target == pytest.approx(-0.03)  # what it began with, once


def test_a_head_that_somebody_moved_counts_from_where_it_is() -> None:
    bench = Bench()
    bench.run(bench.move("absolute", 0.5, 0.2).trajectory.duration + 1.0)
    bench.follower = Follower((-0.4, 0.2))
    bench.run(0.1)
    move = bench.move("relative", 0.1, 0.1)
    assert move.target == pytest.approx((-0.3, 0.3))


def test_a_joint_beyond_its_limit_comes_back_with_the_next_command_and_is_not_reported() -> None:
    move = Bench(at=(2.0, 0.0)).move("absolute", NAN, 0.1)
    assert move.target == (SETTINGS.pan_max, 0.1)
    assert move.limited == (False, False)


def test_center_goes_straight_ahead() -> None:
    assert Bench(at=(0.7, 0.2)).move("center").target == (0.0, 0.0)


def test_center_outside_the_limits_is_limited() -> None:
    move = Bench(replace(SETTINGS, pan_min=0.2), at=(0.5, 0.0)).move("center")
    assert move.target == (0.2, 0.0)
    assert move.limited == (True, False)


@pytest.mark.parametrize(
    "at", [(0.0, 0.0), (SETTINGS.pan_max, SETTINGS.tilt_max), (SETTINGS.pan_min, SETTINGS.tilt_min)]
)
@pytest.mark.parametrize(
    ("motion", "joint", "swing"), [("nod", 1, 0.2), ("shake_head", 0, 0.3), ("look_around", 0, 1.0)]
)
def test_a_gesture_is_seen_and_ends_where_it_began(motion: str, joint: int, swing: float, at: Pair) -> None:
    bench = Bench(at=at)
    move = bench.move(motion)
    bench.run(move.trajectory.duration + 0.1)
    assert bench.position == pytest.approx(at)
    assert max(bench.seen(joint)) - min(bench.seen(joint)) >= swing * 0.99
    assert bench.seen(1 - joint) == pytest.approx([at[1 - joint]] * len(bench.measured))
    assert move.limited == (False, False)
    assert not bench.moving


def test_look_around_looks_to_both_sides() -> None:
    bench = Bench()
    bench.run(bench.move("look_around").trajectory.duration)
    assert max(bench.seen(0)) > 1.0
    assert min(bench.seen(0)) < -1.0


def test_an_appended_motion_comes_after_the_running_one() -> None:
    bench = Bench()
    alone = bench.move("absolute", 0.8).trajectory.duration
    bench.run(0.2)
    both = bench.move("absolute", -0.8, append=True)
    assert both.trajectory.duration > alone
    bench.run(both.trajectory.duration)
    assert max(bench.seen(0)) == pytest.approx(0.8, abs=0.01)
    assert bench.position[0] == pytest.approx(-0.8)


def test_an_appended_motion_does_not_repeat_what_is_over() -> None:
    bench = Bench()
    bench.run(bench.move("absolute", 0.8).trajectory.duration + 0.1)
    bench.run(bench.move("absolute", 0.0).trajectory.duration + 0.1)
    bench.measured.clear()
    bench.run(bench.move("absolute", -0.5, append=True).trajectory.duration)
    assert max(bench.seen(0)) <= 0.0


def test_several_motions_can_be_appended() -> None:
    bench = Bench()
    bench.move("absolute", 0.4)
    bench.move("relative", NAN, 0.3, append=True)
    last = bench.move("nod", append=True)
    assert last.target == pytest.approx((0.4, 0.3))
    bench.run(last.trajectory.duration)
    assert bench.position == pytest.approx((0.4, 0.3))
    assert max(bench.seen(1)) == pytest.approx(0.5, abs=0.01)


def test_without_append_the_running_motion_is_given_up_without_a_jerk() -> None:
    bench = Bench()
    bench.move("absolute", 1.5)
    bench.run(0.5)
    before = bench.measured[-1][1][0]
    bench.move("absolute", -0.5)
    bench.run(0.02)
    assert bench.measured[-1][1][0] == pytest.approx(before - 0.02 * SETTINGS.max_acceleration, abs=0.01)
    bench.run(3.0)
    assert max(bench.seen(0)) < 1.0
    assert bench.position[0] == pytest.approx(-0.5)


def test_between_two_joint_states_a_replaced_motion_begins_with_the_speed_that_the_head_has() -> None:
    bench = Bench()
    bench.move("absolute", 1.5, 0.5)
    bench.run(0.2)
    bench.now += 0.018

    move = bench.planner.move("absolute", -0.5, 0.0, False, bench.now)

    positions, velocities = bench.follower.state(bench.now)
    assert move.trajectory.points[0].velocities == pytest.approx(velocities, abs=1e-6)
    assert move.trajectory.points[0].positions == pytest.approx(positions, abs=1e-6)


def test_after_the_clock_was_set_back_the_position_is_unknown_until_it_is_seen_again() -> None:
    bench = Bench()
    bench.move("absolute", 1.0, 0.0)
    bench.run(0.2)

    bench.now -= 60.0
    assert bench.planner.stale(bench.now)
    with pytest.raises(Refused, match="unknown"):
        bench.move("center")
    bench.observe()

    assert not bench.planner.stale(bench.now)
    assert bench.move("center").target == (0.0, 0.0)


def test_a_speed_that_no_head_has_is_computed_instead() -> None:
    bench = Bench()
    bench.planner.observe(NAMES, (0.0, 0.0), (1e300, -1e300), bench.now + 0.02, bench.now + 0.02)

    assert bench.planner.move("nod", NAN, NAN, False, bench.now + 0.03).trajectory.duration < 10.0


def test_stop_brakes_within_the_braking_distance() -> None:
    bench = Bench()
    bench.move("absolute", 1.5, 0.5)
    bench.run(0.5)
    where, speed = bench.measured[-1][0][0], bench.measured[-1][1][0]
    assert speed == pytest.approx(1.5)
    move = bench.stop()
    bench.run(1.0)
    assert bench.position[0] - where == pytest.approx(speed**2 / (2 * SETTINGS.stop_acceleration), abs=1e-3)
    assert bench.position == pytest.approx(move.target)
    assert not bench.moving


def test_a_stop_brakes_no_less_than_a_motion_does() -> None:
    settings = replace(SETTINGS, max_acceleration=8.0, stop_acceleration=1.0)
    planner = PanTilt(settings)
    planner.observe(NAMES, (0.0, 0.0), (1.0, 0.0), 0.0, 1.0)
    assert planner.stop(1.0).target[0] == pytest.approx(1.0 / (2 * 8.0))


def test_stop_computes_the_velocity_where_joint_states_have_none() -> None:
    planner = PanTilt(SETTINGS)
    planner.observe(NAMES, (0.0, 0.0), (), 10.0, 50.0)
    planner.observe(NAMES, (0.02, 0.0), (), 10.02, 50.021)
    assert planner.stop(50.021).target[0] == pytest.approx(0.02 + 1.0 / (2 * SETTINGS.stop_acceleration))


def test_stop_at_a_limit_ends_at_the_limit() -> None:
    planner = PanTilt(SETTINGS)
    planner.observe(NAMES, (SETTINGS.pan_max - 0.01, 0.0), (1.5, 0.0), 0.0, 1.0)
    assert planner.stop(1.0).target[0] == SETTINGS.pan_max


def test_a_move_asked_for_as_stop_is_a_stop_and_forgets_what_was_appended() -> None:
    bench = Bench()
    bench.move("absolute", 1.0)
    bench.move("absolute", -1.0, append=True)
    bench.run(0.3)
    stopped = bench.move("stop", append=True)
    bench.run(0.05)
    assert bench.move("relative", 0.0, append=True).target == pytest.approx(stopped.target)


def test_while_stale_moves_are_refused_with_the_sentence() -> None:
    bench = Bench()
    bench.now += 0.6
    with pytest.raises(Refused, match=r"unknown: no joint_states with head_pan_joint and head_tilt_joint for 0\.5 s"):
        bench.move("center")


def test_before_the_first_joint_states_everything_is_refused() -> None:
    planner = PanTilt(SETTINGS)
    assert planner.status(0.0).stale
    assert math.isnan(planner.status(0.0).position[0])
    for motion in ("center", "stop"):
        with pytest.raises(Refused, match="unknown"):
            planner.move(motion, NAN, NAN, False, 0.0)


def test_while_stale_a_stop_brakes_from_where_the_plan_is() -> None:
    bench = Bench()
    bench.move("absolute", 1.5)
    bench.run(0.1)
    bench.now += 0.6
    expected = bench.follower.state(bench.now)[0][0]
    assert bench.stop().target[0] == pytest.approx(expected + 1.5**2 / (2 * SETTINGS.stop_acceleration), abs=0.01)


def test_while_stale_a_stop_without_a_plan_holds_the_last_position() -> None:
    bench = Bench(at=(0.3, 0.1))
    bench.now += 10.0
    assert bench.stop().target == (0.3, 0.1)


def test_when_joint_states_come_back_commands_work_again_and_the_old_plan_is_gone() -> None:
    bench = Bench()
    bench.move("absolute", 1.5)
    bench.now += 5.0
    bench.follower = Follower()
    bench.observe()
    assert not bench.planner.status(bench.now).stale
    assert bench.planner.status(bench.now).target == (0.0, 0.0)
    assert bench.move("relative", 0.2, append=True).target == pytest.approx((0.2, 0.0))


def test_joints_may_be_in_any_order_among_others() -> None:
    planner = PanTilt(SETTINGS)
    assert planner.observe(("wheel", *reversed(NAMES)), (9.0, 0.2, 0.1), (), 0.0, 1.0)
    assert planner.status(1.0).position == (0.1, 0.2)


@pytest.mark.parametrize(
    ("names", "positions"),
    [
        (NAMES[:1], (0.1,)),
        (("wheel",), (0.1,)),
        (NAMES, (0.1,)),
        (NAMES, ()),
        (NAMES, (0.1, NAN)),
        (NAMES, (math.inf, 0.1)),
        (NAMES, (1e10, 0.1)),
    ],
)
def test_joint_states_that_cannot_be_used_change_nothing(names: tuple[str, ...], positions: tuple[float, ...]) -> None:
    bench = Bench(at=(0.3, 0.1))
    bench.now += 0.6
    assert not bench.planner.observe(names, positions, (), bench.now, bench.now)
    assert bench.planner.status(bench.now).stale
    assert bench.position == (0.3, 0.1)


def test_a_velocity_of_nan_is_computed_instead() -> None:
    planner = PanTilt(SETTINGS)
    planner.observe(NAMES, (0.0, 0.0), (NAN, NAN), 0.0, 1.0)
    planner.observe(NAMES, (0.02, 0.0), (NAN, 0.0), 0.0, 1.02)
    assert planner.stop(1.02).target[0] == pytest.approx(0.02 + 1.0 / (2 * SETTINGS.stop_acceleration))


def test_the_signs_turn_the_joints_and_not_the_head() -> None:
    bench = Bench(replace(SETTINGS, pan_sign=-1.0, tilt_sign=-1.0), at=(0.1, 0.1))
    bench.run(bench.move("absolute", 0.5, 0.2).trajectory.duration)
    assert bench.position == pytest.approx((0.5, 0.2))
    assert bench.measured[-1][0] == pytest.approx((-0.5, -0.2))


@pytest.mark.parametrize(
    ("motion", "pan", "tilt", "reason"),
    [
        ("dance", 0.0, 0.0, "there is no motion 'dance'; there are: absolute"),
        ("", 0.0, 0.0, "there is no motion"),
        ("absolute", NAN, NAN, "give at least one"),
        ("absolute", math.inf, 0.0, "pan is inf"),
        ("relative", 0.0, -math.inf, "tilt is -inf"),
        ("relative", 1e300, 0.0, "radians"),
        ("absolute", 90.0, 0.0, "radians"),
    ],
)
def test_what_is_no_command_is_refused_with_its_reason(motion: str, pan: float, tilt: float, reason: str) -> None:
    bench = Bench()
    with pytest.raises(Refused) as refusal:
        bench.move(motion, pan, tilt)
    assert reason in str(refusal.value)
    assert not bench.moving


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pan_sign": 0.5}, "pan_sign is 0.5; it must be 1.0 or -1.0"),
        ({"tilt_sign": 0.0}, "tilt_sign"),
        ({"pan_min": 1.0, "pan_max": -1.0}, "pan_min is 1.0 and pan_max is -1.0"),
        ({"tilt_min": 0.5, "tilt_max": 0.5}, "tilt_min"),
        ({"tilt_joint": "head_pan_joint"}, "both 'head_pan_joint'"),
        ({"pan_joint": ""}, "pan_joint is empty"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        PanTilt(replace(SETTINGS, **changes))  # type: ignore[arg-type]
    assert reason in str(error.value)


def test_all_motions_of_the_service_are_known() -> None:
    for motion in ("absolute", "relative", "center", "look_around", "nod", "shake_head", "stop"):
        Bench().move(motion, 0.1, 0.1)


angles = st.one_of(st.just(NAN), st.floats(-3.0, 3.0, allow_subnormal=False))
commands = st.tuples(
    st.sampled_from(("absolute", "relative", "center", "look_around", "nod", "shake_head", "stop")),
    angles,
    angles,
    st.booleans(),
    st.floats(0.0, 1.5),
)


@settings(max_examples=60, deadline=None)
@given(sequence=st.lists(commands, min_size=1, max_size=6))
def test_no_sequence_of_commands_leaves_limits_speed_or_acceleration(
    sequence: list[tuple[str, float, float, bool, float]],
) -> None:
    bench = Bench()
    for motion, pan, tilt, append, wait in sequence:
        if motion in ("absolute", "relative") and math.isnan(pan) and math.isnan(tilt):
            continue
        bench.move(motion, pan, tilt, append)
        bench.run(wait)
    bench.run(0.5)
    stops = any(motion == "stop" for motion, *_ in sequence)
    limits = ((SETTINGS.pan_min, SETTINGS.pan_max), (SETTINGS.tilt_min, SETTINGS.tilt_max))
    for joint, (low, high) in enumerate(limits):
        assert min(bench.seen(joint)) >= low - 1e-6
        assert max(bench.seen(joint)) <= high + 1e-6
        speeds = [velocities[joint] for _, velocities in bench.measured]
        assert max(map(abs, speeds)) <= SETTINGS.max_speed * 1.001
        # Measured every 20 ms or more often, at which the change of speed tells the mean acceleration in between.
        for before, after in itertools.pairwise(speeds):
            braking = stops and abs(after) < abs(before)
            hardest = SETTINGS.stop_acceleration if braking else SETTINGS.max_acceleration
            assert abs(after - before) <= hardest * 0.02 * 1.03
