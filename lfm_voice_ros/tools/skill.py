"""The tools that use the robot's own services, actions and topics, and the one that cancels.

call ─► ArgumentMap ─► Remote.begin ─► Task ─┬─► somebody waits: the result of the call
└─► nobody does: a report for each end and, now and then, progress
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lfm_voice_ros.core.errors import ConfigurationError, ToolCanceled, ToolError, ToolTimeout
from lfm_voice_ros.core.ports import Clock
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.tools.binding import Binding, Outcome
from lfm_voice_ros.tools.fields import ArgumentMap, Field, spoken
from lfm_voice_ros.tools.interface import End, Message, MessageType, MissingPackage, Remote, Skills, Topic
from lfm_voice_ros.tools.registry import Tool
from lfm_voice_ros.tools.tasks import Ending, Manner, Task, Tasks

#: Longer than this nobody waits: the dialogue's result_timeout is 5 s, and by then something must have been said.
_LONGEST_WAIT = 4.5  # s
_AT_ONCE = 0.2  # s; what has ended by then was never on its way
_LONGEST_REASON = 160  # characters
_COMMON = frozenset({"type", "timeout", "optional"})
_KEYS: Mapping[str, frozenset[str]] = {
    "service": _COMMON | {"service", "request", "success", "reason", "words", "wait", "limit"},
    "action": _COMMON | {"action", "goal", "success", "reason", "words", "wait", "limit", "feedback", "report_every"},
    "topic": _COMMON | {"topic", "message"},
}
_ENDS: Mapping[End, str] = {
    End.ABORTED: "it didn't work",
    End.CANCELED: "it was cancelled",
    End.REJECTED: "it was refused",
    End.LOST: "the program for it has gone",
    End.OVERDUE: "it took too long",
}


class SkillBook:
    """Makes the bindings to the robot's own skills, and knows what is running."""

    def __init__(self, skills: Skills, report: Callable[[str, bool], None], timeout: float, clock: Clock) -> None:
        """``timeout`` in s is for tools that name none; ``report`` is that of Tasks."""
        self.tasks = Tasks(report, clock)
        self.timeout = min(timeout, _LONGEST_WAIT)
        self.missing: dict[str, str] = {}  # optional tools whose packages aren't installed, and why they don't work
        self._skills = skills
        self._clock = clock

    def bind(self, tool: Tool) -> Binding:
        """Make the binding of a tool and check it against the installed types. Raises ConfigurationError."""
        kind = next(kind for kind in _KEYS if kind in tool.binding)
        if unknown := set(tool.binding) - _KEYS[kind]:
            known = ", ".join(sorted(_KEYS[kind] - {kind}))
            raise ConfigurationError(f"unknown keys {', '.join(sorted(unknown))}; the keys beside {kind} are: {known}")
        try:
            return self._bind(kind, tool, _Options.read(tool.binding, self.timeout))
        except MissingPackage as exc:
            if tool.binding.get("optional") is not True:
                raise MissingPackage(f"{exc}, or give the binding `optional: true`") from exc
            self.missing[tool.name] = str(exc)
            return NoSkill(tool, str(exc))

    def _bind(self, kind: str, tool: Tool, options: _Options) -> Binding:
        name, type_name = str(tool.binding[kind]), str(tool.binding.get("type", ""))
        if kind == "topic":
            topic = self._skills.topic(name, type_name)
            arguments = _map("message", tool, topic.takes)
            return _Publish(name, topic, arguments, argument_words(tool), options.timeout)
        remote = self._skills.service(name, type_name) if kind == "service" else self._skills.action(name, type_name)
        arguments = _map("request" if kind == "service" else "goal", tool, remote.takes)
        told = _Told(tool, remote)
        return _Run(f"the {kind} {name}", tool, remote, arguments, told, options, self)


@dataclass(frozen=True)
class _Options:
    """The numbers and switches of a binding."""

    timeout: float
    wait: bool
    limit: float
    report_every: float

    @classmethod
    def read(cls, entry: Mapping[str, Json], timeout: float) -> _Options:
        """Raises ConfigurationError."""

        def number(key: str, usual: float, highest: float, hint: str = "") -> float:
            value = entry.get(key, usual)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= highest:
                raise ConfigurationError(f"`{key}` is a number of seconds up to {highest:g}{hint}, not {value!r}")
            return float(value)

        for key in ("wait", "optional"):
            if not isinstance(entry.get(key, True), bool):
                raise ConfigurationError(f"`{key}` is true or false, not {entry[key]!r}")
        return cls(
            number("timeout", timeout, _LONGEST_WAIT, "; what takes longer has `wait: false` and is reported"),
            bool(entry.get("wait", True)),
            number("limit", 600.0, 86_400.0),
            number("report_every", 20.0, 86_400.0),
        )


