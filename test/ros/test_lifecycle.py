"""Nodes as managed nodes, and parameters that change while they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import HeadState, ToolCall, ToolDecision, ToolResult, VoiceActivity
from lfm_voice_ros.msg import Transcript as TranscriptMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.srv import CallTool, MoveHead

NODES = (
    "audio_capture",
    "transcriber",
    "tool_detector",
    "tool_server",
    "pan_tilt",
    "dialogue",
    "audio_player",
    "voice",
    "recorder",
    "bridge",
    "pan_tilt_sim",
)
Start = Callable[..., NodeProcess]


def change(probe: Probe, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(probe.call(f"{node}/change_state", ChangeState, request).success)


def state(probe: Probe, node: str) -> str:
    return str(probe.call(f"{node}/get_state", GetState, GetState.Request()).current_state.label)


def set_parameter(probe: Probe, node: str, name: str, value: object) -> Any:
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return probe.call(f"{node}/set_parameters", SetParameters, request).results[0]


def test_a_node_brings_itself_up(start: Start, probe: Probe) -> None:
    start("tool_detector")

    assert state(probe, "tool_detector") == "active"


def test_a_managed_node_waits_works_and_lets_go(start: Start, probe: Probe) -> None:
    start("tool_detector", parameters={"autostart": False})
    decisions = probe.subscribe("tool_decision", ToolDecision)

    assert state(probe, "tool_detector") == "unconfigured"
    probe.publish("transcript", TranscriptMsg(utterance_id="too early", text="look left"))
    assert change(probe, "tool_detector", Transition.TRANSITION_CONFIGURE)
    assert change(probe, "tool_detector", Transition.TRANSITION_ACTIVATE)
    probe.publish("transcript", TranscriptMsg(utterance_id="1", text="look left"))
    probe.wait_for(lambda: decisions, what="a decision")
    assert [decision.utterance_id for decision in decisions] == ["1"]

    assert change(probe, "tool_detector", Transition.TRANSITION_DEACTIVATE)
    assert change(probe, "tool_detector", Transition.TRANSITION_CLEANUP)
    assert state(probe, "tool_detector") == "unconfigured"
    assert set_parameter(probe, "tool_detector", "patterns_file", "/nowhere.yaml").successful
    assert not change(probe, "tool_detector", Transition.TRANSITION_CONFIGURE)
    assert set_parameter(probe, "tool_detector", "patterns_file", "").successful
    assert change(probe, "tool_detector", Transition.TRANSITION_CONFIGURE)
    assert change(probe, "tool_detector", Transition.TRANSITION_ACTIVATE)
    probe.publish("transcript", TranscriptMsg(utterance_id="2", text="nod"))
    probe.wait_for(lambda: decisions[1:], what="a decision after it was configured anew")
    assert change(probe, "tool_detector", Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(probe, "tool_detector") == "finalized"


def test_what_cannot_be_configured_says_why_and_stays_unconfigured(start: Start, probe: Probe) -> None:
    reports = probe.subscribe("/diagnostics", DiagnosticArray)
    start("audio_player", parameters={"autostart": False, "sink": "gramophone"})

    assert not change(probe, "audio_player", Transition.TRANSITION_CONFIGURE)

    assert state(probe, "audio_player") == "unconfigured"
    probe.wait_for(
        lambda: [r for r in reports if "audio_player.sink is 'gramophone'" in r.status[0].message], what="the reason"
    )


def test_an_inactive_node_lets_go_of_its_source_and_takes_it_again(start: Start, probe: Probe, tmp_path: Path) -> None:
    sound = tmp_path / "long.wav"
    write_wav(sound, np.zeros(60 * SAMPLE_RATE, np.float32), SAMPLE_RATE)
    levels = probe.subscribe("voice_activity", VoiceActivity)
    reports = probe.subscribe("/diagnostics", DiagnosticArray)

    def source() -> str:
        values = reports[-1].status[0].values if reports else []
        return next((value.value for value in values if value.key == "source"), "")

    start("audio_capture", parameters={"source": f"wav:{sound}"})
    probe.wait_for(lambda: source().startswith("file"), what="the file being heard")

    assert change(probe, "audio_capture", Transition.TRANSITION_DEACTIVATE)
    probe.wait_for(lambda: source() == "none", what="the file let go of")
    assert change(probe, "audio_capture", Transition.TRANSITION_ACTIVATE)
    probe.wait_for(lambda: source().startswith("file"), what="the file being heard again")
    assert levels


def test_a_manager_brings_all_nodes_of_one_process_up_and_what_is_down_acts_no_more_but_stops(
    start: Start, probe: Probe
) -> None:
    start(
        "assistant",
        parameters={"autostart": False, "audio_capture:source": "topic", "audio_player:sink": "none"},
    )
    states = probe.subscribe("head/state", HeadState, qos.STATE)
    results = probe.subscribe("tool_result", ToolResult)

    def call(name: str) -> int:
        request = CallTool.Request()
        request.call.name = name
        return int(probe.call("call_tool", CallTool, request).result.status)

    assert call("nod") == ToolResult.REJECTED
    # As nav2's lifecycle manager does it: all are configured in order, then all are activated.
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        for node in NODES:
            assert change(probe, node, transition), node
    probe.wait_for(lambda: states and not states[-1].stale, what="a head")
    assert call("pan_left") == ToolResult.SUCCEEDED

    assert change(probe, "dialogue", Transition.TRANSITION_DEACTIVATE)
    assert change(probe, "tool_server", Transition.TRANSITION_DEACTIVATE)
    assert call("nod") == ToolResult.REJECTED
    assert call("stop") == ToolResult.SUCCEEDED
    seen = len(results)
    decision = ToolDecision(utterance_id="ignored", calls=[ToolCall(name="nod", arguments_json="{}")])
    probe.publish("tool_decision", decision)
    stop = ToolDecision(utterance_id="heard", calls=[ToolCall(name="stop", arguments_json="{}")])
    probe.publish("tool_decision", stop)

    def of_decisions() -> list[str]:
        return [result.utterance_id for result in results[seen:] if result.utterance_id]

    probe.wait_for(of_decisions, what="the result of the stop")
    assert of_decisions() == ["heard"]

    assert change(probe, "pan_tilt", Transition.TRANSITION_DEACTIVATE)
    moved = probe.call("head/move", MoveHead, MoveHead.Request(motion="center"))
    assert (moved.success, "not active" in moved.message) == (False, True)
    assert probe.call("head/move", MoveHead, MoveHead.Request(motion="stop")).success


def test_live_parameters_count_at_once_and_the_others_say_what_to_do(start: Start, probe: Probe) -> None:
    start("tool_detector")
    decisions = probe.subscribe("tool_decision", ToolDecision)
    reports = probe.subscribe("/diagnostics", DiagnosticArray)

    assert set_parameter(probe, "tool_detector", "detector", "classifier").successful
    probe.wait_for(
        lambda: [v for r in reports for v in r.status[0].values if (v.key, v.value) == ("detector", "classifier")],
        what="the classifier in use",
    )
    probe.publish("transcript", TranscriptMsg(utterance_id="1", text="look left"))
    probe.wait_for(lambda: decisions, what="a decision")
    assert decisions[0].detector == "classifier"

    refused = set_parameter(probe, "tool_detector", "model", "other")
    assert not refused.successful
    assert "ros2 lifecycle set /tool_detector deactivate" in refused.reason
    wrong = set_parameter(probe, "tool_detector", "detector", "telepathy")
    assert not wrong.successful
    assert "one of: keywords" in wrong.reason
    outside = set_parameter(probe, "tool_detector", "classifier_threshold", 1.5)
    assert not outside.successful


def test_settings_that_exclude_each_other_are_refused_and_sliders_have_their_range(start: Start, probe: Probe) -> None:
    start("audio_capture", parameters={"source": "topic"})

    refused = set_parameter(probe, "audio_capture", "silence_threshold", 0.9)
    assert not refused.successful
    assert "must not be above" in refused.reason
    assert set_parameter(probe, "audio_capture", "speech_threshold", 0.9).successful
    assert set_parameter(probe, "audio_capture", "silence_threshold", 0.85).successful

    names = ["speech_threshold", "source"]
    request = DescribeParameters.Request(names=names)
    slider, text = probe.call("audio_capture/describe_parameters", DescribeParameters, request).descriptors
    assert [(r.from_value, r.to_value) for r in slider.floating_point_range] == [(0.0, 1.0)]
    assert "read when the node is configured" not in slider.description
    assert "read when the node is configured" in text.description


def test_nodes_whose_qos_does_not_go_with_ours_are_told_in_the_diagnostics(start: Start, probe: Probe) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    probe.publish("transcript", TranscriptMsg(), QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT), 0)
    probe.subscribe("tool_decision", ToolDecision, qos.STATE)

    node = start("tool_detector")

    both = (
        "/transcript, probe to tool_detector: Best effort publisher and reliable subscription",
        "/tool_decision, tool_detector to probe: Volatile publisher and transient local subscription",
    )
    probe.wait_for(
        lambda: any(all(each in status.message for each in both) for report in diagnostics for status in report.status),
        what="the QoS in the diagnostics",
    )
    node.wait_for_output("nothing comes through where QoS doesn't fit")
