"""pan_tilt and pan_tilt_sim as separate processes over DDS."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lfm_voice_ros.msg import HeadState
from lfm_voice_ros.nodes.base import to_seconds
from lfm_voice_ros.srv import MoveHead

Start = Callable[..., NodeProcess]
NAMES = ["head_pan_joint", "head_tilt_joint"]


class Bench:
    """Both nodes, and a probe that sees what they say."""

    def __init__(self, start: Start, probe: Probe, **parameters: Any) -> None:
        self._start = start
        self.probe = probe
        self.joint_states: list[JointState] = probe.subscribe("joint_states", JointState)
        self.head_states: list[HeadState] = probe.subscribe("head/state", HeadState)
        self.diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
        self.pan_tilt = start("pan_tilt", parameters={"joint_states_timeout": 2.0, **parameters})
        self.start_sim()
        self.wait_until_commands_work()

    def wait_until_commands_work(self) -> None:
        """Try at each head/state: joint states may come before the controller's subscription is found."""
        self.probe.wait_for(lambda: self.joint_states, what="a joint state")
        deadline = time.monotonic() + 60.0
        while True:
            seen = len(self.head_states)
            self.probe.wait_for(lambda: len(self.head_states) > seen, what="a head/state")  # noqa: B023
            if self.move("absolute", 0.0, 0.0).success:
                return
            assert time.monotonic() < deadline, self.pan_tilt.output

    def start_sim(self) -> None:
        self.sim = self._start("pan_tilt_sim")

    def move(self, motion: str, pan: float = math.nan, tilt: float = math.nan, append: bool = False) -> Any:
        request = MoveHead.Request(motion=motion, pan=pan, tilt=tilt, append=append)
        return self.probe.call("head/move", MoveHead, request)

    def wait_until_at(self, pan: float, tilt: float, timeout: float = 60.0) -> None:
        def there() -> bool:
            last = self.joint_states[-1]
            return math.hypot(last.position[0] - pan, last.position[1] - tilt) < 0.002

        self.probe.wait_for(there, timeout, f"the head at {pan}, {tilt}")

    def wait_until_still(self) -> None:
        """Wait for two head states that say so, the first of which may have been on its way before the command."""
        seen = len(self.head_states)
        self.probe.wait_for(
            lambda: len(self.head_states) > seen + 1 and not any(state.moving for state in self.head_states[-2:]),
            what="a head that stands still",
        )

    def wait_for_diagnosis(self, node: str, level: int, text: str) -> None:
        seen = len(self.diagnostics)
        self.probe.wait_for(
            lambda: any(
                status.name == node and status.level == bytes([level]) and text in status.message
                for array in self.diagnostics[seen:]
                for status in array.status
            ),
            what=f"a diagnosis of {node} with level {level} and {text!r}",
        )


@pytest.fixture
def bench(start: Start, probe: Probe) -> Bench:
    return Bench(start, probe)


def test_the_head_moves_to_the_target_and_its_state_follows(bench: Bench) -> None:
    response = bench.move("absolute", 0.5, -0.3)
    assert response.success, response.message
    assert (response.pan, response.tilt) == (0.5, -0.3)
    assert not response.pan_limited
    assert 0.3 < response.duration.sec + response.duration.nanosec * 1e-9 < 2.0
    bench.probe.wait_for(lambda: bench.head_states[-1].moving, what="a moving head")
    bench.wait_until_at(0.5, -0.3)
    bench.wait_until_still()
    last = bench.head_states[-1]
    assert (last.pan, last.tilt) == pytest.approx((0.5, -0.3), abs=0.002)
    assert (last.target_pan, last.target_tilt) == (0.5, -0.3)


def test_a_target_beyond_the_limit_is_reported_and_the_limit_reached(bench: Bench) -> None:
    response = bench.move("relative", 3.0)
    assert response.success
    assert response.pan == pytest.approx(1.57)
    assert (response.pan_limited, response.tilt_limited) == (True, False)
    bench.wait_until_at(1.57, 0.0)


def test_look_left_then_right_is_seen_as_both(bench: Bench) -> None:
    bench.move("absolute", 0.6)
    response = bench.move("absolute", -0.6, append=True)
    assert response.success
    bench.wait_until_at(-0.6, 0.0)
    assert max(state.position[0] for state in bench.joint_states) == pytest.approx(0.6, abs=0.1)


def test_a_nod_is_seen_and_ends_where_it_began(bench: Bench) -> None:
    bench.move("absolute", 0.2, 0.1)
    bench.wait_until_at(0.2, 0.1)
    bench.wait_until_still()
    begin = len(bench.joint_states)
    assert bench.move("nod").success
    bench.probe.wait_for(lambda: bench.head_states[-1].moving, what="a moving head")
    bench.wait_until_still()
    tilts = [state.position[1] for state in bench.joint_states[begin:]]
    assert max(tilts) == pytest.approx(0.3, abs=0.1)
    assert min(tilts) == pytest.approx(-0.1, abs=0.1)
    assert tilts[-1] == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("by", ["service", "topic"])
