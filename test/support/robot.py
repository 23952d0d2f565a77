"""The URDF of the head: its joints, and where its links are when they turn."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[2]
ROBOT = ElementTree.parse(REPOSITORY / "urdf/pan_tilt_head.urdf").getroot()
JOINTS = {joint.get("name", ""): joint for joint in ROBOT.findall("joint")}

Matrix = NDArray[np.float64]


def attribute(element: ElementTree.Element, child: str, name: str) -> str:
    """Give an attribute of a child that must be there."""
    found = element.find(child)
    assert found is not None, f"{element.get('name')} has no {child}"
    value = found.get(name)
    assert value is not None, f"the {child} of {element.get('name')} has no {name}"
    return value


def numbers(text: str | None) -> list[float]:
    """Give the numbers of an attribute; none at all are zeros."""
    return [float(one) for one in (text or "0 0 0").split()]


def turn(axis: Sequence[float], angle: float) -> Matrix:
    """Give the rotation of 3 by 3 about an axis of length one (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)


def origin_of(element: ElementTree.Element) -> Matrix:
    """Give the pose of 4 by 4 that an element's origin says."""
    pose = np.eye(4)
    origin = element.find("origin")
    if origin is not None:
        roll, pitch, yaw = numbers(origin.get("rpy"))
        pose[:3, 3] = numbers(origin.get("xyz"))
        pose[:3, :3] = turn([0, 0, 1], yaw) @ turn([0, 1, 0], pitch) @ turn([1, 0, 0], roll)
    return pose


def pose_of(link: str, angles: Mapping[str, float]) -> Matrix:
    """Give where a link is in head_base_link, as a pose of 4 by 4, with the joints at these angles."""
    pose = np.eye(4)
    while link != "head_base_link":
        (joint,) = (one for one in JOINTS.values() if attribute(one, "child", "link") == link)
        step = origin_of(joint)
        if joint.get("type") == "revolute":
            step[:3, :3] @= turn(numbers(attribute(joint, "axis", "xyz")), angles[joint.get("name", "")])
        pose = step @ pose
        link = attribute(joint, "parent", "link")
    return pose
