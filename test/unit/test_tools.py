"""The registry, the bindings and the executor."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from lfm_voice_ros.core.errors import ConfigurationError, ToolError, ToolTimeout
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import HeadMove, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.clock import Places
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.registry import Registry

NOON = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
ALL_TOOLS = [
    "pan_left",
    "pan_right",
    "tilt_up",
    "tilt_down",
    "center",
    "look_at",
    "look_around",
    "nod",
    "shake_head",
    "stop",
    "get_head_position",
    "get_time",
    "get_date",
]


def frozen_clock(zone: tzinfo | None) -> datetime:
    return NOON.astimezone(zone or UTC)


class RecordingHead:
    """A head that does what it is told, up to a limit in degrees, and notes it."""

    def __init__(self, limit: float = 90.0, error: ToolError | None = None) -> None:
        self.limit = math.radians(limit)
        self.error = error
        self.pan = self.tilt = 0.0
        self.moves: list[tuple[str, float, float, bool]] = []

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        if self.error:
            raise self.error
        self.moves.append((motion, pan, tilt, append))
        before = (self.pan, self.tilt)
        base = before if motion == "relative" else (0.0, 0.0)
        wanted = [at if math.isnan(to) else start + to for at, start, to in zip(before, base, (pan, tilt), strict=True)]
        self.pan, self.tilt = (max(-self.limit, min(self.limit, angle)) for angle in wanted)
        return HeadMove(
            pan=self.pan,
            tilt=self.tilt,
            pan_change=self.pan - before[0],
            tilt_change=self.tilt - before[1],
            pan_limited=self.pan != wanted[0],
            tilt_limited=self.tilt != wanted[1],
            duration=1.0,
        )

    def position(self) -> tuple[float, float]:
        if self.error:
            raise self.error
        return self.pan, self.tilt


def make_executor(head: RecordingHead, allowed: tuple[str, ...] = ("*",)) -> ToolExecutor:
    registry = Registry.from_file(config_file("tools.yaml"), allowed)
    return ToolExecutor(registry, head, Places.from_file(config_file("places.yaml")), frozen_clock)


def run(executor: ToolExecutor, *calls: ToolCall, canceled: Callable[[], bool] = lambda: False) -> list[ToolResult]:
    results: list[ToolResult] = []
    executor.run(calls, canceled, results.append)
    return results


def test_the_shipped_file_has_all_built_in_tools() -> None:
    assert [tool.name for tool in Registry.from_file(config_file("tools.yaml"))] == ALL_TOOLS


@pytest.mark.parametrize(
    ("name", "arguments", "motion"),
    [
        ("pan_left", {"degrees": 30}, ("relative", 30.0, math.nan)),
        ("pan_right", {"degrees": 45}, ("relative", -45.0, math.nan)),
        ("tilt_up", {"degrees": 10}, ("relative", math.nan, -10.0)),
        ("tilt_down", {"degrees": 10.5}, ("relative", math.nan, 10.5)),
        ("pan_left", {}, ("relative", 30.0, math.nan)),
        ("tilt_up", {}, ("relative", math.nan, -20.0)),
        ("look_at", {"pan_degrees": 20, "tilt_degrees": -5}, ("absolute", 20.0, -5.0)),
        ("look_at", {"tilt_degrees": 5}, ("absolute", math.nan, 5.0)),
        ("center", {}, ("center", math.nan, math.nan)),
        ("nod", {}, ("nod", math.nan, math.nan)),
        ("stop", {}, ("stop", math.nan, math.nan)),
    ],
)
def test_degrees_become_radians_with_rep_103_signs(
    name: str, arguments: dict[str, float], motion: tuple[str, float, float]
) -> None:
    head = RecordingHead()

    run(make_executor(head), ToolCall(name, arguments))

    ((moved, pan, tilt, _),) = head.moves
    assert moved == motion[0]
    assert [math.degrees(pan), math.degrees(tilt)] == pytest.approx(motion[1:], nan_ok=True)


def test_the_sentence_says_what_was_applied_and_not_what_was_asked_for() -> None:
    executor = make_executor(RecordingHead(limit=90))

    first, second, third = run(executor, *[ToolCall("pan_left", {"degrees": 60})] * 3)

    assert first.speech == "Looking left, sixty degrees."
    assert second.speech == "Looking left, thirty degrees. I am at my limit."
    assert third.speech == "I can't look any further to the left. I am at my limit."
    assert second.data == {"pan_degrees": 90.0, "tilt_degrees": 0.0, "moved_degrees": 30.0, "limited": True}


def test_one_degree_is_singular() -> None:
    (result,) = run(make_executor(RecordingHead()), ToolCall("tilt_up", {"degrees": 1}))

    assert result.speech == "Looking up, one degree."


def test_a_direction_is_told_in_words() -> None:
    executor = make_executor(RecordingHead())

    there, where = run(
        executor, ToolCall("look_at", {"pan_degrees": -20, "tilt_degrees": -10}), ToolCall("get_head_position")
    )

    assert there.speech == "Looking twenty degrees to the right and ten degrees up."
    assert where.speech == "I am looking twenty degrees to the right and ten degrees up."


def test_motions_of_one_sentence_follow_each_other() -> None:
    head = RecordingHead()

    results = run(make_executor(head), ToolCall("pan_left"), ToolCall("get_date"), ToolCall("nod"))

    assert [append for *_, append in head.moves] == [False, True]
    assert [(result.index, result.total) for result in results] == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (ToolCall("fly"), "no tool named fly"),
        (ToolCall("pan_left", {"degrees": "thirty"}), "degrees"),
        (ToolCall("pan_left", {"degrees": -5}), "degrees"),
        (ToolCall("pan_left", {"degrees": 1e9}), "degrees"),
        (ToolCall("pan_left", {"angle": 5}), "angle"),
        (ToolCall("look_at", {}), "look_at"),
        (ToolCall("get_time", {"location": ""}), "location"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_and_nothing_is_done(call: ToolCall, reason: str) -> None:
    head = RecordingHead()

    (result,) = run(make_executor(head), call)

    assert result.status is ToolStatus.REJECTED
    assert reason in result.error
    assert result.speech.startswith("I can't do that")
    assert head.moves == []


def test_a_tool_that_is_not_allowed_is_refused() -> None:
    head = RecordingHead()

    (result,) = run(make_executor(head, allowed=("get_time",)), ToolCall("pan_left"))

    assert result.status is ToolStatus.REJECTED
    assert "not allowed" in result.error
    assert head.moves == []


def test_allowing_a_tool_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="fly"):
        make_executor(RecordingHead(), allowed=("fly",))


@pytest.mark.parametrize(("error", "status"), [(ToolError, ToolStatus.FAILED), (ToolTimeout, ToolStatus.TIMED_OUT)])
def test_a_failing_head_is_told_without_the_technical_part(error: type[ToolError], status: ToolStatus) -> None:
    head = RecordingHead(error=error("my head's position is unknown: no joint_states for 0.5 s; is it running?"))

    (result,) = run(make_executor(head), ToolCall("pan_left"))

    assert result.status is status
    assert result.speech == "I could not look left: my head's position is unknown."
    assert "joint_states" in result.error


def test_after_stop_the_calls_that_have_not_begun_are_canceled_but_stop_runs() -> None:
    head = RecordingHead()

    results = run(make_executor(head), ToolCall("pan_left"), ToolCall("stop"), canceled=lambda: True)

    assert [result.status for result in results] == [ToolStatus.CANCELED, ToolStatus.SUCCEEDED]
    assert [motion for motion, *_ in head.moves] == ["stop"]


@pytest.mark.parametrize(
    ("location", "spoken"),
    [
        ("Tokyo", "It is 9:05 PM in Tokyo."),
        ("new york", "It is 7:05 AM in new york."),
        ("New York City", "It is 7:05 AM in New York City."),
        ("Paris, France", "It is 1:05 PM in Paris, France."),
        ("São Paulo", "It is 9:05 AM in São Paulo."),
        ("Europe/London", "It is 12:05 PM in Europe/London."),
        ("India", "It is 5:35 PM in India."),
    ],
)
def test_the_time_of_a_place(location: str, spoken: str) -> None:
    (result,) = run(make_executor(RecordingHead()), ToolCall("get_time", {"location": location}))

    assert result.speech == spoken


def test_the_time_and_the_date_here() -> None:
    time, date = run(make_executor(RecordingHead()), ToolCall("get_time"), ToolCall("get_date"))

    assert time.speech == "It is 12:05 PM."
    assert time.data == {"time": "2026-11-23T12:05+00:00"}
    assert date.speech == "Today is Monday, November 23, 2026."


def test_an_unknown_place_is_said_to_be_unknown() -> None:
    (result,) = run(make_executor(RecordingHead()), ToolCall("get_time", {"location": "Atlantis"}))

    assert result.status is ToolStatus.FAILED
    assert result.speech == "I can't tell the time: I don't know the time zone of Atlantis."


TOOL = """
tools:
  - name: {name}
    description: d
    parameters: {parameters}
    binding: {binding}
    says: {says}
