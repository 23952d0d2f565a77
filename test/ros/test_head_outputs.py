"""pan_tilt with the controllers that robots have; they are played by the probe's process."""

from __future__ import annotations

import itertools
import math
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped, Quaternion, TransformStamped, Vector3
from harness import NodeProcess, Probe
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, Float64MultiArray, Header, String

from lfm_voice_ros.core.pointing import PointingError
from lfm_voice_ros.core.trajectory import Follower, Pair, read_points
from lfm_voice_ros.msg import HeadState
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import to_seconds, to_stamp
from lfm_voice_ros.nodes.head.frames import Frames
from lfm_voice_ros.srv import MoveHead

control = pytest.importorskip("control_msgs.action", reason="control_msgs comes with a ROS distribution")
ptz = pytest.importorskip(
    "ptz_action_server_msgs.action", reason="ptz_action_server_msgs comes with a ROS distribution"
)

Start = Callable[..., NodeProcess]
NAMES = ("head_pan_joint", "head_tilt_joint")
#: A head that is still on its way when a busy machine has got round to stopping it, and isn't forgotten at once.
SLOW = {"max_speed": 0.5, "joint_states_timeout": 2.0}
_SIMULATION = 1e9  # s by which a simulation's clock is late
SUCCEEDED, CANCELED, ABORTED = 4, 5, 6
URDF = """<robot name="r"><link name="torso"/><link name="pan_link"/><link name="tilt_link"/>
<joint name="head_pan_joint" type="revolute"><parent link="torso"/><child link="pan_link"/><axis xyz="0 0 1"/>
<limit lower="-0.4" upper="0.9" velocity="1.0" effort="1"/></joint>
<joint name="head_tilt_joint" type="revolute"><parent link="pan_link"/><child link="tilt_link"/><axis xyz="0 1 0"/>
<limit lower="-0.5" upper="0.5" velocity="1.0" effort="1"/></joint></robot>"""


class Robot:
    """A head whose joints obey at once, and what is seen of it and of pan_tilt."""

    def __init__(self, probe: Probe, namespace: str = "") -> None:
        self.probe = probe
        self.node = probe._node
        self.namespace = namespace
        self.follower = Follower()
        self.held: Pair | None = None  # where positions have put it
        self.clock: Any = None
        self.states: list[HeadState] = probe.subscribe(f"{namespace}/head/state", HeadState)
        self.diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
        self._joint_states = self.node.create_publisher(JointState, f"{namespace}/joint_states", qos.JOINT_STATES_OUT)
        self.node.create_timer(0.02, self._publish)

    def position(self) -> Pair:
        return self.held or self.follower.state(self.probe.now())[0]

    def keep_time(self) -> None:
        """Publish a simulation's clock, which began long ago."""
        self.clock = self.node.create_publisher(Clock, "/clock", 10)

    def _publish(self) -> None:
        now = self.probe.now()
        if self.clock is not None:
            now -= _SIMULATION
            self.clock.publish(Clock(clock=to_stamp(now)))
        velocity = () if self.held else self.follower.state(self.probe.now())[1]
        self._joint_states.publish(
            JointState(header=Header(stamp=to_stamp(now)), name=NAMES, position=self.position(), velocity=velocity)
        )

    def move(self, motion: str, pan: float = math.nan, tilt: float = math.nan) -> Any:
        request = MoveHead.Request(motion=motion, pan=pan, tilt=tilt)
        return self.probe.call(f"{self.namespace}/head/move", MoveHead, request)

    def wait_until_it_moves(self, motion: str, pan: float = math.nan, tilt: float = math.nan) -> Any:
        """Ask until it is done: joint states and controllers are found some time after the start."""
        response: list[Any] = []

        def done() -> bool:
            return bool(response) and response[-1].success

        for _ in range(100):
            seen = len(self.states)
            self.wait(lambda: len(self.states) > seen, "a head/state")  # noqa: B023
            response.append(self.move(motion, pan, tilt))
            if done():
                return response[-1]
        raise AssertionError(response[-1].message)

    def wait(self, predicate: Callable[[], Any], what: str) -> None:
        self.probe.wait_for(predicate, what=what)

    def wait_until_at(self, pan: float, tilt: float) -> None:
        self.wait(
            lambda: math.dist((self.states[-1].pan, self.states[-1].tilt), (pan, tilt)) < 0.005,
            f"a head at {pan}, {tilt}",
        )

    def wait_for_diagnosis(self, level: int, text: str) -> None:
        seen = len(self.diagnostics)
        self.wait(
            lambda: any(
                status.name.endswith("pan_tilt") and status.level == bytes([level]) and text in status.message
                for array in self.diagnostics[seen:]
                for status in array.status
            ),
            f"a diagnosis with {text!r}",
        )

    def value(self, key: str) -> str:
        return next(
            (
                value.value
                for array in reversed(self.diagnostics)
                for status in array.status
                if status.name.endswith("pan_tilt")
                for value in status.values
                if value.key == key
            ),
            "",
        )


