"""Finds tool calls by patterns: a clause is a command when patterns account for every word of it.

config/keywords.yaml holds the patterns; here is the mechanism: shared verbs, corrections, negation, sentences to be
left alone. docs/tool-detection.md explains it with examples.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lfm_voice_ros.core.types import Json, ToolCall, ToolDecision
from lfm_voice_ros.detectors import pattern_file
from lfm_voice_ros.detectors.pattern_file import MOVES, Pattern, PatternFile
from lfm_voice_ros.detectors.plain_text import matched_length, plain, without_openers
from lfm_voice_ros.detectors.sentences import Clause, clauses, joined, sentences
from lfm_voice_ros.detectors.slots import Slots

_LONGEST_TEXT = 20_000  # characters; nobody says that much in one breath
_LONGEST_CLAUSE = 160  # characters; nobody says a longer command in one breath
_MOST_CALLS = 20  # more in one utterance is noise
_LONGEST_SPAN = 3  # clauses that one pattern may reach over
_TOWARDS = re.compile(r"(?:over |back )?(?:to|towards?)\b", re.IGNORECASE)
_SAID_TWICE_DONE_ONCE = frozenset({"stop", "center", "look_at", "get_head_position", "get_time", "get_date"})
_OTHERS = re.compile(
    r"(?:i|my|our|anyone|anybody|someone|somebody)\b",
    re.IGNORECASE,
)


class KeywordDetector:
    """Detects tool calls with regular expressions; a Detector of core/ports.py. Holds no state between calls."""

    name = "keywords"

    def __init__(self, patterns: PatternFile) -> None:
        self._file = patterns
        self._slots = Slots(patterns)
        self._reader = _ClauseReader(patterns, self._slots)
        self._own_tools = frozenset(pattern.tool for pattern in patterns.patterns if pattern.own)

    @classmethod
    def from_file(cls, path: Path, own_tools: Collection[str] = ()) -> KeywordDetector:
        """Make a detector of a file of patterns, which may name ``own_tools`` beside the built-in ones.

        Raises ConfigurationError with file, line and reason.
        """
        return cls(pattern_file.read(path, own_tools))

    def detect(self, text: str) -> ToolDecision:
        """Give the calls that ``text`` asks for, in spoken order; none for anything unclear. Never raises."""
        turn = _Turn()
        if len(text) > _LONGEST_TEXT:
            return ToolDecision((), self.name)
        for sentence in sentences(plain(text, self._file)):
            self._read_sentence(sentence, turn)
            if len(turn.calls) > _MOST_CALLS:
                return ToolDecision((), self.name)
        return ToolDecision(tuple(turn.calls), self.name)

    def _read_sentence(self, sentence: str, turn: _Turn) -> None:
        pieces = clauses(sentence)
        if pieces and self._read_own(joined(pieces).text, turn):
            return
        if self._file.left_alone.search(without_openers(sentence, self._file)):
            return
        turn.begin_sentence()
        at = 0
        while at < len(pieces) and len(turn.calls) <= _MOST_CALLS:
            for length in range(min(_LONGEST_SPAN, len(pieces) - at), 0, -1):
                clause = joined(pieces[at : at + length])
                if self._read_clause(clause, turn, spanning=length > 1):
                    at += length
                    break

    def _read_own(self, text: str, turn: _Turn) -> bool:
        """Take a sentence that is a phrase of one of the robot's own tools and nothing else, whatever else is in it."""
        if turn.calls and self._cancels(without_openers(text, self._file)):
            return False  # it takes back what was said before
        reading = self._reader.read_own(text)
        if reading.calls:
            turn.begin_sentence()
            turn.add(reading)
        return bool(reading.calls)

    def _read_clause(self, clause: Clause, turn: _Turn, *, spanning: bool) -> bool:
        """Apply a clause to the turn. Only a ``spanning`` one can be refused: then its pieces are read one by one."""
        if spanning:
            reading = self._reader.read(clause.text, frozenset(), gerund=turn.gerund, spanning=True)
            if reading.calls and not turn.refuses(clause.joint):
                turn.add(reading)
            return bool(reading.calls)
        text = without_openers(clause.text, self._file)
        if turn.calls and self._cancels(text):
            turn.calls.clear()
            return True
        if (correction := matched_length(self._file.correction, text)) and turn.expects_correction(clause.joint):
            turn.correcting = True
            text = text[correction:].lstrip()
            if self._cancels(text):
                turn.calls.clear()
                return True
        elif correction and not text[correction:].strip():
            return True
        if not text:
            return True
        if "before" in _words(clause.joint):
            text = text.removeprefix("you ")
        reading = self._reader.read(text, turn.tools_before(), gerund=turn.gerund)
        if reading.negated:
            turn.negate(reading)
        elif reading.calls:
            if turn.is_choice(clause.joint):
                turn.calls.pop()
            elif not turn.refuses(clause.joint, bare=reading.bare or self._has_no_verb(text)):
                turn.add(reading)
        elif self._amends(text, turn):
            pass
        else:
            self._leave_alone(clause, text, turn)
        return True

    def _has_no_verb(self, text: str) -> bool:
        return any(begin.match(text) for begin in (self._file.direction, self._file.amount, _TOWARDS))

    def _cancels(self, text: str) -> bool:
        """Whether a clause takes everything back: "never mind, robot"."""
        return any(self._file.cancellation.fullmatch(rest) for rest in self._reader.without_closers(text))

    def _amends(self, text: str, turn: _Turn) -> bool:
        """Take a clause that is an amount and nothing else, "thirty degrees please", for the last call."""
        amounts = (rest for rest in self._reader.without_closers(text) if self._file.amount.fullmatch(rest))
        return (amount := next(amounts, None)) is not None and turn.amend(self._slots.degrees(amount))

    def _leave_alone(self, clause: Clause, text: str, turn: _Turn) -> None:
        if turn.correcting and turn.calls and turn.calls[-1].name in self._own_tools:
            # "Go to the desk, no wait, upstairs": where to is unclear, so the robot stays.
            turn.calls.pop()
        turn.poisoned = turn.poisoned or self._file.poison.match(text) is not None
        turn.unread = True
        # "look up and down the street": what seemed to be a command was half of something else.
        if (direction := self._file.direction.match(text)) and text[direction.end() :].startswith(" "):
            turn.drop_sentence()
        # "before you cross the road" is advice for people; "before I start" only says when.
        if "before" in _words(clause.joint) and not _OTHERS.match(text):
            turn.drop_sentence()
            turn.poisoned = True


