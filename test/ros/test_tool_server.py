"""tool_server with a real head: what it does, and what it refuses."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import NodeProcess, Probe
from std_msgs.msg import Empty, String

from lfm_voice_ros.msg import HeadState, ToolCall, ToolDecision, ToolResult
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.srv import CallTool

Start = Callable[..., NodeProcess]


@pytest.fixture
def head(start: Start, probe: Probe) -> list[HeadState]:
    """A simulated head that is ready; the list grows with its states."""
    states = probe.subscribe("head/state", HeadState)
    start("pan_tilt", parameters={"joint_states_timeout": 2.0})
    start("pan_tilt_sim")
    probe.wait_for(lambda: states and not states[-1].stale, what="a head that knows where it is")
    return states


def call(probe: Probe, name: str, arguments: str = "{}") -> ToolResult:
    request = CallTool.Request(call=ToolCall(name=name, arguments_json=arguments))
    return probe.call("call_tool", CallTool, request).result


def decision(utterance_id: str, *calls: tuple[str, dict[str, Any]]) -> ToolDecision:
    made = [ToolCall(name=name, arguments_json=json.dumps(arguments)) for name, arguments in calls]
    return ToolDecision(utterance_id=utterance_id, calls=made, detector="test")


def rests_at(states: list[HeadState], pan: float, tilt: float) -> Callable[[], bool]:
    """Whether the head stands still at these degrees."""
    return lambda: (
        not states[-1].moving
        and abs(math.degrees(states[-1].pan) - pan) < 0.5
        and abs(math.degrees(states[-1].tilt) - tilt) < 0.5
    )


def test_a_call_moves_the_head_and_the_result_says_where_to(start: Start, probe: Probe, head: list[HeadState]) -> None:
    start("tool_server")

    result = call(probe, "pan_left", '{"degrees": 40}')

    assert (result.status, result.error) == (ToolResult.SUCCEEDED, "")
    assert result.speech == "Looking left, forty degrees."
    assert json.loads(result.result_json) == {
        "pan_degrees": 40.0,
        "tilt_degrees": 0.0,
        "moved_degrees": 40.0,
        "limited": False,
    }
    probe.wait_for(rests_at(head, 40, 0), what="the head at 40 degrees")


def test_beyond_the_limit_the_head_stops_there_and_says_so(start: Start, probe: Probe, head: list[HeadState]) -> None:
    start("tool_server")

    result = call(probe, "pan_right", '{"degrees": 170}')

    assert result.speech.startswith("Looking right, ninety")
    assert result.speech.endswith("I am at my limit.")
    probe.wait_for(rests_at(head, -90, 0), what="the head at its limit")


def test_the_calls_of_a_decision_run_in_order_and_each_has_its_result(
    start: Start, probe: Probe, head: list[HeadState]
) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")

    wanted = decision("u1", ("pan_left", {"degrees": 30}), ("get_time", {}), ("tilt_up", {"degrees": 10}))
    probe.publish("tool_decision", wanted)

    probe.wait_for(lambda: len(results) == 3, what="three results")
    assert [(r.utterance_id, r.call.name, r.index, r.total, r.status) for r in results] == [
        ("u1", "pan_left", 0, 3, ToolResult.SUCCEEDED),
        ("u1", "get_time", 1, 3, ToolResult.SUCCEEDED),
        ("u1", "tilt_up", 2, 3, ToolResult.SUCCEEDED),
    ]
    probe.wait_for(rests_at(head, 30, -10), what="the head where both motions end")


def test_opposite_motions_of_one_sentence_are_both_seen(start: Start, probe: Probe, head: list[HeadState]) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")

    probe.publish("tool_decision", decision("u1", ("pan_left", {"degrees": 30}), ("pan_right", {"degrees": 60})))

    probe.wait_for(lambda: len(results) == 2, what="two results")
    probe.wait_for(rests_at(head, -30, 0), what="the head at the end")
    assert max(math.degrees(state.pan) for state in head if not state.stale) > 20


def test_stop_halts_a_motion_and_gives_up_what_was_to_come(start: Start, probe: Probe, head: list[HeadState]) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")
    probe.publish("tool_decision", decision("u1", ("look_around", {})))
    probe.wait_for(lambda: head[-1].moving, what="a moving head")
    many = [("get_time", {}), *[("pan_left", {"degrees": 1})] * 200]

    probe.publish("tool_decision", decision("u3", *many))
    probe.publish("tool_decision", decision("u2", ("stop", {})))

    stopped = probe.wait_for(lambda: next((r for r in results if r.utterance_id == "u2"), None), what="the result")
    assert stopped is not None
    assert (stopped.status, stopped.speech) == (ToolResult.SUCCEEDED, "Stopped.")
    probe.wait_for(lambda: not head[-1].moving, what="a head at rest")
    given_up = probe.wait_for(lambda: [r for r in results if r.status == ToolResult.CANCELED], what="what was given up")
    assert {(r.utterance_id, r.speech) for r in given_up} == {("u3", "")}


def test_a_draft_is_told_and_nothing_is_done(start: Start, probe: Probe, head: list[HeadState], tmp_path: Path) -> None:
    skills = tmp_path / "skills.yaml"
    skills.write_text(FACE)
    foretold = probe.subscribe("tool_result/draft", ToolResult)
    results = probe.subscribe("tool_result", ToolResult)
    stops = probe.subscribe("head/stop", Empty)
    faces = probe.subscribe("face", String)
    start("tool_server", parameters={"tools_file": str(skills)})
    probe.wait_for_value("tool_server", "head limits", "pan -1.57 to 1.57 rad, tilt -0.79 to 0.79 rad")

    probe.publish("tool_decision/draft", decision("u1", ("pan_left", {"degrees": 120}), ("show_face", {"face": "sad"})))
    probe.publish("tool_decision/draft", decision("u1", ("pan_left", {"degrees": 20}), ("stop", {})))
    probe.publish("tool_decision", decision("u1", ("get_time", {})))

    probe.wait_for(lambda: len(foretold) == 4 and results, what="what was foretold, and the result behind it")
    assert [(r.index, r.total, r.speech) for r in foretold] == [
        (0, 2, "Looking left, ninety degrees. I am at my limit."),
        (1, 2, "This is my sad face."),
        (0, 2, ""),
        (1, 2, "Stopped."),
    ]
    assert [result.call.name for result in results] == ["get_time"]
    assert (stops, faces) == ([], [])
    seen = len(head)
    probe.wait_for(lambda: len(head) > seen, what="a newer state of the head")
    assert not any(state.moving for state in head)
    assert {(state.target_pan, state.target_tilt) for state in head if not state.stale} == {(0.0, 0.0)}


def test_a_draft_that_is_a_stop_and_nothing_else_stops_at_once(
    start: Start, probe: Probe, head: list[HeadState]
) -> None:
    foretold = probe.subscribe("tool_result/draft", ToolResult)
    results = probe.subscribe("tool_result", ToolResult)
    stops = probe.subscribe("head/stop", Empty)
    start("tool_server")
    probe.publish("tool_decision", decision("u1", ("look_around", {})))
    probe.wait_for(lambda: head[-1].moving, what="a moving head")

    probe.publish("tool_decision/draft", decision("u2", ("stop", {})))

    probe.wait_for(lambda: stops and not head[-1].moving, what="a head at rest")
    probe.wait_for(lambda: [r.speech for r in foretold] == ["Stopped."], what="what was foretold")
    assert {result.utterance_id for result in results} == {"u1"}


FACE = """
include: tools.yaml
tools:
  - name: show_face
    description: Show a face.
    parameters: {type: object, properties: {face: {type: string}}, required: [face]}
    binding: {topic: face, type: std_msgs/msg/String, message: {data: {argument: face}}}
    says: {done: "This is my {face} face.", failed: "I could not: {reason}."}
