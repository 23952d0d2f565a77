"""Where a head must turn to look at a point, and where it looks.

Frames follow REP-103: x forward, y to the left, z up; pan is positive to the left, tilt positive down. Lengths are in
m, angles in rad. A head at zero looks along its x axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lfm_voice_ros.core.errors import VoiceError
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.trajectory import Pair

Vector = tuple[float, float, float]
#: Columns of a rotation: where the axes x, y and z of one frame point in another.
Basis = tuple[Vector, Vector, Vector]

_STRAIGHT: Basis = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
#: m; a point nearer to the pan axis gives no direction.
_NEAREST = 0.01
#: m; how far away a place is that stands for a direction, so that what is unknown of the head's size matters little.
_FAR = 10.0


class PointingError(VoiceError):
    """A point can't be looked at; the text says why."""


@dataclass(frozen=True)
class HeadGeometry:
    """Where the axes of a pan/tilt head are."""

    frame: str  # the frame that carries the pan joint
    origin: Vector = (0.0, 0.0, 0.0)  # a point of the pan axis in it
    basis: Basis = _STRAIGHT  # forward, left and up of the head at zero in it
    tilt_forward: float = 0.0  # the tilt axis in front of the pan axis
    tilt_up: float = 0.0  # and above the origin

    def angles(self, point: Vector) -> Pair:
        """Pan and tilt that look at a point of the frame. Raises PointingError where no angles do that."""
        forward, left, up = self._seen_from_origin(point)
        distance = math.hypot(forward, left)
        ahead, above = distance - self.tilt_forward, up - self.tilt_up
        if distance < _NEAREST or math.hypot(ahead, above) < _NEAREST:
            raise PointingError("the point lies in an axis of the head, which has no direction to it")
        return math.atan2(left, forward), -math.atan2(above, ahead)

    def off(self, position: Pair, point: Vector) -> float:
        """The angle, in rad and at least 0, by which a head at ``position`` (pan, tilt) looks past the point."""
        pan, tilt = position
        forward, left, up = self._seen_from_origin(point)
        turned = (
            math.cos(pan) * forward + math.sin(pan) * left - self.tilt_forward,
            math.cos(pan) * left - math.sin(pan) * forward,
            up - self.tilt_up,
        )
        sight = (math.cos(tilt), 0.0, -math.sin(tilt))
        return math.atan2(math.hypot(*_cross(sight, turned)), _dot(sight, turned))

    def place(self, position: Pair) -> Vector:
        """A point of the frame, far away, at which a head at ``position`` (pan, tilt) looks."""
        pan, tilt = position
        ahead = self.tilt_forward + _FAR * math.cos(tilt)
        seen = (ahead * math.cos(pan), ahead * math.sin(pan), self.tilt_up - _FAR * math.sin(tilt))
        x, y, z = (
            start + sum(part * axis[row] for part, axis in zip(seen, self.basis, strict=True))
            for row, start in enumerate(self.origin)
        )
        return x, y, z

    def _seen_from_origin(self, point: Vector) -> Vector:
        offset = _minus(point, self.origin)
        forward, left, up = (_dot(axis, offset) for axis in self.basis)
        return forward, left, up


def geometry_of(settings: PanTiltSettings) -> HeadGeometry:
    """The geometry that the parameters tell."""
    return HeadGeometry(
        frame=settings.head_frame,
        origin=(settings.pan_axis_x, settings.pan_axis_y, settings.pan_axis_z),
        tilt_forward=settings.tilt_axis_x,
        tilt_up=settings.tilt_axis_z,
    )


def transformed(point: Vector, translation: Vector, rotation: tuple[float, float, float, float]) -> Vector:
    """A point of one frame in another, by a transform as tf2 gives it; ``rotation`` is x, y, z, w of a unit quaternion.

    Raises PointingError for numbers that are no transform.
    """
    x, y, z, w = rotation
    length = math.hypot(x, y, z, w)
    if not (math.isfinite(length) and 0.9 < length < 1.1 and all(map(math.isfinite, translation))):
        raise PointingError("the transform to the head's frame has no valid rotation or translation")
    axis, w = (x / length, y / length, z / length), w / length
    # Rodrigues' formula with half the angle: p + 2 w (a × p) + 2 a × (a × p).
    once = _cross(axis, point)
    twice = _cross(axis, once)
    moved = (
        part + 2.0 * (w * first + second) + shift
        for part, first, second, shift in zip(point, once, twice, translation, strict=True)
    )
    new_x, new_y, new_z = moved
    return new_x, new_y, new_z


def _minus(one: Vector, other: Vector) -> Vector:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _cross(one: Vector, other: Vector) -> Vector:
    return (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )
