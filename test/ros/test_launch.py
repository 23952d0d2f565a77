"""The launch file under the real launch system, where that is installed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from harness import Probe
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from lfm_voice_ros.msg import HeadState, ToolResult
from lfm_voice_ros.srv import CallTool

pytest.importorskip("launch_ros", reason="launch and launch_ros come with a ROS distribution, not with its wheels")

ARGUMENTS = [
    "tools",
    "tools_model",
    "tools_file",
    "transcriber",
    "bridge",
    "dialogue",
    "dialogue_model",
    "adapter",
    "grounding",
    "tts",
    "audio_source",
    "audio_sink",
    "wake_word",
    "head",
    "head_file",
    "record",
    "remap",
    "use_sim_time",
    "autostart",
    "tracing",
    "part",
    "audio_wire",
    "namespace",
    "params_file",
    "composed",
    "rviz",
    "description",
]
QUIET = ("audio_source:=topic", "audio_sink:=none")


@pytest.fixture
def launch(domain: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `ros2 launch lfm_voice_ros FILE` with arguments; it ends with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, file: str = "assistant.launch.py") -> subprocess.Popen[str]:
        where = [file] if "/" in file else ["lfm_voice_ros", file]
        command = ["ros2", "launch", *where, *arguments]
        running.append(
            subprocess.Popen(
                command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )
        )
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_every_argument_explains_itself(launch: Callable[..., subprocess.Popen[str]]) -> None:
    shown, _ = launch("--show-args").communicate(timeout=60)

    for argument in ARGUMENTS:
        assert f"'{argument}':" in shown
    assert "No description given" not in shown


@pytest.mark.parametrize("composed", ["false", "true"])
def test_the_assistant_starts_in_a_namespace_works_and_ends(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, composed: str
) -> None:
    states = probe.subscribe("/robot/head/state", HeadState)
    assistant = launch("namespace:=robot", f"composed:={composed}", *QUIET)
    probe.wait_for(lambda: states and not states[-1].stale, timeout=60.0, what="a head")

    request = CallTool.Request()
    request.call.name = "nod"
    assert probe.call("/robot/call_tool", CallTool, request).result.status == ToolResult.SUCCEEDED

    assistant.send_signal(signal.SIGINT)
    output, _ = assistant.communicate(timeout=15)
    assert assistant.returncode == 0
    assert "Traceback" not in output


@pytest.mark.parametrize(("composed", "wire"), [("false", "opus"), ("true", "raw")])
def test_the_two_machines_parts_make_one_assistant(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, composed: str, wire: str
) -> None:
    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    arguments = ("namespace:=apart", f"composed:={composed}", f"audio_wire:={wire}")
    robot = launch(*arguments, *QUIET, file="robot.launch.py")
    brain = launch(*arguments, file="brain.launch.py")
    probe.wait_for(lambda: _told(diagnostics, "apart/link_guard", "here"), timeout=60.0, what="the brain's heartbeat")

    request = CallTool.Request()
    request.call.name = "nod"
    assert probe.call("/apart/call_tool", CallTool, request, 60.0).result.status == ToolResult.SUCCEEDED
    for codec in ("robot_codec", "brain_codec") if wire == "opus" else ():
        probe.wait_for(lambda codec=codec: _told(diagnostics, f"apart/{codec}", "ok"), what=codec)  # type: ignore[misc]

    for part in (robot, brain):
        part.send_signal(signal.SIGINT)
    for part in (robot, brain):
        output, _ = part.communicate(timeout=15)
        assert part.returncode == 0, output
        assert "Traceback" not in output


@pytest.mark.parametrize("tools", ["classifier", "llm", "auto", "output_parsing", "special_tokens", "lora"])
def test_the_way_of_finding_tool_calls_is_an_argument(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, tools: str
) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    launch(f"tools:={tools}", "composed:=true", *QUIET)
    probe.wait_for(
        lambda: any(
            value.key == "detector" and value.value == tools
            for msg in diagnostics
            for status in msg.status
            for value in status.values
        ),
        timeout=60.0,
        what=f"the detector {tools}",
    )


def test_an_external_head_has_no_simulation(launch: Callable[..., subprocess.Popen[str]], probe: Probe) -> None:
    states = probe.subscribe("/head/state", HeadState)
    joints = probe.subscribe("/joint_states", JointState)
    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    launch("head:=external", "head_file:=hobby_servo", *QUIET)

    probe.wait_for(lambda: len(states) > 30, timeout=60.0, what="three seconds of the head's state")
    probe.wait_for(lambda: _told(diagnostics, "pan_tilt", "positions at 50 Hz"), timeout=20.0, what="the head's file")

    assert all(state.stale for state in states)
    assert joints == []


def test_a_wrong_parameter_file_ends_the_launch_with_the_reason(
    launch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("/**/transcriber:\n  ros__parameters:\n    modle: tiny\n")

    output, _ = launch(f"params_file:={wrong}", *QUIET).communicate(timeout=60)

    assert "transcriber has no parameter 'modle'" in output
    assert "Traceback" not in output


def test_a_head_without_a_file_ends_the_launch_with_the_names_that_have_one(
    launch: Callable[..., subprocess.Popen[str]],
) -> None:
    output, _ = launch("head_file:=toaster", *QUIET).communicate(timeout=60)

    assert "head_file:=toaster is none of: fetch, hobby_servo, interbotix, stretch, tiago" in output


def test_lfm2_audio_answers_and_calls_tools_by_its_own_text(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, tmp_path: Path
) -> None:
    pytest.importorskip("liquid_audio", reason="needs scripts/setup --lfm")
    from lfm_voice_ros.lfm2_audio.random_checkpoint import write

    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    launch(
        "dialogue:=lfm2_audio",
        f"dialogue_model:={write(tmp_path / 'tiny')}",
        "tools:=lora",
        "tools_model:=dialogue",
        "grounding:=forced",
        *QUIET,
    )

    probe.wait_for(lambda: _told(diagnostics, "dialogue", "lfm2_audio tiny"), timeout=90.0, what="the engine")


def test_an_adapter_brings_its_engine_and_its_calls(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="needs scripts/setup --lfm")
    from melodies import write_adapter

    model, adapter = write_adapter(tmp_path)
    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    launch(f"adapter:={adapter}", f"dialogue_model:={model}", "tools:=lora", *QUIET)

    probe.wait_for(lambda: _told(diagnostics, "dialogue", "with adapter"), timeout=90.0, what="the adapter")
    probe.wait_for(
        lambda: _told(diagnostics, "tool_detector", "lora, by the text of dialogue"),
        timeout=20.0,
        what="the adapter's calls",
    )


def test_recording_is_switched_on_by_an_argument_only(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, tmp_path: Path
) -> None:
    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(f"/**/recorder:\n  ros__parameters:\n    enabled: true\n    folder: '{tmp_path / 'kept'}'\n")

    launch(f"params_file:={parameters}", "composed:=true", "namespace:=deaf", *QUIET)
    launch(f"params_file:={parameters}", "record:=true", "namespace:=keeping", *QUIET)

    where = f"recording what people say into {tmp_path / 'kept'}"
    probe.wait_for(lambda: _told(diagnostics, "keeping/recorder", where), timeout=60.0, what="the lamp")
    probe.wait_for(lambda: _told(diagnostics, "deaf/recorder", "off"), timeout=60.0, what="a recorder that is off")
    assert not _told(diagnostics, "deaf/recorder", where)


MANAGED = """
from launch import LaunchDescription
from launch.actions import EmitEvent, RegisterEventHandler
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState, matches_node_name
from lifecycle_msgs.msg import Transition


