"""What a robot's URDF says about the two joints of its head."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lfm_voice_ros.core.errors import VoiceError
from lfm_voice_ros.core.pointing import HeadGeometry, Vector
from lfm_voice_ros.core.settings import PanTiltSettings

_Matrix = npt.NDArray[np.float64]

_LARGEST = 50_000_000  # characters; a URDF has thousands
#: The most that the axes of pan and tilt may differ from a right angle, as a cosine.
_SQUARE = 0.1


class DescriptionError(VoiceError):
    """A robot description doesn't tell what the head needs; the text says what is missing."""


@dataclass(frozen=True)
class Joint:
    """A joint as a URDF gives it, in its own sign."""

    name: str
    kind: str  # revolute, continuous, fixed …
    parent: str
    child: str
    lower: float  # rad; -inf where there is no limit
    upper: float  # rad; inf likewise
    speed: float  # rad/s; inf likewise
    origin: Vector  # m, in the parent's frame
    turned: Vector  # rad, roll, pitch and yaw of its frame
    axis: Vector


def read_joints(text: str) -> dict[str, Joint]:
    """Read the joints of a URDF by name. Raises DescriptionError when it is none."""
    # A URDF declares no entities. Without a DTD the parser of the standard library has nothing to expand or to fetch.
    if "<!" in text.replace("<!--", "").replace("<![CDATA[", "") or len(text) > _LARGEST:
        raise DescriptionError("robot_description was not read: it is too large or has a DTD, which no URDF needs")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as exc:
        raise DescriptionError(f"robot_description is no XML: {exc}") from exc
    if root.tag != "robot":
        raise DescriptionError(f"robot_description is no URDF: it begins with <{root.tag}>")
    joints = (_joint(element) for element in root.findall("joint") if element.get("type"))
    return {joint.name: joint for joint in joints}


def narrowed(settings: PanTiltSettings, joints: Mapping[str, Joint]) -> PanTiltSettings:
    """Give settings whose limits and speed are the narrower of both.

    Raises DescriptionError for a joint that there isn't or that doesn't turn, and where nothing is left to move in.
    """
    pan, tilt = _of_head(settings, joints)
    pan_min, pan_max = _limits(pan, settings.pan_sign, settings.pan_min, settings.pan_max)
    tilt_min, tilt_max = _limits(tilt, settings.tilt_sign, settings.tilt_min, settings.tilt_max)
    return replace(
        settings,
        pan_min=pan_min,
        pan_max=pan_max,
        tilt_min=tilt_min,
        tilt_max=tilt_max,
        max_speed=min(settings.max_speed, pan.speed, tilt.speed),
    )


def geometry_in(settings: PanTiltSettings, joints: Mapping[str, Joint]) -> HeadGeometry:
    """Give the head's geometry: its axes, where both joints are at zero. It looks forward there.

    Forward is at right angles to both axes; the signs of the joints say which side is left and which is up. Raises
    DescriptionError where the tilt joint doesn't hang from the pan joint, or the axes are not at right angles.
    """
    pan, tilt = _of_head(settings, joints)
    at_pan = _frame(pan)
    at_tilt = at_pan @ _chain(pan, tilt, joints)
    up = settings.pan_sign * _direction(at_pan, pan.axis)
    left = settings.tilt_sign * _direction(at_tilt, tilt.axis)
    if abs(float(up @ left)) > _SQUARE:
        raise DescriptionError(
            f"the axes of {pan.name} and {tilt.name} are not at right angles in robot_description; "
            "that is no pan/tilt head that can be pointed"
        )
    forward = np.cross(left, up)
    forward /= np.linalg.norm(forward)
    left = np.cross(up, forward)
    offset = at_tilt[:3, 3] - at_pan[:3, 3]
    return HeadGeometry(
        frame=pan.parent,
        origin=_vector(at_pan[:3, 3]),
        basis=(_vector(forward), _vector(left), _vector(up)),
        # Along its axis, where the joint's origin is means nothing.
        tilt_forward=float(forward @ offset),
        tilt_up=float(up @ offset),
    )


def _of_head(settings: PanTiltSettings, joints: Mapping[str, Joint]) -> tuple[Joint, Joint]:
    found = []
    for role in ("pan_joint", "tilt_joint"):
        name = getattr(settings, role)
        joint = joints.get(name)
        if joint is None:
            turning = sorted(joint.name for joint in joints.values() if joint.kind in ("revolute", "continuous"))
            raise DescriptionError(
                f"robot_description has no joint '{name}'; set {role} to one of: {', '.join(turning) or '(none turns)'}"
            )
        if joint.kind not in ("revolute", "continuous"):
            raise DescriptionError(
                f"the joint '{name}' is {joint.kind} in robot_description; set {role} to one that turns"
            )
        found.append(joint)
    return found[0], found[1]


