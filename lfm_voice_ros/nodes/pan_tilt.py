"""pan_tilt: moves the head through what the robot offers, and tells where it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, Header, String

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.pan_tilt import HeadStatus, Move, Refused
from lfm_voice_ros.core.pan_tilt import PanTilt as Planner
from lfm_voice_ros.core.pointing import HeadGeometry, geometry_of
from lfm_voice_ros.core.robot_description import DescriptionError, Joint, geometry_in, narrowed, read_joints
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.msg import HeadState
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.head import make_output
from lfm_voice_ros.nodes.head.joint_trajectory import to_duration
from lfm_voice_ros.nodes.head.packages import install, interfaces
from lfm_voice_ros.nodes.head.point_head_server import PointHeadServer
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.srv import MoveHead

_STATE_PERIOD = 0.1  # s
_START_UP = 10.0  # s in which a controller that starts together with this node may be found, also on a busy machine


class PanTilt(VoiceNode[PanTiltSettings]):
    """Services ``head/move`` and topic ``head/stop`` in; the head's controller and ``head/state`` out.

    ``output`` chooses how the controller is reached. Also offers the action ``head_controller/point_head``. Nothing
    here blocks: a stop is answered and sent in the callback that asks for it. Times are ROS time, so that a
    simulation's clock holds for the motions too.
    """

    def __init__(self) -> None:
        super().__init__("pan_tilt", PanTiltSettings)
        self._planner = Planner(self.settings)
        described = self.settings.joints_from == "parameters"
        #: Where the head's axes are; None while that isn't known.
        self.geometry: HeadGeometry | None = None
        if described and self.settings.head_frame:
            self.geometry = geometry_of(self.settings)
        if described and self.settings.output == "point_head" and self.geometry is None:
            raise ConfigurationError(
                "pan_tilt.output is point_head and head_frame is empty; name the link that carries the pan joint, or "
                "set joints_from to robot_description"
            )
        #: Counts the motions.
        self.motions = 0
        self._problem = ""
        self._began = self.now()
        self._stamp = Time()
        self._told = (False, False)
        self._output = make_output(self, self.settings, lambda: self.geometry, self._on_controller)
        self.health.value("head", self._output.description)
        self._state = self.create_publisher(HeadState, "head/state", qos.STATE)
        self.create_subscription(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES)
        self.create_subscription(Empty, "head/stop", self._on_stop, qos.EVENT)
        self._joints: Mapping[str, Joint] | None = None  # of robot_description
        if described:
            self._adopt(None)
        self._undescribed = ""  # why the head's limits are unknown, and what to do
        if not described:
            topic = self.create_subscription(String, "robot_description", self._on_description, qos.STATE).topic_name
            self._undescribed = (
                f"nothing has come on {topic}; start robot_state_publisher, remap robot_description, or set "
                "joints_from to parameters"
            )
        self.create_service(MoveHead, "head/move", self._on_move)
        self._server = self._point_head_server()
        self.create_timer(_STATE_PERIOD, self._on_timer)

    def configure(self) -> None:
        """Take limits that were set since the start."""
        self._adopt(self._joints)

    def activate(self) -> None:
        """From now on the joint states are waited for."""
        self._began = self.now()

    def deactivate(self) -> None:
        """Stop the head; motions are refused from now on, stops and questions are not."""
        status = self._planner.status(self.now())
        if status.moving or not status.stale:
            self.halt()

    def check(self, settings: PanTiltSettings) -> None:
        """See VoiceNode: limits, joints and what the robot's description says must fit together."""
        joints = getattr(self, "_joints", None)  # none when the node begins
        try:
            Planner(narrowed(settings, joints) if joints else settings)
        except DescriptionError as exc:
            raise ConfigurationError(str(exc)) from exc

    def changed(self) -> None:
        """Move within the new limits, which are still no wider than those of a description."""
        self._adopt(self._joints)

    def close(self) -> bool:
        """Begin nothing more."""
        if self._server is not None:
            self._server.close()
        self._output.close()
        return super().close()

    def no_motion(self) -> str:
        """Why no motion can begin now, and what to do; empty when one can."""
        if not self.active:
            return "pan_tilt is not active; activate it: ros2 lifecycle set /pan_tilt activate"
        if self._planner.stale(self.now()):
            return self._planner.unknown
        return self._undescribed or self._output.unready()

    def look(self, pan: float, tilt: float, speed: float, duration: float) -> Move:
        """Begin to turn to pan and tilt (rad), with at most ``speed`` rad/s in at least ``duration`` s; or Refused."""
        if problem := self.no_motion():
            raise Refused(problem)
        move = self._planner.move("absolute", pan, tilt, False, self.now(), speed=speed, duration=duration)
        self._send(move)
        return move

    def halt(self) -> None:
        """Stop."""
        self._on_stop(Empty())

    def where(self) -> HeadStatus:
        """Where the head is."""
        return self._planner.status(self.now())

    def _point_head_server(self) -> PointHeadServer | None:
        if not self.settings.point_head_server:
            self.health.value("point_head", "not offered, as point_head_server says")
            return None
        if self.settings.output == "point_head":
            self.health.value("point_head", "not offered, since the head's controller offers it")
            return None
        actions = interfaces("control_msgs", "action")
        if actions is None:
            missing = f"not offered without the package control_msgs: {install('control_msgs')}"
            self.get_logger().info(f"the action head_controller/point_head is {missing}")
            self.health.value("point_head", missing)
            return None
        server = PointHeadServer(self, actions.PointHead, self, self.get_logger().warning)
        self.health.value("point_head", f"offered at {server.name}")
        return server

    def _on_joint_states(self, msg: JointState) -> None:
        now = self.now()
        if not self._planner.observe(msg.name, msg.position, msg.velocity, to_seconds(msg.header.stamp), now):
            return
        self._stamp = msg.header.stamp
        self.well("joint_states")
        status = self._planner.status(now)
        if (status.moving, status.stale) != self._told:
            self._publish_state()

    def _on_description(self, msg: String) -> None:
        try:
            joints = read_joints(msg.data)
            self._adopt(joints)
        except DescriptionError as exc:
            self._undescribed = str(exc)
            self.trouble("robot_description", self._undescribed)
            return
        self._joints = joints
        self._undescribed = ""
        self.well("robot_description")
        try:
            self.geometry = geometry_in(self.settings, joints)
        except DescriptionError as exc:
            self.geometry = None
            self.health.value("axes", exc)
        else:
            self.health.value("axes", f"in {self.geometry.frame}")

    def _adopt(self, joints: Mapping[str, Joint] | None) -> None:
        settings = self.settings if joints is None else narrowed(self.settings, joints)
        self._planner.adopt(settings)
        self.health.value(
            "limits",
            f"pan {settings.pan_min:.3g} to {settings.pan_max:.3g} rad, tilt {settings.tilt_min:.3g} to "
            f"{settings.tilt_max:.3g} rad, {settings.max_speed:.3g} rad/s",
        )

    def _on_controller(self, problem: str) -> None:
        """Take what the controller says about the newest motion; empty when it takes it."""
        self._problem = problem
        if problem:
            self._planner.abandon()
            self.trouble("controller", problem)
        else:
            self.well("controller")
        self._publish_state()

    def _on_move(self, request: MoveHead.Request, response: MoveHead.Response) -> MoveHead.Response:
        if request.motion == MoveHead.Request.POSITION:
            status = self.where()
            response.success, response.message = not status.stale, self._planner.unknown if status.stale else ""
            response.pan, response.tilt = status.position
            return response
        try:
            if request.motion == MoveHead.Request.STOP:
                move, response.message = self._stop()
            else:
                move, response.message = self._move(request), ""
        except Refused as exc:
            self.get_logger().warning(f"head/move was refused: {exc}")
            response.success, response.message = False, str(exc)
            response.pan = response.tilt = math.nan
            return response
        response.success = not response.message
        response.pan, response.tilt = move.target
        response.pan_change, response.tilt_change = move.change
        response.pan_limited, response.tilt_limited = move.limited
        response.duration = to_duration(move.trajectory.duration)
        return response

    def _on_stop(self, _msg: Empty) -> None:
        try:
            _, message = self._stop()
        except Refused as exc:
            message = str(exc)
        if message:
            self.get_logger().warning(f"head/stop: {message}")

    def _on_timer(self) -> None:
        if self.active and self.now() - self._began > _START_UP:
            if self._planner.stale(self.now()):
                self.trouble("joint_states", self._planner.unknown)
            if self._undescribed:
                self.trouble("robot_description", self._undescribed)
        self._publish_state()

    def _move(self, request: MoveHead.Request) -> Move:
        now = self.now()
        if not self._planner.stale(now) and (problem := self.no_motion()):
            raise Refused(problem)
        move = self._planner.move(request.motion, request.pan, request.tilt, request.append, now)
        self._send(move)
        return move

    def _stop(self) -> tuple[Move, str]:
        """Stop, and say what is doubtful about it."""
        now = self.now()
        doubt = self._planner.unknown if self._planner.stale(now) else self._output.unready()
        move = self._planner.stop(now)
        self.motions += 1
        self._output.stop(move)
        self._publish_state()
        return move, f"the head was told to hold still, but {doubt}" if doubt else ""

    def _send(self, move: Move) -> None:
        self.motions += 1
        self._output.send(move)
        self._publish_state()

    def _publish_state(self) -> None:
        status = self.where()
        self._told = (status.moving, status.stale)
        self._state.publish(
            HeadState(
                header=Header(stamp=self._stamp),
                pan=status.position[0],
                tilt=status.position[1],
                target_pan=status.target[0],
                target_tilt=status.target[1],
                moving=status.moving,
                stale=status.stale,
                message=self._problem,
            )
        )


def main() -> int:
    """Run the node."""
    return run([PanTilt])
