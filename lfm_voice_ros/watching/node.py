"""What every watcher of a running assistant needs: a node in a thread of its own, waits, and an end by ^C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.health import Level

_END_TIMEOUT = 1.0  # s


class WatchingNode(Node):
    """Spun in a thread of its own by :func:`watching`; :meth:`wait` is called from another."""

    def __init__(self, name: str, namespace: str = "") -> None:
        super().__init__(name, namespace=namespace)
        self.news = threading.Condition()  # held while a message is noted
        self._failure: Exception | None = None

    def now(self) -> float:
        """ROS time in seconds."""
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def watch(self, message_type: type, topic: str, react: Callable[..., None], profile: QoSProfile) -> None:
        """Subscribe; ``react`` is called with :attr:`news` held, and everybody who waits is woken after it."""

        def note(msg: object) -> None:
            with self.news:
                react(msg)
                self.news.notify_all()

        self.create_subscription(message_type, topic, note, profile)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``condition`` holds; it is tried at every message. False after ``timeout`` seconds.

        Raises ResourceError when nothing is watched any more.
        """
        with self.news:
            met = self.news.wait_for(lambda: self._failure is not None or condition(), timeout)
        if self._failure is not None:
            raise ResourceError(f"the assistant can't be watched any more: {self._failure!r}") from self._failure
        return met

    def fail(self, failure: Exception) -> None:
        """Nothing is watched any more: every wait raises ResourceError."""
        with self.news:
            self._failure = failure
            self.news.notify_all()


Watching = TypeVar("Watching", bound=WatchingNode)


@contextmanager
def watching(make: Callable[[], Watching]) -> Iterator[Watching]:
    """Make a watcher and spin it in a thread of its own.

    Raises ResourceError when ROS 2 can't be started, ConfigurationError for a namespace that can't be one.
    """
    try:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    except Exception as exc:  # the classes are private to rclpy's C++ part
        raise ResourceError(
            f"ROS 2 can't be started here; look at ROS_DOMAIN_ID and RMW_IMPLEMENTATION: {exc}"
        ) from exc
    try:
        node = make()
    except InvalidNamespaceException as exc:
        rclpy.try_shutdown()
        raise ConfigurationError(f"the namespace can't be used: {' '.join(str(exc).split())}") from exc
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=_spin, args=(executor, node), name=node.get_name(), daemon=True)
    spinning.start()
    try:
        yield node
    finally:
        executor.shutdown(timeout_sec=_END_TIMEOUT)
        spinning.join(2 * _END_TIMEOUT)
        node.destroy_node()
        rclpy.try_shutdown()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Within it SIGINT and SIGTERM set the event, and nothing else."""
    interrupted = threading.Event()
    handlers: dict[signal.Signals, Callable[..., object] | int | None] = {
        number: signal.signal(number, lambda *_: interrupted.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupted
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def level_of(status: DiagnosticStatus) -> Level:
    """The level of a status; one that is stale, or none of those that there are, is an error."""
    level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
    return Level(level) if level in set(Level) else Level.ERROR


def _spin(executor: SingleThreadedExecutor, node: WatchingNode) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return
    except Exception as exc:  # told by whoever waits
        node.fail(exc)
