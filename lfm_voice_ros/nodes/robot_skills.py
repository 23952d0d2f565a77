"""The robot's services, actions and topics behind the ports of tools/interface.py."""

from __future__ import annotations

import functools
import importlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.task import Future
from rosidl_parser import definition as rosidl

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.tools.interface import (
    End,
    FieldType,
    Listener,
    Message,
    MessageType,
    MissingPackage,
    Remote,
    Topic,
)

_TYPE = re.compile(r"(?P<package>[a-z]\w*)/(?:(?P<kind>msg|srv|action)/)?(?P<name>[A-Z]\w*)")
#: s from a service's being found until its answers find their way back: discovery works in both directions by itself.
_SETTLE = 0.3
_LARGEST_FLOAT = 3.402823466e38
_ENDS = {
    GoalStatus.STATUS_SUCCEEDED: End.DONE,
    GoalStatus.STATUS_CANCELED: End.CANCELED,
    GoalStatus.STATUS_ABORTED: End.ABORTED,
}


class RobotSkills:
    """Port Skills. Clients and publishers are made when they are asked for, so that they are known early."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def service(self, name: str, type_name: str) -> Remote:
        """See the port."""
        return _Service(self._node, name, _interface("srv", type_name))

    def action(self, name: str, type_name: str) -> Remote:
        """See the port."""
        return _Action(self._node, name, _interface("action", type_name))

    def topic(self, name: str, type_name: str) -> Topic:
        """See the port."""
        return _Topic(self._node, name, _interface("msg", type_name))


class _Service:
    """Port Remote over a service."""

    cancelable = False

    def __init__(self, node: Node, name: str, interface: Any) -> None:
        self.takes = describe(interface.Request)
        self.gives = describe(interface.Response)
        self.feedback = MessageType("", {}, lambda: None)
        self._client = node.create_client(interface, name)

    def there(self) -> bool:
        return bool(self._client.service_is_ready())

    def wait(self, timeout: float) -> bool:
        if self.there():
            return True
        found = bool(self._client.wait_for_service(max(0.0, timeout - _SETTLE)))
        if found:
            time.sleep(_SETTLE)
        return found

    def begin(self, message: Message, listener: Listener) -> None:
        future = self._client.call_async(message)
        future.add_done_callback(lambda done: listener.ended(End.DONE, done.result()))
        listener.accepted(None)


class _Action:
    """Port Remote over an action. What talks to the client runs in the callbacks' thread, which alone may use it."""

    cancelable = True

    def __init__(self, node: Node, name: str, interface: Any) -> None:
        self.takes = describe(interface.Goal)
        self.gives = describe(interface.Result)
        self.feedback = describe(interface.Feedback)
        self._node = node
        self._client = ActionClient(node, interface, name)

    def there(self) -> bool:
        return bool(self._client.server_is_ready())

    def wait(self, timeout: float) -> bool:
        return bool(self._client.wait_for_server(timeout))

    def begin(self, message: Message, listener: Listener) -> None:
        def send() -> None:
            future = self._client.send_goal_async(message, lambda feedback: listener.progress(feedback.feedback))
            future.add_done_callback(answered)

        def answered(future: Future) -> None:
            handle: ClientGoalHandle = future.result()
            if not handle.accepted:
                listener.ended(End.REJECTED, None)
                return
            handle.get_result_async().add_done_callback(ended)
            listener.accepted(functools.partial(self._in_callbacks, functools.partial(_cancel, handle, listener)))

        def ended(future: Future) -> None:
            response = future.result()
            listener.ended(_ENDS.get(response.status, End.LOST), response.result)

        self._in_callbacks(send)

    def _in_callbacks(self, work: Callable[[], None]) -> None:
        self._node.executor.create_task(work)


def _cancel(handle: ClientGoalHandle, listener: Listener) -> None:
    def answered(future: Future) -> None:
        response = future.result()
        code = response.return_code
        nothing = code == CancelGoal.Response.ERROR_NONE and not response.goals_canceling
        if code == CancelGoal.Response.ERROR_REJECTED or nothing:
            listener.uncancelable("its server refuses to cancel it")

    handle.cancel_goal_async().add_done_callback(answered)


