"""Tool calls inside a model's own text, while it is being written: what may be spoken, and which calls are asked for.

One scanner reads character by character, so that it makes no difference how the text was split. It looks for the
markers of a syntax; what follows an opening marker is the body of a call, anything else is speech. A part that isn't
speech leaves one space behind, and a comma, colon or semicolon right after it belongs to it; white space around the
whole speech is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lfm_voice_ros.core.call_syntax import read_arguments, read_calls, read_name
from lfm_voice_ros.core.errors import ModelOutputError
from lfm_voice_ros.core.types import ToolCall

#: Characters after which an open call is given up.
LONGEST_CALL = 600

Marker = Literal["opening", "closing", "silent"]

_TOOL_NAME, _TOOL_ARGUMENTS = "<|tool_name|>", "<|tool_args|>"
#: Names of actions that ask for nothing.
_NOTHING = ("none", "no", "nothing", "null", "n/a")
#: An action as far as it was read; the inside of its parentheses is left out.
_ACTION = re.compile(r"\s*(?:(?P<name>n/a?|[a-z_]\w*)[ \t]*(?:\(\)[ \t]*)?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """What a piece of the text has settled."""

    speech: str  # may be spoken now
    calls: tuple[ToolCall, ...]  # were closed by this piece


@dataclass(frozen=True)
class Syntax:
    """How a model marks its calls; an entry of ``SYNTAXES``."""

    marker: re.Pattern[str]  # one whole marker; the name of its group is its kind
    beginning: re.Pattern[str]  # what may become a marker
    body: Callable[[Collection[str]], _Body]  # made at each opening marker, with the names of the tools
    read: Callable[[str], tuple[ToolCall, ...]]  # a body; raises ModelOutputError


class CallStream:
    """Splits a model's text into speech and calls. Not thread-safe; one object per text.

    ``known`` are the names of the registered tools; calls with any other name are dropped.
    """

    def __init__(self, syntax: Syntax, known: Collection[str]) -> None:
        self._syntax = syntax
        self._known = frozenset(known)
        self._held = ""  # may become a marker
        self._before = ""  # what came right before it; decides where a word begins
        self._body: _Body | None = None  # of the open call
        self._speech: list[str] = []  # not yet given
        self._calls: list[ToolCall] = []  # not yet given
        self._problems: list[str] = []
        self._white: list[str] = []  # since the last character of speech
        self._gap = False  # whether something was left out since the last character of speech
        self._spoken = False  # whether there was any speech

    @property
    def holding(self) -> bool:
        """Whether sound must wait: a call is open, for at most ``LONGEST_CALL`` characters, or may be beginning."""
        return bool(self._held) or self._body is not None

    @property
    def problems(self) -> Sequence[str]:
        """One sentence for each thing that was dropped so far, in order."""
        return tuple(self._problems)

    def feed(self, text: str) -> Piece:
        """Take the next piece of the text, of any length; give what it settles. No text makes it raise."""
        for char in text:
            self._scan(char)
        return self._piece()

    def finish(self) -> Piece:
        """Give what was held back when the model has ended its text. Call it once, last."""
        held, self._held = self._held, ""
        for char in held:
            self._pass(char)
        if self._body is not None:
            self._end_call(self._body, marked=False)
        return self._piece()

    def _piece(self) -> Piece:
        piece = Piece("".join(self._speech), tuple(self._calls))
        self._speech.clear()
        self._calls.clear()
        return piece

    def _scan(self, char: str) -> None:
        self._held += char
        while self._held:
            # The patterns look back to see whether a word begins.
            text, start = self._before + self._held, len(self._before)
            if marker := self._syntax.marker.fullmatch(text, start):
                token, self._held = self._held, ""
                self._mark(marker.lastgroup, token)
            elif self._syntax.beginning.fullmatch(text, start):
                return
            else:
                first, self._held = self._held[0], self._held[1:]
                self._pass(first)

    def _mark(self, kind: str | None, token: str) -> None:
        if kind == "silent" and self._body is not None:
            self._pass(token)
            return
        if self._body is not None:
            self._end_call(self._body, marked=kind == "closing")
        if kind == "opening":
            self._body = self._syntax.body(self._known)
        self._leave_out()

    def _pass(self, text: str) -> None:
        """Take a character that belongs to no marker, or a token inside a body."""
        body = self._body
        if body is not None and body.take(text):
            self._before = text
            if len(body.text) > LONGEST_CALL:
                self._give_up(body)
            return
        if body is not None:
            self._end_call(body, marked=False)
        self._say(text)
        self._before = text

    def _give_up(self, body: _Body) -> None:
        self._problems.append(f"a call was given up after {LONGEST_CALL} characters: {body.text[:60]}")
        self._body = None
        self._leave_out()

    def _end_call(self, body: _Body, *, marked: bool) -> None:
        """Read the open call; ``marked`` says that a closing marker ended it."""
        self._body = None
        self._leave_out()
        if not body.complete(marked=marked):
            self._problems.append(f"a call was never closed: {body.text[:60]}")
            return
        try:
            self._accept(self._syntax.read(body.text[: body.end]))
        except ModelOutputError as exc:
            self._problems.append(str(exc))
        self._say(body.text[body.end :])

    def _accept(self, calls: tuple[ToolCall, ...]) -> None:
        self._calls += (call for call in calls if call.name in self._known)
        self._problems += (f"there is no tool '{call.name}'" for call in calls if call.name not in self._known)

    def _leave_out(self) -> None:
        self._gap = True
        self._before = ""

    def _say(self, text: str) -> None:
        for char in text:
            if char.isspace() or (self._gap and char in ",:;"):
                self._white.append(char)
                continue
            if self._spoken:
                self._speech += " " if self._gap else self._white
            self._speech.append(char)
            self._white.clear()
            self._spoken, self._gap = True, False


def parse(syntax: Syntax, text: str, known: Collection[str]) -> tuple[str, tuple[ToolCall, ...], tuple[str, ...]]:
    """Take a whole text; give its speech, its calls and the problems. No text makes it raise."""
    stream = CallStream(syntax, known)
    first, last = stream.feed(text), stream.finish()
    return first.speech + last.speech, first.calls + last.calls, tuple(stream.problems)


class _Body:
    """What follows an opening marker. Here it takes everything and counts if a closing marker ends it."""

    def __init__(self, known: Collection[str]) -> None:
        self.text = ""
        self._known = known

    def take(self, text: str) -> bool:
        """Whether the text belongs to the body; if it doesn't, the body ends before it."""
        self.text += text
        return True

    def complete(self, *, marked: bool) -> bool:
        """Whether the body counts, ended by a closing marker or, not ``marked``, by anything else."""
        return marked

    @property
    def end(self) -> int:
        """How much of the text is calls; the rest is speech."""
        return len(self.text)


