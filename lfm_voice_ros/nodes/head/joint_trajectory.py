"""Moves the head through the topic of a joint_trajectory_controller."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lfm_voice_ros.core.pan_tilt import Move
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes import qos

_TOPIC = "head_controller/joint_trajectory"


class JointTrajectoryOutput:
    """``head_controller/joint_trajectory`` out; a new trajectory replaces the one that runs."""

    def __init__(self, node: Node, settings: PanTiltSettings) -> None:
        self._settings = settings
        self._publisher = node.create_publisher(JointTrajectory, _TOPIC, qos.COMMAND)
        self.description = f"joint_trajectory on {self._publisher.topic_name}"

    def unready(self) -> str:
        """Whether anybody subscribes."""
        return "" if self._publisher.get_subscription_count() else no_listener(self._publisher.topic_name, _TOPIC)

    def send(self, move: Move) -> None:
        """Publish the trajectory."""
        self._publisher.publish(trajectory_of(move, self._settings))

    def stop(self, move: Move) -> None:
        """Publish the trajectory that brakes."""
        self.send(move)

    def close(self) -> None:
        """Nothing runs here."""


def no_listener(topic: str, name: str) -> str:
    """The sentence for a topic without a controller."""
    return f"no controller listens on {topic}; start it, or remap {name} to its topic"


def trajectory_of(move: Move, settings: PanTiltSettings) -> JointTrajectory:
    """The trajectory of a motion in the signs of the joints; a stamp of zero makes a controller begin when it comes."""
    signs = (settings.pan_sign, settings.tilt_sign)
    return JointTrajectory(
        joint_names=[settings.pan_joint, settings.tilt_joint],
        points=[
            JointTrajectoryPoint(
                positions=[sign * value for sign, value in zip(signs, point.positions, strict=True)],
                velocities=[sign * value for sign, value in zip(signs, point.velocities or (0.0, 0.0), strict=True)],
                time_from_start=to_duration(point.time),
            )
            for point in move.trajectory.points[1:]
        ],
    )


def to_duration(seconds: float) -> Duration:
    """Seconds to a ROS duration."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=nanoseconds)
