"""Moves the head of a PTZ camera through the action of ptz_action_server_msgs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from lfm_voice_ros.core.pan_tilt import Leg, Move
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes.head.goals import Goals, Places
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
        self._told = told
        self._stopping = False
        self._goals = Goals(node, self._action, "head_controller/move_ptz", self._on_told, _verdict)
        self._places = Places(node, self._go)
        self.description = f"ptz at {self._goals.name}"

    def unready(self) -> str:
        """Whether there is a server."""
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
        pan, tilt = leg.end
        ptz = self._ptz(
            pan=self._settings.ptz_pan_sign * pan,
            tilt=self._settings.ptz_tilt_sign * tilt,
            zoom=self._settings.ptz_zoom,
        )
        self._goals.send(self._action.Goal(ptz=ptz), cancel=self._stopping)

    def _on_told(self, problem: str) -> None:
        if problem:
            self._places.end()
        self._told(problem)


def _verdict(result: Any) -> str:
    return "" if result.success else result.message or "the driver gave no reason; its own log may have one"
