"""What `lfm-voice doctor` says about given facts."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.watching import machine_verdicts
from lfm_voice_ros.watching.findings import Finding, as_json, exit_code, show, summary
from lfm_voice_ros.watching.graph import WIRING, Endpoint, Graph, Mismatch
from lfm_voice_ros.watching.graph_verdicts import assistant
from lfm_voice_ros.watching.machine import Device, Disk, Machine, Model, Network, levels
from lfm_voice_ros.watching.seen import LATENCIES, NEEDED, Head, Limits, Seen, Status

TRAJECTORY = "head_controller/joint_trajectory"
JOINTS: Mapping[str, Mapping[str, Any]] = {"pan_tilt": {"pan_joint": "pan", "tilt_joint": "tilt"}}
HEARD = Device("microphone USB", "", -55.0, -30.0)
MACHINE = Machine(
    python="3.12.4",
    packages={"numpy": "1.26.4"},
    microphone=HEARD,
    speaker=Device("speaker USB"),
    models=(Model("Whisper tiny.en"),),
    network=Network({"ROS_DOMAIN_ID": "7"}),
    disk=Disk("/home/robot/recordings", 50_000_000_000),
)


def wired(namespace: str = "") -> dict[str, tuple[Endpoint, ...]]:
    ends = {
        topic: tuple(
            Endpoint(namespace, node, f"type of {topic}", publishes)
            for node, publishes in [(publisher, True), *((node, False) for node in subscribers)]
        )
        for topic, (publisher, subscribers) in WIRING.items()
    }
    ends["voice_activity"] = (Endpoint(namespace, "audio_capture", "VoiceActivity", True),)
    ends["joint_states"] = (Endpoint(namespace, "controller", "JointState", True),)
    ends[TRAJECTORY] = (
        Endpoint(namespace, "pan_tilt", "JointTrajectory", True),
        Endpoint(namespace, "controller", "JointTrajectory", False),
    )
    return ends


def graph(namespace: str = "", **changes: Any) -> Graph:
    healthy = Graph(namespace, tuple((namespace, node) for node in (*NEEDED, "controller")), wired(namespace))
    return dataclasses.replace(healthy, **changes)


def seen(level_dbfs: float = -55.0, speaking: bool = False) -> Seen:
    """A healthy assistant to which nobody speaks."""
    made = Seen()
    for node in NEEDED:
        made.status(node, "lfm_voice_ros", Status(Level.OK, "ok", {}, 10.0))
    made.voice_activity(speaking, level_dbfs, 10.0)
    made.voice_activity(False, level_dbfs, 10.0)
    made.joint_states(["pan", "tilt", "arm"])
    made.limits = Limits((-1.0, 1.0), (-0.5, 0.5))
    made.head_state(Head(0.0, 0.0, 0.0, 0.0, False, False))
    return made


def judged(
    around: Graph | None = None,
    what: Seen | None = None,
    parameters: Mapping[str, Mapping[str, Any]] = JOINTS,
    states: Mapping[str, str] | None = None,
) -> list[Finding]:
    return assistant(around or graph(), what or seen(), parameters, states or {}, 5.0)


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK]


def only(findings: list[Finding], level: Level = Level.ERROR) -> Finding:
    """The one finding that isn't OK; each has something to do."""
    (finding,) = bad(findings)
    assert finding.level is level
    assert finding.remedy
    return finding


def test_a_healthy_machine_and_assistant_have_nothing_to_complain_of() -> None:
    findings = [*machine_verdicts.machine(MACHINE, meeting=True), *judged()]

    assert not bad(findings)
    assert any("pan -57° to +57°" in finding.what for finding in findings)
    assert exit_code(findings) == 0
    assert summary(findings) == "All is well."


