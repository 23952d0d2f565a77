"""What a node says about itself in /diagnostics."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus, in its numbers."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class HealthReport:
    """One moment of a node's health."""

    level: Level
    message: str
    values: dict[str, str]


class Health:
    """Conditions by name, and counted values. All methods may be called from any thread.

    The worst condition gives the level and comes first in the message. A node without conditions is OK.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conditions: dict[str, tuple[Level, str]] = {}
        self._values: dict[str, str] = {}

    def set(self, condition: str, level: Level, message: str) -> bool:
        """State a condition; True when that is news, so that the caller can log it once."""
        with self._lock:
            news = self._conditions.get(condition) != (level, message)
            self._conditions[condition] = (level, message)
            return news

    def clear(self, condition: str) -> bool:
        """The condition is over; True when there was one."""
        with self._lock:
            return self._conditions.pop(condition, None) is not None

    def value(self, name: str, value: object) -> None:
        """Show a value, for example a device's name or a count of drops."""
        with self._lock:
            self._values[name] = str(value)

    def report(self) -> HealthReport:
        """The present state."""
        with self._lock:
            worst_first = sorted(self._conditions.values(), key=lambda condition: -condition[0])
            return HealthReport(
                level=worst_first[0][0] if worst_first else Level.OK,
                message="; ".join(message for _, message in worst_first) or "ok",
                values=dict(self._values),
            )
