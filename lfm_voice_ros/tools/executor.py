"""Runs tool calls: check, bind, say. The only code that turns a call into an act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lfm_voice_ros.core.errors import ConfigurationError, ToolError, ToolTimeout
from lfm_voice_ros.core.ports import Head
from lfm_voice_ros.core.types import Json, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.binding import Binding
from lfm_voice_ros.tools.clock import Now, Places, make_clock_binding
from lfm_voice_ros.tools.head import make_head_binding
from lfm_voice_ros.tools.registry import Registry, Tool


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
        moved = False
        last_stop = max((index for index, call in enumerate(calls) if self.stops(call)), default=-1)
        for index, call in enumerate(calls):
            # "Look left and stop": a motion that is halted at once is better not begun, nor spoken of.
            superseded = index < last_stop and self._moves(call)
            if (superseded or canceled()) and not self.stops(call):
                result = ToolResult(call, ToolStatus.CANCELED, "", error="stop came first")
            else:
                result = self._run(call, append=moved)
                moved = moved or "moved_degrees" in result.data
            done(replace(result, index=index, total=len(calls)))

    def stops(self, call: ToolCall) -> bool:
        """Whether this call stops the head."""
        return self._binding(call).get("head") == "stop"

    def _moves(self, call: ToolCall) -> bool:
        return self._binding(call).get("head") not in (None, "position", "stop")

    def _binding(self, call: ToolCall) -> Mapping[str, Json]:
        return next((tool.binding for tool in self._registry if tool.name == call.name), {})

    def _run(self, call: ToolCall, append: bool) -> ToolResult:
        try:
            tool = self._registry.check(call)
        except ToolError as exc:
            return ToolResult(call, ToolStatus.REJECTED, f"I can't do that: {_spoken(exc)}.", error=str(exc))
        try:
            outcome = self._bindings[tool.name].run(call.arguments, append)
        except ToolError as exc:
            status = ToolStatus.TIMED_OUT if isinstance(exc, ToolTimeout) else ToolStatus.FAILED
            failure = dict.fromkeys(tool.fields(), "") | {"reason": _spoken(exc)}
            return ToolResult(call, status, tool.sentence("failed", failure), error=str(exc))
        except Exception as exc:  # whatever a tool does wrong, its call has a result and the next call runs
            failure = dict.fromkeys(tool.fields(), "") | {"reason": "something went wrong inside me"}
            error = f"{tool.name} has an error in it: {type(exc).__name__}: {exc}"
            return ToolResult(call, ToolStatus.FAILED, tool.sentence("failed", failure), error=error)
        return ToolResult(call, ToolStatus.SUCCEEDED, tool.sentence(outcome.kind, outcome.words), data=outcome.data)


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
