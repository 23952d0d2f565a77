"""What calls would say, told without acting."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from lfm_voice_ros.core.pan_tilt import PanTilt
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.types import HeadMove, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.clock import Places
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.foretelling import Foreteller
from lfm_voice_ros.tools.registry import Registry

PLACES = Places.from_file(config_file("places.yaml"))


def clock(zone: tzinfo | None) -> datetime:
    return datetime(2026, 11, 23, 21, 5, tzinfo=UTC).astimezone(zone or UTC)


def make(tools: Path | None = None, allowed: tuple[str, ...] = ("*",)) -> Foreteller:
    foreteller = Foreteller(Registry.from_file(tools or config_file("tools.yaml"), allowed), PLACES, clock)
    foreteller.limits((-1.57, 1.57), (-0.79, 0.79))
    foreteller.look(0.0, 0.0)
    return foreteller


def told(foreteller: Foreteller, *calls: ToolCall) -> list[str]:
    return [result.speech for result in foreteller.foretell(calls)]


def degrees(pan: float, tilt: float = 0.0) -> tuple[float, float]:
    return math.radians(pan), math.radians(tilt)


class RealHead:
    """A head with its own planner, as pan_tilt has it."""

    def __init__(self, pan: float, tilt: float) -> None:
        settings = PanTiltSettings()
        self._planner = PanTilt(settings)
        self._planner.observe([settings.pan_joint, settings.tilt_joint], (pan, tilt), (0.0, 0.0), 0.0, 0.0)

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        move = self._planner.move(motion, pan, tilt, append, 0.0)
        return HeadMove(*move.target, *move.change, *move.limited, duration=1.0)

    def position(self) -> tuple[float, float]:
        return self._planner.status(0.0).position


SENTENCES = [
    (ToolCall("pan_left"),),
    (ToolCall("pan_right", {"degrees": 45}),),
    (ToolCall("pan_left", {"degrees": 170}),),
    (ToolCall("tilt_up", {"degrees": 10}), ToolCall("get_time", {"location": "Tokyo"})),
    (ToolCall("pan_left", {"degrees": 80}), ToolCall("pan_left", {"degrees": 80})),
    (ToolCall("look_at", {"pan_degrees": 20, "tilt_degrees": -60}),),
    (ToolCall("pan_left"), ToolCall("stop")),
    (ToolCall("center"), ToolCall("get_head_position")),
    (ToolCall("nod"), ToolCall("shake_head"), ToolCall("look_around"), ToolCall("get_date")),
    (ToolCall("fly"), ToolCall("pan_left", {"degrees": "far"})),
]


@pytest.mark.parametrize("calls", SENTENCES, ids=lambda calls: "+".join(call.name for call in calls))
@pytest.mark.parametrize("place", [(0.0, 0.0), (60.0, 20.0), (-90.0, -45.0)])
def test_what_is_foretold_is_what_the_same_calls_say_when_they_run(
    place: tuple[float, float], calls: tuple[ToolCall, ...]
) -> None:
    head = RealHead(*degrees(*place))
    foreteller = make()
    foreteller.look(*degrees(*place))
    real: list[ToolResult] = []

    foretold = list(foreteller.foretell(calls))

    registry = Registry.from_file(config_file("tools.yaml"))
    ToolExecutor(registry, head, PLACES, clock).run(calls, lambda: False, real.append)
    assert [(r.speech, r.status, r.index, r.total) for r in foretold] == [
        (r.speech, r.status, r.index, r.total) for r in real
    ]


def test_foretelling_twice_gives_the_same_since_nothing_has_happened() -> None:
    foreteller = make()

    assert told(foreteller, ToolCall("pan_left")) == told(foreteller, ToolCall("pan_left"))


def test_where_the_head_is_unknown_only_what_does_not_need_it_is_foretold() -> None:
    foreteller = make()
    foreteller.look(math.nan, math.nan)

    results = list(foreteller.foretell((ToolCall("pan_left"), ToolCall("get_time"))))

    assert [(result.speech, result.index, result.total) for result in results] == [("It is 9:05 PM.", 1, 2)]


def test_a_tool_that_is_not_allowed_is_foretold_as_refused() -> None:
    results = list(make(allowed=("nod",)).foretell((ToolCall("pan_left"),)))

    assert [result.status for result in results] == [ToolStatus.REJECTED]


SKILLS = """
include: tools.yaml
tools:
  - name: lights
    description: Light.
    parameters: {type: object, properties: {state: {type: string}}, required: [state]}
    binding: {service: light, type: no_such_msgs/srv/SetBool}
    says: {done: "My light is {state}.", failed: "No: {reason}."}
  - name: battery
    description: Battery.
    parameters: {type: object, properties: {}}
    binding: {service: battery, type: no_such_msgs/srv/Battery, words: {percent: percent}}
    says: {done: "{percent} percent.", failed: "No: {reason}."}
  - name: go_to
    description: Drive.
    parameters: {type: object, properties: {place: {type: string}}, required: [place]}
    binding: {action: go, type: no_such_msgs/action/Go, wait: false}
    says: {accepted: "On my way to the {place}.", done: "I am there.", failed: "No: {reason}."}
"""


def test_a_skill_is_foretold_where_its_sentence_does_not_depend_on_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "skills.yaml"
    path.write_text(SKILLS)
    foreteller = make(path)

    calls = (ToolCall("lights", {"state": "on"}), ToolCall("battery"), ToolCall("go_to", {"place": "living_room"}))

    assert [(result.index, result.speech) for result in foreteller.foretell(calls)] == [
        (0, "My light is on."),
        (2, "On my way to the living room."),
    ]


def test_a_skill_that_cannot_work_is_not_foretold(tmp_path: Path) -> None:
    path = tmp_path / "skills.yaml"
    path.write_text(SKILLS)
    foreteller = Foreteller(Registry.from_file(path), PLACES, clock, missing=["lights"])

    assert told(foreteller, ToolCall("lights", {"state": "on"})) == []