"""


def test_a_decision_that_comes_too_late_is_not_run(start: Start, probe: Probe) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")
    late, soon = decision("late", ("get_time", {})), decision("soon", ("get_time", {}))

    late.speech_end = to_stamp(probe.now() - 30.0)
    probe.publish("tool_decision", late)
    probe.wait_for(lambda: results, what="the refusal")
    soon.speech_end = to_stamp(probe.now())
    probe.publish("tool_decision", soon)
    probe.wait_for(lambda: len(results) == 2, what="the other result")

    assert [result.status for result in results] == [ToolResult.REJECTED, ToolResult.SUCCEEDED]
    assert "too long" in results[0].speech


def test_a_stop_that_comes_late_still_stops_and_nothing_else_is_done(
    start: Start, probe: Probe, head: list[HeadState]
) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")
    probe.publish("tool_decision", decision("u1", ("look_around", {})))
    probe.wait_for(lambda: head[-1].moving, what="a moving head")
    late = decision("late", ("stop", {}), ("pan_left", {}))
    late.speech_end = to_stamp(probe.now() - 30.0)

    probe.publish("tool_decision", late)

    probe.wait_for(lambda: len([r for r in results if r.utterance_id == "late"]) == 2, what="both results")
    assert [r.status for r in results if r.utterance_id == "late"] == [ToolResult.SUCCEEDED, ToolResult.CANCELED]
    probe.wait_for(lambda: not head[-1].moving, what="a head at rest")


def test_a_second_decision_for_one_utterance_is_not_run(start: Start, probe: Probe) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")

    for utterance_id in ("u1", "u1", "u2"):
        probe.publish("tool_decision", decision(utterance_id, ("get_time", {})))
    probe.wait_for(lambda: any(r.utterance_id == "u2" for r in results), what="the result of the last")

    assert [r.utterance_id for r in results] == ["u1", "u2"]


def test_what_a_person_said_is_not_in_the_log(start: Start, probe: Probe) -> None:
    node = start("tool_server")

    result = call(probe, "get_time", '{"location": "my secret place"}')
    call(probe, "get_time", "my secret place")

    assert "my secret place" in result.error
    node.wait_for_output("get_time")
    assert "secret" not in node.output


UNFIT = [  # name, arguments, what the refusal says
    ("fly", "{}", "no tool named fly"),
    ("pan_left", '{"degrees": "far"}', "degrees"),
    ("pan_left", '{"degrees": 9999}', "degrees"),
    ("pan_left", '{"degrees": NaN}', "not JSON"),
    ("pan_left", "degrees=30", "not JSON"),
    ("pan_left", "[30]", "not a JSON object"),
    ("pan_left", '{"degrees":' * 900, "not JSON"),
    ("__import__('os').abort()", "{}", "no tool named"),
]


def test_what_does_not_fit_is_refused_and_the_node_goes_on(start: Start, probe: Probe) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    node = start("tool_server")

    for number, (name, arguments, reason) in enumerate(UNFIT):
        refused = call(probe, name, arguments)
        decided = ToolDecision(utterance_id=f"u{number}", calls=[ToolCall(name=name, arguments_json=arguments)])
        probe.publish("tool_decision", decided)
        assert refused.status == ToolResult.REJECTED, (name, arguments)
        assert reason in refused.error

    def refusals() -> list[str]:
        return [result.utterance_id for result in results if result.utterance_id]

    probe.wait_for(lambda: len(refusals()) == len(UNFIT), what="the refusals of all decisions")
    assert refusals() == [f"u{number}" for number in range(len(UNFIT))]
    assert {result.status for result in results} == {ToolResult.REJECTED}
    assert call(probe, "get_date").status == ToolResult.SUCCEEDED
    assert "Traceback" not in node.output


def test_a_tool_that_is_not_allowed_is_refused(start: Start, probe: Probe) -> None:
    start("tool_server", parameters={"allowed": ["get_time", "get_date"]})

    assert "not allowed" in call(probe, "nod").error
    assert call(probe, "get_time").status == ToolResult.SUCCEEDED


def test_without_a_head_a_motion_fails_with_a_sentence_and_the_clock_still_works(start: Start, probe: Probe) -> None:
    node = start("tool_server")

    result = call(probe, "nod")

    assert result.status == ToolResult.FAILED
    assert result.speech == "I could not nod: my head doesn't answer."
    assert "is pan_tilt running" in result.error
    assert call(probe, "get_time", '{"location": "Tokyo"}').speech.endswith("in Tokyo.")
    assert "Traceback" not in node.output


def test_with_stale_joint_states_a_motion_fails_with_a_sentence(start: Start, probe: Probe) -> None:
    states = probe.subscribe("head/state", HeadState)
    start("pan_tilt")
    start("tool_server")
    probe.wait_for(lambda: states and states[-1].stale, what="a head that does not know where it is")

    result = call(probe, "pan_left")

    assert result.status == ToolResult.FAILED
    assert "unknown" in result.speech
    assert "joint_states" not in result.speech


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_two_seconds(start: Start, probe: Probe, number: signal.Signals) -> None:
    node = start("tool_server")
    call(probe, "get_time")

    assert node.stop(number, timeout=2.0) == 0
    assert "Traceback" not in node.output


def test_a_wrong_tool_file_ends_the_start_up_with_a_sentence(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "tools.yaml"
    path.write_text("tools: [{name: wave}]")

    node = start("tool_server", parameters={"tools_file": str(path)})

    assert node.wait() == 2
    assert f"{path}: tools/0" in node.output
    assert "Traceback" not in node.output
