"""Phrases by which a robot's own tools are asked for, made into patterns of the keywords detector.

    (go|drive) [over] to [the] {place}

Parentheses hold alternatives, brackets what may be left out, braces an argument of the tool: one of the values of its
enum (``living_room`` is said "living room"), a number, or for a text up to some words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import Json, ToolSpec
from lfm_voice_ros.detectors.pattern_file import Pattern, PatternFile
from lfm_voice_ros.detectors.plain_text import plain, without_openers
from lfm_voice_ros.detectors.sentences import clauses, joined, sentences

_MOST_WAYS = 500  # to say one phrase
_LONGEST_TEXT = 60  # characters of an argument that is a text
_SPECIAL = re.compile(r"[(|)\[\]]|\{([^{}]*)\}")
_MARK = "qzx"  # begins a word that nobody says: it stands for an argument while a phrase is brought into plain text


def own_patterns(tools: Sequence[ToolSpec], patterns: PatternFile) -> tuple[Pattern, ...]:
    """The patterns of all phrases. Raises ConfigurationError that names the tool and the phrase."""
    found = []
    for tool in tools:
        for phrase in tool.phrases:
            try:
                found.append(_pattern(phrase, tool, patterns))
            except ConfigurationError as exc:
                raise ConfigurationError(f"the phrase '{phrase}' of the tool {tool.name}: {exc}") from exc
    return tuple(found)


def _pattern(phrase: str, tool: ToolSpec, patterns: PatternFile) -> Pattern:
    schemas: Mapping[str, Json] = tool.parameters.get("properties", {})
    names: list[str] = []
    ways = _Phrase(phrase, names).ways()
    for name in names:
        if name not in schemas:
            raise ConfigurationError(f"there is no argument {name}; there are: {', '.join(schemas) or 'none'}")
    if missing := set(tool.parameters.get("required", ())) - set(names):
        raise ConfigurationError(f"it leaves out {', '.join(sorted(missing))}, which the tool requires")
    slots = {name: _slot(name, schemas[name], patterns) for name in names}
    count = itertools.count()

    def insert(match: re.Match[str]) -> str:
        name = names[int(match[1])]
        return f"(?P<{name}__{next(count)}>{slots[name][0]})"

    expressions, spans = [], False
    for way in ways:
        if not (text := _as_heard(way, patterns)):
            raise ConfigurationError("nothing but politeness is left of it")
        pieces = clauses(text)
        spans = spans or len(pieces) > 1
        expressions.append(re.sub(rf"{_MARK}(\d+)z", insert, re.escape(joined(pieces).text)))
    # The longer one first: "go" is not all of "go there".
    expressions.sort(key=len, reverse=True)
    expression = re.compile(rf"(?:{'|'.join(expressions)})(?=\s|$)", re.IGNORECASE)
    return Pattern(tool.name, expression, frozenset(), spans, {name: read for name, (_, read) in slots.items()})


def _as_heard(text: str, patterns: PatternFile) -> str:
    """A phrase as a sentence reaches the patterns."""
    return without_openers(next(sentences(plain(text, patterns)), "").lstrip(" ,"), patterns).rstrip(" ,")


def _slot(name: str, schema: Mapping[str, Json], patterns: PatternFile) -> tuple[str, Callable[[str], Json]]:
    """The expression for an argument, and what reads it."""
    if "enum" in schema:
        values = {
            _as_heard(str(value).replace("_", " "), patterns).casefold(): value
            for value in schema["enum"]
            if not isinstance(value, bool)
        }
        said = sorted((re.escape(text) for text in values if text), key=len, reverse=True)
        if len(said) < len(schema["enum"]):
            raise ConfigurationError(f"not every value of {name} can be said; give them names")
        return "|".join(said), lambda text: values[text.casefold()]
    match schema.get("type"):
        case "number":
            return r"-?\d+(?:\.\d+)?", float
        case "integer":
            return r"-?\d+", int
        case "string":
            most = min(schema.get("maxLength", _LONGEST_TEXT), _LONGEST_TEXT)
            return rf"\w[^,.?!]{{0,{max(0, most - 1)}}}?", str
    raise ConfigurationError(
        f"the argument {name} can't be said: it needs an enum, or the type number, integer or string"
    )


class _Phrase:
    """Reads a phrase into all ways to say it."""

    def __init__(self, text: str, names: list[str]) -> None:
        """``names`` gets the names of its arguments; a way has a word with their index in their places."""
        self._text = text
        self._names = names
        self._tokens = list(self._read())
        self._at = 0

    def ways(self) -> list[str]:
        found = self._alternatives("")
        if self._at < len(self._tokens):
            raise ConfigurationError(f"there is a '{self._tokens[self._at]}' too many")
        return [" ".join(way.split()) for way in found]

    def _read(self) -> Iterator[str]:
        at = 0
        for match in _SPECIAL.finditer(self._text):
            yield self._text[at : match.start()]
            if (name := match[1]) is None:
                yield match[0]
            else:
                if name not in self._names:
                    self._names.append(name)
                yield f"{_MARK}{self._names.index(name)}z"
            at = match.end()
        yield self._text[at:]
        if "{" in self._text[at:] or "}" in self._text[at:]:
            raise ConfigurationError("a brace is missing")

    def _alternatives(self, end: str) -> list[str]:
        found: list[str] = []
        while True:
            found += self._sequence()
            if len(found) > _MOST_WAYS:
                raise ConfigurationError(f"there are more than {_MOST_WAYS} ways to say it; make several phrases of it")
            sign = self._tokens[self._at] if self._at < len(self._tokens) else ""
            if sign != "|":
                break
            self._at += 1
        if sign != end:
            raise ConfigurationError(f"a '{end}' is missing" if end else f"there is a '{sign}' too many")
        self._at += bool(end)
        return found

    def _sequence(self) -> list[str]:
        found = [""]
        while self._at < len(self._tokens) and (sign := self._tokens[self._at]) not in ("|", ")", "]"):
            self._at += 1
            if sign == "(":
                added = self._alternatives(")")
            elif sign == "[":
                added = [*self._alternatives("]"), ""]
            else:
                added = [sign]
            found = [before + after for before in found for after in added]
            if len(found) > _MOST_WAYS:
                raise ConfigurationError(f"there are more than {_MOST_WAYS} ways to say it; make several phrases of it")
        return found