def test_stop_halts_the_head_within_its_braking_distance(bench: Bench, by: str) -> None:
    bench.move("absolute", -1.5)
    bench.wait_until_at(-1.5, 0.0)
    bench.move("absolute", 1.5)
    bench.probe.wait_for(lambda: bench.joint_states[-1].velocity[0] > 1.4, what="a head at full speed")
    if by == "service":
        assert bench.move("stop").success
    else:
        bench.probe.publish("head/stop", Empty())
    bench.probe.wait_for(lambda: abs(bench.joint_states[-1].velocity[0]) < 1e-6, what="a head at rest")
    braked_at = next(state.position[0] for state in reversed(bench.joint_states) if state.velocity[0] > 1.4)
    braking_distance = 1.5**2 / (2 * 4.0)
    assert bench.joint_states[-1].position[0] - braked_at < braking_distance + 1.5 * 0.1
    bench.wait_until_still()
    rested = bench.joint_states[-1].position[0]
    assert rested < 1.2
    assert bench.head_states[-1].target_pan == pytest.approx(rested, abs=0.01)


def test_trajectories_are_such_as_a_controller_takes(bench: Bench) -> None:
    trajectories: list[JointTrajectory] = bench.probe.subscribe("head_controller/joint_trajectory", JointTrajectory)
    bench.probe.wait_for_value("pan_tilt", "state", "active")
    for motion in ("nod", "look_around", "stop"):
        before = len(trajectories)
        assert bench.move(motion).success
        bench.probe.wait_for(lambda: len(trajectories) > before, what=f"the trajectory of {motion}")  # noqa: B023
        message = trajectories[-1]
        assert list(message.joint_names) == NAMES
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
        times = [point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in message.points]
        assert times[0] > 0.0
        assert times == sorted(set(times))
        assert all(len(point.positions) == len(point.velocities) == 2 for point in message.points)
        assert list(message.points[-1].velocities) == [0.0, 0.0]


def test_without_joint_states_commands_are_refused_and_work_again_afterwards(bench: Bench) -> None:
    bench.sim.kill()
    bench.probe.wait_for(lambda: bench.head_states[-1].stale, what="a stale head/state")
    refused = bench.move("center")
    assert not refused.success
    assert refused.message.startswith("the head's position is unknown: no joint_states with head_pan_joint")
    stopped = bench.move("stop")
    assert not stopped.success
    assert stopped.message.startswith("the head was told to hold still, but the head's position is unknown")
    bench.wait_for_diagnosis("pan_tilt", 2, "the head's position is unknown")
    bench.pan_tilt.wait_for_output("position is unknown: no joint_states")
    bench.start_sim()
    bench.probe.wait_for(lambda: not bench.head_states[-1].stale, what="a head/state that is up to date")
    bench.wait_until_commands_work()
    assert bench.move("absolute", 0.3).success
    bench.wait_until_at(0.3, 0.0)
    bench.wait_for_diagnosis("pan_tilt", 0, "ok")


def _has(states: list[HeadState], count: int) -> bool:
    return len(states) >= count


def test_without_a_controller_the_refusal_says_so(start: Start, probe: Probe) -> None:
    start("pan_tilt", parameters={"joint_states_timeout": 60.0})
    states: list[HeadState] = probe.subscribe("head/state", HeadState)
    for _ in range(100):
        # As a controller does, again and again: joint states are best effort, and a single one can be lost.
        probe.publish("joint_states", JointState(name=NAMES, position=[0.0, 0.0]))
        wanted = len(states) + 1
        probe.wait_for(partial(_has, states, wanted), what="a head/state")
        if not states[-1].stale:
            break
    assert not states[-1].stale
    response = probe.call("head/move", MoveHead, MoveHead.Request(motion="center"))
    assert not response.success
    assert response.message.startswith("no controller listens on /head_controller/joint_trajectory; start it")


@pytest.mark.parametrize(
    ("motion", "pan", "reason"),
    [("dance", 0.0, "there is no motion 'dance'"), ("absolute", math.inf, "pan is inf"), ("relative", 1e9, "radians")],
)
def test_what_is_no_command_is_refused_with_a_sentence(bench: Bench, motion: str, pan: float, reason: str) -> None:
    response = bench.move(motion, pan)
    assert not response.success
    assert reason in response.message
    assert bench.move("absolute", 0.1).success


def trajectory(names: list[str], *points: tuple[float, list[float], list[float]]) -> JointTrajectory:
    return JointTrajectory(
        joint_names=names,
        points=[
            JointTrajectoryPoint(
                time_from_start=Duration(sec=int(at), nanosec=int(at % 1 * 1e9)), positions=where, velocities=speed
            )
            for at, where, speed in points
        ],
    )


