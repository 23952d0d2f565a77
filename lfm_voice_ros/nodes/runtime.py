"""Runs nodes in one process, from the command line to a clean end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import rclpy
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from lfm_voice_ros.core.errors import ConfigurationError, VoiceError
from lfm_voice_ros.nodes.base import VoiceNode

ARGUMENTS_UNUSABLE = "the ROS arguments can't be used"
_WAKE_PERIOD = 1.0  # s
_END_TIMEOUT = 0.5  # s
# Of glibc's malloc.h. With an arena for each of many threads, a process of all nodes keeps more than it uses.
_ARENA_MAX, _ARENAS = -8, 2


def run(factories: Sequence[Callable[[], VoiceNode[Any]]], args: Sequence[str] | None = None) -> int:
    """Make the nodes, bring them up and spin each in a thread of its own until SIGINT or SIGTERM; give the exit code.

    With one executor for all nodes, which takes one message after the other, each would wait for all others. The code 2
    stands for a wrong configuration, which is told in one sentence.
    """
    _give_memory_back()
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
    executors: list[Executor] = []
    threads: list[threading.Thread] = []
    code = 0
    idle = True
    try:
        for factory in factories:
            nodes.append(factory())
            executors.append(SingleThreadedExecutor())
            executors[-1].add_node(nodes[-1])
        for node, executor in zip(nodes, executors, strict=True):
            node.bring_up()
            threads.append(threading.Thread(target=_spin, args=(executor, node, ending), daemon=True))
            threads[-1].start()
        while not ending.wait(_WAKE_PERIOD):
            pass
    except (ConfigurationError, InvalidParameterValueException) as exc:
        print(f"lfm_voice_ros: {exc}", file=sys.stderr)
        code = 2
    except VoiceError as exc:
        print(f"lfm_voice_ros: {exc}", file=sys.stderr)
        code = 1
    finally:
        ending.set()
        for node in nodes:
            node.end()
        for executor in executors:
            executor.create_task(_nothing)  # a wake alone doesn't bring spin_once back
        deadline = time.monotonic() + _END_TIMEOUT
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        idle = all([node.close() for node in nodes]) and not any(thread.is_alive() for thread in threads)
        for executor in executors:
            executor.shutdown(timeout_sec=_END_TIMEOUT)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    if not idle or "torch" in sys.modules:
        # Something is in the middle of a long call in native code, and interpreter shutdown would wait for it or crash;
        # or PyTorch is loaded, which takes more than a second to take itself apart.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _give_memory_back() -> None:
    """Have the C library keep less of what was freed; other libraries than glibc are as they are."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)


def _spin(executor: Executor, node: VoiceNode[Any], ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            executor.spin_once()  # without a time-out, for which it would make a timer at every wake
        except Exception as exc:  # one message that nobody foresaw must not end a robot's ears
            node.trouble(
                "callback", f"a message was dropped, since it could not be handled: {type(exc).__name__}: {exc}"
            )
            node.get_logger().debug(traceback.format_exc())


def _nothing() -> None:
    """Brings a thread that waits for messages back."""
