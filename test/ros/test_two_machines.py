"""The assistant on two machines: what it does when they lose each other in the middle of a turn and of a motion."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tool_caller
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from machines import TwoMachines, two_machines, why_not
from sound import in_state, spoken

from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import Audio, HeadState, Playback, ToolResult, Utterance
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]

LOST, AWAY, BACK = (
    "I have lost contact with my brain.",
    "I can't think right now. My brain is away.",
    "I am back.",
)
OWN_PROCESS = "LFM_VOICE_TEST_IN_A_PROCESS_OF_ITS_OWN"
RESENT = 4.0  # s after which DDS has sent again what was not acknowledged
AWAY_FOR = 30.0  # s; longer than the 20 s after which DDS forgets the other side


@pytest.fixture
def machines(domain: int) -> Iterator[TwoMachines]:
    if reason := why_not():
        pytest.skip(reason)
    with two_machines() as both, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
        # One kernel's shared memory would be a second cable.
        environment.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
        yield both


class Room:
    """Somebody in front of the robot, who hears it, sees its head and reads its diagnostics."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.playbacks: list[Playback] = probe.subscribe("playback", Playback)
        self.states: list[HeadState] = probe.subscribe("head/state", HeadState)
        self.utterances: list[Utterance] = probe.subscribe("robot/utterance", Utterance)
        self.diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)

    def say(self, text: str) -> str:
        """Speak; give the id of the utterance that the robot makes of it."""
        before = len(self.utterances)
        sound = np.pad(spoken(text), (SAMPLE_RATE // 2, SAMPLE_RATE))
        self.probe.publish("audio/external", Audio(sample_rate=SAMPLE_RATE, samples=samples_to_field(sound)))
        self.probe.wait_for(lambda: len(self.utterances) > before, what=f"an utterance for {text!r}")
        return str(self.utterances[before].utterance_id)

    def hears(self, text: str, timeout: float = 60.0) -> None:
        """Wait until the robot has said this to its end."""
        self.probe.wait_for(
            lambda: any(each.state == Playback.FINISHED and each.heard_text == text for each in self.playbacks),
            timeout,
            f"the words {text!r}",
        )

    def answer(self, utterance_id: str) -> str:
        """Wait for the end of the answer; give its words."""
        end = self.probe.wait_for(lambda: in_state(self.playbacks, utterance_id, Playback.FINISHED), what="an answer")
        return str(end.heard_text)

    def looks(self, pan: float) -> None:
        """Wait until the head rests at so many degrees."""
        self.probe.wait_for(
            lambda: not self.states[-1].moving and abs(math.degrees(self.states[-1].pan) - pan) < 0.5,
            what=f"the head at {pan}°",
        )

    def status(self, node: str) -> tuple[int, str, dict[str, str]]:
        """What a node has said last about itself."""
        for message in reversed(self.diagnostics):
            for status in message.status:
                if status.name == node:
                    return status.level[0], status.message, {value.key: value.value for value in status.values}
        return 3, "nothing yet", {}

    def well(self, *nodes: str) -> None:
        """Wait until nodes are well."""
        for node in nodes:
            self.probe.wait_for(lambda node=node: self.status(node)[0] == 0, 60.0, f"{node} to be well")  # type: ignore[misc]


@pytest.mark.timeout(240)
def test_the_brain_goes_away_in_a_turn_and_a_motion_and_comes_back(request: pytest.FixtureRequest) -> None:
    if os.environ.get(OWN_PROCESS):
        lose_the_brain(*map(request.getfixturevalue, ("machines", "start", "tmp_path", "capsys")))
        return
    if reason := why_not():
        pytest.skip(reason)
    # Fast DDS keeps the network interfaces that it finds first in a process. One in which tests have run has those of
    # another network than the robot's.
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__],
        cwd=request.config.rootpath,
        env={**os.environ, OWN_PROCESS: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    print(ran.stdout)


def lose_the_brain(machines: TwoMachines, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    robot_probe: Probe = machines.robot.run(lambda: Probe("person"))
    # Where a program's own folder isn't searched for modules (PYTHONSAFEPATH), it must be named.
    paths = [str(Path(tool_caller.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    caller = subprocess.Popen(
        [*machines.brain.prefix, sys.executable, tool_caller.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )

    def call(tool: str) -> int:
        """Call a tool on the brain's machine; give the status of its result."""
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdin.write(f"{tool}\n")
        caller.stdin.flush()
        return int(caller.stdout.readline())

    try:
        room = Room(robot_probe)
        start(
            "assistant",
            arguments=["--part", "brain", "--audio-wire", "opus"],
            prefix=machines.brain.prefix,
        )
        start(
            "assistant",
            arguments=["--part", "robot", "--audio-wire", "opus"],
            parameters={
                "audio_capture:source": "topic",
                "audio_capture:barge_in": True,
                "audio_player:sink": f"wav:{tmp_path}",
                "pan_tilt:max_speed": 0.6,  # so that it still looks around when it has said so
            },
            prefix=machines.robot.prefix,
        )
        room.well("link_guard", "link_beacon", "transcriber", "dialogue", "tool_server", "pan_tilt", "audio_player")

        assert room.answer(room.say("Turn left thirty degrees.")) == "Looking left, thirty degrees."
        room.looks(30.0)

        # A short loss: what was asked for meanwhile failed, and must not be done afterwards.
        assert call("get_head_position") == ToolResult.SUCCEEDED
        machines.disconnect()
        assert call("nod") == ToolResult.TIMED_OUT
        robot_probe.wait_for(lambda: room.status("link_guard")[0] == 2, what="a loss that is noticed")
        machines.connect()
        up, before = time.monotonic(), len(room.states)
        room.well("link_guard")
        robot_probe.wait_for(lambda: time.monotonic() >= up + RESENT, what="what DDS sends again")
        assert not any(state.moving for state in room.states[before:])

        room.answer(room.say("Look around."))
        assert room.states[-1].moving
        pending = room.say("What time is it in Tokyo?")
        machines.disconnect()
        down = time.monotonic()
        room.hears(LOST)
        told = time.monotonic() - down
        robot_probe.wait_for(lambda: not room.states[-1].moving, 1.0, "the head at rest")
        rest = room.states[-1].pan
        level, message, _ = room.status("link_guard")
        assert (level, "brain.launch.py" in message) == (2, True)

        room.say("What time is it?")
        room.hears(AWAY)
        robot_probe.wait_for(lambda: time.monotonic() >= down + AWAY_FOR, 2 * AWAY_FOR, "the time without a brain")
        assert abs(room.states[-1].pan - rest) < math.radians(0.1)
        assert not room.states[-1].moving
        assert [each.heard_text for each in room.playbacks if each.state == Playback.FINISHED].count(LOST) == 1

        machines.connect()
        up = time.monotonic()
        room.hears(BACK, 40.0)
        back = time.monotonic() - up
        assert room.answer(room.say("Now look straight ahead.")) == "Looking straight ahead."
        worked = time.monotonic() - up
        room.looks(0.0)
        room.well("link_guard")
        assert in_state(room.playbacks, pending, Playback.STARTED) is None
        with capsys.disabled():
            print(
                f"\nlost: told after {told:.1f} s; back: told after {back:.1f} s, a turn answered after {worked:.1f} s"
            )
    finally:
        robot_probe.close()
        caller.kill()
        caller.communicate()