def test_the_sim_refuses_bad_trajectories_says_so_and_goes_on(bench: Bench) -> None:
    topic = "head_controller/joint_trajectory"
    for bad, reason in (
        (trajectory(["a", "b"], (1.0, [1.0, 1.0], [])), "send head_pan_joint and head_tilt_joint"),
        (trajectory(NAMES, (1.0, [1.0, math.nan], [])), "NaN"),
        (trajectory(NAMES, (1.0, [1.0, 0.0], []), (0.5, [0.5, 0.0], [])), "time_from_start"),
    ):
        bench.probe.publish(topic, bad)
        bench.wait_for_diagnosis("pan_tilt_sim", 1, reason)
        assert bench.sim.running
    assert bench.joint_states[-1].position[0] == 0.0
    bench.probe.publish(topic, trajectory(NAMES[::-1], (0.2, [0.1, 0.4], [])))
    bench.wait_until_at(0.4, 0.1)
    bench.wait_for_diagnosis("pan_tilt_sim", 0, "ok")


def test_an_empty_trajectory_holds_the_sim(bench: Bench) -> None:
    topic = "head_controller/joint_trajectory"
    bench.probe.publish(topic, trajectory(NAMES, (10.0, [1.5, 0.0], [])))
    bench.probe.wait_for(lambda: bench.joint_states[-1].position[0] > 0.05, what="a moving sim")
    bench.probe.publish(topic, trajectory(NAMES))
    bench.probe.wait_for(lambda: bench.joint_states[-1].velocity[0] == 0.0, what="a sim at rest")
    assert bench.joint_states[-1].position[0] < 1.4


def test_joint_states_come_at_50_hz(bench: Bench) -> None:
    begin = len(bench.joint_states)
    bench.probe.wait_for(lambda: len(bench.joint_states) >= begin + 101, what="a hundred joint states")
    stamps = [to_seconds(state.header.stamp) for state in bench.joint_states[begin : begin + 101]]
    # A busy machine leaves some out.
    period = statistics.median(after - before for before, after in pairwise(stamps))
    assert 1.0 / period == pytest.approx(50.0, rel=0.1)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_both_end_within_two_seconds_of_a_signal_with_exit_code_0(bench: Bench, number: Signals) -> None:
    for node in (bench.pan_tilt, bench.sim):
        assert node.stop(number, timeout=2.0) == 0, node.output
        assert "Traceback" not in node.output


@pytest.mark.parametrize("executable", ["pan_tilt", "pan_tilt_sim"])
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"pan_joynt": "a"}, "has no parameter 'pan_joynt'; it has: "),
        ({"pan_joint": "a", "tilt_joint": "a"}, "pan_joint and tilt_joint are both 'a'"),
        ({"pan_joint": 5}, "it must be a str"),
    ],
)
def test_a_wrong_parameter_ends_in_one_sentence_and_exit_code_2(
    start: Start, executable: str, parameters: dict[str, Any], sentence: str
) -> None:
    node = start(executable, parameters=parameters)
    assert node.wait(20.0) == 2
    assert sentence in node.output
    assert len(node.output.strip().splitlines()) == 1, node.output


def test_a_value_outside_its_range_ends_in_one_sentence_and_exit_code_2(start: Start) -> None:
    node = start("pan_tilt", parameters={"max_speed": -1.0})
    assert node.wait(20.0) == 2
    assert node.output.strip() == "lfm_voice_ros: pan_tilt.max_speed is -1.0; it must lie between 0.01 and 20.0"


def test_a_namespace_and_other_joint_names_move_both(start: Start, probe: Probe) -> None:
    names = {"pan_joint": "neck_yaw", "tilt_joint": "neck_pitch"}
    start("pan_tilt", parameters={**names, "pan_sign": -1.0}, remappings={"__ns": "/robot"})
    start("pan_tilt_sim", parameters=names, remappings={"__ns": "/robot"})
    states: list[JointState] = probe.subscribe("/robot/joint_states", JointState)
    heads: list[HeadState] = probe.subscribe("/robot/head/state", HeadState)
    probe.wait_for(lambda: heads and not heads[-1].stale, what="a head/state")
    request = MoveHead.Request(motion="absolute", pan=0.4, tilt=0.2)
    deadline = time.monotonic() + 20.0
    while not probe.call("/robot/head/move", MoveHead, request).success:
        assert time.monotonic() < deadline
    probe.wait_for(lambda: states and abs(states[-1].position[0] + 0.4) < 0.002, what="the joint at the other sign")
    assert list(states[-1].name) == ["neck_yaw", "neck_pitch"]
    probe.wait_for(lambda: abs(heads[-1].pan - 0.4) < 0.002, what="the head to the left")