class _ActionBody(_Body):
    """What follows ACTION:, which ends by itself: names, each with an optional (...), separated by commas.

    The first may have any name. A further one has a known name or touches its parenthesis: ``nod, I agree`` ends
    before the comma.
    """

    def __init__(self, known: Collection[str]) -> None:
        super().__init__(known)
        self._nesting = _Nesting()
        self._action = ""  # the last one, as _ACTION has it
        self._comma: int | None = None  # where the one before it ended

    def take(self, text: str) -> bool:
        if self._nesting.depth:
            self._nesting.take(text)
            if not self._nesting.depth:
                self._action += "()"
        elif text == "(" and self._may_open():
            self._nesting.take(text)
        elif text == "," and self._name() and self._counts():
            self._comma, self._action = len(self.text), ""
        elif _ACTION.fullmatch(self._action + text):
            self._action += text
        else:
            return False
        return super().take(text)

    def complete(self, *, marked: bool) -> bool:
        return not self._nesting.depth

    @property
    def end(self) -> int:
        return len(self.text) if self._comma is None or self._counts() else self._comma

    def _name(self) -> str:
        action = _ACTION.fullmatch(self._action)
        return (action and action["name"]) or ""

    def _counts(self) -> bool:
        return self._comma is None or self._name() in self._known or "(" in self._action

    def _may_open(self) -> bool:
        return bool(self._name()) and "(" not in self._action and (self._counts() or not self._action[-1].isspace())


