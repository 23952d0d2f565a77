"""Whether a trained LFM2-Audio is better than what it was made from, with what can be said for sure.

Both are asked the same turns. Calls are compared turn by turn: what both get right, or both wrong, says nothing about a
difference. What they lose on ordinary talk is told by the loss on turns without calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.ports import DialogueEngine
from lfm_voice_ros.core.tool_calls import same_calls
from lfm_voice_ros.core.types import SAMPLE_RATE, Json, ToolCall, Utterance
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.evaluation.scoring import wilson

_Z = 1.959964  # of the normal distribution, for 95 %
#: Ordinary talk counts as unchanged while its loss can't have risen by more than this.
TALK_TOLERANCE = 0.05  # of the loss before


@dataclass
class Calls:
    """What became of the turns, one entry each, in their order."""

    names: list[bool] = field(default_factory=list)  # of turns with calls
    exact: list[bool] = field(default_factory=list)  # names and arguments, of turns with calls
    left_alone: list[bool] = field(default_factory=list)  # of turns without
    near_misses: list[bool] = field(default_factory=list)  # of those without that only sound like commands
    misses: list[tuple[str, tuple[ToolCall, ...], tuple[ToolCall, ...]]] = field(default_factory=list)


@dataclass
class Side:
    """One of the two models."""

    name: str
    calls: Calls
    talk: list[float]  # the losses of turns without calls
    contradicts: int | None = None  # replies that say something else than the result; None where it wasn't measured
    replies: int = 0


@dataclass(frozen=True)
class Verdict:
    """What can be said."""

    better: bool
    why: str  # one sentence


@dataclass(frozen=True)
class Difference:
    """A difference and its 95 % interval."""

    value: float
    low: float
    high: float


def ask(engine: DialogueEngine, examples: Sequence[Example], progress: Callable[[int], None]) -> Calls:
    """Have an engine hear each example's sound, without a history, and compare what it calls.

    A sound that can't be heard counts as a turn in which nothing was called. ``progress`` is told how many are done.
    """
    found = Calls()
    for number, example in enumerate(examples, start=1):
        calls = _called(engine, example, f"turn {number}")
        wanted = example.calls
        if wanted:
            found.names.append([call.name for call in calls] == [call.name for call in wanted])
            found.exact.append(same_calls(calls, wanted))
        else:
            found.left_alone.append(not calls)
            if example.kind != "talk":
                found.near_misses.append(not calls)
        if not same_calls(calls, wanted):
            found.misses.append((example.transcript, wanted, calls))
        progress(number)
    return found


def _called(engine: DialogueEngine, example: Example, utterance_id: str) -> tuple[ToolCall, ...]:
    try:
        samples = read_wav(example.audio)
        calls = engine.listen(Utterance(utterance_id, samples, SAMPLE_RATE, 0.0, 0.0, 0.0))
    except AudioError:
        return ()
    finally:
        engine.forget(utterance_id)
    return calls or ()


def paired(before: Sequence[bool], after: Sequence[bool]) -> Difference:
    """The difference of two shares of the same turns (Newcombe 1998, method 10, which takes the pairs into account)."""
    count = len(before)
    if not count or count != len(after):
        return Difference(0.0, -1.0, 1.0)
    both = sum(one and other for one, other in zip(before, after, strict=True))
    gained = sum(other and not one for one, other in zip(before, after, strict=True))
    lost = sum(one and not other for one, other in zip(before, after, strict=True))
    neither = count - both - gained - lost
    first, second = (both + gained) / count, (both + lost) / count
    (low1, high1), (low2, high2) = wilson(both + gained, count), wilson(both + lost, count)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    correlation = 0.0
    if margins:
        numerator = float(both * neither - gained * lost)
        if numerator > 0:
            numerator = max(numerator - count / 2, 0.0)
        correlation = numerator / math.sqrt(margins)
    value = first - second

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up**2 - 2 * correlation * up * down + down**2, 0.0))

    return Difference(
        value,
        max(value - reach(first - low1, high2 - second), -1.0),
        min(value + reach(high1 - first, second - low2), 1.0),
    )


def mean_change(before: Sequence[float], after: Sequence[float]) -> Difference:
    """The mean change of losses of the same turns, as a share of the mean before, with its 95 % interval."""
    if len(before) < 2 or len(before) != len(after):
        return Difference(0.0, -math.inf, math.inf)
    changes = [new - old for old, new in zip(before, after, strict=True)]
    mean = sum(changes) / len(changes)
    spread = math.sqrt(sum((change - mean) ** 2 for change in changes) / (len(changes) - 1) / len(changes))
    scale = sum(before) / len(before)
    return Difference(mean / scale, (mean - _Z * spread) / scale, (mean + _Z * spread) / scale)


def judge(before: Side, after: Side) -> Verdict:
    """Say whether the second is better: only where the intervals leave no other reading.

    It must call more right, leave near-misses alone no worse, and talk as before.
    """
    calls = paired(before.calls.exact, after.calls.exact)
    if calls.low <= 0.0:
        return Verdict(False, f"the calls don't show that it is better: {shown(calls)} of them right")
    alone = paired(before.calls.left_alone, after.calls.left_alone)
    if alone.high < 0.0:
        return Verdict(False, f"it calls where nothing is asked for: {shown(alone)} left alone")
    talk = mean_change(before.talk, after.talk)
    if talk.high > TALK_TOLERANCE:
        return Verdict(False, f"ordinary talk may have become worse: its loss changed by {shown(talk)}")
    if before.contradicts is not None and after.contradicts is not None and after.contradicts > before.contradicts:
        more = wilson(after.contradicts, after.replies)[0] > wilson(before.contradicts, before.replies)[1]
        if more:
            return Verdict(
                False, f"{after.contradicts} replies contradict their result, {before.contradicts} did before"
            )
    return Verdict(True, f"{shown(calls)} of the calls are right, and nothing else has become worse")


def shown(one: Difference) -> str:
    """A difference of shares in words: +12.0 % (+3.1 to +20.4)."""
    if not math.isfinite(one.low):
        return "unknown"
    return f"{100 * one.value:+.1f} % ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def rows(before: Side, after: Side) -> list[tuple[str, str, str, str]]:
    """The table: what, before, after, change."""
    pairs = (
        ("names of calls right", before.calls.names, after.calls.names),
        ("names and arguments right", before.calls.exact, after.calls.exact),
        ("near-misses left alone", before.calls.near_misses, after.calls.near_misses),
        ("all without a call left alone", before.calls.left_alone, after.calls.left_alone),
    )
    table = [(name, _share(one), _share(other), shown(paired(one, other))) for name, one, other in pairs]
    if before.contradicts is not None and after.contradicts is not None:
        old, new = (f"{one.contradicts} of {one.replies}" for one in (before, after))
        table.append(("replies that contradict the result", old, new, ""))
    if before.talk and after.talk:
        old, new = (f"{sum(one.talk) / len(one.talk):.3f}" for one in (before, after))
        table.append(("loss on ordinary talk", old, new, shown(mean_change(before.talk, after.talk))))
    return table


def markdown(before: Side, after: Side, verdict: Verdict, picture: str) -> list[str]:
    """The section of the run card, as lines."""
    body = [f"| {' | '.join(row)} |" for row in rows(before, after)]
    head = [f"| | {before.name} | {after.name} | change |", "|---|---|---|---|"]
    said = "Better" if verdict.better else "Not shown to be better"
    return ["## Evaluation", "", f"![evaluation]({picture})", "", *head, *body, "", f"**{said}:** {verdict.why}.", ""]


def as_json(before: Side, after: Side, verdict: Verdict) -> Json:
    """Give everything as data."""

    def side(one: Side) -> Json:
        return {
            "name": one.name,
            "names": sum(one.calls.names),
            "exact": sum(one.calls.exact),
            "with_calls": len(one.calls.exact),
            "left_alone": sum(one.calls.left_alone),
            "without_calls": len(one.calls.left_alone),
            "near_misses_left_alone": sum(one.calls.near_misses),
            "near_misses": len(one.calls.near_misses),
            "talk_loss": sum(one.talk) / len(one.talk) if one.talk else None,
            "contradicts": one.contradicts,
            "replies": one.replies,
        }

    return {
        "before": side(before),
        "after": side(after),
        "exact_change": vars(paired(before.calls.exact, after.calls.exact)),
        "left_alone_change": vars(paired(before.calls.left_alone, after.calls.left_alone)),
        "better": verdict.better,
        "why": verdict.why,
    }


def draw(before: Side, after: Side, path: Path) -> None:
    """Draw the shares of both with their intervals, as PNG."""
    from matplotlib.figure import Figure

    names: Mapping[str, Callable[[Calls], list[bool]]] = {
        "names of calls\nright": lambda calls: calls.names,
        "names and\narguments right": lambda calls: calls.exact,
        "near-misses\nleft alone": lambda calls: calls.near_misses,
        "all without a call\nleft alone": lambda calls: calls.left_alone,
    }
    figure = Figure(figsize=(7, 3.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for offset, side, color in ((-0.2, before, "#9aa7b5"), (0.2, after, "#1f4e79")):
        for place, take in enumerate(names.values()):
            right = take(side.calls)
            share = sum(right) / len(right) if right else 0.0
            low, high = wilson(sum(right), len(right))
            axes.bar(place + offset, share, 0.36, color=color, label=side.name if place == 0 else None)
            axes.errorbar(
                place + offset, share, [[max(share - low, 0.0)], [max(high - share, 0.0)]], color="black", capsize=3
            )
    axes.set_xticks(range(len(names)), list(names), fontsize=8)
    axes.set(ylim=(0, 1.05), ylabel="share, with 95 % interval")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.15), ncols=2)
    figure.savefig(path)


def _share(right: Sequence[bool]) -> str:
    if not right:
        return "none"
    low, high = wilson(sum(right), len(right))
    return f"{sum(right)} of {len(right)}, {100 * sum(right) / len(right):.1f} % ({100 * low:.1f} to {100 * high:.1f})"