class _Told:
    """The words for what became of a request or a goal."""

    def __init__(self, tool: Tool, remote: Remote) -> None:
        entry = tool.binding
        self._tool = tool
        self._words = _fields("words", entry, remote.gives)
        self._feedback = _fields("feedback", entry, remote.feedback)
        self._success = _success(entry, remote.gives)
        self._reason = _reason(entry, remote.gives)
        arguments = frozenset(argument_words(tool)({}))
        self.words: Mapping[str, frozenset[str]] = {
            "done": arguments | set(self._words),
            "accepted": arguments,
            "canceled": arguments,
            "progress": arguments | set(self._feedback),
            "failed": arguments | {"reason"},
        }

    def outcome(self, ending: Ending, arguments: Mapping[str, str]) -> Outcome:
        """What it gave. Raises ToolError with the reason where it failed."""
        if ending.end is not End.DONE or ending.answer is None:
            reason = self._said(ending.answer) if ending.end is End.ABORTED else ""
            raise ToolError(reason or _ENDS[ending.end])
        answer = ending.answer
        if any(field.value(answer) != wanted for field, wanted in self._success):
            raise ToolError(self._said(answer) or "it gave no reason")
        values = {name: field.value(answer) for name, field in self._words.items()}
        data = {name: value if isinstance(value, bool | int | str) else spoken(value) for name, value in values.items()}
        return Outcome("done", data, {**arguments, **{name: spoken(value) for name, value in values.items()}})

    def ending(self, ending: Ending, arguments: Mapping[str, str]) -> str:
        """The sentence for an end that nobody waited for."""
        if ending.end is End.CANCELED:
            return self._tool.sentence("canceled", arguments) if "canceled" in self._tool.says else _CANCELED
        try:
            return self._tool.sentence("done", self.outcome(ending, arguments).words)
        except ToolError as exc:
            return self._tool.sentence("failed", {**arguments, "reason": str(exc)})

    def progress(self, feedback: Message, arguments: Mapping[str, str]) -> str:
        """The sentence for feedback."""
        told = {name: field.words(feedback) for name, field in self._feedback.items()}
        return self._tool.sentence("progress", {**arguments, **told})

    def _said(self, answer: Message | None) -> str:
        """What the server itself gives as the reason, in one line that has no part only for the console."""
        if answer is None or self._reason is None:
            return ""
        line = " ".join(self._reason.words(answer).split()).rstrip(".!")
        return line.translate(str.maketrans(":;", ",,"))[:_LONGEST_REASON]


_CANCELED = "I have cancelled that."


class _Run:
    """A binding to a service or an action."""

    def __init__(
        self,
        what: str,
        tool: Tool,
        remote: Remote,
        arguments: ArgumentMap,
        told: _Told,
        options: _Options,
        book: SkillBook,
    ) -> None:
        left_out = {"accepted", "progress"} if options.wait else set()
        if not remote.feedback.fields:
            left_out.add("progress")
        self.words: Mapping[str, frozenset[str]] = {key: told.words[key] for key in told.words if key not in left_out}
        if not options.wait and "accepted" not in tool.says:
            raise ConfigurationError("with `wait: false` it needs the sentence `accepted`, which is said at once")
        self._what = what
        self._tool = tool.name
        self._remote = remote
        self._map = arguments
        self._spoken = argument_words(tool)
        self._told = told
        self._reports_progress = "progress" in tool.says
        self._options = options
        self._book = book

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Begin it; wait for its end, or for its being taken."""
        message = self._map.message(arguments)
        deadline = self._book.tasks.clock() + self._options.timeout
        if not self._remote.wait(self._options.timeout):
            raise ToolError(f"the program for it isn't running: {self._what} is missing")
        words = self._spoken(arguments)
        task = self._book.tasks.begin(self._tool, self._remote, message, self._manner(words), canceled)
        ending = self._await(task, deadline) if self._options.wait else self._begun(task, deadline)
        if ending is None:
            return Outcome("accepted", {"accepted": True}, words)
        if task.was_canceled():
            raise ToolCanceled("it was cancelled")
        return self._told.outcome(ending, words)

    def _begun(self, task: Task, deadline: float) -> Ending | None:
        """Wait until it was taken; give its end where that came at once, and None where it goes on."""
        if not task.wait_accepted(deadline - self._book.tasks.clock()):
            task.give_up()
            raise ToolTimeout(f"there was no answer: {self._what} took longer than {self._options.timeout} s")
        if ending := task.wait_ended(_AT_ONCE):
            return ending
        if ending := task.detach():
            return ending
        self._book.tasks.supersede(task)
        return None

    def _await(self, task: Task, deadline: float) -> Ending:
        if ending := task.wait_ended(deadline - self._book.tasks.clock()):
            return ending
        task.give_up()
        late = f"{self._what} took longer than {self._options.timeout} s"
        if self._remote.cancelable:
            raise ToolTimeout(f"it took too long, so I gave it up: {late}")
        raise ToolTimeout(f"there was no answer, so I don't know whether it was done: {late}")

    def _manner(self, words: Mapping[str, str]) -> Manner:
        told = self._told
        return Manner(
            lambda ending: told.ending(ending, words),
            (lambda feedback: told.progress(feedback, words)) if self._reports_progress else None,
            self._options.report_every,
            self._options.limit,
        )


class _Publish:
    """A binding to a topic."""

    def __init__(
        self,
        name: str,
        topic: Topic,
        arguments: ArgumentMap,
        words: Callable[[Mapping[str, Json]], dict[str, str]],
        timeout: float,
    ) -> None:
        given = frozenset(words({}))
        self.words: Mapping[str, frozenset[str]] = {"done": given, "failed": given | {"reason"}}
        self._name = name
        self._topic = topic
        self._map = arguments
        self._spoken = words
        self._timeout = timeout

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Publish one message."""
        message = self._map.message(arguments)
        if not self._topic.wait(self._timeout):
            raise ToolError(f"nobody listens: the topic {self._name} has no subscription")
        if canceled():
            raise ToolCanceled("stop came first")
        self._topic.publish(message)
        return Outcome("done", {"published": self._name}, self._spoken(arguments))


