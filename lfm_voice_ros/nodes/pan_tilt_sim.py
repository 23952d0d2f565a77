"""pan_tilt_sim: stands in for the head's joint_trajectory_controller and motors."""

from __future__ import annotations

from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.settings import PanTiltSimSettings
from lfm_voice_ros.core.trajectory import Follower, TrajectoryError, read_points
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.runtime import run


class PanTiltSim(VoiceNode[PanTiltSimSettings]):
    """``head_controller/joint_trajectory`` in, ``joint_states`` out; it starts with both joints at zero.

    A trajectory that a controller would refuse is refused with a warning and changes nothing; one without points stops
    the joints where they are.
    """

    def __init__(self) -> None:
        super().__init__("pan_tilt_sim", PanTiltSimSettings)
        if "" in (self.settings.pan_joint, self.settings.tilt_joint):
            raise ConfigurationError("pan_joint or tilt_joint is empty; name both joints")
        if self.settings.pan_joint == self.settings.tilt_joint:
            raise ConfigurationError(f"pan_joint and tilt_joint are both '{self.settings.pan_joint}'; name two joints")
        self._names = (self.settings.pan_joint, self.settings.tilt_joint)
        self._follower = Follower()
        self._joint_states = self.create_publisher(JointState, "joint_states", qos.JOINT_STATES_OUT)
        self.listen(JointTrajectory, "head_controller/joint_trajectory", self._on_trajectory, qos.COMMAND)
        self.create_timer(1.0 / self.settings.rate, self._on_timer)

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        now = self.now()
        if not msg.points:
            self._follower.hold(now)
            return
        try:
            points = read_points(
                self._names,
                msg.joint_names,
                [(to_seconds(point.time_from_start), point.positions, point.velocities) for point in msg.points],
            )
            self._follower.follow(points, to_seconds(msg.header.stamp) or now, now)
        except TrajectoryError as exc:
            self.trouble("trajectory", str(exc), Level.WARN)
        else:
            self.well("trajectory")

    def _on_timer(self) -> None:
        if not self.active:
            return
        now = self.now()
        positions, velocities = self._follower.state(now)
        self._joint_states.publish(
            JointState(header=self.header(now), name=self._names, position=positions, velocity=velocities)
        )


def main() -> int:
    """Run the node."""
    return run([PanTiltSim])