class Controller:
    """The action server of a head controller; a goal runs until the test ends it."""

    def __init__(self, robot: Robot, action: Any, name: str, begin: Callable[[Any], None] = lambda _goal: None) -> None:
        self.action = action
        self.goals: list[Any] = []
        self.running: list[Any] = []
        self.canceled: list[Any] = []
        self.rejects = False
        self._begin = begin
        self._tell = robot.probe._tell
        self.server = ActionServer(
            robot.node,
            action,
            name,
            execute_callback=lambda _handle: action.Result(),
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    def end(self, result: Any, *, well: bool) -> None:
        handle = self.running[-1]

        def finish(executed: Any) -> Any:
            executed.succeed() if well else executed.abort()
            return result

        handle.execute(finish)

    def _on_goal(self, goal: Any) -> GoalResponse:
        self.goals.append(goal)
        self._tell()
        return GoalResponse.REJECT if self.rejects else GoalResponse.ACCEPT

    def _on_accepted(self, handle: Any) -> None:
        self.running.append(handle)
        self._begin(handle.request)
        self._tell()

    def _on_cancel(self, handle: Any) -> CancelResponse:
        self.canceled.append(handle)
        self._tell()
        return CancelResponse.ACCEPT


class Client:
    """A client of pan_tilt's own action."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.errors: list[float] = []
        self._client = ActionClient(robot.node, control.PointHead, "head_controller/point_head")
        robot.wait(self._client.server_is_ready, "the action head_controller/point_head")

    def send(self, x: float, y: float, z: float, frame: str = "neck") -> Any:
        """Send a goal; give its handle."""
        goal = control.PointHead.Goal(target=PointStamped(header=Header(frame_id=frame), point=Point(x=x, y=y, z=z)))
        sent = self.robot.probe.in_callbacks(lambda: self._client.send_goal_async(goal, self._on_feedback))
        return self._wait(sent, "an answer to the goal")

    def outcome(self, handle: Any) -> int:
        return int(self._wait(self.robot.probe.in_callbacks(handle.get_result_async), "a result").status)

    def cancel(self, handle: Any) -> None:
        self._wait(self.robot.probe.in_callbacks(handle.cancel_goal_async), "an answer to the cancellation")

    def _on_feedback(self, message: Any) -> None:
        self.errors.append(message.feedback.pointing_angle_error)
        self.robot.probe._tell()

    def _wait(self, future: Any, what: str) -> Any:
        future.add_done_callback(lambda _future: self.robot.probe._tell())
        self.robot.wait(future.done, what)
        return future.result()


def test_a_trajectory_is_a_goal_that_replaces_the_one_before_and_is_canceled_by_a_stop(
    start: Start, probe: Probe
) -> None:
    robot = Robot(probe, "/robot")

    def follow(goal: Any) -> None:
        points = [(to_seconds(p.time_from_start), p.positions, p.velocities) for p in goal.trajectory.points]
        robot.follower.follow(read_points(NAMES, goal.trajectory.joint_names, points), probe.now(), probe.now())

    controller = Controller(robot, control.FollowJointTrajectory, "/neck/follow", follow)
    start(
        "pan_tilt",
        parameters={**SLOW, "output": "follow_joint_trajectory", "tilt_sign": -1.0},
        remappings={"__ns": "/robot", "head_controller/follow_joint_trajectory": "/neck/follow"},
    )

    assert robot.wait_until_it_moves("absolute", 0.3, -0.2).success
    robot.wait_until_at(0.3, -0.2)
    assert robot.position() == pytest.approx((0.3, 0.2), abs=0.02)  # this joint counts upwards
    controller.end(control.FollowJointTrajectory.Result(), well=True)

    seen = len(controller.running)
    robot.move("absolute", -1.5)
    robot.wait(lambda: robot.states[-1].moving and len(controller.running) > seen, "a moving head")
    first = controller.running[-1]
    robot.move("absolute", 1.5)
    robot.wait(lambda: first in controller.canceled, "the cancellation of the goal that was replaced")
    second = controller.running[-1]
    assert second is not first
    probe.publish("/robot/head/stop", Empty())
    robot.wait(lambda: second in controller.canceled, "the cancellation by a stop")
    robot.wait(lambda: controller.running[-1] is not second, "the goal that holds")
    assert list(controller.goals[-1].trajectory.points[-1].velocities) == [0.0, 0.0]
    robot.wait(lambda: not any(state.moving for state in robot.states[-2:]), "a head at rest")
    assert robot.states[-1].pan < 1.2

    controller.end(control.FollowJointTrajectory.Result(), well=True)
    seen = len(controller.running)
    robot.move("absolute", 0.5)
    robot.wait(lambda: len(controller.running) > seen, "the goal")
    controller.end(control.FollowJointTrajectory.Result(error_code=-4, error_string="pan lags"), well=False)
    robot.wait(lambda: "PATH_TOLERANCE_VIOLATED (pan lags); something holds" in robot.states[-1].message, "the reason")
    robot.wait_for_diagnosis(2, "/neck/follow has not finished the motion: PATH_TOLERANCE_VIOLATED")

    seen = len(controller.running)
    robot.move("absolute", 1.5)
    robot.wait(lambda: len(controller.running) > seen, "the goal")
    still = controller.running[-1]
    controller.rejects = True
    robot.move("absolute", 0.0)
    robot.wait_for_diagnosis(2, "/neck/follow has rejected the motion")
    robot.wait(lambda: robot.states[-1].target_pan != 0.0, "a target that isn't that of the rejected goal")
    robot.wait(lambda: still in controller.canceled, "the cancellation of what ran when another motion was rejected")
    controller.rejects = False
    robot.move("absolute", 0.0)
    robot.wait_for_diagnosis(0, "ok")
    assert robot.value("head") == "follow_joint_trajectory at /neck/follow"


def test_positions_move_the_head_and_the_head_can_be_pointed(start: Start, probe: Probe) -> None:
    robot = Robot(probe)
    commands: list[Float64MultiArray] = []

    def obey(message: Float64MultiArray) -> None:
        commands.append(message)
        robot.held = (message.data[0], message.data[1])

    robot.node.create_subscription(Float64MultiArray, "head_controller/commands", obey, 10)
    pan_tilt = start("pan_tilt", parameters={**SLOW, "output": "position", "head_frame": "neck", "pan_axis_z": 0.5})

    robot.wait_until_it_moves("absolute", 0.4, 0.1)
    robot.wait_until_at(0.4, 0.1)
    steps = [abs(b.data[0] - a.data[0]) for a, b in itertools.pairwise(commands)]
    assert len(commands) > 10
    assert max(steps) < 0.5 * 0.6  # rad/s, and a command late by 0.6 s

    robot.move("absolute", -1.5)
    robot.wait(lambda: commands[-1].data[0] < 0.0, "a head on its way")
    assert robot.move("stop").success
    robot.wait(lambda: not any(state.moving for state in robot.states[-2:]), "a head at rest")
    robot.wait(lambda: abs(commands[-1].data[0] - robot.states[-1].target_pan) < 0.001, "the end of the braking")
    assert commands[-1].data[0] > -1.2

    client = Client(robot)
    pointed = client.send(1.0, 1.0, 1.0)  # to the left and up
    assert pointed.accepted
    assert client.outcome(pointed) == SUCCEEDED
    robot.wait_until_at(math.pi / 4.0, -math.atan2(0.5, math.sqrt(2.0)))
    assert client.errors[0] > 0.5
    assert client.errors[-1] < 0.05

    beyond = client.send(-1.0, -0.1, 0.5)  # nearly behind it, to the right
    assert client.outcome(beyond) == ABORTED
    robot.wait_until_at(-1.57, 0.0)
    pan_tilt.wait_for_output("the point lies beyond the limits; the head looks")

    canceled = client.send(1.0, 5.0, 0.5)
    robot.wait(lambda: robot.states[-1].moving, "a moving head")
    client.cancel(canceled)
    assert client.outcome(canceled) == CANCELED
    robot.wait(lambda: not any(state.moving for state in robot.states[-2:]), "a head at rest")
    assert robot.states[-1].pan < 1.0

    older = client.send(1.0, 5.0, 0.5)
    newer = client.send(1.0, 0.0, 0.5)
    assert client.outcome(older) == ABORTED
    assert client.outcome(newer) == SUCCEEDED
    robot.wait_until_at(0.0, 0.0)

    assert not client.send(1.0, 0.0, 0.0, frame="").accepted
    assert not client.send(0.0, 0.0, 1.0).accepted
    pan_tilt.wait_for_output("the point lies in an axis of the head")


def test_a_ptz_driver_counts_clockwise_and_upwards_and_limits_come_from_the_description(
    start: Start, probe: Probe
) -> None:
    robot = Robot(probe)

    def go(goal: Any) -> None:
        # The driver's own joint states follow REP-103, as its robot description does.
        robot.held = (-goal.ptz.pan, -goal.ptz.tilt)

    controller = Controller(robot, ptz.PtzMove, "/camera/move_ptz", go)
    start(
        "pan_tilt",
        parameters={**SLOW, "output": "ptz", "joints_from": "robot_description", "ptz_zoom": 2.0},
        remappings={"head_controller/move_ptz": "/camera/move_ptz"},
    )
    robot.wait_for_diagnosis(2, "nothing has come on /robot_description; start robot_state_publisher")
    refused = robot.move("center")
    assert not refused.success
    assert refused.message.startswith("nothing has come on /robot_description")
    probe.publish("robot_description", String(data="<sdf/>"), qos.STATE)
    robot.wait_for_diagnosis(2, "robot_description is no URDF")
    probe.publish("robot_description", String(data=URDF), qos.STATE)

    response = robot.wait_until_it_moves("absolute", 1.5, -0.3)
    assert (response.pan, response.pan_limited) == (pytest.approx(0.9), True)
    robot.wait_until_at(0.9, -0.3)
    sent = controller.goals[-1].ptz
    assert (sent.pan, sent.tilt, sent.zoom) == pytest.approx((-0.9, 0.3, 2.0))
    robot.wait(lambda: robot.value("limits").startswith("pan -0.4 to 0.9 rad"), "the limits in the diagnostics")

    before = len(controller.goals)
    running = controller.running[-1]
    assert robot.move("nod").success
    robot.wait(lambda: len(controller.goals) >= before + 4, "the four places of a nod")
    assert [goal.ptz.tilt for goal in controller.goals[-4:]] == pytest.approx([0.1, 0.5, 0.1, 0.3])
    assert running in controller.canceled
    controller.end(ptz.PtzMove.Result(success=False, message="the motor is hot"), well=True)
    robot.wait_for_diagnosis(2, "/camera/move_ptz has not finished the motion: the motor is hot")


def test_a_controller_that_takes_points_gets_one_in_the_heads_frame_also_in_a_simulations_time(
    start: Start, probe: Probe
) -> None:
    robot = Robot(probe)
    robot.keep_time()
    controller = Controller(robot, control.PointHead, "head_controller/point_head")
    parameters = {**SLOW, "output": "point_head", "head_frame": "torso", "pan_axis_z": 0.6, "use_sim_time": True}
    start("pan_tilt", parameters=parameters)

    robot.wait_until_it_moves("absolute", 0.5, -0.3)
    robot.wait(lambda: controller.running, "a goal")
    assert to_seconds(robot.states[-1].header.stamp) < probe.now() - 0.9 * _SIMULATION
    goal = controller.goals[-1]
    assert goal.target.header.frame_id == "torso"
    point = goal.target.point
    assert math.atan2(point.y, point.x) == pytest.approx(0.5)
    assert math.atan2(point.z - 0.6, math.hypot(point.x, point.y)) == pytest.approx(0.3)
    assert goal.max_velocity == 0.5
    robot.wait(lambda: robot.value("point_head").startswith("not offered"), "why the head can't be pointed")
    running = controller.running[-1]
    assert robot.move("stop").success
    robot.wait(lambda: running in controller.canceled, "the cancellation")
    robot.wait(lambda: controller.running[-1] is not running, "the point that holds")


@pytest.fixture
def without_control_msgs(tmp_path: Path) -> dict[str, str]:
    """An environment in which control_msgs can't be imported."""
    (tmp_path / "control_msgs").mkdir()
    (tmp_path / "control_msgs" / "__init__.py").write_text("raise ImportError('not installed')\n")
    return {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "ROS_DISTRO": "jazzy"}


def test_without_control_msgs_the_head_moves_and_nothing_is_offered(
    start: Start, probe: Probe, without_control_msgs: dict[str, str]
) -> None:
    robot = Robot(probe)
    pan_tilt = start("pan_tilt", environment=without_control_msgs)
    robot.wait(lambda: robot.value("point_head"), "a diagnosis")
    assert "sudo apt-get install ros-jazzy-control-msgs" in robot.value("point_head")
    pan_tilt.wait_for_output("is not offered")
    assert pan_tilt.output.count("is not offered without the package control_msgs") == 1


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"output": "follow_joint_trajectory"}, "which needs the package control_msgs: sudo apt-get install"),
        ({"output": "point_head"}, "output is point_head and head_frame is empty"),
    ],
)
def test_an_output_that_can_not_be_ends_in_one_sentence_and_exit_code_2(
    start: Start, without_control_msgs: dict[str, str], parameters: dict[str, Any], sentence: str
) -> None:
    node = start("pan_tilt", parameters=parameters, environment=without_control_msgs)
    assert node.wait(20.0) == 2
    assert sentence in node.output
    assert len(node.output.strip().splitlines()) == 1, node.output


