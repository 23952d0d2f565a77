"""What the tests over DDS are made of: nodes as separate processes, and a probe that talks to them.

Nothing here sleeps: waits end when something happens, or fail at their time-out with what was seen until then.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Any, Self, TypeVar

import rclpy
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

PACKAGE = "lfm_voice_ros"
RELIABLE = QoSProfile(depth=1000)
_LOOK_PERIOD = 0.5  # s
_PATIENCE = 60.0  # s; far more than an idle machine needs, so that only a failure takes it
_OF_PROBES = "FASTRTPS_DEFAULT_PROFILES_FILE"  # fastdds.xml; nodes run as everywhere
#: What rclpy does by itself where QoS doesn't fit warns, in Kilted by a call that is deprecated there.
_NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)

Value = TypeVar("Value")


class NodeProcess:
    """An installed executable of the package as a process of its own; it lives from construction to :meth:`stop`.

    ``parameters`` become ``-p name:=value``, ``remappings`` become ``-r from:=to``, ``arguments`` are added as they
    are, ``prefix`` is a command that runs it. As a context manager it is killed at the end when it still runs.
    """

    def __init__(
        self,
        executable: str,
        parameters: Mapping[str, Any] | None = None,
        remappings: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.executable = executable
        command = [
            *prefix,
            str(Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / executable),
            *arguments,
            "--ros-args",
        ]
        inherited = {name: value for name, value in os.environ.items() if name != _OF_PROBES}
        for name, value in (parameters or {}).items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        for old, new in (remappings or {}).items():
            command += ["-r", f"{old}:={new}"]
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**inherited, "PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0", **(environment or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"{executable}.output", daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has written to standard output and standard error."""
        with self._news:
            return "".join(self._lines)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_for_output(self, text: str, timeout: float = _PATIENCE) -> None:
        """Wait until ``text`` was written; fail after ``timeout`` seconds or when the process has ended without it."""
        with self._news:
            self._news.wait_for(lambda: self._ended or text in "".join(self._lines), timeout)
        assert text in self.output, f"{self.executable} has not written {text!r}; it wrote:\n{self.output}"

    def signal(self, number: Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = _PATIENCE) -> int:
        """Wait for the end; give the exit code (negative: the signal). Fails after ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.executable} still runs after {timeout} s; it wrote:\n{self.output}") from None
        self._reader.join(timeout)
        return code

    def stop(self, number: Signals = SIGTERM, timeout: float = 10.0) -> int:
        """Ask it to end; give the exit code. Fails after ``timeout`` seconds."""
        if self.running:
            self.signal(number)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it and what it has started, without asking."""
        if self.running:
            os.killpg(self._process.pid, SIGKILL)
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            for line in pipe:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class Goal:
    """A goal that a Probe has sent; methods are called from the test's thread."""

    def __init__(self, probe: Probe, handle: Any, result: Any) -> None:
        self._probe = probe
        self._handle = handle
        self._result = result

    def result(self, timeout: float = _PATIENCE) -> Any:
        """Give its result. Fails when there is none in time."""
        self._probe.wait_for(self._result.done, timeout, "the goal's result")
        return self._result.result().result

    def status(self, timeout: float = _PATIENCE) -> str:
        """Give how it ended: succeeded, canceled or aborted."""
        self.result(timeout)
        return {4: "succeeded", 5: "canceled", 6: "aborted"}[self._result.result().status]  # action_msgs/GoalStatus

    def cancel(self) -> None:
        """Ask for its end."""
        self._probe.in_callbacks(self._handle.cancel_goal_async)


