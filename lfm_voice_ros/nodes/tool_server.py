"""tool_server: runs the tools that were decided. The only node that acts."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from rclpy.task import Future
from std_msgs.msg import Empty

from lfm_voice_ros.core.errors import ToolError, ToolTimeout
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolServerSettings
from lfm_voice_ros.core.types import HeadMove, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.msg import HeadState, ToolDecision
from lfm_voice_ros.msg import ToolResult as ToolResultMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import call_from_msg, result_to_msg
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.srv import CallTool, MoveHead
from lfm_voice_ros.tools.clock import Places, now
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.registry import Registry


class _Job:
    """The calls of one decision or of one service request."""

    def __init__(self, utterance_id: str, calls: tuple[ToolCall, ...], future: Future | None = None) -> None:
        self.utterance_id = utterance_id
        self.calls = calls
        self.canceled = threading.Event()
        self._future = future

    def answer(self, msg: ToolResultMsg) -> None:
        """Give the result to the service request that waits for it, if one does."""
        if self._future is not None:
            self._future.set_result(msg)


class ToolServer(VoiceNode[ToolServerSettings]):
    """Takes ``tool_decision`` and the service ``call_tool``; gives ``tool_result``."""

    def __init__(self) -> None:
        super().__init__("tool_server", ToolServerSettings)
        tools_file = Path(self.settings.tools_file) if self.settings.tools_file else config_file("tools.yaml")
        registry = Registry.from_file(tools_file, self.settings.allowed)
        self._head = _HeadClient(self, self.settings.timeout)
        places = Places.from_file(config_file("places.yaml"))
        self._executor = ToolExecutor(registry, self._head, places, now)
        self._jobs = self.add_worker("tools", self._work, self.settings.queue)
        self._running: _Job | None = None
        self._results = self.create_publisher(ToolResultMsg, "tool_result", qos.EVENT)
        self.create_subscription(ToolDecision, "tool_decision", self._on_decision, qos.EVENT)
        self.create_service(CallTool, "call_tool", self._on_call_tool)
        self.health.value("tools", ", ".join(tool.name for tool in registry))

    def _on_decision(self, msg: ToolDecision) -> None:
        calls = []
        for call in msg.calls:
            try:
                calls.append(call_from_msg(call))
            except ValueError as exc:
                # The executor refuses it with this name, so that the turn gets a result for every call.
                self.get_logger().warning(f"a call of '{call.name}' has broken arguments: {exc}")
                calls.append(ToolCall(call.name, {"arguments": call.arguments_json}))
        if calls:
            self._hand_over(_Job(msg.utterance_id, tuple(calls)))

    async def _on_call_tool(self, request: CallTool.Request, response: CallTool.Response) -> CallTool.Response:
        future = Future(executor=self.executor)
        try:
            self._hand_over(_Job("", (call_from_msg(request.call),), future))
        except ValueError as exc:
            call = ToolCall(request.call.name)
            result = ToolResult(call, ToolStatus.REJECTED, f"I can't do that: {exc}.", error=str(exc))
            response.result = result_to_msg(result, "", self.header())
            return response
        response.result = await future
        return response

    def _hand_over(self, job: _Job) -> None:
        if any(self._executor.stops(call) for call in job.calls):
            # Past the queue: the head stops now, and what was to come is given up. The call itself then runs as any
            # other, and its result says where the head stopped.
            self._head.stop_now()
            if running := self._running:
                running.canceled.set()
            for waiting in self._jobs.clear():
                self._refuse(waiting, ToolStatus.CANCELED, "", "stop came first")
        if self._jobs.put(job):
            self.well("queue")
        else:
            self.trouble("queue", "too many tool calls at once; some were refused")
            self._refuse(job, ToolStatus.REJECTED, "I am still busy with something else.", "the queue is full")

    def _refuse(self, job: _Job, status: ToolStatus, speech: str, error: str) -> None:
        for index, call in enumerate(job.calls):
            self._publish(job, ToolResult(call, status, speech, error=error, index=index, total=len(job.calls)))

    def _work(self, job: _Job) -> None:
        self._running = job
        try:
            self._executor.run(job.calls, job.canceled.is_set, partial(self._publish, job))
        finally:
            self._running = None

    def _publish(self, job: _Job, result: ToolResult) -> None:
        msg = result_to_msg(result, job.utterance_id, self.header())
        self._results.publish(msg)
        job.answer(msg)
        if result.status in (ToolStatus.FAILED, ToolStatus.TIMED_OUT):
            self.get_logger().warning(f"{result.call.name}: {result.error}")


class _HeadClient:
    """The port Head over the service ``head/move`` and the topics ``head/state`` and ``head/stop``."""

    def __init__(self, node: ToolServer, timeout: float) -> None:
        self._node = node
        self._timeout = timeout
        self._state: HeadState | None = None
        self._client = node.create_client(MoveHead, "head/move")
        self._stop = node.create_publisher(Empty, "head/stop", qos.EVENT)
        node.create_subscription(HeadState, "head/state", self._on_state, qos.STATE)

    def stop_now(self) -> None:
        """Stop the head without waiting for an answer. May be called from the callbacks' thread."""
        self._stop.publish(Empty())

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        """See the port."""
        if not self._client.service_is_ready():
            raise ToolError("my head doesn't answer: the service head/move is missing; is pan_tilt running?")
        answered = threading.Event()
        request = MoveHead.Request(motion=motion, pan=pan, tilt=tilt, append=append)
        future = self._client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(self._timeout):
            self._client.remove_pending_request(future)
            raise ToolTimeout(f"my head doesn't answer: head/move took longer than {self._timeout} s")
        response: MoveHead.Response = future.result()
        if not response.success:
            raise ToolError(response.message)
        return HeadMove(
            pan=response.pan,
            tilt=response.tilt,
            pan_change=response.pan_change,
            tilt_change=response.tilt_change,
            pan_limited=response.pan_limited,
            tilt_limited=response.tilt_limited,
            duration=response.duration.sec + response.duration.nanosec * 1e-9,
        )

    def position(self) -> tuple[float, float]:
        """See the port."""
        state = self._state
        if state is None or state.stale:
            raise ToolError("my head's position is unknown: no head/state that is up to date; is pan_tilt running?")
        return state.pan, state.tilt

    def _on_state(self, msg: HeadState) -> None:
        self._state = msg


def main() -> int:
    """Run the node."""
    return run([ToolServer])