class _Nesting:
    """How deep inside of parentheses a text is; those in quotes don't count."""

    def __init__(self) -> None:
        self.depth = 0
        self._quote = ""  # the one that is open
        self._escaped = False

    def take(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._quote:
            self._escaped = char == "\\"
            if char == self._quote:
                self._quote = ""
        elif char in "'\"":
            self._quote = char
        elif char in "()":
            self.depth += 1 if char == "(" else -1


def _read_special_tokens(body: str) -> tuple[ToolCall, ...]:
    if _TOOL_NAME not in body:
        return read_calls(body)
    before, *pairs = body.split(_TOOL_NAME)
    if before.strip():
        raise ModelOutputError(f"this doesn't belong before {_TOOL_NAME}: {before[:60]}")
    return tuple(_read_pair(pair) for pair in pairs)


def _read_pair(pair: str) -> ToolCall:
    name, _, arguments = pair.partition(_TOOL_ARGUMENTS)
    return ToolCall(read_name(name), read_arguments(arguments))


def _read_lora(body: str) -> tuple[ToolCall, ...]:
    body = body.strip()
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    return tuple(call for item in _items(body) for call in _read_item(item))


def _read_actions(body: str) -> tuple[ToolCall, ...]:
    items = (item for item in _items(body) if item.partition("(")[0].strip().lower() not in _NOTHING)
    return tuple(call for item in items for call in _read_item(item))


def _read_item(item: str) -> tuple[ToolCall, ...]:
    return read_calls(item) if "(" in item else (ToolCall(read_name(item)),)


def _items(text: str) -> Iterator[str]:
    """Split at the commas outside of parentheses and quotes."""
    nesting, start = _Nesting(), 0
    for index, char in enumerate(text):
        nesting.take(char)
        if char == "," and not nesting.depth:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _syntax(
    body: Callable[[Collection[str]], _Body],
    read: Callable[[str], tuple[ToolCall, ...]],
    markers: Mapping[Marker, Sequence[str]],
) -> Syntax:
    """Make an entry of the table. A marker is a sequence of patterns, nearly all of one character.

    Where a text matches two markers, the first is meant; none may be the beginning of another.
    """
    whole = "|".join(f"(?P<{kind}>{''.join(parts)})" for kind, parts in markers.items())
    beginning = "|".join("(?:".join(parts) + ")?" * (len(parts) - 1) for parts in markers.values())
    return Syntax(re.compile(whole, re.IGNORECASE), re.compile(beginning, re.IGNORECASE), body, read)


def _literal(text: str) -> Sequence[str]:
    return tuple(map(re.escape, text))


def _label(word: str) -> Sequence[str]:
    """A word and a colon; up to three spaces between them, for text after the word must not wait for long."""
    return (rf"\b{word[0]}", *word[1:], r"[ \t]{0,3}", ":")


_SPECIAL_TOKENS = _syntax(
    _Body,
    _read_special_tokens,
    {
        "opening": _literal("<|tool_call_start|>"),
        "closing": _literal("<|tool_call_end|>"),
        "silent": (*_literal("<|"), r"\w{1,32}", *_literal("|>")),
    },
)

#: By the names of the detectors.
SYNTAXES: Mapping[str, Syntax] = {
    "special_tokens": _SPECIAL_TOKENS,
    "llm": _SPECIAL_TOKENS,
    "lora": _syntax(_Body, _read_lora, {"opening": _literal("<tool>"), "closing": _literal("</tool>")}),
    "output_parsing": _syntax(_ActionBody, _read_actions, {"opening": _label("ACTION"), "closing": _label("RESPONSE")}),
}
