"""Moves the head of a PTZ camera through the action of ptz_action_server_msgs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from lfm_voice_ros.core.pan_tilt import Leg
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes.head.goals import Goals, PlaceByPlace
from lfm_voice_ros.nodes.head.packages import needed_interfaces


class PtzOutput:
    """Client of ``head_controller/move_ptz`` (PtzMove): each place of a motion becomes a goal.

    Drivers count pan clockwise and tilt upwards. They choose the speed themselves; where the head is, they tell in
    ``joint_states``.
    """

    def __init__(self, node: Node, settings: PanTiltSettings, told: Callable[[str], None]) -> None:
        self._action = needed_interfaces("ptz_action_server_msgs", "action", settings.output).PtzMove
        self._ptz = needed_interfaces("ptz_action_server_msgs", "msg", settings.output).Ptz
        self._settings = settings
        places = PlaceByPlace(
            node,
            lambda news: Goals(node, self._action, "head_controller/move_ptz", news, _verdict),
            self._goal,
            told,
        )
        self.unready, self.send, self.stop, self.close = places.unready, places.send, places.stop, places.close
        self.description = f"ptz at {places.name}"

    def _goal(self, leg: Leg) -> Any:
        pan, tilt = leg.end
        ptz = self._ptz(
            pan=self._settings.ptz_pan_sign * pan,
            tilt=self._settings.ptz_tilt_sign * tilt,
            zoom=self._settings.ptz_zoom,
        )
        return self._action.Goal(ptz=ptz)


def _verdict(result: Any) -> str:
    return "" if result.success else result.message or "the driver gave no reason; its own log may have one"
