"""Moves the head through a controller that takes points to look at."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import Point, PointStamped, Vector3
from rclpy.node import Node
from std_msgs.msg import Header

from lfm_voice_ros.core.pan_tilt import Leg, Move
from lfm_voice_ros.core.pointing import HeadGeometry
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes.head.goals import Goals, Places
from lfm_voice_ros.nodes.head.joint_trajectory import to_duration
from lfm_voice_ros.nodes.head.packages import needed_interfaces


class PointHeadOutput:
    """Client of ``head_controller/point_head``: each place of a motion becomes a far point in the head's frame."""

    def __init__(
        self,
        node: Node,
        settings: PanTiltSettings,
        geometry: Callable[[], HeadGeometry | None],
        told: Callable[[str], None],
    ) -> None:
        actions = needed_interfaces("control_msgs", "action", settings.output)
        self._action = actions.PointHead
        self._settings = settings
        self._geometry = geometry
        self._told = told
        self._stopping = False
        self._goals = Goals(node, self._action, "head_controller/point_head", self._on_told, lambda _result: "")
        self._places = Places(node, self._go)
        self.description = f"point_head at {self._goals.name}"

    def unready(self) -> str:
        """Whether there is a server, and whether points can be computed."""
        if self._geometry() is None:
            return "where the head's axes are is not known yet; it comes with robot_description"
        return self._goals.unready()

    def send(self, move: Move) -> None:
        """Send the places one after the other."""
        self._stopping = False
        self._places.begin(move)

    def stop(self, move: Move) -> None:
        """Send the place at which it comes to rest, and cancel what ran in any case."""
        self._stopping = True
        self._places.begin(move)

    def close(self) -> None:
        """Cancel what runs."""
        self._places.end()
        self._goals.close()

    def _go(self, leg: Leg) -> None:
        geometry = self._geometry()
        if geometry is None:
            self._goals.close()
            return
        x, y, z = geometry.place(leg.end)
        goal = self._action.Goal(
            # Without a stamp: the point holds for the frame as it is now.
            target=PointStamped(header=Header(frame_id=geometry.frame), point=Point(x=x, y=y, z=z)),
            pointing_axis=Vector3(x=1.0),
            min_duration=to_duration(leg.ends - leg.begins),
            max_velocity=self._settings.max_speed,
        )
        self._goals.send(goal, cancel=self._stopping)

    def _on_told(self, problem: str) -> None:
        if problem:
            self._places.end()
        self._told(problem)
