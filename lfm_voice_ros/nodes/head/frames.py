"""Points in another frame, through tf2_ros where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.node import Node
from rclpy.time import Time

from lfm_voice_ros.core.pointing import PointingError, Vector, transformed
from lfm_voice_ros.nodes.head.packages import install


class Frames:
    """The robot's frames. It listens to them from the first point on that needs them: they are many messages."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tf2: Any = None
        self._buffer: Any = None

    def check(self, frame: str, source: str) -> None:
        """Raise PointingError where no point of ``source`` can ever be had in ``frame``; begin to listen otherwise."""
        if not source.strip("/"):
            raise PointingError("the point has no frame_id; give the frame in which it is meant")
        if _same(frame, source) or self._buffer is not None:
            return
        try:
            self._tf2 = importlib.import_module("tf2_ros")
        except ImportError as exc:
            raise PointingError(
                f"the point is in the frame '{source}', and only '{frame}' can be used without tf2_ros: "
                f"{install('tf2_ros')}"
            ) from exc
        self._buffer = self._tf2.Buffer()
        self._listener = self._tf2.TransformListener(self._buffer, self._node)

    def point(self, frame: str, source: str, point: Vector) -> Vector:
        """Give a point of ``source`` in ``frame`` as they are to each other now. Raises PointingError."""
        if _same(frame, source):
            return point
        self.check(frame, source)
        try:
            found = self._buffer.lookup_transform(frame.strip("/"), source.strip("/"), Time()).transform
        except self._tf2.TransformException as exc:
            raise PointingError(f"the frame '{source}' is not known in '{frame}': {exc}") from exc
        shift, turn = found.translation, found.rotation
        return transformed(point, (shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w))


def _same(frame: str, source: str) -> bool:
    return frame.strip("/") == source.strip("/")
