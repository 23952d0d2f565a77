"""Moves the head through positions at a fixed rate, as a forward_command_controller takes them."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from lfm_voice_ros.core.head_motion import Samples
from lfm_voice_ros.core.pan_tilt import Move
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.head.joint_trajectory import no_listener

_TOPIC = "head_controller/commands"


class PositionOutput:
    """``head_controller/commands`` out: pan and tilt, in this order, as long as a motion lasts.

    After the end nothing is sent, and the controller holds the last position.
    """

    def __init__(self, node: Node, settings: PanTiltSettings) -> None:
        self._node = node
        self._signs = (settings.pan_sign, settings.tilt_sign)
        self._samples = Samples()
        self._publisher = node.create_publisher(Float64MultiArray, _TOPIC, qos.COMMAND)
        self._timer = node.create_timer(1.0 / settings.position_rate, self._on_timer)
        self._timer.cancel()
        self.description = f"positions at {settings.position_rate:g} Hz on {self._publisher.topic_name}"

    def unready(self) -> str:
        """Whether anybody subscribes."""
        return "" if self._publisher.get_subscription_count() else no_listener(self._publisher.topic_name, _TOPIC)

    def send(self, move: Move) -> None:
        """Sample the motion from now on."""
        self._samples.begin(move, self._now())
        self._timer.reset()

    def stop(self, move: Move) -> None:
        """Sample the braking instead, beginning at once."""
        self.send(move)
        self._on_timer()

    def close(self) -> None:
        """Send nothing more."""
        self._samples.end()
        self._timer.cancel()

    def _on_timer(self) -> None:
        position = self._samples.due(self._now())
        if position is None:
            self._timer.cancel()
            return
        self._publisher.publish(
            Float64MultiArray(data=[sign * angle for sign, angle in zip(self._signs, position, strict=True)])
        )

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9