@dataclass(frozen=True)
class _Reading:
    """What a clause says."""

    calls: tuple[ToolCall, ...] = ()
    negated: bool = False
    bare: bool = False  # without a verb of its own
    gerund: bool = False


@dataclass
class _Turn:
    """What was understood so far."""

    calls: list[ToolCall] = field(default_factory=list)
    correcting: bool = False  # "no, I mean" was said: the next command replaces the last
    gerund: bool = False  # "would you mind looking left and telling me …"
    negated: bool = False  # "don't look left or right"
    contrasted: bool = False  # "not left, right"
    poisoned: bool = False  # the sentence began with "if", "did you", "I want" …
    unread: bool = False  # the clause before was no command
    sentence_start: int = 0  # index of the first call of the sentence
    phrase_start: int = 0  # index of the first call that shares the last verb, "look left and up"

    def begin_sentence(self) -> None:
        """Forget what doesn't reach over a full stop."""
        self.gerund = self.negated = self.contrasted = self.poisoned = self.unread = False
        self.sentence_start = len(self.calls)

    def drop_sentence(self) -> None:
        """Take back the calls of this sentence, but never a stop."""
        self.calls[self.sentence_start :] = [call for call in self.calls[self.sentence_start :] if call.name == "stop"]

    def tools_before(self) -> frozenset[str]:
        """The tools whose verbs a clause without a verb may share."""
        if self.negated or self.contrasted or (self.correcting and self.calls):
            return frozenset(MOVES) | {call.name for call in self.calls[-1:]}
        return frozenset(call.name for call in self.calls[-1:]) if not self.unread else frozenset()

    def expects_correction(self, joint: str) -> bool:
        """Whether "no" or "wait" can be about a call: not in "look left, and wait"."""
        return bool(self.calls) and not self.negated and "and" not in _words(joint)

    def refuses(self, joint: str, *, bare: bool = False) -> bool:
        """Whether a command after ``joint`` belongs to something that was no command, or is not wanted."""
        words = _words(joint)
        tied = not words.isdisjoint(("and", "or", "then"))
        if self.poisoned or (self.unread and tied):
            return True
        if self.negated:
            return bare or (tied and "but" not in words and "," not in joint) or "or" in words
        return False

    def is_choice(self, joint: str) -> bool:
        """Whether this command and the last are alternatives ("left or right"): which one is meant is unclear."""
        return "or" in _words(joint) and not self.correcting and len(self.calls) > self.sentence_start

    def negate(self, reading: _Reading) -> None:
        """Take note of "don't …"; "not left" only sets something against what comes next."""
        self.negated = not reading.bare
        self.contrasted = reading.bare
        self.gerund = reading.gerund
        if self.correcting and not reading.bare:
            self.drop_sentence()
        self.unread = False

    def add(self, reading: _Reading) -> None:
        """Take calls, in place of the last one when that was a slip."""
        if self.correcting and self.calls:
            # A new verb replaces all that shared the last one; a direction alone only the last direction.
            del self.calls[-1 if reading.bare else min(self.phrase_start, len(self.calls) - 1) :]
            self.sentence_start = min(self.sentence_start, len(self.calls))
        if not reading.bare:
            self.phrase_start = len(self.calls)
        for call in reading.calls:
            if call.name not in _SAID_TWICE_DONE_ONCE or self.calls[-1:] != [call]:
                self.calls.append(call)
        self.gerund = reading.gerund
        self.correcting = self.negated = self.contrasted = self.unread = False

    def amend(self, degrees: float | None) -> bool:
        """Give the last call an amount: a missing one, or another one after a correction. False if it takes none."""
        if degrees is None or not self.calls or self.calls[-1].name not in MOVES:
            return False
        if self.calls[-1].arguments and not self.correcting:
            return False
        self.calls[-1] = replace(self.calls[-1], arguments={"degrees": degrees})
        self.correcting = False
        return True