class _Topic:
    """Port Topic."""

    def __init__(self, node: Node, name: str, interface: Any) -> None:
        self.takes = describe(interface)
        self._matched = threading.Event()
        callbacks = PublisherEventCallbacks(matched=lambda event: self._on_matched(event.current_count))
        self._publisher = node.create_publisher(interface, name, qos.EVENT, event_callbacks=callbacks)

    def wait(self, timeout: float) -> bool:
        return self._publisher.get_subscription_count() > 0 or self._matched.wait(timeout)

    def publish(self, message: Message) -> None:
        self._publisher.publish(message)

    def _on_matched(self, count: int) -> None:
        if count:
            self._matched.set()
        else:
            self._matched.clear()


def _interface(kind: str, type_name: str) -> Any:
    """The class of a type. Raises MissingPackage, ConfigurationError."""
    example = {"srv": "std_srvs/srv/Trigger", "action": "nav2_msgs/action/NavigateToPose", "msg": "std_msgs/msg/String"}
    match = _TYPE.fullmatch(type_name)
    if match is None or match["kind"] not in (None, kind):
        raise ConfigurationError(f"`type` is a type such as {example[kind]}, not '{type_name}'")
    package, name = match["package"], match["name"]
    try:
        module = importlib.import_module(f"{package}.{kind}")
    except ImportError as exc:
        if exc.name in (package, f"{package}.{kind}") and not _installed(package):
            raise MissingPackage(
                f"the type {type_name} needs the package {package}, which isn't installed; "
                f"install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            ) from exc
        raise ConfigurationError(f"the package {package} has no {kind}: {exc}") from exc
    found = getattr(module, name, None)
    if not isinstance(found, type):
        there = sorted(each for each in vars(module) if each[:1].isupper() and "_" not in each)
        raise ConfigurationError(f"{package} has no {kind}/{name}; there are: {', '.join(there) or 'none'}")
    return found


def _installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def describe(interface: Any) -> MessageType:
    """The fields of a message class. Raises ConfigurationError for a field that has no description."""
    names = interface.get_fields_and_field_types()
    fields = {
        name: _describe_field(slot)
        for name, slot in zip(names, interface.SLOT_TYPES, strict=True)
        if name != "structure_needs_at_least_one_member"
    }
    return MessageType(
        f"{interface.__module__.rpartition('.')[0].replace('.', '/')}/{interface.__name__}", fields, interface
    )


def _describe_field(slot: Any) -> FieldType:
    if isinstance(slot, rosidl.AbstractNestedType):
        item = _describe_field(slot.value_type)
        if isinstance(slot, rosidl.Array):
            least, most = slot.size, slot.size
        else:
            least, most = 0, slot.maximum_size if isinstance(slot, rosidl.BoundedSequence) else None
        return FieldType(item.kind, item.low, item.high, item.longest, item.message, True, least, most)
    if isinstance(slot, rosidl.AbstractGenericString):
        return FieldType("text", longest=getattr(slot, "maximum_size", None))
    if isinstance(slot, rosidl.NamespacedType):
        module = importlib.import_module(".".join(slot.namespaces))
        return FieldType("message", message=describe(getattr(module, slot.name)))
    name = slot.typename
    if name == "boolean":
        return FieldType("boolean")
    if name == "octet":
        return FieldType("octet", 0, 255)
    if name in ("char", "uint8"):
        return FieldType("integer", 0, 255)
    if integer := re.fullmatch(r"(u?)int(\d+)", name):
        bits = int(integer[2])
        low = 0 if integer[1] else -(2 ** (bits - 1))
        return FieldType("integer", low, low + 2**bits - 1)
    return FieldType("number", *((-_LARGEST_FLOAT, _LARGEST_FLOAT) if name == "float" else ()))
