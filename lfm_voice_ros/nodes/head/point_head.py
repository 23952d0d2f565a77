"""Moves the head through a controller that takes points to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Point, PointStamped, Vector3
from rclpy.node import Node
from std_msgs.msg import Header

from lfm_voice_ros.core.pan_tilt import Leg
from lfm_voice_ros.core.pointing import HeadGeometry
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes.head.goals import Goals, PlaceByPlace
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
        self._places = PlaceByPlace(
            node,
            lambda news: Goals(node, self._action, "head_controller/point_head", news, lambda _result: ""),
            self._goal,
            told,
        )
        self.send, self.stop, self.close = self._places.send, self._places.stop, self._places.close
        self.description = f"point_head at {self._places.name}"

    def unready(self) -> str:
        """Whether there is a server, and whether points can be computed."""
        if self._geometry() is None:
            return "where the head's axes are is not known yet; it comes with robot_description"
        return self._places.unready()

    def _goal(self, leg: Leg) -> Any | None:
        geometry = self._geometry()
        if geometry is None:
            return None
        x, y, z = geometry.place(leg.end)
        return self._action.Goal(
            # Without a stamp: the point holds for the frame as it is now.
            target=PointStamped(header=Header(frame_id=geometry.frame), point=Point(x=x, y=y, z=z)),
            pointing_axis=Vector3(x=1.0),
            min_duration=to_duration(leg.ends - leg.begins),
            max_velocity=self._settings.max_speed,
        )
