"""Runs tool calls: check, bind, say. The only code that turns a call into an act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lfm_voice_ros.core.errors import ConfigurationError, ToolCanceled, ToolError, ToolTimeout
from lfm_voice_ros.core.ports import Head
from lfm_voice_ros.core.types import Json, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.binding import Binding, Outcome
from lfm_voice_ros.tools.clock import Now, Places, make_clock_binding
from lfm_voice_ros.tools.fields import spoken
from lfm_voice_ros.tools.head import make_head_binding
from lfm_voice_ros.tools.registry import Registry, Tool
from lfm_voice_ros.tools.skill import CancelTasks, NoSkill, SkillBook
from lfm_voice_ros.tools.tasks import Task


@dataclass(frozen=True)
class Performed:
    """A result, and what its sentence was made of."""

    result: ToolResult
    pattern: str = ""  # the sentence with its fields in braces
    words: Mapping[str, str] = field(default_factory=dict)  # of the fields


class ToolExecutor:
    """The tools of a registry, ready to run. For one worker at a time, but for :meth:`interrupt`."""

    def __init__(
        self, registry: Registry, head: Head, places: Places, now: Now, skills: SkillBook | None = None
    ) -> None:
        """Without ``skills`` the tools that use the robot's own fail when they are called.

        Raises ConfigurationError when a binding is wrong or a sentence has a field that its binding doesn't give.
        """
        self._registry = registry
        self._skills = skills
        self._bindings = {tool.name: _bind(tool, head, places, now, skills) for tool in registry}

    def run(
        self,
        calls: tuple[ToolCall, ...],
        canceled: Callable[[], bool],
        done: Callable[[ToolResult], None],
        ending: tuple[Task, ...] = (),
    ) -> None:
        """Run the calls of one sentence in order; ``done`` gets each result as soon as it is known.

        Once ``canceled()`` is true, the calls that have not begun are reported as canceled, except ``stop``.
        ``ending`` are the tasks that :meth:`interrupt` has asked to end for these calls.
        """
        for performed in self.perform(calls, canceled, ending):
            done(performed.result)

    def perform(
        self, calls: tuple[ToolCall, ...], canceled: Callable[[], bool], ending: tuple[Task, ...] = ()
    ) -> Iterator[Performed]:
        """Run the calls as :meth:`run` does, each when it is asked for."""
        moved = False
        last_stop = max((index for index, call in enumerate(calls) if self.stops(call)), default=-1)
        try:
            for index, call in enumerate(calls):
                # "Look left and stop": a motion that is halted at once is better not begun, nor spoken of.
                superseded = index < last_stop and self._moves(call)
                if (superseded or canceled()) and not self.stops(call):
                    performed = Performed(ToolResult(call, ToolStatus.CANCELED, "", error="stop came first"))
                elif self._ends_tasks(call):
                    performed, ending = self._perform_end(call, moved, canceled, ending), ()
                else:
                    performed = self._perform(call, moved, canceled)
                    moved = moved or "moved_degrees" in performed.result.data
                yield replace(performed, result=replace(performed.result, index=index, total=len(calls)))
        finally:
            self.leave(ending)

    def interrupt(self, calls: tuple[ToolCall, ...]) -> tuple[Task, ...]:
        """Ask the tasks to end that these calls end, past every queue: give them to :meth:`run`, or :meth:`leave` them.

        Returns at once; may be called from any thread.
        """
        ends = [call for call in calls if self._ends_tasks(call)]
        if self._skills is None or not ends:
            return ()
        return self._skills.tasks.cancel(newest=not any(self.stops(call) for call in ends))

    def leave(self, ending: tuple[Task, ...]) -> None:
        """No call tells what became of these tasks; they are reported when they have ended."""
        if self._skills is not None:
            self._skills.tasks.leave(ending)

    def stops(self, call: ToolCall) -> bool:
        """Whether this call stops the head, or all that the robot does."""
        binding = self._binding(call)
        return binding.get("head") == "stop" or binding.get("cancel") == "all"

    def _ends_tasks(self, call: ToolCall) -> bool:
        return self.stops(call) or "cancel" in self._binding(call)

    def _moves(self, call: ToolCall) -> bool:
        binding = self._binding(call)
        return binding.get("head") not in (None, "position", "stop") or "action" in binding

    def _binding(self, call: ToolCall) -> Mapping[str, Json]:
        return next((tool.binding for tool in self._registry if tool.name == call.name), {})

    def _perform(self, call: ToolCall, append: bool, canceled: Callable[[], bool]) -> Performed:
        return self._guarded(call, lambda binding: binding.run(call.arguments, append, canceled))

    def _perform_end(
        self, call: ToolCall, append: bool, canceled: Callable[[], bool], ending: tuple[Task, ...]
    ) -> Performed:
        """Run a call that stops or cancels, and tell what became of the tasks that it ends."""

        def run(binding: Binding) -> Outcome:
            if isinstance(binding, CancelTasks) and ending:
                return binding.collect(ending)
            return binding.run(call.arguments, append, canceled)

        performed = self._guarded(call, run)
        if self._skills is None or "cancel" in self._binding(call):
            return performed
        tasks = self._skills.tasks
        told = tasks.collect(ending or tasks.cancel(newest=False), self._skills.timeout)
        result = performed.result
        if not (told.names or told.problems):
            return performed
        goes_on = [f"{_capital(problem.partition(':')[0])}." for problem in told.problems]
        return Performed(
            replace(
                result,
                status=ToolStatus.FAILED if told.problems else result.status,
                speech=" ".join([result.speech, *told.sentences, *goes_on]),
                data={**result.data, "canceled": list(told.names)},
                error="; ".join(filter(None, [result.error, *told.problems])),
            ),
            performed.pattern,
            performed.words,
        )

    def _guarded(self, call: ToolCall, run: Callable[[Binding], Outcome]) -> Performed:
        """Whatever comes of running a binding as a result."""
        try:
            tool = self._registry.check(call)
        except ToolError as exc:
            speech = f"I can't do that: {_spoken(exc)}."
            return Performed(ToolResult(call, ToolStatus.REJECTED, speech, error=str(exc)), speech)
        try:
            outcome = run(self._bindings[tool.name])
        except ToolCanceled as exc:
            return Performed(ToolResult(call, ToolStatus.CANCELED, "", error=str(exc)))
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
    given = {name: spoken(value) for name, value in call.arguments.items()}
    words = dict.fromkeys(tool.fields(), "") | given | {"reason": reason}
    result = ToolResult(call, status, tool.sentence("failed", words), error=error)
    return Performed(result, tool.pattern("failed"), words)


def _spoken(error: ToolError) -> str:
    # What stands behind the first colon or semicolon says what to do; that is for the console.
    return str(error).partition(";")[0].partition(":")[0]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _bind(tool: Tool, head: Head, places: Places, now: Now, skills: SkillBook | None) -> Binding:
    def own(_entry: Mapping[str, Json]) -> Binding:
        return NoSkill(tool) if skills is None else skills.bind(tool)

    def cancel(_entry: Mapping[str, Json]) -> Binding:
        return CancelTasks(tool, skills)

    makers: Mapping[str, Callable[[Mapping[str, Json]], Binding]] = {
        "head": lambda entry: make_head_binding(tool.name, entry, head),
        "clock": lambda entry: make_clock_binding(tool.name, entry, places, now),
        **dict.fromkeys(("service", "action", "topic"), own),
        "cancel": cancel,
    }
    where = f"{tool.file}: {tool.name}"
    kinds = [kind for kind in makers if kind in tool.binding]
    if len(kinds) != 1:
        raise ConfigurationError(f"the binding of {where} must have one of: {', '.join(makers)}")
    try:
        binding = makers[kinds[0]](tool.binding)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{where}: {exc}") from exc
    for outcome in tool.says:
        if outcome not in binding.words:
            told = ", ".join(binding.words)
            raise ConfigurationError(f"{where} has a sentence `{outcome}`, but what can come of it is: {told}")
        if unknown := tool.fields(outcome) - binding.words[outcome]:
            raise ConfigurationError(
                f"{where}: the sentence `{outcome}` has fields that its binding doesn't give: "
                f"{', '.join(sorted(unknown))}; it gives: {', '.join(sorted(binding.words[outcome])) or 'none'}"
            )
    return binding