def _limits(joint: Joint, sign: float, low: float, high: float) -> tuple[float, float]:
    described = sorted((sign * joint.lower, sign * joint.upper))
    narrow = max(low, described[0]), min(high, described[1])
    if not narrow[0] < narrow[1]:
        raise DescriptionError(
            f"robot_description lets '{joint.name}' move from {described[0]:.3g} to {described[1]:.3g} rad (with our "
            f"sign), the parameters from {low:.3g} to {high:.3g}; nothing is left, correct the parameters"
        )
    return narrow


def _joint(element: ElementTree.Element) -> Joint:
    name = element.get("name", "")
    kind = element.get("type", "")
    limit = element.find("limit")
    soft = element.find("safety_controller")
    bounded = kind == "revolute"
    lower = upper = math.inf
    if bounded:
        if limit is None:
            raise DescriptionError(f"the joint '{name}' is revolute and has no <limit> in robot_description")
        lower = _number(limit, "lower", 0.0, name)
        upper = _number(limit, "upper", 0.0, name)
        if soft is not None:
            lower = max(lower, _number(soft, "soft_lower_limit", -math.inf, name))
            upper = min(upper, _number(soft, "soft_upper_limit", math.inf, name))
    speed = _number(limit, "velocity", 0.0, name)
    origin = element.find("origin")
    return Joint(
        name=name,
        kind=kind,
        parent=_link(element, "parent"),
        child=_link(element, "child"),
        lower=lower if bounded else -math.inf,
        upper=upper,
        # A velocity of zero is what generators write where they don't know it; a head that can't move needs no planner.
        speed=speed if speed > 0.0 else math.inf,
        origin=_triple(origin, "xyz", (0.0, 0.0, 0.0), name),
        turned=_triple(origin, "rpy", (0.0, 0.0, 0.0), name),
        axis=_triple(element.find("axis"), "xyz", (1.0, 0.0, 0.0), name),
    )


def _link(element: ElementTree.Element, tag: str) -> str:
    found = element.find(tag)
    return "" if found is None else found.get("link", "")


def _number(element: ElementTree.Element | None, attribute: str, default: float, joint: str) -> float:
    text = None if element is None else element.get(attribute)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise DescriptionError(f"the joint '{joint}' has {attribute} '{text}' in robot_description, which is no number")
    return value


def _triple(element: ElementTree.Element | None, attribute: str, default: Vector, joint: str) -> Vector:
    text = None if element is None else element.get(attribute)
    if text is None:
        return default
    try:
        x, y, z = (float(part) for part in text.split())
    except ValueError:
        x = y = z = math.nan
    if not all(map(math.isfinite, (x, y, z))):
        raise DescriptionError(
            f"the joint '{joint}' has {attribute} '{text}' in robot_description, which are not three numbers"
        )
    return x, y, z


def _frame(joint: Joint) -> _Matrix:
    """The transform from the joint's frame to its parent's, at zero."""
    roll, pitch, yaw = joint.turned
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in (roll, pitch, yaw))
    x, y, z = joint.origin
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr, x],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr, y],
            [-sp, cp * sr, cp * cr, z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def _chain(pan: Joint, tilt: Joint, joints: Mapping[str, Joint]) -> _Matrix:
    """The transform from the tilt joint's frame to the link that the pan joint turns."""
    above: dict[str, Joint] = {joint.child: joint for joint in joints.values()}
    total = _frame(tilt)
    link = tilt.parent
    seen: set[str] = set()
    while link != pan.child:
        joint = above.get(link)
        if joint is None or joint.kind != "fixed" or link in seen:
            raise DescriptionError(
                f"'{tilt.name}' doesn't hang from '{pan.name}' in robot_description; pan_joint and tilt_joint may be "
                "the wrong way round"
            )
        seen.add(link)
        total = _frame(joint) @ total
        link = joint.parent
    return total


def _direction(frame: _Matrix, axis: Vector) -> _Matrix:
    direction: Any = frame[:3, :3] @ np.array(axis)
    length = float(np.linalg.norm(direction))
    if length < 1e-6:
        raise DescriptionError("a joint of the head has an axis of length zero in robot_description")
    return np.asarray(direction / length, np.float64)


def _vector(values: _Matrix) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
