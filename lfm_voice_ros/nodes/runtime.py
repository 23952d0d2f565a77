"""Runs nodes in one process, from the command line to a clean end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import rclpy
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lfm_voice_ros.core.errors import ConfigurationError, VoiceError
from lfm_voice_ros.nodes.base import VoiceNode

ARGUMENTS_UNUSABLE = "the ROS arguments can't be used"
_WAKE_PERIOD = 0.1  # s; how soon a signal is seen


def run(factories: Sequence[Callable[[], VoiceNode[Any]]], args: Sequence[str] | None = None) -> int:
    """Make the nodes, bring them up and spin them in this thread until SIGINT or SIGTERM; give the exit code.

    2 stands for a wrong configuration; what is wrong is one sentence on standard error.
    """
    ending = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ending.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as exc:  # rcl raises several kinds for a malformed --ros-args or parameter file
        print(f"lfm_voice_ros: {ARGUMENTS_UNUSABLE}: {exc}", file=sys.stderr)
        return 2
    nodes: list[VoiceNode[Any]] = []
    executor = SingleThreadedExecutor()
    code = 0
    idle = True
    try:
        for factory in factories:
            nodes.append(factory())
            executor.add_node(nodes[-1])
        for node in nodes:
            node.bring_up()
        while not ending.is_set():
            _spin_once(executor, nodes[0])
    except (ConfigurationError, InvalidParameterValueException) as exc:
        print(f"lfm_voice_ros: {exc}", file=sys.stderr)
        code = 2
    except VoiceError as exc:
        print(f"lfm_voice_ros: {exc}", file=sys.stderr)
        code = 1
    finally:
        for node in nodes:
            node.end()
        idle = all([node.close() for node in nodes])
        executor.shutdown(timeout_sec=0.5)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    if not idle or "torch" in sys.modules:
        # An engine is in the middle of a long call in native code, and interpreter shutdown would wait for it or crash;
        # or PyTorch is loaded, which takes more than a second to take itself apart.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _spin_once(executor: SingleThreadedExecutor, node: VoiceNode[Any]) -> None:
    try:
        executor.spin_once(timeout_sec=_WAKE_PERIOD)
    except Exception as exc:  # one message that nobody foresaw must not end a robot's ears
        node.trouble("callback", f"a message was dropped, since it could not be handled: {type(exc).__name__}: {exc}")
        node.get_logger().debug(traceback.format_exc())
