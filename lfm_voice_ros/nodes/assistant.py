"""assistant: all nodes in one process, or those of one of two machines; for small boards and for trying out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rclpy.utilities import remove_ros_args

from lfm_voice_ros.nodes.audio_capture import AudioCapture
from lfm_voice_ros.nodes.audio_player import AudioPlayer
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.brain_codec import BrainCodec
from lfm_voice_ros.nodes.bridge import Bridge
from lfm_voice_ros.nodes.dialogue import Dialogue
from lfm_voice_ros.nodes.link_beacon import LinkBeacon
from lfm_voice_ros.nodes.link_guard import LinkGuard
from lfm_voice_ros.nodes.pan_tilt import PanTilt
from lfm_voice_ros.nodes.pan_tilt_sim import PanTiltSim
from lfm_voice_ros.nodes.recorder import Recorder
from lfm_voice_ros.nodes.robot_codec import RobotCodec
from lfm_voice_ros.nodes.runtime import ARGUMENTS_UNUSABLE, run
from lfm_voice_ros.nodes.tool_detector import ToolDetector
from lfm_voice_ros.nodes.tool_server import ToolServer
from lfm_voice_ros.nodes.transcriber import TranscriberNode
from lfm_voice_ros.nodes.voice import Voice

#: The nodes in whose place another package can hear.
_OTHERS_CAN: dict[str, Callable[[], VoiceNode[Any]]] = {"audio_capture": AudioCapture, "transcriber": TranscriberNode}

_Nodes = list[Callable[[], VoiceNode[Any]]]

#: Microphone, speaker and head; the models.
_ROBOT: _Nodes = [AudioCapture, PanTilt, AudioPlayer, Voice]
_BRAIN: _Nodes = [TranscriberNode, ToolDetector, ToolServer, Dialogue, Recorder, Bridge]

#: With compressed sound the robot's raw sound keeps to its own machine.
_ROBOT_OPUS = tuple(
    part for name in ("utterance", "utterance/draft", "audio/output") for part in ("-r", f"{name}:=robot/{name}")
)


def main() -> int:
    """Run the nodes. Parameters go to each by its name: ``--ros-args -p audio_capture:source:=wav:hello.wav``."""
    parser = argparse.ArgumentParser(
        prog="assistant",
        description="The whole voice assistant in one process.",
        epilog="Parameters: --ros-args --params-file FILE, or -p NODE:PARAMETER:=VALUE.",
    )
    parser.add_argument(
        "--head",
        choices=("sim", "external"),
        default="sim",
        help="sim: a simulated head; external: a robot's own head controller",
    )
    parser.add_argument(
        "--without",
        choices=tuple(_OTHERS_CAN),
        nargs="+",
        default=[],
        help="nodes whose part another package has; see bridge.transcripts",
    )
    parser.add_argument(
        "--part",
        choices=("all", "robot", "brain"),
        default="all",
        help="robot: microphone, speaker and head; brain: the models, on another machine",
    )
    parser.add_argument(
        "--audio-wire",
        choices=("raw", "opus"),
        default="raw",
        help="how sound goes between the two machines; the same on both",
    )
    try:
        own = remove_ros_args(sys.argv)[1:]
    except Exception as exc:  # the class is private to rclpy's C++ part
        print(f"lfm_voice_ros: {ARGUMENTS_UNUSABLE}: {exc}", file=sys.stderr)
        return 2
    arguments = parser.parse_args(own)
    opus = arguments.audio_wire == "opus"
    left_out = [_OTHERS_CAN[name] for name in arguments.without]
    nodes: _Nodes = []
    if arguments.part != "brain":
        # The head before those who miss it.
        nodes += [*([PanTiltSim] if arguments.head == "sim" else []), *_ROBOT]
    if arguments.part != "robot":
        nodes += _BRAIN
    if arguments.part == "robot":
        nodes += [LinkGuard, *([RobotCodec] if opus else [])]
    elif arguments.part == "brain":
        nodes += [LinkBeacon, *([BrainCodec] if opus else [])]
    apart = ["--ros-args", *_ROBOT_OPUS] if opus and arguments.part == "robot" else []
    return run([node for node in nodes if node not in left_out], [*sys.argv, *apart])