class NoSkill:
    """Stands for a skill that isn't there: an optional tool without its package, or one outside the robot."""

    def __init__(self, tool: Tool, reason: str = "the robot's own skills are only there in tool_server") -> None:
        self.words: Mapping[str, frozenset[str]] = {outcome: frozenset(tool.fields()) for outcome in tool.says}
        self._reason = reason

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """It can't."""
        raise ToolError(f"what it needs isn't installed: {self._reason}")


class CancelTasks:
    """A binding that cancels the newest task, or all."""

    words: Mapping[str, frozenset[str]] = {
        "done": frozenset({"canceled"}),
        "nothing": frozenset(),
        "failed": frozenset({"reason"}),
    }

    def __init__(self, tool: Tool, book: SkillBook | None) -> None:
        """Raises ConfigurationError."""
        if tool.binding.get("cancel") not in ("newest", "all") or len(tool.binding) != 1:
            raise ConfigurationError("`cancel` is newest or all, and has no other keys beside it")
        if "nothing" not in tool.says:
            raise ConfigurationError("it needs the sentence `nothing`, for when nothing is running")
        self._newest = tool.binding["cancel"] == "newest"
        self._book = book

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Cancel what is running."""
        return self.collect(() if self._book is None else self._book.tasks.cancel(self._newest))

    def collect(self, asked: tuple[Task, ...]) -> Outcome:
        """Tell what became of tasks that were asked to end. Raises ToolError when one of them goes on."""
        if self._book is None or not (asked or self._book.tasks.names()):
            return Outcome("nothing", {"canceled": []})
        if not asked:
            raise ToolError("what I am doing can't be cancelled")
        told = self._book.tasks.collect(asked, self._book.timeout)
        if told.problems:
            raise ToolError(" ".join([*told.sentences, "; ".join(told.problems)]))
        return Outcome("done", {"canceled": list(told.names)}, {"canceled": " ".join(told.sentences)})


def _map(key: str, tool: Tool, message: MessageType) -> ArgumentMap:
    try:
        return ArgumentMap(tool.binding.get(key, {}), message, tool.parameters)
    except ConfigurationError as exc:
        raise type(exc)(f"{key}: {exc}") from exc


def _fields(key: str, entry: Mapping[str, Json], message: MessageType) -> dict[str, Field]:
    fields = entry.get(key, {})
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"{key}: words with the fields that they come from are needed, not {fields!r}")
    return {str(name): _field(f"{key}: {name}", path, message) for name, path in fields.items()}


def _field(where: str, path: Json, message: MessageType) -> Field:
    try:
        return Field(path, message)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{where}: {exc}") from exc


def _success(entry: Mapping[str, Json], gives: MessageType) -> list[tuple[Field, Json]]:
    """The fields of an answer that say whether it worked, with what they must be."""
    wanted = entry.get("success")
    if wanted is None:
        usual = gives.fields.get("success")
        wanted = {"success": True} if usual is not None and usual.kind == "boolean" and not usual.many else {}
    elif isinstance(wanted, str):
        wanted = {wanted: True}
    if not isinstance(wanted, Mapping):
        raise ConfigurationError(f"success: a field, or fields with what they must be, are needed, not {wanted!r}")
    found = [(_field("success", path, gives), value) for path, value in wanted.items()]
    for (field, value), path in zip(found, wanted, strict=True):
        if (field.type.kind == "boolean") != isinstance(value, bool):
            raise ConfigurationError(f"success: the field {path} is a {field.type}, and can't be {value!r}")
    return found


def _reason(entry: Mapping[str, Json], gives: MessageType) -> Field | None:
    """The field of an answer that says why it didn't work."""
    if "reason" in entry:
        return _field("reason", entry["reason"], gives)
    for usual in ("message", "error_msg"):
        if (field := gives.fields.get(usual)) is not None and field.kind == "text" and not field.many:
            return Field(usual, gives)
    return None


def argument_words(tool: Tool) -> Callable[[Mapping[str, Json]], dict[str, str]]:
    """What makes words of a call's arguments, for the sentences of the tool; those that are left out are empty."""
    names = list(tool.parameters.get("properties", {}))
    return lambda arguments: {name: spoken(arguments[name]) if name in arguments else "" for name in names}