@pytest.mark.parametrize(
    ("device", "level", "word"),
    [
        (Device("m", "", -120.0, -120.0), Level.ERROR, "silent"),
        (Device("m", "", -95.0, -91.0), Level.ERROR, "silent"),
        (Device("m", "", -80.0, -70.0), Level.WARN, "very quiet"),
        (Device("m", "", -55.0, -30.0), Level.OK, "fine"),
        (Device("m", "", -20.0, -3.0), Level.WARN, "loud all the time"),
        (Device("m", "", -20.0, 0.0), Level.WARN, "clipping"),
        (Device("m", "no microphone was found"), Level.ERROR, "no microphone was found"),
    ],
)
def test_a_microphone_is_judged_by_its_level(device: Device, level: Level, word: str) -> None:
    finding = machine_verdicts.microphone(device)

    assert finding.level is level
    assert word in finding.what
    assert bool(finding.remedy) is (level is not Level.OK)


def test_sound_devices_that_the_assistant_does_not_use_or_holds_are_no_errors() -> None:
    gone = Device("default", "can't be opened")

    assert machine_verdicts.microphone(gone, "wav:talk.wav").level is Level.OK
    assert machine_verdicts.microphone(gone, "sound_card").level is Level.OK
    assert machine_verdicts.microphone(Device("m"), "sound_card").level is Level.WARN
    assert machine_verdicts.speaker(gone, "none").level is Level.OK
    assert machine_verdicts.speaker(gone, "sound_card:USB").level is Level.OK
    assert machine_verdicts.speaker(gone).level is Level.ERROR


def test_levels_are_decibels_below_full_scale() -> None:
    assert levels(np.zeros(0, np.float32)) == (-120.0, -120.0)
    assert levels(np.zeros(100, np.float32)) == (-120.0, -120.0)
    sine = (0.5 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)
    assert levels(sine) == pytest.approx((-9.03, -6.02), abs=0.05)


def test_missing_models_name_the_command_that_gets_them() -> None:
    needed = machine_verdicts.model(Model("Piper voice", "the bundled voice is not installed; run scripts/setup"))
    optional = Model("LFM2-Audio", "not installed; get it with: scripts/setup --lfm", "only lfm2_audio needs it")

    assert needed.level is Level.ERROR
    assert "scripts/setup" in needed.remedy
    assert machine_verdicts.model(optional).level is Level.OK
    assert machine_verdicts.model(optional, engine="lfm2_audio").level is Level.WARN
    assert "scripts/setup --lfm" in machine_verdicts.model(optional).remedy


@pytest.mark.parametrize(
    ("environment", "multicast", "meeting", "level"),
    [
        ({}, "", True, Level.OK),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "", True, Level.ERROR),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "no network", True, Level.OK),
        ({"ROS_LOCALHOST_ONLY": "1"}, "no network", True, Level.OK),
        ({}, "no network", True, Level.WARN),
        ({}, "no network", False, Level.ERROR),
        ({"ROS_DOMAIN_ID": "200"}, "", True, Level.WARN),
        ({"ROS_DOMAIN_ID": "robot"}, "", True, Level.ERROR),
        ({"ROS_DOMAIN_ID": "300"}, "", True, Level.ERROR),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "/nowhere/profile.xml"}, "", True, Level.WARN),
        ({"CYCLONEDDS_URI": "<CycloneDDS/>"}, "", True, Level.OK),
    ],
)
def test_what_hides_nodes_from_one_another_is_told(
    environment: dict[str, str], multicast: str, meeting: bool, level: Level
) -> None:
    findings = machine_verdicts.network(Network(environment, multicast), meeting)

    assert max(finding.level for finding in findings) is level
    assert all(finding.remedy for finding in bad(findings))


