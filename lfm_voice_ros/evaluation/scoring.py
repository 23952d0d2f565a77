"""Scores a detector on a corpus."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.tool_calls import same_calls
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.evaluation.corpus import Example

#: What a sentence asks for as a whole, beside the names of tools.
NONE, SEVERAL = "no tool", "several"

_Z = 1.959964  # of the normal distribution, for 95 %


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
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)  # (expected, found), of whole sentences
    milliseconds: list[float] = field(default_factory=list)  # of each decision
    answered_by: Counter[str] = field(default_factory=Counter)  # sentences by the detector that answered
    memory_mb: float = math.nan  # that the detector takes

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

    @property
    def median_ms(self) -> float:
        """The median time of a decision."""
        return percentile(self.milliseconds, 50)

    @property
    def p95_ms(self) -> float:
        """The time that 95 of 100 decisions keep to."""
        return percentile(self.milliseconds, 95)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, the score interval); (0, 1) when there is nothing to count."""
    if not whole:
        return 0.0, 1.0
    share, spread = part / whole, _Z**2 / whole
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / whole + spread / (4 * whole))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that ``percent`` of 100 values don't exceed (nearest rank); NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


@dataclass(frozen=True)
class Spread:
    """Many times, in the unit in which they were given. NaN of none."""

    p50: float
    p95: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Count those that are numbers."""
        finite = [value for value in values if math.isfinite(value)]
        return cls(percentile(finite, 50), percentile(finite, 95), len(finite))


def score(detector: Detector, examples: Iterable[Example], text_of: Callable[[Example], str]) -> Score:
    """Run a detector over examples; ``text_of`` gives the words of one.

    When ``text_of`` raises AudioError or ResourceError, the example is a miss with that reason.
    """
    result = Score()
    for example in examples:
        try:
            text, reason = text_of(example), ""
            began = time.perf_counter()
            decision = detector.detect(text)
            result.milliseconds.append(1e3 * (time.perf_counter() - began))
            result.answered_by[decision.detector] += 1
            found = decision.calls
        except (AudioError, ResourceError) as exc:
            text, reason, found = example.text, str(exc), ()
        right = _count(result, example, found, usable=not reason)
        if not right:
            result.misses.append(Miss(example.line, text, example.calls, tuple(found), reason))
    return result


def _count(result: Score, example: Example, found: Sequence[ToolCall], *, usable: bool) -> bool:
    if usable:
        result.confusion[_label(example.calls), _label(found)] += 1
    if not example.calls:
        right = usable and not found
        result.others += 1
        result.left_alone += right
        return right
    names = [call.name for call in found] == [call.name for call in example.calls]
    right = same_calls(found, example.calls)
    result.commands += 1
    result.names += names
    result.arguments += right
    return right


def _label(calls: Sequence[ToolCall]) -> str:
    return NONE if not calls else calls[0].name if len(calls) == 1 else SEVERAL


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
