"""The ports to the robot's own services, actions and topics, and how their types are described without ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from lfm_voice_ros.core.errors import ConfigurationError

#: A message of the robot's, of whatever type; its fields are attributes.
Message = Any


class MissingPackage(ConfigurationError):
    """The package of an interface isn't installed."""


@dataclass(frozen=True)
class FieldType:
    """What a field of a message takes: one value, or a list where ``many``."""

    kind: str  # boolean, integer, number, text, octet or message
    low: float | None = None  # of integers and numbers
    high: float | None = None
    longest: int | None = None  # characters of a text
    message: MessageType | None = None  # of the kind message
    many: bool = False
    least: int = 0  # values of a list
    most: int | None = None

    def __str__(self) -> str:
        """For the console: "a list of numbers" is what it takes."""
        name = (
            self.message.name
            if self.message
            else {"octet": "byte", "integer": "whole number"}.get(self.kind, self.kind)
        )
        return f"list of {name}" if self.many else name


@dataclass(frozen=True)
class MessageType:
    """The fields of a type, and how one of it is made."""

    name: str  # geometry_msgs/msg/Pose
    fields: Mapping[str, FieldType]
    make: Callable[[], Message]


class End(Enum):
    """How what was begun has ended."""

    DONE = "done"  # a response has come, or the action has succeeded
    ABORTED = "aborted"
    CANCELED = "canceled"
    REJECTED = "rejected"  # the goal was not taken
    LOST = "lost"  # its server is gone
    OVERDUE = "overdue"  # it took longer than it may


class Listener(Protocol):
    """Is told what becomes of a request or a goal. Called from the callbacks' thread; returns at once."""

    def accepted(self, cancel: Callable[[], None] | None) -> None:
        """It was taken; ``cancel`` asks for its end, from any thread, and is None where that can't be."""

    def progress(self, feedback: Message) -> None:
        """An action has told how far it is."""

    def uncancelable(self, reason: str) -> None:
        """It was asked to end and refuses to."""

    def ended(self, end: End, answer: Message | None) -> None:
        """It is over; ``answer`` is the response or the result, where there is one."""


class Remote(Protocol):
    """A service or an action of the robot. Every method may be called from any thread; only ``wait`` blocks."""

    takes: MessageType  # its request or goal
    gives: MessageType  # its response or result
    feedback: MessageType  # without fields for a service
    cancelable: bool

    def there(self) -> bool:
        """Whether its server is known."""

    def wait(self, timeout: float) -> bool:
        """Wait so many s until its server is known; False when it is not."""

    def begin(self, message: Message, listener: Listener) -> None:
        """Send a request or a goal."""


class Topic(Protocol):
    """A topic of the robot. For one worker."""

    takes: MessageType

    def wait(self, timeout: float) -> bool:
        """Wait so many s until somebody listens; False when nobody does."""

    def publish(self, message: Message) -> None:
        """Publish, without waiting."""


class Skills(Protocol):
    """What the robot's other nodes offer. Each raises MissingPackage, or ConfigurationError for what isn't a type."""

    def service(self, name: str, type_name: str) -> Remote:
        """A service, with a type such as std_srvs/srv/Trigger."""

    def action(self, name: str, type_name: str) -> Remote:
        """An action, with a type such as nav2_msgs/action/NavigateToPose."""

    def topic(self, name: str, type_name: str) -> Topic:
        """A topic to publish on, with a type such as std_msgs/msg/String."""
