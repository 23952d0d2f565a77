"""markers: shows in RViz what was heard and said, and where the head is going to look."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.markers import Arrow, Board, Label
from lfm_voice_ros.core.settings import MarkersSettings
from lfm_voice_ros.msg import HeadState, Reply, Transcript
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.runtime import run

_LOOK_PERIOD = 0.1  # s between looks at what has changed
_REPEAT_PERIOD = 1.0  # s after which what is still to be seen is sent again
#: Longer than the period: what nobody repeats, since this node has ended, vanishes.
_LIFETIME = Duration(sec=2, nanosec=500_000_000)
_SHAFT, _TIP, _TIP_LENGTH = 0.012, 0.03, 0.05  # m


class Markers(VoiceNode[MarkersSettings]):
    """``transcript``, ``reply`` and ``head/state`` in; ``markers`` out, all that is to be seen in each message."""

    def __init__(self) -> None:
        super().__init__("markers", MarkersSettings)
        if not self.settings.frame:
            raise ConfigurationError(
                "markers.frame is empty; name the frame of the head's foot, such as head_base_link"
            )
        self._board = Board(self.settings)
        self._shown: list[Label | Arrow] = []
        self._sent_at = 0.0
        self._markers = self.create_publisher(MarkerArray, "markers", qos.STATE)
        self.every(_LOOK_PERIOD, self._on_timer)
        self.listen(Transcript, "transcript", self._on_transcript, qos.EVENT)
        self.listen(Reply, "reply", self._on_reply, qos.EVENT)
        self.listen(HeadState, "head/state", self._on_head, qos.STATE)

    def _on_transcript(self, msg: Transcript) -> None:
        self._board.heard(msg.text, msg.confidence, msg.rejection, self.now())

    def _on_reply(self, msg: Reply) -> None:
        self._board.said(msg.text, self.now())

    def _on_head(self, msg: HeadState) -> None:
        self._board.head((msg.pan, msg.tilt), (msg.target_pan, msg.target_tilt), msg.moving, msg.stale)

    def _on_timer(self) -> None:
        now = self.now()
        shown = self._board.marks(now)
        if shown == self._shown and not (shown and abs(now - self._sent_at) >= _REPEAT_PERIOD):
            return
        header = Header(frame_id=self.settings.frame, stamp=self.header(now).stamp)
        stay = {(mark.namespace, mark.number) for mark in shown}
        gone = [mark for mark in self._shown if (mark.namespace, mark.number) not in stay]
        self._markers.publish(
            MarkerArray(
                markers=[*(_removal(mark, header) for mark in gone), *(_marker(mark, header) for mark in shown)]
            )
        )
        self._shown, self._sent_at = shown, now


def _removal(mark: Label | Arrow, header: Header) -> Marker:
    return Marker(header=header, ns=mark.namespace, id=mark.number, action=Marker.DELETE)


def _marker(mark: Label | Arrow, header: Header) -> Marker:
    # Locked to its frame, so that it goes along with a robot that drives.
    marker = Marker(
        header=header, ns=mark.namespace, id=mark.number, action=Marker.ADD, lifetime=_LIFETIME, frame_locked=True
    )
    red, green, blue, alpha = mark.color
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
    marker.pose.orientation.w = 1.0
    if isinstance(mark, Label):
        marker.type = Marker.TEXT_VIEW_FACING
        marker.text = mark.text
        marker.scale.z = mark.size
        marker.pose.position = _point(mark.position)
    else:
        marker.type = Marker.ARROW
        marker.points = [_point(mark.start), _point(mark.end)]
        marker.scale.x, marker.scale.y, marker.scale.z = _SHAFT, _TIP, _TIP_LENGTH
    return marker


def _point(at: tuple[float, float, float]) -> Point:
    return Point(x=at[0], y=at[1], z=at[2])


def main() -> int:
    """Run the node."""
    return run([Markers])
