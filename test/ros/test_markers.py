"""markers over DDS: what a person sees in RViz of a turn."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from harness import NodeProcess, Probe
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import Marker, MarkerArray

from lfm_voice_ros.msg import HeadState, Reply, Transcript
from lfm_voice_ros.nodes import qos

Start = Callable[..., NodeProcess]

EVERY = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class View:
    """What RViz would show: markers are added, replaced and deleted by namespace and number."""

    def __init__(self, probe: Probe, topic: str) -> None:
        self._messages: list[MarkerArray] = probe.subscribe(topic, MarkerArray, EVERY)

    def shown(self) -> dict[tuple[str, int], Marker]:
        markers: dict[tuple[str, int], Marker] = {}
        for marker in (marker for message in list(self._messages) for marker in message.markers):
            if marker.action == Marker.DELETE:
                markers.pop((marker.ns, marker.id), None)
            else:
                markers[marker.ns, marker.id] = marker
        return markers


def test_a_turn_is_shown_in_its_namespace_and_vanishes_after_its_time(start: Start, probe: Probe) -> None:
    start("markers", parameters={"frame": "neck", "lifetime": 4.0}, remappings={"__ns": "/robot"})
    view = View(probe, "/robot/markers")

    probe.publish("/robot/transcript", Transcript(utterance_id="u1", text="Look left.", confidence=0.9))
    probe.publish("/robot/head/state", HeadState(target_pan=math.pi / 6, moving=True), qos.STATE)
    probe.publish("/robot/reply", Reply(utterance_id="u1", text="Looking left.", source="tools"))
    every = {("heard", 0), ("said", 0), ("command", 0), ("command", 1)}
    probe.wait_for(lambda: set(view.shown()) == every, what="words and a command")

    markers = view.shown()
    assert markers["heard", 0].text == 'heard: "Look left." (90 %)'
    assert markers["said", 0].text == 'said: "Looking left."'
    assert markers["heard", 0].pose.position.z > markers["said", 0].pose.position.z > 0.2
    arrow = markers["command", 0]
    tip, foot = arrow.points[1], arrow.points[0]
    assert math.atan2(tip.y - foot.y, tip.x - foot.x) == pytest.approx(math.pi / 6)
    for marker in markers.values():
        assert marker.header.frame_id == "neck"
        assert marker.header.stamp.sec > 0
        assert marker.frame_locked
        assert marker.lifetime.sec > 0
        assert marker.color.a > 0.0
        kind = Marker.ARROW if (marker.ns, marker.id) == ("command", 0) else Marker.TEXT_VIEW_FACING
        assert marker.type == kind

    there = HeadState(pan=math.pi / 6, target_pan=math.pi / 6)
    probe.publish("/robot/head/state", there, qos.STATE)
    probe.wait_for(lambda: not view.shown(), what="an empty view")
