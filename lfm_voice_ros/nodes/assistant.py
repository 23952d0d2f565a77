"""assistant: all nodes in one process, for small boards and for trying out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rclpy.utilities import remove_ros_args

from lfm_voice_ros.nodes.audio_capture import AudioCapture
from lfm_voice_ros.nodes.audio_player import AudioPlayer
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.bridge import Bridge
from lfm_voice_ros.nodes.dialogue import Dialogue
from lfm_voice_ros.nodes.pan_tilt import PanTilt
from lfm_voice_ros.nodes.pan_tilt_sim import PanTiltSim
from lfm_voice_ros.nodes.recorder import Recorder
from lfm_voice_ros.nodes.runtime import ARGUMENTS_UNUSABLE, run
from lfm_voice_ros.nodes.tool_detector import ToolDetector
from lfm_voice_ros.nodes.tool_server import ToolServer
from lfm_voice_ros.nodes.transcriber import TranscriberNode
from lfm_voice_ros.nodes.voice import Voice

#: The nodes in whose place another package can hear.
_OTHERS_CAN: dict[str, Callable[[], VoiceNode[Any]]] = {"audio_capture": AudioCapture, "transcriber": TranscriberNode}


def main() -> int:
    """Run all nodes. Parameters go to each by its name: ``--ros-args -p audio_capture:source:=wav:hello.wav``."""
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
    try:
        own = remove_ros_args(sys.argv)[1:]
    except Exception as exc:  # the class is private to rclpy's C++ part
        print(f"lfm_voice_ros: {ARGUMENTS_UNUSABLE}: {exc}", file=sys.stderr)
        return 2
    arguments = parser.parse_args(own)
    nodes: list[Callable[[], VoiceNode[Any]]] = [
        *(node for name, node in _OTHERS_CAN.items() if name not in arguments.without),
        ToolDetector,
        ToolServer,
        PanTilt,
        Dialogue,
        AudioPlayer,
        Voice,
        Recorder,
        Bridge,
    ]
    if arguments.head == "sim":
        nodes.append(PanTiltSim)
    return run(nodes)
