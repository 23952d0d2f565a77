"""Runs tool calls: check, bind, say. The only code that turns a call into an act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lfm_voice_ros.core.errors import ConfigurationError, ToolError, ToolTimeout
from lfm_voice_ros.core.ports import Head
from lfm_voice_ros.core.types import Json, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.binding import Binding
from lfm_voice_ros.tools.clock import Now, Places, make_clock_binding
from lfm_voice_ros.tools.head import make_head_binding
from lfm_voice_ros.tools.registry import Registry, Tool


@dataclass(frozen=True)
class Performed:
    """A result, and what its sentence was made of."""

    result: ToolResult
    pattern: str = ""  # the sentence with its fields in braces
    words: Mapping[str, str] = field(default_factory=dict)  # of the fields


class ToolExecutor:
    """The tools of a registry, ready to run. For one worker at a time."""

    def __init__(self, registry: Registry, head: Head, places: Places, now: Now) -> None:
        """Raises ConfigurationError when a binding is wrong or a sentence has a field that its binding doesn't give."""
        self._registry = registry
        self._bindings = {tool.name: _bind(tool, head, places, now) for tool in registry}

    def run(
        self,
        calls: tuple[ToolCall, ...],
        canceled: Callable[[], bool],
        done: Callable[[ToolResult], None],
    ) -> None:
        """Run the calls of one sentence in order; ``done`` gets each result as soon as it is known.

        Once ``canceled()`` is true, the calls that have not begun are reported as canceled, except ``stop``.
        """
        for performed in self.perform(calls, canceled):
            done(performed.result)

    def perform(self, calls: tuple[ToolCall, ...], canceled: Callable[[], bool]) -> Iterator[Performed]:
        """Run the calls as :meth:`run` does, each when it is asked for."""
        moved = False
        last_stop = max((index for index, call in enumerate(calls) if self.stops(call)), default=-1)
        for index, call in enumerate(calls):
            # "Look left and stop": a motion that is halted at once is better not begun, nor spoken of.
            superseded = index < last_stop and self._moves(call)
            if (superseded or canceled()) and not self.stops(call):
                performed = Performed(ToolResult(call, ToolStatus.CANCELED, "", error="stop came first"))
            else:
                performed = self._perform(call, append=moved)
                moved = moved or "moved_degrees" in performed.result.data
            yield replace(performed, result=replace(performed.result, index=index, total=len(calls)))

    def stops(self, call: ToolCall) -> bool:
        """Whether this call stops the head."""
        return self._binding(call).get("head") == "stop"

    def _moves(self, call: ToolCall) -> bool:
        return self._binding(call).get("head") not in (None, "position", "stop")

    def _binding(self, call: ToolCall) -> Mapping[str, Json]:
        return next((tool.binding for tool in self._registry if tool.name == call.name), {})

    def _perform(self, call: ToolCall, append: bool) -> Performed:
        try:
            tool = self._registry.check(call)
        except ToolError as exc:
            speech = f"I can't do that: {_spoken(exc)}."
            return Performed(ToolResult(call, ToolStatus.REJECTED, speech, error=str(exc)), speech)
        try:
            outcome = self._bindings[tool.name].run(call.arguments, append)
        except ToolError as exc:
            status = ToolStatus.TIMED_OUT if isinstance(exc, ToolTimeout) else ToolStatus.FAILED
            return _failed(tool, call, status, _spoken(exc), str(exc))
        except Exception as exc:  # whatever a tool does wrong, its call has a result and the next call runs
            error = f"{tool.name} has an error in it: {type(exc).__name__}: {exc}"
            return _failed(tool, call, ToolStatus.FAILED, "something went wrong inside me", error)
        speech = tool.sentence(outcome.kind, outcome.words)
        result = ToolResult(call, ToolStatus.SUCCEEDED, speech, data=outcome.data)
        return Performed(result, tool.pattern(outcome.kind), outcome.words)


def _failed(tool: Tool, call: ToolCall, status: ToolStatus, reason: str, error: str) -> Performed:
    words = dict.fromkeys(tool.fields(), "") | {"reason": reason}
    result = ToolResult(call, status, tool.sentence("failed", words), error=error)
    return Performed(result, tool.pattern("failed"), words)


def _spoken(error: ToolError) -> str:
    # What stands behind the first colon or semicolon says what to do; that is for the console.
    return str(error).partition(";")[0].partition(":")[0]


def _bind(tool: Tool, head: Head, places: Places, now: Now) -> Binding:
    makers: Mapping[str, Callable[[Mapping[str, Json]], Binding]] = {
        "head": lambda entry: make_head_binding(tool.name, entry, head),
        "clock": lambda entry: make_clock_binding(tool.name, entry, places, now),
    }
    kinds = [kind for kind in makers if kind in tool.binding]
    if len(kinds) != 1:
        raise ConfigurationError(f"the binding of {tool.name} must have one of: {', '.join(makers)}")
    binding = makers[kinds[0]](tool.binding)
    if unknown := tool.fields() - binding.words - {"reason"}:
        raise ConfigurationError(
            f"the sentences of {tool.name} have fields that its binding doesn't give: {', '.join(sorted(unknown))}"
        )
    return binding
