"""tool_server: runs the tools that were decided. The only node that acts."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from contextlib import suppress
from functools import partial
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_msgs.msg import Empty

from lfm_voice_ros.core.errors import ToolError, ToolTimeout
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolServerSettings
from lfm_voice_ros.core.types import HeadMove, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.msg import Keyword, ToolDecision
from lfm_voice_ros.msg import ToolResult as ToolResultMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import call_from_msg, result_to_msg
from lfm_voice_ros.nodes.head_knowledge import HeadKnowledge
from lfm_voice_ros.nodes.reports import Reports
from lfm_voice_ros.nodes.robot_skills import RobotSkills
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.srv import CallTool, MoveHead
from lfm_voice_ros.tools.clock import Places, now
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.foretelling import Foreteller
from lfm_voice_ros.tools.registry import Registry
from lfm_voice_ros.tools.skill import SkillBook
from lfm_voice_ros.tools.tasks import Task

_ASK_PERIOD = 0.3  # s
_CHECK_PERIOD = 1.0  # s between looks for tasks that are overdue or lost
_STOP_WORD = 0.2  # s that a stop word takes at least
_REMEMBERED = 256  # utterances; a second decision for one of them is not run


class _Job:
    """The calls of one decision or of one service request."""

    def __init__(self, utterance_id: str, calls: tuple[ToolCall, ...], future: Future | None = None) -> None:
        self.utterance_id = utterance_id
        self.calls = calls
        self.canceled = threading.Event()
        self.ending: tuple[Task, ...] = ()  # tasks that were asked to end for it
        self.halts = 0  # halts before it
        self._future = future

    def answer(self, msg: ToolResultMsg) -> None:
        """Give the result to the service request that waits for it, if one does."""
        if self._future is not None and not self._future.done():
            self._future.set_result(msg)


class ToolServer(VoiceNode[ToolServerSettings]):
    """Takes ``tool_decision`` and the service ``call_tool``; gives ``tool_result``.

    For ``tool_decision/draft`` it only says what would come of it, as ``tool_result/draft``; a draft that is a stop and
    nothing else stops.
    """

    def __init__(self) -> None:
        super().__init__("tool_server", ToolServerSettings)
        registry = Registry.from_file(config_file("tools.yaml", self.settings.tools_file), self.settings.allowed)
        self._head = _HeadClient(self, self.settings.timeout)
        places = Places.from_file(config_file("places.yaml"))
        reports = Reports(self)
        self._skills = SkillBook(RobotSkills(self), reports.report, self.settings.timeout, time.monotonic)
        self._executor = ToolExecutor(registry, self._head, places, now, self._skills)
        for tool, reason in self._skills.missing.items():
            self.trouble(f"tool {tool}", f"the tool {tool} doesn't work: {reason}", Level.WARN)
        # It has neither the head nor the skills: a draft can't act.
        self._foreteller = Foreteller(registry, places, now, self._skills.missing)
        HeadKnowledge(self, self._foreteller)
        self._jobs = self.add_worker("tools", self._work, self.settings.queue)
        self._running: _Job | None = None
        self._counts: Counter[ToolStatus] = Counter()
        self._halts = 0  # so many times all was given up
        self._stopped_at = 0.0  # s, end of the last stop word
        self._decided: deque[str] = deque(maxlen=_REMEMBERED)
        self._results = self.create_publisher(ToolResultMsg, "tool_result", qos.EVENT)
        self._foretold = self.create_publisher(ToolResultMsg, "tool_result/draft", qos.EVENT)
        self.listen(ToolDecision, "tool_decision/draft", self._on_draft, qos.EVENT)
        # Not listen(): a stop is heard in every state.
        self.create_subscription(ToolDecision, "tool_decision", self._on_decision, qos.EVENT)
        self.create_subscription(Keyword, "keyword", self._on_keyword, qos.EVENT)
        # A group of its own: while it awaits a tool, the head's answers must still be taken.
        self.create_service(CallTool, "call_tool", self._on_call_tool, callback_group=ReentrantCallbackGroup())
        self.create_timer(_CHECK_PERIOD, self._check_tasks)
        self.health.value("tools", ", ".join(tool.name for tool in registry))

    def activate(self) -> None:
        """Find the head, so that the first call need not wait for it."""
        self._jobs.put(None)

    def deactivate(self) -> None:
        """Stop what runs, and give up what waits; calls are refused from now on."""
        self._halt("tool_server was deactivated")
        self._executor.leave(self._skills.tasks.cancel(newest=False))

    def _on_keyword(self, msg: Keyword) -> None:
        """Do what a stop does past its queue; the call of the sentence that it is in comes later, with a result."""
        if msg.kind != Keyword.STOP:
            return
        # A clock that is ahead must not make this node deaf to what comes after the word.
        self._stopped_at = max(self._stopped_at, min(to_seconds(msg.header.stamp), self.now()))
        self._halt("a stop word came first")
        self._executor.leave(self._skills.tasks.cancel(newest=False))

    def _halt(self, why: str) -> None:
        """Stop the head now, and give up what runs and what was to come."""
        self._head.stop_now()
        self._halts += 1
        if running := self._running:
            running.canceled.set()
        for waiting in self._jobs.clear():
            if waiting:
                self._executor.leave(waiting.ending)
                self._refuse(waiting, ToolStatus.CANCELED, "", why)

    def _check_tasks(self) -> None:
        self._skills.tasks.check()
        self.health.value("running tasks", ", ".join(self._skills.tasks.names()) or "none")

    def _on_decision(self, msg: ToolDecision) -> None:
        if msg.utterance_id and msg.utterance_id in self._decided:
            self.trouble(
                "twice", "a second decision for one utterance was not run; is a node running twice?", Level.WARN
            )
            return
        self._decided.append(msg.utterance_id)
        calls = self._calls(msg)
        stops = any(self._executor.stops(call) for call in calls)
        if not calls or not (self.active or stops):
            return
        job = _Job(msg.utterance_id, calls)
        age = self.now() - to_seconds(msg.speech_end)
        if 0 < to_seconds(msg.speech_end) < self._stopped_at - _STOP_WORD and not stops:
            # It was said before the stop word, and decided after it.
            self._refuse(job, ToolStatus.CANCELED, "", "a stop word came first")
        elif not to_seconds(msg.speech_end) or age <= self.settings.max_age:
            self._hand_over(job)
        elif stops:
            job.canceled.set()  # no stop comes too late; what else was asked for does
            self._hand_over(job)
        else:
            late = f"the decision came {age:.0f} s after the end of speech"
            self._refuse(job, ToolStatus.REJECTED, "That took me too long, so I left it.", late)

    def _on_draft(self, msg: ToolDecision) -> None:
        calls = self._calls(msg)
        if calls and all(self._executor.stops(call) for call in calls):
            self._halt("it was told to stop")  # half a second sooner than at the end of the turn, and never dangerous
        for result in self._foreteller.foretell(calls):
            self._foretold.publish(result_to_msg(result, msg.utterance_id, self.header()))

    def _calls(self, msg: ToolDecision) -> tuple[ToolCall, ...]:
        calls = []
        for call in msg.calls:
            try:
                calls.append(call_from_msg(call))
            except ValueError as exc:
                self.get_logger().warning(str(exc))
                # The executor refuses it with this name, so that the turn gets a result for every call.
                calls.append(ToolCall(call.name, {"arguments": str(exc)}))
        return tuple(calls)

    async def _on_call_tool(self, request: CallTool.Request, response: CallTool.Response) -> CallTool.Response:
        future = Future(executor=self.executor)
        try:
            if not self.active and not self._executor.stops(call_from_msg(request.call)):
                raise ValueError("tool_server is not active; activate it: ros2 lifecycle set /tool_server activate")
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
            self._halt("stop came first")
        # Behind the marks above: what is just being begun sees one of the two. What becomes of these, the call tells.
        job.ending = self._executor.interrupt(job.calls)
        job.halts = self._halts
        if self._jobs.put(job):
            self.well("queue")
        else:
            self._executor.leave(job.ending)
            self.trouble("queue", "too many tool calls at once; some were refused")
            self._refuse(job, ToolStatus.REJECTED, "I am still busy with something else.", "the queue is full")

    def _refuse(self, job: _Job, status: ToolStatus, speech: str, error: str) -> None:
        for index, call in enumerate(job.calls):
            self._publish(job, ToolResult(call, status, speech, error=error, index=index, total=len(job.calls)))

    def _work(self, job: _Job | None) -> None:
        if job is None:
            self._find_head()
            return
        self._running = job
        if not self.active or job.halts != self._halts:
            job.canceled.set()  # all but a stop; a halt can come between the queue and the mark above
        try:
            self._executor.run(job.calls, job.canceled.is_set, partial(self._publish, job), job.ending)
        except Exception as exc:
            # What nobody foresaw must leave neither the dialogue nor a service's caller waiting.
            self._refuse(job, ToolStatus.FAILED, "Something went wrong inside me.", f"{type(exc).__name__}: {exc}")
            raise
        finally:
            self._running = None

    def _find_head(self) -> None:
        with suppress(ToolError):  # the diagnostics have it
            self._head.connect()

    def _publish(self, job: _Job, result: ToolResult) -> None:
        msg = result_to_msg(result, job.utterance_id, self.header())
        self._results.publish(msg)
        job.answer(msg)
        self._counts[result.status] += 1
        self.health.value(f"calls {result.status.name.lower()}", self._counts[result.status])
        if result.status in (ToolStatus.FAILED, ToolStatus.TIMED_OUT):
            # Not the error: it can hold the person's own words. It is in the result.
            self.trouble(f"call {result.call.name}", f"{result.call.name} has failed; tool_result says why", Level.WARN)
        elif result.status is ToolStatus.SUCCEEDED:
            self.well(f"call {result.call.name}")


class _HeadClient:
    """The port Head over the service ``head/move`` and the topic ``head/stop``."""

    def __init__(self, node: ToolServer, timeout: float) -> None:
        self._node = node
        self._timeout = timeout
        self._connected = False
        self._client = self._make_client()
        self._stop = node.create_publisher(Empty, "head/stop", qos.EVENT)

    def stop_now(self) -> None:
        """Stop the head without waiting for an answer. May be called from the callbacks' thread."""
        self._stop.publish(Empty())

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        """See the port."""
        response = self._call(MoveHead.Request(motion=motion, pan=pan, tilt=tilt, append=append))
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
        response = self._call(MoveHead.Request(motion=MoveHead.Request.POSITION))
        return response.pan, response.tilt

    def _call(self, request: MoveHead.Request) -> MoveHead.Response:
        deadline = time.monotonic() + self._timeout
        self.connect()
        response = self._ask(request, deadline - time.monotonic())
        if response is None:
            self._give_up()
            raise self._trouble(ToolTimeout(f"my head doesn't answer: head/move took longer than {self._timeout} s"))
        if not response.success:
            raise ToolError(response.message)  # pan_tilt itself has it in its diagnostics
        return response

    def _make_client(self) -> Any:
        return self._node.create_client(MoveHead, "head/move")

    def _give_up(self) -> None:
        """Ask with another client from now on: what a broken link has kept from the head must not move it later."""
        self._connected = False
        self._node.destroy_client(self._client)
        self._client = self._make_client()

    def _trouble(self, error: ToolError) -> ToolError:
        self._node.trouble("head", str(error))
        return error

    def connect(self) -> None:
        """Make sure that answers arrive before anything is asked that acts. Raises ToolError, ToolTimeout.

        A service is found before its answers find their way back (discovery works in both directions by itself): a
        first call could move the head and still look as if it had failed. A question that moves nothing goes ahead.
        """
        if self._connected and self._client.service_is_ready():
            return
        deadline = time.monotonic() + self._timeout
        if not self._client.wait_for_service(deadline - time.monotonic()):
            raise self._trouble(
                ToolError("my head doesn't answer: the service head/move is missing; is pan_tilt running?")
            )
        self._connected = False
        while not self._connected:
            if time.monotonic() > deadline:
                raise self._trouble(
                    ToolTimeout("my head doesn't answer: head/move gives no answers; is pan_tilt hanging?")
                )
            self._connected = self._ask(MoveHead.Request(motion=MoveHead.Request.POSITION), _ASK_PERIOD) is not None
        self._node.well("head")

    def _ask(self, request: MoveHead.Request, timeout: float) -> MoveHead.Response | None:
        answered = threading.Event()
        future = self._client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(max(0.0, timeout)):
            self._client.remove_pending_request(future)
            return None
        return future.result()


def main() -> int:
    """Run the node."""
    return run([ToolServer])