def generate_launch_description():
    node = LifecycleNode(
        package="lfm_voice_ros",
        executable="tool_detector",
        name="tool_detector",
        namespace="managed",
        parameters=[{"autostart": False}],
    )

    def change(transition):
        this = matches_node_name("/managed/tool_detector")
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=this, transition_id=transition))

    configured = OnStateTransition(
        target_lifecycle_node=node, goal_state="inactive", entities=[change(Transition.TRANSITION_ACTIVATE)]
    )
    return LaunchDescription([RegisterEventHandler(configured), node, change(Transition.TRANSITION_CONFIGURE)])
"""


def test_launch_events_bring_a_managed_node_up(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, tmp_path: Path
) -> None:
    file = tmp_path / "managed.launch.py"
    file.write_text(MANAGED)
    launch(file=str(file))

    probe.wait_for_value("tool_detector", "state", "active", timeout=60.0)


def test_without_autostart_the_nodes_wait_for_a_manager(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe
) -> None:
    launch("autostart:=false", "composed:=true", "namespace:=waiting", *QUIET)

    probe.wait_for_value("transcriber", "state", "unconfigured", timeout=60.0)


def test_another_package_can_recognize_speech_in_place_of_the_transcriber(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe
) -> None:
    pytest.importorskip("whisper_msgs", reason="needs whisper_msgs")
    diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)
    launch("transcriber:=whisper_ros", "composed:=true", *QUIET)

    probe.wait_for(lambda: _told(diagnostics, "bridge", "whisper_ros"), timeout=60.0, what="the bridge")
    probe.wait_for(lambda: _told(diagnostics, "tool_server", "ok"), timeout=60.0, what="the others")
    assert "transcriber" not in {status.name for message in diagnostics for status in message.status}


def test_the_view_gets_its_markers_and_what_is_not_installed_is_named(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe
) -> None:
    states = probe.subscribe("/robot/head/state", HeadState)
    markers: list[MarkerArray] = probe.subscribe("/robot/markers", MarkerArray)
    assistant = launch("namespace:=robot", "composed:=true", "rviz:=true", *QUIET)
    probe.wait_for(lambda: states and not states[-1].stale, timeout=60.0, what="a head")

    request = CallTool.Request()
    request.call.name = "nod"
    assert probe.call("/robot/call_tool", CallTool, request).result.status == ToolResult.SUCCEEDED
    probe.wait_for(
        lambda: any(marker.ns == "command" for message in markers for marker in message.markers),
        what="the arrow of a nod",
    )

    assistant.send_signal(signal.SIGINT)
    output, _ = assistant.communicate(timeout=15)
    assert assistant.returncode == 0
    assert not [line for line in output.splitlines() if line.startswith("[markers") and "Traceback" in line]
    for package in ("rviz2", "robot_state_publisher"):
        assert _installed(package) or f"{package}: not installed (sudo apt install ros-" in output


@pytest.mark.parametrize("head", ["auto", "sim", "ros2_control"])
def test_a_head_alone_has_joints_whatever_is_installed(
    launch: Callable[..., subprocess.Popen[str]], probe: Probe, head: str
) -> None:
    joints: list[JointState] = probe.subscribe("/robot/joint_states", JointState)
    started = launch(f"head:={head}", "namespace:=robot", file="head.launch.py")

    probe.wait_for(lambda: joints, timeout=60.0, what="a joint state")

    assert set(joints[-1].name) == {"head_pan_joint", "head_tilt_joint"}
    started.send_signal(signal.SIGINT)
    output, _ = started.communicate(timeout=15)
    assert "Traceback" not in output
    stands_in = head != "sim" and not _installed("controller_manager")
    assert ("pan_tilt_sim moves the head instead" in output) is stands_in


def _installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _told(diagnostics: list[DiagnosticArray], node: str, text: str) -> bool:
    """Whether a node has said this of itself."""
    statuses = [status for message in diagnostics for status in message.status if status.name == node]
    return any(text in told for status in statuses for told in (status.message, *(one.value for one in status.values)))
