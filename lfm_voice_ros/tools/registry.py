"""The registry: which tools there are, what they take, what they say. Read from a file such as config/tools.yaml."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema

from lfm_voice_ros.core.errors import ConfigurationError, ToolError
from lfm_voice_ros.core.resources import config_file, read_yaml
from lfm_voice_ros.core.tool_calls import argument_problem, shortened
from lfm_voice_ros.core.types import Json, ToolCall, ToolSpec

#: What a tool may say: what was done, what was begun and goes on, how far it is, and what didn't come of it.
_OUTCOMES = ("done", "limited", "at_limit", "accepted", "progress", "canceled", "nothing", "failed")
#: What a file of tools must look like; what the bindings mean is checked where they are made.
_FILE_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "required": ["tools"],
    "additionalProperties": False,
    "properties": {
        "include": {"type": "string", "minLength": 1},
        "tools": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "description", "parameters", "binding", "says"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
                    "description": {"type": "string", "minLength": 1},
                    "parameters": {"type": "object"},
                    "binding": {"type": "object", "minProperties": 1},
                    "phrases": {"type": "array", "items": {"type": "string", "minLength": 1}},
                    "says": {
                        "type": "object",
                        "required": ["done", "failed"],
                        "additionalProperties": False,
                        "properties": {outcome: {"type": "string", "minLength": 1} for outcome in _OUTCOMES},
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Tool:
    """One entry of the file."""

    name: str
    description: str
    parameters: Mapping[str, Json]  # JSON schema of the arguments
    binding: Mapping[str, Json]
    says: Mapping[str, str]  # sentence by outcome
    phrases: Sequence[str] = ()  # ways to ask for it, for the keywords detector
    file: str = ""  # that it is from

    def sentence(self, outcome: str, fields: Mapping[str, Json]) -> str:
        """The sentence for an outcome (done, limited, failed …), its fields filled in."""
        return self.pattern(outcome).format_map(fields)

    def pattern(self, outcome: str) -> str:
        """The sentence for an outcome, with its fields in braces."""
        for fallback in (outcome, "limited" if outcome == "at_limit" else "done"):
            if fallback in self.says:
                return self.says[fallback]
        return self.says["done"]

    def fields(self, outcome: str = "") -> set[str]:
        """The names of the fields that the sentence for an outcome uses, or that all do."""
        texts = [self.says[outcome]] if outcome else self.says.values()
        return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name is not None}


class Registry:
    """The tools by name. Iterating gives them in the file's order."""

    def __init__(self, tools: Sequence[Tool], allowed: Sequence[str] = ("*",)) -> None:
        """Raises ConfigurationError when ``allowed`` names a tool that there isn't; ``*`` stands for all.

        An empty name allows nothing: a ROS parameter can't be an empty list.
        """
        self._tools = {tool.name: tool for tool in tools}
        unknown = sorted(set(allowed) - set(self._tools) - {"*", ""})
        if unknown:
            raise ConfigurationError(
                f"`allowed` names tools that don't exist: {', '.join(unknown)}; there are: {', '.join(self._tools)}"
            )
        self._allowed = set(self._tools) if "*" in allowed else set(allowed)

    @classmethod
    def from_file(cls, path: Path, allowed: Sequence[str] = ("*",)) -> Registry:
        """Read a file of tools. Raises ConfigurationError that names the file and the place.

        ``include: FILE`` in it puts the tools of another file before its own; a file that isn't beside it is the
        package's.
        """
        tools = _read(path, ())
        for tool in tools:
            if sum(other.name == tool.name for other in tools) > 1:
                raise ConfigurationError(f"{path}: there are two tools named {tool.name}")
            _check_tool(tool, path)
        return cls(tools, allowed)

    def __iter__(self) -> Iterator[Tool]:
        return (tool for tool in self._tools.values() if tool.name in self._allowed)

    def specs(self) -> list[ToolSpec]:
        """What detectors and models are told of the tools that are allowed."""
        return [ToolSpec(tool.name, tool.description, tool.parameters, tuple(tool.phrases)) for tool in self]

    def check(self, call: ToolCall) -> Tool:
        """The tool of a call. Raises ToolError when it is unknown, not allowed, or its arguments don't fit."""
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolError(f"there is no tool named {call.name}")
        if call.name not in self._allowed:
            raise ToolError(f"the tool {call.name} is not allowed on this robot")
        if problem := argument_problem(tool.parameters, call):
            raise ToolError(problem)
        return tool


def _read(path: Path, including: tuple[Path, ...]) -> list[Tool]:
    if path.resolve() in including:
        raise ConfigurationError(f"{path} includes itself")
    content = read_yaml(path)
    try:
        jsonschema.validate(content, _FILE_SCHEMA)
    except jsonschema.ValidationError as exc:
        place = "/".join(str(part) for part in exc.absolute_path)
        raise ConfigurationError(f"{path}: {place or 'the file'}: {shortened(exc.message)}") from exc
    included: list[Tool] = []
    if name := content.get("include"):
        beside = path.parent / Path(name).expanduser()
        included = _read(beside if beside.exists() else config_file(name), (*including, path.resolve()))
    return [*included, *(Tool(**entry, file=str(path)) for entry in content["tools"])]


def _check_tool(tool: Tool, path: Path) -> None:
    try:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
    except jsonschema.SchemaError as exc:
        raise ConfigurationError(f"{path}: the parameters of {tool.name} are no JSON schema: {exc.message}") from exc
    try:
        for outcome in tool.says:
            tool.sentence(outcome, dict.fromkeys(tool.fields(), "word"))
    except (ValueError, LookupError, AttributeError) as exc:
        raise ConfigurationError(f"{path}: a sentence of {tool.name} has wrong braces: {exc}") from exc
