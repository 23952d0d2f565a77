"""Has the assistant say what a turn isn't waiting for: the reports of tasks, through the action ``say``."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from rclpy.action import ActionClient
from rclpy.task import Future

from lfm_voice_ros.action import Say
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.nodes.base import VoiceNode

_WAITING = 8  # reports
_FIND = 2.0  # s to find who says it


class Reports:
    """A client of ``say`` that waits for nothing. What can't be said is told in the diagnostics."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        self._node = node
        self._client = ActionClient(node, Say, "say")
        self._queue = node.add_worker("reports", self._send, _WAITING)
        self._lock = threading.Lock()
        self._unsaid = 0  # reports whose end isn't known

    def report(self, text: str, last: bool) -> None:
        """Have it said. Progress (not ``last``) is left out while another report is still to be heard. Any thread."""
        with self._lock:
            if self._unsaid and not last:
                return
            self._unsaid += 1
        if not self._queue.put(text):
            self._over()
            self._trouble("there are too many at once")

    def _send(self, text: str) -> None:
        if not self._client.wait_for_server(_FIND):
            self._over()
            self._trouble("nobody offers the action say; is voice running?")
            return
        self._node.executor.create_task(partial(self._say, text))

    # What follows runs in the callbacks' thread.

    def _say(self, text: str) -> None:
        goal = Say.Goal(text=text, priority=Say.Goal.NORMAL, interruptible=True)
        self._client.send_goal_async(goal).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        handle = future.result()
        if handle.accepted:
            handle.get_result_async().add_done_callback(self._on_said)
        else:
            self._over()
            self._trouble("the action say refused one")

    def _on_said(self, future: Future) -> None:
        result = future.result().result
        self._over()
        if result.state == Say.Result.FAILED:
            self._trouble(result.message or "the action say failed")
        else:
            self._node.well("reports")

    def _over(self) -> None:
        with self._lock:
            self._unsaid -= 1

    def _trouble(self, reason: str) -> None:
        self._node.trouble("reports", f"a report of a task was not said: {reason}", Level.WARN)
