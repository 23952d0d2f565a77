"""link_beacon: the brain's heartbeat, for the link_guard on the robot's machine."""

from __future__ import annotations

from std_msgs.msg import Empty

from lfm_voice_ros.core.settings import LinkBeaconSettings
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.runtime import run


class LinkBeacon(VoiceNode[LinkBeaconSettings]):
    """Publishes ``brain/alive`` as long as it runs."""

    def __init__(self) -> None:
        super().__init__("link_beacon", LinkBeaconSettings)
        self._alive = self.create_publisher(Empty, "brain/alive", qos.HEARTBEAT)
        self.every(1.0 / self.settings.rate, self._on_timer)

    def _on_timer(self) -> None:
        self._alive.publish(Empty())


def main() -> int:
    """Run the node; give the exit code."""
    return run([LinkBeacon])
