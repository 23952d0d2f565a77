"""Moves the head through the action of a joint_trajectory_controller, which says how a motion ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from lfm_voice_ros.core.pan_tilt import Move
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes.head.goals import Goals
from lfm_voice_ros.nodes.head.joint_trajectory import trajectory_of
from lfm_voice_ros.nodes.head.packages import needed_interfaces

#: By the error_code of the result: what it is called, and what to do.
_ERRORS = {
    -1: ("INVALID_GOAL", "the controller takes no such trajectory; its limits and allowed joints must fit ours"),
    -2: ("INVALID_JOINTS", "set pan_joint and tilt_joint to the controller's joints"),
    -3: ("OLD_HEADER_TIMESTAMP", "the clocks of the two machines differ, or use_sim_time does; set both alike"),
    -4: ("PATH_TOLERANCE_VIOLATED", "something holds the head, or max_speed or max_acceleration is more than it can"),
    -5: ("GOAL_TOLERANCE_VIOLATED", "something holds the head, or the controller's goal tolerances are too narrow"),
}


class FollowJointTrajectoryOutput:
    """Client of ``head_controller/follow_joint_trajectory``; a new goal replaces the one that runs."""

    def __init__(self, node: Node, settings: PanTiltSettings, told: Callable[[str], None]) -> None:
        actions = needed_interfaces("control_msgs", "action", settings.output)
        self._action = actions.FollowJointTrajectory
        self._settings = settings
        self._goals = Goals(node, self._action, "head_controller/follow_joint_trajectory", told, _verdict)
        self.description = f"follow_joint_trajectory at {self._goals.name}"

    def unready(self) -> str:
        """Whether there is a server."""
        return self._goals.unready()

    def send(self, move: Move) -> None:
        """Send the trajectory as a goal."""
        self._goals.send(self._goal(move))

    def stop(self, move: Move) -> None:
        """Send the trajectory that brakes, and cancel what ran in any case: the new goal may be rejected."""
        self._goals.send(self._goal(move), cancel=True)

    def close(self) -> None:
        """Cancel what runs."""
        self._goals.close()

    def _goal(self, move: Move) -> Any:
        return self._action.Goal(trajectory=trajectory_of(move, self._settings))


def _verdict(result: Any) -> str:
    if result.error_code == 0:
        return ""
    name, remedy = _ERRORS.get(result.error_code, (f"error {result.error_code}", "see the controller's own log"))
    return f"{name}{f' ({result.error_string})' if result.error_string else ''}; {remedy}"