class Probe:
    """A node in the test's process, spun in a thread of its own. Methods are called from the test's thread."""

    def __init__(self, name: str = "probe", namespace: str = "") -> None:
        self._news = threading.Condition()
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = Node(name, namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._publishers: dict[tuple[str, type], Any] = {}
        self._clients: dict[tuple[str, type], Any] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, name=f"{name}.spin", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """ROS time in seconds."""
        return float(self._node.get_clock().now().nanoseconds) * 1e-9

    def subscribe(self, topic: str, message_type: type, profile: QoSProfile = RELIABLE) -> list[Any]:
        """Give the list to which each message of the topic is added as it comes."""
        messages: list[Any] = []

        def receive(message: Any) -> None:
            with self._news:
                messages.append(message)
                self._news.notify_all()

        self._node.create_subscription(message_type, topic, receive, profile, event_callbacks=_NO_EVENTS)
        return messages

    def publishers_of(self, topic: str) -> int:
        """How many publishers of the topic are known."""
        return int(self._node.count_publishers(topic))

    def wait_for(self, predicate: Callable[[], Value], timeout: float = _PATIENCE, what: str = "it") -> Value:
        """Wait until ``predicate`` is true and give its value.

        It is tried again at every message, and now and then for what comes by other ways, such as a file. Fails after
        ``timeout`` seconds; ``what`` says in the failure what was waited for.
        """
        end = time.monotonic() + timeout
        with self._news:
            while not (value := predicate()) and (left := end - time.monotonic()) > 0:
                self._news.wait(min(left, _LOOK_PERIOD))
        assert value, f"{what} has not happened within {timeout} s"
        return value

    def wait_for_value(self, node: str, key: str, value: str, timeout: float = _PATIENCE) -> None:
        """Wait until a node's diagnostics have this value."""
        reports = self.subscribe("/diagnostics", DiagnosticArray)
        self.wait_for(
            lambda: any(
                (pair.key, pair.value) == (key, value)
                for report in reports
                for status in report.status
                if status.name.rpartition("/")[2] == node
                for pair in status.values
            ),
            timeout,
            f"{key} of {node} being {value}",
        )

    def publish(
        self, topic: str, message: Any, profile: QoSProfile = RELIABLE, receivers: int = 1, timeout: float = _PATIENCE
    ) -> None:
        """Publish, once at least ``receivers`` subscriptions are matched; fails when they are not in time.

        A subscription that is matched here may not have matched yet on its side. It gets the message when it is sent
        again, which in Jazzy ``fastdds.xml`` has done at once and not after three seconds.
        """
        key = (topic, type(message))
        first = key not in self._publishers
        if first:
            matched = PublisherEventCallbacks(matched=lambda _event: self._tell(), use_default_callbacks=False)
            self._publishers[key] = self._node.create_publisher(type(message), topic, profile, event_callbacks=matched)
        publisher = self._publishers[key]
        self.wait_for(lambda: publisher.get_subscription_count() >= receivers, timeout, f"a subscription to {topic}")
        publisher.publish(message)
        if first:  # so that nothing on another topic overtakes it
            publisher.wait_for_all_acked(Duration(seconds=2.0))

    @contextmanager
    def repeating(self, topic: str, message: Any, period: float = 0.2) -> Iterator[None]:
        """Publish ``message`` at once and every ``period`` s, as a node tells what goes on, until the block ends."""
        self.publish(topic, message)
        publisher = self._publishers[topic, type(message)]
        timer = self._node.create_timer(period, lambda: publisher.publish(message))
        try:
            yield
        finally:
            self._node.destroy_timer(timer)

    def call(self, service: str, service_type: type, request: Any, timeout: float = _PATIENCE) -> Any:
        """Call a service; give its response. Fails when the service or the response is not there in time."""
        key = (service, service_type)
        if key not in self._clients:
            self._clients[key] = self._node.create_client(service_type, service)
        client = self._clients[key]
        assert client.wait_for_service(timeout), f"the service {service} is not there after {timeout} s"
        future = client.call_async(request)
        future.add_done_callback(lambda _future: self._tell())
        self.wait_for(future.done, timeout, f"the response of {service}")
        return future.result()

    def send_goal(
        self, action: str, action_type: type, goal: Any, feedback: list[Any] | None = None, timeout: float = _PATIENCE
    ) -> Goal:
        """Send a goal, which must be accepted in time; its feedback is added to a list as it comes."""
        key = (action, action_type)
        if key not in self._clients:
            self._clients[key] = ActionClient(self._node, action_type, action)
        client = self._clients[key]
        assert client.wait_for_server(timeout), f"the action {action} is not there after {timeout} s"
        take = None if feedback is None else lambda message: feedback.append(message.feedback)
        future = self.in_callbacks(lambda: client.send_goal_async(goal, feedback_callback=take))
        future.add_done_callback(lambda _future: self._tell())
        self.wait_for(future.done, timeout, f"an answer of {action}")
        assert future.result().accepted, f"{action} has refused the goal"
        result = self.in_callbacks(future.result().get_result_async)
        result.add_done_callback(lambda _future: self._tell())
        return Goal(self, future.result(), result)

    def in_callbacks(self, work: Callable[[], Value]) -> Value:
        """Do something in the thread of the callbacks, and give what it gives.

        What an action client asks for must be asked for there: an answer that comes before it has noted its question
        is thrown away.
        """
        task = self._executor.create_task(work)
        task.add_done_callback(lambda _task: self._tell())
        self.wait_for(task.done, what="what was to be done between the callbacks")
        result: Value = task.result()
        return result

    def close(self) -> None:
        """End the thread and the node."""
        self._closing.set()
        self._executor.wake()
        self._thread.join(5.0)
        self._executor.shutdown(timeout_sec=2.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def _spin(self) -> None:
        while not self._closing.is_set():
            self._executor.spin_once(timeout_sec=0.2)

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()


def activate(probe: Probe, node: str) -> None:
    """Configure and activate a node that was started with ``autostart: false``, or has been deactivated."""
    _change(probe, node, Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)


def deactivate(probe: Probe, node: str) -> None:
    """Take a node back to where it was before :func:`activate`."""
    _change(probe, node, Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def _change(probe: Probe, node: str, *transitions: int) -> None:
    for transition in transitions:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call(f"{node}/change_state", ChangeState, request).success
