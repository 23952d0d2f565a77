"""pan_tilt: moves the head through a joint_trajectory_controller, and tells where it is."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lfm_voice_ros.core.pan_tilt import Move, Refused
from lfm_voice_ros.core.pan_tilt import PanTilt as Planner
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.msg import HeadState
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.srv import MoveHead

_STATE_PERIOD = 0.1  # s
_START_UP = 3.0  # s in which a controller that starts together with this node may be found


class PanTilt(VoiceNode[PanTiltSettings]):
    """Services ``head/move`` and topic ``head/stop`` in; ``head_controller/joint_trajectory`` and ``head/state`` out.

    Nothing here blocks: a stop is answered and sent in the callback that asks for it. Times are ROS time, so that a
    simulation's clock holds for the motions too.
    """

    def __init__(self) -> None:
        super().__init__("pan_tilt", PanTiltSettings)
        self._planner = Planner(self.settings)
        self._began = self.now()
        self._stamp = Time()
        self._told = (False, False)
        self._trajectory = self.create_publisher(JointTrajectory, "head_controller/joint_trajectory", qos.COMMAND)
        self._state = self.create_publisher(HeadState, "head/state", qos.STATE)
        self.create_subscription(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES)
        self.create_subscription(Empty, "head/stop", self._on_stop, qos.EVENT)
        self.create_service(MoveHead, "head/move", self._on_move)
        self.create_timer(_STATE_PERIOD, self._on_timer)

    def _on_joint_states(self, msg: JointState) -> None:
        now = self.now()
        if not self._planner.observe(msg.name, msg.position, msg.velocity, to_seconds(msg.header.stamp), now):
            return
        self._stamp = msg.header.stamp
        self.well("joint_states")
        status = self._planner.status(now)
        if (status.moving, status.stale) != self._told:
            self._publish_state()

    def _on_move(self, request: MoveHead.Request, response: MoveHead.Response) -> MoveHead.Response:
        if request.motion == MoveHead.Request.POSITION:
            status = self._planner.status(self.now())
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
        response.duration = _to_duration(move.trajectory.duration)
        return response

    def _on_stop(self, _msg: Empty) -> None:
        try:
            _, message = self._stop()
        except Refused as exc:
            message = str(exc)
        if message:
            self.get_logger().warning(f"head/stop: {message}")

    def _on_timer(self) -> None:
        if self._planner.stale(self.now()) and self.now() - self._began > _START_UP:
            self.trouble("joint_states", self._planner.unknown)
        self._publish_state()

    def _move(self, request: MoveHead.Request) -> Move:
        now = self.now()
        if not self._planner.stale(now) and not self._trajectory.get_subscription_count():
            raise Refused(
                f"no controller listens on {self._trajectory.topic_name}; start it, or remap "
                "head_controller/joint_trajectory to its topic"
            )
        move = self._planner.move(request.motion, request.pan, request.tilt, request.append, now)
        self._send(move)
        return move

    def _stop(self) -> tuple[Move, str]:
        """Stop, and say what is doubtful about it."""
        now = self.now()
        stale = self._planner.stale(now)
        move = self._planner.stop(now)
        self._send(move)
        return move, f"the head was told to hold still, but {self._planner.unknown}" if stale else ""

    def _send(self, move: Move) -> None:
        points = [
            JointTrajectoryPoint(
                positions=self._planner.to_joints(point.positions),
                velocities=self._planner.to_joints(point.velocities or (0.0, 0.0)),
                time_from_start=_to_duration(point.time),
            )
            for point in move.trajectory.points[1:]
        ]
        # A stamp of zero makes the controller begin when it gets the message.
        self._trajectory.publish(
            JointTrajectory(joint_names=[self.settings.pan_joint, self.settings.tilt_joint], points=points)
        )
        self._publish_state()

    def _publish_state(self) -> None:
        status = self._planner.status(self.now())
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
            )
        )


def _to_duration(seconds: float) -> Duration:
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=nanoseconds)


def main() -> int:
    """Run the node."""
    return run([PanTilt])