"""


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Pan Left"}, "Pan Left"),
        ({"parameters": "{type: nonsense}"}, "JSON schema"),
        ({"binding": "{head: fly}"}, "binding of wave"),
        ({"binding": "{head: nod, pan: {argument: a, factor: 1}}"}, "binding of wave"),
        ({"binding": "{head: relative, pan: {argument: degrees}}"}, "factor"),
        ({"binding": "{head: relative, pan: {argument: degrees, factor: 1, speed: 2}}"}, "speed"),
        ({"binding": "{clock: moon}"}, "clock"),
        ({"binding": "{robot: dance}"}, "head, clock"),
        ({"says": "{done: hello}"}, "failed"),
        ({"says": "{done: 'it is {time}', failed: sorry}"}, "time"),
        ({"says": "{done: 'it is {time', failed: sorry}"}, "braces"),
        ({"says": "{done: 'it is {moved:d}', failed: sorry}"}, "braces"),
        ({"says": "{done: a, failed: b, perhaps: c}"}, "perhaps"),
        ({"description": "[1"}, "not YAML"),
    ],
)
def test_a_wrong_tool_file_says_what_is_wrong(tmp_path: Path, changes: dict[str, str], complaint: str) -> None:
    good = {"name": "wave", "parameters": "{type: object}", "binding": "{head: nod}", "says": "{done: a, failed: b}"}
    text = TOOL.format(**(good | changes)).replace("description: d", f"description: {changes.get('description', 'd')}")
    path = tmp_path / "tools.yaml"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=complaint):
        ToolExecutor(Registry.from_file(path), RecordingHead(), Places({}), frozen_clock)


def test_two_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tools.yaml"
    entry = TOOL.format(name="wave", parameters="{}", binding="{head: nod}", says="{done: a, failed: b}")
    path.write_text(entry + entry.partition("tools:")[2])

    with pytest.raises(ConfigurationError, match="two tools named wave"):
        Registry.from_file(path)


def test_a_missing_tool_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        Registry.from_file(tmp_path / "nowhere.yaml")


def test_places_with_a_wrong_time_zone_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Mars/Base"):
        Places({"mars": "Mars/Base"})


def test_a_motion_that_a_stop_of_the_same_sentence_ends_is_neither_begun_nor_spoken_of() -> None:
    head = RecordingHead()

    results = run(make_executor(head), ToolCall("pan_left"), ToolCall("get_date"), ToolCall("stop"), ToolCall("nod"))

    assert [motion for motion, *_ in head.moves] == ["stop", "nod"]
    assert [result.status for result in results] == [ToolStatus.CANCELED] + [ToolStatus.SUCCEEDED] * 3
    assert results[0].speech == ""


def test_asking_where_the_head_is_does_not_make_the_next_motion_wait() -> None:
    head = RecordingHead()

    run(make_executor(head), ToolCall("get_head_position"), ToolCall("pan_left"))

    assert [append for *_, append in head.moves] == [False]


def test_at_the_limit_an_absolute_motion_says_so_too() -> None:
    executor = make_executor(RecordingHead(limit=90))

    first, second = run(executor, *[ToolCall("look_at", {"pan_degrees": 120})] * 2)

    assert first.speech == second.speech == "Looking ninety degrees to the left. I am at my limit."


def test_a_tool_with_an_error_in_it_fails_and_the_next_call_runs() -> None:
    head = RecordingHead(error=ZeroDivisionError("inside"))  # type: ignore[arg-type]

    broken, fine = run(make_executor(head), ToolCall("nod"), ToolCall("get_date"))

    assert (broken.status, fine.status) == (ToolStatus.FAILED, ToolStatus.SUCCEEDED)
    assert broken.speech == "I could not nod: something went wrong inside me."
    assert "ZeroDivisionError" in broken.error


def test_an_empty_name_allows_nothing() -> None:
    (result,) = run(make_executor(RecordingHead(), allowed=("",)), ToolCall("get_time"))

    assert result.status is ToolStatus.REJECTED
