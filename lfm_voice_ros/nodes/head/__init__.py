"""One file per way to a head's motors, each behind the port HeadOutput, and the server that points the head."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from lfm_voice_ros.core.pointing import HeadGeometry
from lfm_voice_ros.core.ports import HeadOutput
from lfm_voice_ros.core.settings import PanTiltSettings


def make_output(
    node: Node, settings: PanTiltSettings, geometry: Callable[[], HeadGeometry | None], told: Callable[[str], None]
) -> HeadOutput:
    """Make the way out that the settings name.

    ``geometry`` gives where the head's axes are, None while that isn't known. ``told`` is called in the thread of the
    callbacks when a controller takes a motion (with an empty text), and when it doesn't carry it out (with what went
    wrong and what to do). Raises ConfigurationError where a package is missing.
    """
    if settings.output == "follow_joint_trajectory":
        from lfm_voice_ros.nodes.head.follow_joint_trajectory import FollowJointTrajectoryOutput

        return FollowJointTrajectoryOutput(node, settings, told)
    if settings.output == "position":
        from lfm_voice_ros.nodes.head.position import PositionOutput

        return PositionOutput(node, settings)
    if settings.output == "point_head":
        from lfm_voice_ros.nodes.head.point_head import PointHeadOutput

        return PointHeadOutput(node, settings, geometry, told)
    if settings.output == "ptz":
        from lfm_voice_ros.nodes.head.ptz import PtzOutput

        return PtzOutput(node, settings, told)
    from lfm_voice_ros.nodes.head.joint_trajectory import JointTrajectoryOutput

    return JointTrajectoryOutput(node, settings)
