"""What all nodes share: settings from parameters, diagnostics, workers, an orderly end."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.time import Time as RclpyTime
from std_msgs.msg import Header

from lfm_voice_ros.core import settings as core_settings
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.health import Health, Level
from lfm_voice_ros.core.worker import Worker
from lfm_voice_ros.nodes import qos

Settings = TypeVar("Settings")
Item = TypeVar("Item")

#: Parameters that rclpy itself gives to every node.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_DIAGNOSTICS_PERIOD = 1.0  # s
_CLOSE_TIMEOUT = 0.5  # s


class VoiceNode(Node, Generic[Settings]):
    """A node of the assistant.

    Life: constructed (parameters, topics), :meth:`open` (devices and models), spun, :meth:`close`. Callbacks run in
    the executor's one thread and only hand over; what blocks runs in a worker from :meth:`add_worker`.
    """

    def __init__(self, name: str, settings_type: type[Settings]) -> None:
        try:
            super().__init__(name, automatically_declare_parameters_from_overrides=True)
        except ValueError as exc:  # an empty list has no type
            raise ConfigurationError(f"{name} has a parameter without a value; for an empty list give ['']") from exc
        self.health = Health()
        self.settings: Settings = self._read_settings(settings_type)
        self._workers: list[Worker[Any]] = []
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENT)
        self.create_timer(_DIAGNOSTICS_PERIOD, self.publish_diagnostics)

    def open(self) -> None:
        """Start to load models and open devices, without blocking. What goes wrong is told by :meth:`trouble`."""

    def end(self) -> None:
        """Begin nothing more; :meth:`close` follows."""
        for worker in self._workers:
            worker.end()

    def close(self) -> bool:
        """End workers and devices within half a second; False when something is still busy."""
        self.end()
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
        for worker in self._workers:
            self.health.value(f"{worker.name.partition('.')[2]} waiting", worker.waiting())
            self.health.value(f"{worker.name.partition('.')[2]} dropped", worker.dropped)
        report = self.health.report()
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=self.get_fully_qualified_name().lstrip("/"),
            message=report.message,
            hardware_id="lfm_voice_ros",
            values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
        )
        self._diagnostics.publish(DiagnosticArray(header=self.header(), status=[status]))

    def _read_settings(self, settings_type: type[Settings]) -> Settings:
        given = {
            name: parameter.value
            for name, parameter in self.get_parameters_by_prefix("").items()
            if not name.startswith(_OF_RCLPY)
        }
        settings = core_settings.build(settings_type, given, self.get_name())
        for spec in dataclasses.fields(settings_type):  # type: ignore[arg-type]
            descriptor = _descriptor(spec)
            if self.has_parameter(spec.name):
                self.undeclare_parameter(spec.name)
            self.declare_parameter(spec.name, getattr(settings, spec.name), descriptor, ignore_override=True)
        return settings


def to_stamp(seconds: float) -> Time:
    """Seconds to a ROS stamp; what a stamp can't hold (NaN, negative, after 2038) becomes zero."""
    return RclpyTime(nanoseconds=round(seconds * 1e9)).to_msg() if 0 < seconds < 2**31 else Time()


def to_seconds(stamp: Time) -> float:
    """A ROS stamp to seconds."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def _descriptor(spec: dataclasses.Field[Any]) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=spec.metadata["description"], read_only=True)
    low, high = spec.metadata["minimum"], spec.metadata["maximum"]
    if choices := spec.metadata["choices"]:
        descriptor.additional_constraints = "one of: " + ", ".join(choices)
    if low is not None and high is not None:
        if isinstance(low, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor
