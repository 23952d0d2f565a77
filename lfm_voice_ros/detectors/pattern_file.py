"""Reads the patterns of the keywords detector; every mistake in the file is told with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import Json

#: The tools that have an argument ``degrees``; a direction means one of them.
MOVES = ("pan_left", "pan_right", "tilt_up", "tilt_down")
#: The built-in tools. A pattern may name these and the robot's own.
TOOLS = (
    *(*MOVES, "center", "look_at", "look_around", "nod", "shake_head", "stop"),
    *("get_head_position", "get_time", "get_date"),
)

#: What a named group of a pattern may be, beside the names of MOVES for directions.
GROUPS = ("degrees", "location", "pan", "tilt", "left", "right", "up", "down")

_SECTIONS = (
    *("amounts", "words", "fillers", "openers", "closers", "prefixes", "gerunds", "negations", "corrections"),
    *("cancellations", "left_alone", "poison", "parts", "directions", "patterns"),
)
_INSERTION = re.compile(r"\{([a-z_]+)(?::([a-z_]+))?\}")
_MAX_DEPTH = 20  # of parts inside parts; more is a circle
_JOINTS = ("{and}", " and ", " or ")  # in a pattern that may reach over several clauses
_SEPARATOR = "__"  # between a group's name and the count that makes it unique


@dataclass(frozen=True)
class Pattern:
    """One way to say a command."""

    tool: str  # empty: the direction decides
    expression: re.Pattern[str]
    follows: frozenset[str]  # only after a call of these; empty: always
    spans: bool  # may reach over an "and" or a comma
    slots: Mapping[str, Callable[[str], Json]] | None = None  # of a robot's own tool: how its arguments are read

    @property
    def own(self) -> bool:
        """Whether it is a phrase of a robot's own tool."""
        return self.slots is not None

    def groups(self, match: re.Match[str]) -> dict[str, str]:
        """Give the named groups that matched, by their names in the file."""
        return {name.partition(_SEPARATOR)[0]: text for name, text in match.groupdict().items() if text is not None}


@dataclass(frozen=True)
class PatternFile:
    """The compiled file; config/keywords.yaml says what each section is for."""

    amounts: tuple[tuple[re.Pattern[str], float], ...]
    words: tuple[tuple[re.Pattern[str], str], ...]
    fillers: re.Pattern[str]
    opener: re.Pattern[str]
    closer: re.Pattern[str]
    prefix_bare: re.Pattern[str]
    prefix_gerund: re.Pattern[str]
    gerunds: dict[str, str]
    negation: re.Pattern[str]
    correction: re.Pattern[str]
    cancellation: re.Pattern[str]
    left_alone: re.Pattern[str]
    poison: re.Pattern[str]
    direction: re.Pattern[str]
    amount: re.Pattern[str]
    command: re.Pattern[str]  # the words that a command begins with
    place: str  # an expression for the name of a place
    patterns: tuple[Pattern, ...]


def read(path: Path, own_tools: Collection[str]) -> PatternFile:
    """Read and compile a file of patterns, which may name ``own_tools`` beside the built-in ones.

    Raises ConfigurationError, with file, line and reason, for a file that can't be read, wrong YAML, an unknown or
    missing key, an unknown tool, part or group, and a wrong regular expression.
    """
    return _Reader(path, frozenset(TOOLS) | frozenset(own_tools)).read()


