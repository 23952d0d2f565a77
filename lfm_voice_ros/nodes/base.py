"""What all nodes share: settings from parameters, states of life, diagnostics, workers, an orderly end."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.time import Time as RclpyTime
from rclpy.timer import Timer
from std_msgs.msg import Header

from lfm_voice_ros.core import settings as core_settings
from lfm_voice_ros.core.errors import ConfigurationError, VoiceError
from lfm_voice_ros.core.health import Health, Level
from lfm_voice_ros.core.worker import Worker
from lfm_voice_ros.nodes import qos

Settings = TypeVar("Settings")
Item = TypeVar("Item")

#: Parameters that rclpy itself gives to every node.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")
#: The parameter that says whether a node brings itself up.
_AUTOSTART = "autostart"
_DIAGNOSTICS_PERIOD = 1.0  # s
_QOS_PERIOD = 5.0  # s between looks for nodes whose QoS doesn't go with ours
_CLOSE_TIMEOUT = 0.5  # s


class VoiceNode(LifecycleNode, Generic[Settings]):
    """A node of the assistant: a managed node that brings itself up, unless its parameter ``autostart`` is false.

    Life: constructed (parameters, topics), configured (:meth:`configure`: models begin to load), active
    (:meth:`activate`: devices are open, messages are taken), and back by :meth:`deactivate` and :meth:`cleanup`;
    :meth:`close` ends it in any state. Callbacks run in the executor's one thread and only hand over; what blocks runs
    in a worker from :meth:`add_worker`.
    """

    def __init__(self, name: str, settings_type: type[Settings]) -> None:
        try:
            super().__init__(name, automatically_declare_parameters_from_overrides=True)
        except ValueError as exc:  # an empty list has no type
            raise ConfigurationError(f"{name} has a parameter without a value; for an empty list give ['']") from exc
        self.health = Health()
        self.active = False
        self.ending = False
        self._closed = False
        self.configured = False
        self._failure: VoiceError | None = None  # of the last transition
        self._workers: list[Worker[Any]] = []
        self.settings: Settings = self._read_settings(settings_type)
        self._autostart = bool(self.get_parameter(_AUTOSTART).value)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENT)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_DIAGNOSTICS_PERIOD, self.publish_diagnostics, clock=steady)
        self.create_timer(_QOS_PERIOD, self._look_at_qos, clock=steady)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters)

    #: Whether :meth:`configure` reads all settings anew; else those that aren't live are read when the node starts.
    rereads = False

    def check(self, settings: Settings) -> None:
        """Raise ConfigurationError for settings that exclude each other; they are refused then."""

    def configure(self) -> None:
        """Make what the settings describe, and begin to load models without blocking.

        Raises ConfigurationError; what goes wrong later is told by :meth:`trouble`.
        """

    def activate(self) -> None:
        """Begin to open devices, without blocking. From now on messages are taken."""

    def deactivate(self) -> None:
        """Let go of devices within a second. Messages aren't taken any more."""

    def cleanup(self) -> None:
        """Forget what :meth:`configure` made, and free its memory."""

    def changed(self) -> None:
        """The settings have changed while the node was configured; in the callbacks' thread."""

    def bring_up(self) -> None:
        """Configure and activate it, unless somebody else manages it. Raises VoiceError when it can't be."""
        if not self._autostart:
            self.get_logger().info("waiting for a lifecycle manager to configure and activate it")
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise self._failure or ConfigurationError(f"{self.get_name()} could not be started")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the transition to inactive."""
        return self._transit(self.configure, configured=True, active=False)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the transition to active."""
        return self._transit(self.activate, configured=True, active=True)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the transition to inactive."""
        return self._transit(self.deactivate, configured=True, active=False)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the transition to unconfigured."""
        return self._transit(self.cleanup, configured=False, active=False)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the transition to finalized, from any state."""
        if self.active and self.on_deactivate(state) != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.ERROR
        return self.on_cleanup(state) if self.configured else TransitionCallbackReturn.SUCCESS

    def _transit(self, step: Callable[[], None], *, configured: bool, active: bool) -> TransitionCallbackReturn:
        before = self.active, self.configured
        self.active, self.configured = active, configured
        try:
            step()
        except VoiceError as exc:
            self.active, self.configured = before
            self._failure = exc
            self.health.set("state", Level.ERROR, str(exc))
            return TransitionCallbackReturn.FAILURE
        except Exception as exc:  # rclpy would swallow it without a word
            self.active, self.configured = False, False
            self.trouble("state", f"{self.get_name()} could not change its state: {type(exc).__name__}: {exc}")
            self.get_logger().debug(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        self.health.clear("state")
        return TransitionCallbackReturn.SUCCESS

    def create_publisher(self, *args: Any, **options: Any) -> Publisher:
        """As any node's, but without rclpy's own event handlers.

        An executor looks at each handler whenever it wakes up, which is half of its work. What they would log, the
        diagnostics say: nodes whose QoS doesn't go with ours.
        """
        options.setdefault("event_callbacks", PublisherEventCallbacks(use_default_callbacks=False))
        return super().create_publisher(*args, **options)

    def create_subscription(self, *args: Any, **options: Any) -> Subscription:
        """As any node's, but without rclpy's own event handlers, as :meth:`create_publisher`."""
        options.setdefault("event_callbacks", SubscriptionEventCallbacks(use_default_callbacks=False))
        return super().create_subscription(*args, **options)

    def listen(
        self,
        message_type: type,
        topic: str,
        callback: Callable[[Any], object],
        profile: QoSProfile,
        *,
        raw: bool = False,
    ) -> Subscription:
        """Subscribe, and hand over what comes while the node is active."""

        def take(message: Any) -> None:
            if self.active:
                callback(message)

        return self.create_subscription(message_type, topic, take, profile, raw=raw)

    def every(self, period: float, callback: Callable[[], object]) -> Timer:
        """Call back every ``period`` seconds while the node is active, also where a simulation's clock stands still."""
        return self.create_timer(
            period, lambda: callback() if self.active else None, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def end(self) -> None:
        """Begin nothing more; :meth:`close` follows."""
        self.ending = True
        for worker in self._workers:
            worker.end()

    def close(self) -> bool:
        """End workers and devices within half a second; False when something is still busy."""
        self.end()
        self._closed = True
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        return all([worker.stop(max(0.0, deadline - time.monotonic())) for worker in self._workers])

    def add_worker(self, name: str, work: Callable[[Item], None], capacity: int) -> Worker[Item]:
        """Make a worker that ends with the node; its errors and drops show in the diagnostics.

        An error is shown until the next item has gone well.
        """
        condition = f"worker {name}"

        def work_and_clear(item: Item) -> None:
            work(item)
            self.well(condition)

        def failed(exc: Exception) -> None:
            self.trouble(condition, f"{name} failed: {type(exc).__name__}: {exc}")
            self.get_logger().debug("".join(traceback.format_exception(exc)))

        worker = Worker(f"{self.get_name()}.{name}", work_and_clear, failed, capacity)
        self._workers.append(worker)
        return worker

    def trouble(self, condition: str, message: str, level: Level = Level.ERROR) -> None:
        """Say once on the console, and in the diagnostics until :meth:`well`, what is wrong and what to do."""
        if self.health.set(condition, level, message):
            # Two calls: rclpy's logger refuses one call site with two severities.
            if level is Level.ERROR:
                self.get_logger().error(message)
            else:
                self.get_logger().warning(message)
            self.publish_diagnostics()

    def well(self, condition: str) -> None:
        """The trouble is over."""
        if self.health.clear(condition):
            self.publish_diagnostics()

    def now(self) -> float:
        """ROS time in seconds."""
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def header(self, at: float | None = None) -> Header:
        """A header with the stamp ``at`` in seconds, or now."""
        return Header(stamp=to_stamp(self.now() if at is None else at))

    def publish_diagnostics(self) -> None:
        """Send the node's health; a timer does it every second."""
        if self._closed:  # a worker that is still busy has nobody to tell any more
            return
        for worker in self._workers:
            self.health.value(f"{worker.name.partition('.')[2]} waiting", worker.waiting())
            self.health.value(f"{worker.name.partition('.')[2]} dropped", worker.dropped)
        self.health.value("state", "active" if self.active else "inactive" if self.configured else "unconfigured")
        report = self.health.report()
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=self.get_fully_qualified_name().lstrip("/"),
            message=report.message,
            hardware_id="lfm_voice_ros",
            values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
        )
        self._diagnostics.publish(DiagnosticArray(header=self.header(), status=[status]))

    def _look_at_qos(self) -> None:
        found = set()
        for topic in {mine.topic_name for mine in (*self.publishers, *self.subscriptions)}:
            ends = self.get_publishers_info_by_topic(topic), self.get_subscriptions_info_by_topic(topic)
            for publisher, subscription, reason in qos.mismatches(*ends):
                if self.get_name() in (publisher.node_name, subscription.node_name):
                    found.add(f"{topic}, {publisher.node_name} to {subscription.node_name}: {reason}")
        if found:
            self.trouble("qos", f"nothing comes through where QoS doesn't fit: {'; '.join(sorted(found))}", Level.WARN)
        else:
            self.well("qos")

    def _read_settings(self, settings_type: type[Settings]) -> Settings:
        given = {
            name: parameter.value
            for name, parameter in self.get_parameters_by_prefix("").items()
            if not name.startswith(_OF_RCLPY) and name != _AUTOSTART
        }
        settings = core_settings.build(settings_type, given, self.get_name())
        self.check(settings)
        if not self.has_parameter(_AUTOSTART):
            self.declare_parameter(_AUTOSTART, True)
        for spec in dataclasses.fields(settings_type):  # type: ignore[arg-type]
            descriptor = _descriptor(spec, self.rereads)
            if self.has_parameter(spec.name):
                self.undeclare_parameter(spec.name)
            self.declare_parameter(spec.name, getattr(settings, spec.name), descriptor, ignore_override=True)
        return settings

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        values = self._ours(parameters)
        try:
            self.check(core_settings.changed(self.settings, values, self.get_name(), self._fixed()))
        except ConfigurationError as exc:
            return SetParametersResult(successful=False, reason=str(exc))
        return SetParametersResult(successful=True)

    def _on_parameters(self, parameters: list[Parameter]) -> None:
        if values := self._ours(parameters):
            self.settings = core_settings.changed(self.settings, values, self.get_name())
            if self.configured:
                self.changed()

    def _fixed(self) -> str:
        if not self.rereads:
            return "it is read when the node starts; restart it with the other value"
        if not self.configured:
            return ""
        name = self.get_fully_qualified_name()
        return (
            f"it is read when the node is configured: ros2 lifecycle set {name} deactivate, and cleanup; "
            "then set it, and configure and activate"
        )

    def _ours(self, parameters: list[Parameter]) -> dict[str, Any]:
        names = {spec.name for spec in dataclasses.fields(self.settings)}  # type: ignore[arg-type]
        return {parameter.name: parameter.value for parameter in parameters if parameter.name in names}


def to_stamp(seconds: float) -> Time:
    """Seconds to a ROS stamp; what a stamp can't hold (NaN, negative, after 2038) becomes zero."""
    return RclpyTime(nanoseconds=round(seconds * 1e9)).to_msg() if 0 < seconds < 2**31 else Time()


def to_seconds(stamp: Time) -> float:
    """A ROS stamp to seconds."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def _descriptor(spec: dataclasses.Field[Any], rereads: bool) -> ParameterDescriptor:
    fixed = f" (read when the node {'is configured' if rereads else 'starts'})"
    when = "" if spec.metadata["live"] else fixed
    descriptor = ParameterDescriptor(description=spec.metadata["description"] + when)
    low, high = spec.metadata["minimum"], spec.metadata["maximum"]
    if choices := spec.metadata["choices"]:
        descriptor.additional_constraints = "one of: " + ", ".join(choices)
    if low is not None and high is not None:
        if isinstance(low, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor
