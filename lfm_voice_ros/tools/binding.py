"""What a tool does when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lfm_voice_ros.core.types import Json


@dataclass(frozen=True)
class Outcome:
    """What running a tool gave."""

    kind: str = "done"  # which of the tool's sentences says it
    data: Mapping[str, Json] = field(default_factory=dict)  # for programs
    words: Mapping[str, str] = field(default_factory=dict)  # the fields of the sentence


class Binding(Protocol):
    """Runs a tool with arguments that fit its schema."""

    words: Mapping[str, frozenset[str]]  # the fields that it gives to the sentence for each outcome

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Do it; ``append`` says that it follows another call of the same sentence.

        What waits before it acts asks ``canceled()`` behind the wait. Raises ToolError when it can't be done,
        ToolTimeout when nothing answered in time, ToolCanceled when a person didn't want it any more.
        """