class _Reader:
    def __init__(self, path: Path, tools: frozenset[str]) -> None:
        self._path = path
        self._tools = tools
        self._parts: dict[str, tuple[str, yaml.Node]] = {}
        self._count = 0

    def read(self) -> PatternFile:
        sections = self._sections()
        vague = list(self._pairs(sections["amounts"]))
        self._parts = {self._text(key): (self._text(value), value) for key, value in self._pairs(sections["parts"])}
        directions = [(key, value) for key, value in self._pairs(sections["directions"])]
        for key, _ in directions:
            if self._text(key) not in MOVES:
                raise self._error(key, f"there is no direction '{self._text(key)}'; there are: {', '.join(MOVES)}")
        self._parts["vague"] = ("|".join(f"(?:{self._text(key)})" for key, _ in vague), sections["amounts"])
        self._parts["direction"] = (
            "|".join(f"(?:{{direction_{self._text(key)}:{self._text(key)}}})" for key, _ in directions),
            sections["directions"],
        )
        for key, value in directions:
            self._parts[f"direction_{self._text(key)}"] = (self._text(value), value)
        for text, node in list(self._parts.values()):
            self._compile(self._expand(text, node), node)
        prefixes = dict(self._named(sections["prefixes"], ("bare", "gerund")))
        return PatternFile(
            amounts=tuple((self._compile(self._text(key), key), self._number(value)) for key, value in vague),
            words=tuple(
                (
                    self._compile(rf"(?<!\w)(?:{self._expand(self._text(key), key)})(?!\w)", key),
                    self._replacement(key, value),
                )
                for key, value in self._pairs(sections["words"])
            ),
            fillers=self._compile(rf"\b(?:{self._text(sections['fillers'])})\b", sections["fillers"]),
            opener=self._any_of(sections["openers"], r"(?:{})(?=[\s,]|$)[\s,]*"),
            closer=self._any_of(sections["closers"], r"(?:^|(?<=[\s,]))(?:{})$"),
            prefix_bare=self._any_of(prefixes["bare"], r"(?:{})(?=\s|(?<=\s))\s*"),
            prefix_gerund=self._any_of(prefixes["gerund"], r"(?:{})\s+"),
            gerunds={self._text(key).lower(): self._text(value) for key, value in self._pairs(sections["gerunds"])},
            negation=self._compile(rf"(?:{self._text(sections['negations'])})(?:\s+|$)", sections["negations"]),
            correction=self._compile(rf"(?:{self._text(sections['corrections'])})(?:\s+|$)", sections["corrections"]),
            cancellation=self._compile(self._text(sections["cancellations"]), sections["cancellations"]),
            left_alone=self._any_of(sections["left_alone"], r"\b(?:{})(?!\w)"),
            poison=self._any_of(sections["poison"], r"(?:{})(?!\w)"),
            direction=self._compile(self._expand("(?:{direction})", sections["directions"]), sections["directions"]),
            amount=self._compile(self._expand("{amount}", sections["parts"]), sections["parts"]),
            command=self._command(),
            place=self._place(),
            patterns=tuple(self._pattern(node) for node in self._items(sections["patterns"])),
        )

    def _sections(self) -> dict[str, yaml.Node]:
        try:
            root = yaml.compose(self._path.read_text("utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigurationError(f"{self._path} can't be read: {exc}") from exc
        except yaml.MarkedYAMLError as exc:
            line = exc.problem_mark.line + 1 if exc.problem_mark else 1
            raise ConfigurationError(f"{self._path}:{line}: this is not YAML: {exc.problem}") from exc
        except yaml.YAMLError as exc:
            raise ConfigurationError(f"{self._path} is not YAML: {exc}") from exc
        if root is None:
            raise ConfigurationError(f"{self._path}:1: the file is empty; it needs: {', '.join(_SECTIONS)}")
        return dict(self._named(root, _SECTIONS))

    def _pattern(self, node: yaml.Node) -> Pattern:
        keys = dict(self._named(node, ("pattern",), optional=("tool", "follows")))
        tool = ""
        if "tool" in keys:
            tool = self._tool(keys["tool"])
        elif "{direction}" not in self._text(keys["pattern"]):
            raise self._error(node, "a pattern needs a `tool`, or a {direction} that decides it")
        follows = frozenset(self._tool(item) for item in self._items(keys["follows"])) if "follows" in keys else ()
        source = self._text(keys["pattern"])
        expression = self._compile(rf"(?:{self._expand(source, keys['pattern'])})(?=\s|$)", keys["pattern"])
        for name in expression.groupindex:
            group = name.partition(_SEPARATOR)[0]
            if group not in GROUPS and group not in MOVES:
                raise self._error(keys["pattern"], f"there is no group '{group}'; there are: {', '.join(GROUPS)}")
        return Pattern(tool, expression, frozenset(follows), any(joint in source for joint in _JOINTS))

    def _command(self) -> re.Pattern[str]:
        if "command" not in self._parts:
            return re.compile(r"\w")
        text, node = self._parts["command"]
        return self._compile(rf"(?:{self._expand(text, node)})(?!\w)", node)

    def _place(self) -> str:
        if "place" not in self._parts:
            return r"\w+"
        text, node = self._parts["place"]
        return self._compile(self._expand(text, node), node).pattern

    def _tool(self, node: yaml.Node) -> str:
        name = self._text(node)
        if name not in self._tools:
            raise self._error(node, f"there is no tool '{name}'; there are: {', '.join(sorted(self._tools))}")
        return name

    def _expand(self, text: str, node: yaml.Node, depth: int = 0) -> str:
        if depth > _MAX_DEPTH:
            raise self._error(node, f"the parts in '{_short(text)}' insert one another without end")

        def insert(match: re.Match[str]) -> str:
            name, group = match.groups()
            if name not in self._parts:
                raise self._error(node, f"there is no part '{{{name}}}'; there are: {', '.join(sorted(self._parts))}")
            expanded = f"(?:{self._expand(*self._parts[name], depth + 1)})"
            if not group:
                return expanded
            self._count += 1
            return f"(?P<{group}{_SEPARATOR}{self._count}>{expanded})"

        return _INSERTION.sub(insert, text)

    def _any_of(self, node: yaml.Node, frame: str) -> re.Pattern[str]:
        expanded = []
        for item in self._items(node):
            expanded.append(self._expand(self._text(item), item))
            self._compile(expanded[-1], item)
        return self._compile(frame.replace("{}", "|".join(expanded)), node)

    def _compile(self, expression: str, node: yaml.Node) -> re.Pattern[str]:
        try:
            return re.compile(expression, re.IGNORECASE)
        except re.error as exc:
            shown = node.value if isinstance(node, yaml.ScalarNode) else expression
            raise self._error(node, f"pattern '{_short(shown)}': {exc.msg}") from exc

    def _replacement(self, key: yaml.Node, value: yaml.Node) -> str:
        text = self._text(value)
        try:
            re.compile(self._expand(self._text(key), key)).sub(text, "")
        except (re.error, IndexError) as exc:
            raise self._error(value, f"replacement '{_short(text)}': {exc}") from exc
        return text

    def _named(
        self, node: yaml.Node, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, yaml.Node]]:
        seen = set()
        for key, value in self._pairs(node):
            name = self._text(key)
            if name not in (*required, *optional):
                raise self._error(key, f"unknown key '{name}'; there are: {', '.join((*required, *optional))}")
            seen.add(name)
            yield name, value
        for name in required:
            if name not in seen:
                raise self._error(node, f"the key '{name}' is missing")

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "keys with values are needed here")
        seen = set()
        for key, value in node.value:
            if self._text(key) in seen:
                raise self._error(key, f"the key '{_short(self._text(key))}' is there twice")
            seen.add(self._text(key))
            yield key, value

    def _items(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, "a list is needed here")
        yield from node.value

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a text is needed here")
        return str(node.value)

    def _number(self, node: yaml.Node) -> float:
        try:
            return float(self._text(node))
        except ValueError as exc:
            raise self._error(node, f"'{self._text(node)}' is not a number of degrees") from exc

    def _error(self, node: yaml.Node, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}:{node.start_mark.line + 1}: {reason}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "…"
