"""Scores a detector on a corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.evaluation.corpus import Example

_TOLERANCE = 1e-6  # of numbers in arguments


@dataclass(frozen=True)
class Miss:
    """An example that went wrong."""

    line: int
    text: str  # what was said or transcribed
    expected: tuple[ToolCall, ...]
    found: tuple[ToolCall, ...]
    reason: str = ""  # why nothing was found, where that is known


@dataclass
class Score:
    """Counts over a corpus; a share of nothing is 1."""

    commands: int = 0
    names: int = 0
    arguments: int = 0
    others: int = 0  # examples without calls
    left_alone: int = 0
    misses: list[Miss] = field(default_factory=list)

    @property
    def names_share(self) -> float:
        """Commands whose tools are all right and in order, [0, 1]."""
        return _share(self.names, self.commands)

    @property
    def arguments_share(self) -> float:
        """Commands whose tools and arguments are right, [0, 1]."""
        return _share(self.arguments, self.commands)

    @property
    def near_misses_share(self) -> float:
        """Examples without calls on which nothing was called, [0, 1]."""
        return _share(self.left_alone, self.others)


def score(detector: Detector, examples: Iterable[Example], text_of: Callable[[Example], str]) -> Score:
    """Run a detector over examples; ``text_of`` gives the words of one.

    When ``text_of`` raises AudioError or ResourceError, the example is a miss with that reason.
    """
    result = Score()
    for example in examples:
        try:
            text, reason = text_of(example), ""
            found = detector.detect(text).calls
        except (AudioError, ResourceError) as exc:
            text, reason, found = example.text, str(exc), ()
        right = _count(result, example, found, usable=not reason)
        if not right:
            result.misses.append(Miss(example.line, text, example.calls, tuple(found), reason))
    return result


def _count(result: Score, example: Example, found: Sequence[ToolCall], *, usable: bool) -> bool:
    if not example.calls:
        right = usable and not found
        result.others += 1
        result.left_alone += right
        return right
    names = [call.name for call in found] == [call.name for call in example.calls]
    right = names and all(
        same(call.arguments, other.arguments) for call, other in zip(found, example.calls, strict=True)
    )
    result.commands += 1
    result.names += names
    result.arguments += right
    return right


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values mean the same: numbers within 1e-6, texts without regard to case."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=_TOLERANCE)
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