class TransformError(Exception):
    """What tf2_ros raises."""


@pytest.fixture
def tf2_ros(monkeypatch: pytest.MonkeyPatch) -> dict[str, TransformStamped]:
    """A stand-in for tf2_ros: transforms to the head's frame, by source."""
    known: dict[str, TransformStamped] = {}

    class Buffer:
        def lookup_transform(self, target: str, source: str, _time: Any) -> TransformStamped:
            if (target, source) != ("torso", source) or source not in known:
                raise TransformError(f"{source} does not exist")
            return known[source]

    module = types.ModuleType("tf2_ros")
    vars(module).update(Buffer=Buffer, TransformListener=lambda _buffer, _node: None, TransformException=TransformError)
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return known


def test_a_point_in_another_frame_goes_through_tf2_ros(tf2_ros: dict[str, TransformStamped]) -> None:
    frames = Frames(node=None)
    transform = TransformStamped()
    transform.transform.translation = Vector3(z=-0.6)
    transform.transform.rotation = Quaternion(z=math.sqrt(0.5), w=math.sqrt(0.5))

    frames.check("torso", "map")
    with pytest.raises(PointingError, match="'map' is not known in 'torso': map does not exist"):
        frames.point("torso", "map", (1.0, 0.0, 0.0))
    tf2_ros["map"] = transform
    assert frames.point("torso", "/map", (1.0, 0.0, 0.0)) == pytest.approx((0.0, 1.0, -0.6))
    assert frames.point("torso", "torso", (1.0, 0.0, 0.0)) == (1.0, 0.0, 0.0)


def test_without_tf2_ros_only_the_heads_own_frame_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    frames = Frames(node=None)

    frames.check("torso", "/torso")
    with pytest.raises(PointingError, match="only 'torso' can be used without tf2_ros: sudo apt-get install"):
        frames.check("torso", "map")
    with pytest.raises(PointingError, match="no frame_id"):
        frames.check("torso", "")