class _Group:
    """Patterns, and one expression that matches where any of them does: most text is ruled out by a single look."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = patterns
        unnamed = (re.sub(r"\(\?P<\w+>", "(?:", pattern.expression.pattern) for pattern in patterns)
        self.any_of_them = re.compile("|".join(unnamed), re.IGNORECASE)


class _ClauseReader:
    """Takes politeness off a clause and matches the rest with the patterns."""

    def __init__(self, patterns: PatternFile, slots: Slots) -> None:
        self._file = patterns
        self._slots = slots
        self._all = _Group(patterns.patterns)
        self._spanning = _Group([pattern for pattern in patterns.patterns if pattern.spans])
        self._own = _Group([pattern for pattern in patterns.patterns if pattern.own])

    def read(self, text: str, before: frozenset[str], *, gerund: bool, spanning: bool = False) -> _Reading:
        """Read a clause; ``before`` are the tools whose verb it may share."""
        if len(text) > _LONGEST_CLAUSE:
            return _Reading()
        for variant, is_gerund in self._variants(text, gerund):
            if calls := self._calls(variant, frozenset(), spanning=spanning):
                return _Reading(calls, gerund=is_gerund)
            if before and (calls := self._calls(variant, before, spanning=spanning)):
                return _Reading(calls, bare=True, gerund=is_gerund)
        if gerund and before:  # "would you mind looking left and then all around"
            for variant, _ in self._variants(text, False):
                if calls := self._calls(variant, before, spanning=spanning):
                    return _Reading(calls, bare=True, gerund=True)
        return _Reading() if spanning else self._read_negated(text)

    def read_own(self, text: str) -> _Reading:
        """Read a sentence that is made of one phrase of a tool of the robot's own."""
        if not self._own.patterns or len(text) > _LONGEST_CLAUSE:
            return _Reading()
        for gerund in (False, True):
            for variant, is_gerund in self._variants(text, gerund):
                for end, call in self._matches(variant, 0, frozenset(), self._own):
                    if end == len(variant):
                        return _Reading((call,), gerund=is_gerund)
        return _Reading()

    def _read_negated(self, text: str) -> _Reading:
        text = without_openers(text, self._file)
        prefix = self._file.prefix_bare.match(text)
        for start in {0, prefix.end() if prefix else 0}:
            if not (negation := self._file.negation.match(text, start)):
                continue
            rest = text[negation.end() :]
            if wanted := self._after_unwanted(rest):
                return _Reading(wanted)
            for variant, is_gerund in [*self._variants(rest, False), *self._variants(rest, True)]:
                if calls := self._calls(variant, frozenset()):
                    return _Reading(calls, negated=True, gerund=is_gerund)
                if calls := self._calls(variant, frozenset(MOVES)):
                    return _Reading(calls, negated=True, bare=True)
        return _Reading()

    def _after_unwanted(self, text: str) -> tuple[ToolCall, ...]:
        """Of "[don't] look up look down", said in one breath, give the second command; it has a verb of its own."""
        for unwanted in dict.fromkeys(variant for ing in (False, True) for variant, _ in self._variants(text, ing)):
            for end, _ in self._matches(unwanted, 0, frozenset(), self._all):
                rest = without_openers(unwanted[end:].lstrip(), self._file)
                if not self._file.command.match(rest):
                    continue
                for variant, _ in self._variants(rest, False):
                    if wanted := self._calls(variant, frozenset()):
                        return wanted
        return ()

    def _variants(self, text: str, gerund: bool) -> Iterator[tuple[str, bool]]:
        """Give the clause as it is, then with more and more taken off its ends; and whether it was "…ing"."""
        for tail in self.without_closers(text):
            head = tail
            while True:
                if not gerund:
                    yield head, False
                if gerund and (base := self._from_gerund(head)):
                    yield base, True
                if opener := self._file.opener.match(head):
                    if not opener.end():
                        break
                    head = head[opener.end() :]
                elif gerund_prefix := self._file.prefix_gerund.match(head):
                    if base := self._from_gerund(without_openers(head[gerund_prefix.end() :], self._file)):
                        yield base, True
                    break
                else:
                    break
            prefix = self._file.prefix_bare.match(head)
            while prefix and prefix.end():
                head = without_openers(head[prefix.end() :], self._file)
                yield head, False
                gerund_prefix = self._file.prefix_gerund.match(head)
                if gerund_prefix and (
                    base := self._from_gerund(without_openers(head[gerund_prefix.end() :], self._file))
                ):
                    yield base, True
                prefix = self._file.prefix_bare.match(head)

    def without_closers(self, text: str) -> Iterator[str]:
        """Give a clause as it is, then with more and more politeness taken off its end."""
        yield text
        while closer := self._file.closer.search(text):
            text = text[: closer.start()].rstrip(" ,")
            if not text:
                return
            yield text

    def _from_gerund(self, text: str) -> str:
        first, _, rest = text.partition(" ")
        base = self._file.gerunds.get(first.lower())
        return f"{base} {rest}".rstrip() if base else ""

    def _calls(self, text: str, before: frozenset[str], *, spanning: bool = False) -> tuple[ToolCall, ...]:
        """Give the calls of a text that is made of patterns from its first to its last word, or nothing."""
        patterns = self._spanning if spanning else self._all
        dead_ends: set[int] = set()

        def follow(at: int, context: frozenset[str]) -> tuple[ToolCall, ...] | None:
            if at >= len(text):
                return ()
            if at in dead_ends:
                return None
            for end, call in self._matches(text, at, context, patterns):
                after = matched_length(self._file.opener, text[end:].lstrip())
                start = len(text) - len(text[end:].lstrip()) + after
                rest = follow(start, frozenset({call.name}))
                if rest is not None:
                    return (call, *rest)
            dead_ends.add(at)
            return None

        return follow(0, before) or ()

    def _matches(self, text: str, at: int, context: frozenset[str], group: _Group) -> list[tuple[int, ToolCall]]:
        found: dict[int, ToolCall] = {}
        if not group.any_of_them.match(text, at):
            return []
        for pattern in group.patterns:
            if pattern.follows and not pattern.follows & context:
                continue
            match = pattern.expression.match(text, at)
            if not match or match.end() == at:
                continue
            # The first alternative that fits may be the shorter one ("straight" of "straight ahead").
            if match.end() < len(text):
                match = pattern.expression.fullmatch(text, at) or match
            if match.end() not in found:
                found[match.end()] = self._call(pattern, pattern.groups(match))
        return sorted(found.items(), reverse=True, key=lambda item: item[0])

    def _call(self, pattern: Pattern, groups: dict[str, str]) -> ToolCall:
        if pattern.slots is not None:
            read = {name: read(groups[name]) for name, read in pattern.slots.items() if name in groups}
            return ToolCall(pattern.tool, read)
        tool = pattern.tool or next(name for name in MOVES if name in groups)
        arguments: dict[str, Json] = {}
        if "degrees" in groups and (degrees := self._slots.degrees(groups["degrees"])) is not None:
            arguments["degrees"] = degrees
        if "location" in groups:
            arguments["location"] = groups["location"]
        for argument, positive, negative in (("pan_degrees", "left", "right"), ("tilt_degrees", "down", "up")):
            for group, sign in ((argument.partition("_")[0], 1.0), (positive, 1.0), (negative, -1.0)):
                if group in groups and (degrees := self._slots.degrees(groups[group])) is not None:
                    arguments[argument] = sign * degrees + 0.0
        return ToolCall(tool, arguments)


def _words(joint: str) -> set[str]:
    return set(re.findall(r"\w+", joint))