@pytest.mark.parametrize(
    ("facts", "possible"),
    [
        (Network({"ROS_DOMAIN_ID": "300"}), False),
        (Network({"RMW_IMPLEMENTATION": "rmw_nothing"}, rmw_missing=True), False),
        (Network({"ROS_DOMAIN_ID": "200", "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}), True),
        (Network(), True),
    ],
)
def test_settings_that_would_end_the_process_are_known_before(facts: Network, possible: bool) -> None:
    obstacles = machine_verdicts.obstacles(facts)

    assert bool(obstacles) is not possible
    assert set(obstacles) <= set(machine_verdicts.network(facts, None))


def test_a_full_disk_missing_libraries_and_an_old_python_are_told() -> None:
    old = dataclasses.replace(
        MACHINE, python="3.10.1", packages={"numpy": "1.26", "soxr": ""}, disk=Disk("/recordings", 1_000_000)
    )

    found = bad(machine_verdicts.machine(old))

    assert [finding.about for finding in found] == ["Python", "libraries", "disk"]
    assert "soxr" in found[1].what
    assert "numpy" not in found[1].what


def test_no_assistant_is_one_error_that_says_how_to_start_it() -> None:
    assert "ros2 launch lfm_voice_ros" in only(judged(Graph(), Seen())).remedy


def test_an_assistant_in_another_namespace_is_found() -> None:
    in_robot = dataclasses.replace(graph("robot"), namespace="")
    assert "--namespace robot" in only(judged(in_robot, Seen())).remedy

    in_none = dataclasses.replace(graph(), namespace="robot")
    assert "without --namespace" in only(judged(in_none, Seen("robot"))).remedy


def test_a_node_that_is_missing_is_named_with_its_command() -> None:
    nodes = tuple(node for node in graph().nodes if node[1] != "transcriber")
    watched = seen()
    del watched.statuses["transcriber"]

    finding = only(judged(graph(nodes=nodes), watched))

    assert "transcriber is not running" in finding.what
    assert "ros2 run lfm_voice_ros transcriber" in finding.remedy


def test_nodes_that_are_there_twice_are_an_error() -> None:
    finding = only(judged(graph(nodes=(*graph().nodes, ("", "dialogue")))))

    assert "dialogue" in finding.what
    assert "ROS_DOMAIN_ID" in finding.remedy


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("unconfigured", "ros2 lifecycle set /dialogue configure && ros2 lifecycle set /dialogue activate"),
        ("inactive", "ros2 lifecycle set /dialogue activate"),
    ],
)
def test_a_managed_node_that_is_not_active_comes_with_its_transitions(state: str, command: str) -> None:
    assert only(judged(states={"dialogue": state, "transcriber": "active"})).remedy == command


def test_statuses_that_are_not_ok_are_told_with_their_values() -> None:
    watched = seen()
    watched.status(
        "dialogue", "lfm_voice_ros", Status(Level.WARN, "loading the voice", {"engine": "lite", "dropped": "0"}, 10.0)
    )

    (finding,) = bad(judged(what=watched))

    assert finding.level is Level.WARN
    assert finding.what == "loading the voice (engine lite)"


def test_a_node_that_is_seen_but_from_which_nothing_comes_is_an_error() -> None:
    watched = seen()
    del watched.statuses["tool_server"]

    finding = only(judged(what=watched))

    assert "tool_server" in finding.what
    assert "UDPv4" in finding.remedy


def test_clocks_that_differ_are_told() -> None:
    watched = seen()
    watched.status("dialogue", "lfm_voice_ros", Status(Level.OK, "ok", {}, 10.0, clock_lag=-12.0))

    assert "12.0 s ahead of ours" in only(judged(what=watched), Level.WARN).what


def test_ends_that_do_not_fit_are_named() -> None:
    mismatch = Mismatch("/utterance", "bag", "transcriber", "Best effort publisher and reliable subscription")
    assert "bag and transcriber" in only(judged(graph(mismatches=(mismatch,)))).what

    ends = wired()
    ends["transcript"] = (*ends["transcript"], Endpoint("", "other", "std_msgs/msg/String", True))
    assert "std_msgs/msg/String" in only(judged(graph(ends=ends))).what

    ends = wired()
    ends["utterance"] = tuple(end for end in ends["utterance"] if end.node != "transcriber")
    assert "transcriber doesn't listen to utterance" in only(judged(graph(ends=ends)), Level.WARN).what


def test_sound_that_does_not_come_or_is_silent_is_told() -> None:
    nothing = seen()
    del nothing.counts["voice_activity"]
    assert "nothing came" in only(judged(what=nothing)).what

    silent = seen(-120.0)
    assert "digital silence" in only(judged(what=silent), Level.WARN).what
    assert not bad(judged(what=silent, parameters={**JOINTS, "audio_capture": {"source": "wav:talk.wav"}}))

    assert "though it was loud" in only(judged(what=seen(-20.0)), Level.WARN).what
    assert "too short" in only(judged(what=seen(-20.0, speaking=True)), Level.WARN).what


def test_a_turn_that_got_stuck_names_the_node_at_which() -> None:
    watched = seen(-20.0, speaking=True)
    watched.utterance("u1", 10.0)
    assert "transcriber has not given" in only(judged(what=watched), Level.WARN).what

    watched.transcript("u1", "Turn left.", 0.9, "", 10.0)
    assert "tool_detector has not given" in only(judged(what=watched), Level.WARN).what


def test_rejections_and_failed_tools_are_told() -> None:
    watched = seen(-20.0, speaking=True)
    watched.utterance("u1", 10.0)
    watched.transcript("u1", "", math.nan, "no speech", 10.0)
    watched.decision("u1", (), "keywords", 10.0)
    assert "no speech" in only(judged(what=watched), Level.WARN).what

    watched = seen()
    watched.result("", 0, "nod", 1, "my head doesn't answer; is pan_tilt running?", 10.0)
    assert "nod has failed: my head doesn't answer" in only(judged(what=watched), Level.WARN).what


def test_a_turn_that_went_all_the_way_has_its_latency() -> None:
    watched = seen(-20.0, speaking=True)
    watched.utterance("u1", 10.0)
    watched.transcript("u1", "Turn left.", 0.9, "", 10.0)
    watched.decision("u1", ("pan_left()",), "keywords", 10.0)
    watched.reply("u1", "Looking left.", "tools", 10.0)
    watched.metrics("u1", dict.fromkeys(LATENCIES, 1.2), False, 10.0)

    findings = judged(what=watched)

    assert not bad(findings)
    assert any("1 sentence went all the way to a reply; first sound after 1.2 s" in line.what for line in findings)
    assert not any("Turn left" in line.what for line in findings), "what people say belongs into no report"


def test_a_head_without_joint_states_or_controller_says_which() -> None:
    ends = wired()
    ends["joint_states"] = ()
    assert "nobody publishes joint_states" in only(judged(graph(ends=ends))).what

    quiet = seen()
    quiet.joints.clear()
    assert "nothing comes" in only(judged(what=quiet)).what

    other = seen()
    other.joints = {"neck_yaw", "neck_pitch"}
    finding = only(judged(what=other))
    assert "neck_pitch, neck_yaw, but not pan and tilt" in finding.what
    assert "pan_tilt.pan_joint" in finding.remedy

    ends = wired()
    ends[TRAJECTORY] = ends[TRAJECTORY][:1]
    assert "no controller listens" in only(judged(graph(ends=ends))).what

    ends[TRAJECTORY] = ()  # the head is moved in another way
    assert not bad(judged(graph(ends=ends)))


def test_findings_are_lines_for_people_and_data_for_programs() -> None:
    findings = [
        Finding(Level.OK, "model", "Silero VAD is there"),
        Finding(Level.WARN, "disk", "[little] room", "delete what is old"),
        Finding(Level.ERROR, "head", "unknown", "start it"),
    ]
    plain, terminal = io.StringIO(), io.StringIO()

    show("This machine", findings, Console(file=plain, width=100))
    show("This machine", findings, Console(file=terminal, width=60, force_terminal=True, color_system="standard"))

    assert plain.getvalue().splitlines() == [
        "This machine",
        "OK     model: Silero VAD is there",
        "WARN   disk: [little] room → delete what is old",
        "ERROR  head: unknown → start it",
    ]
    assert "\x1b[" in terminal.getvalue()
    assert "→ delete what is old" in terminal.getvalue()
    assert json.loads(as_json(findings)) == {
        "ok": False,
        "findings": [
            {"level": "OK", "about": "model", "what": "Silero VAD is there", "remedy": ""},
            {"level": "WARN", "about": "disk", "what": "[little] room", "remedy": "delete what is old"},
            {"level": "ERROR", "about": "head", "what": "unknown", "remedy": "start it"},
        ],
    }
    assert summary(findings) == "1 error, 1 warning."
    assert exit_code(findings) == 1
    assert exit_code(findings[:2]) == 0
