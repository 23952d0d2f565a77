"""Brings a transcript and the calls in the dialogue model's own text together, in whatever order they come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from lfm_voice_ros.core.tool_calls import argument_problem
from lfm_voice_ros.core.types import ToolCall, ToolSpec

Asked = TypeVar("Asked")

_REMEMBERED = 64  # calls whose transcript has not come


class OwnText(Generic[Asked]):
    """What was asked, and what the model wrote, by utterance. For one thread; times are s on one clock."""

    def __init__(self, timeout: float, tools: Sequence[ToolSpec]) -> None:
        """``timeout`` is how long a transcript waits; ``tools`` are all that may be called."""
        self._timeout = timeout
        self._tools = {tool.name: tool for tool in tools}
        self._asked: OrderedDict[str, tuple[Asked, float]] = OrderedDict()
        self._written: OrderedDict[str, tuple[ToolCall, ...]] = OrderedDict()

    def ask(self, utterance_id: str, asked: Asked, now: float) -> None:
        """A transcript has come."""
        self._asked[utterance_id] = asked, now

    def write(self, utterance_id: str, calls: Sequence[ToolCall]) -> None:
        """The model has written these calls. A list with one that is unknown or unfit counts as none."""
        self._written[utterance_id] = tuple(calls) if all(map(self._fits, calls)) else ()
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def ready(self, now: float) -> Iterator[tuple[Asked, tuple[ToolCall, ...] | None]]:
        """Transcripts with their calls, each once; None where the model has written nothing in time."""
        for utterance_id, (asked, since) in list(self._asked.items()):
            calls = self._written.pop(utterance_id, None)
            # abs: also when the clock was set back.
            if calls is not None or abs(now - since) >= self._timeout:
                del self._asked[utterance_id]
                yield asked, calls

    def _fits(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        return tool is not None and argument_problem(tool.parameters, call) is None
