"""What is in a dataset: how many examples of what, by whom and how long, as data, as tables and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lfm_voice_ros.backends.wav_file import seconds_of
from lfm_voice_ros.core.errors import AudioError, ModelOutputError, ResourceError
from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.dataset.format import Example

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The least share of near-misses that training should see; with fewer, models call tools that nobody asked for.
LEAST_NEAR_MISSES = 0.28

#: Gives the 95 % interval of so many of so many, as shares.
Interval = Callable[[int, int], tuple[float, float]]

_TALK = "talk"
_PERCENTILES = (5, 50, 95)
_NOTHING = "–"
_LONGEST_LABEL = 28  # characters
_MOST_ROWS = 16  # of a chart; what is rarer is put together
_HEADROOM = 1.35  # above the bars, for the legend
_MOST_KINDS = 10  # as many as there are colors
_OTHERS = "all others"
_PERSON, _ROBOT, _CALLS, _NEAR, _OTHER = "#33658a", "#b5651d", "#33658a", "#c1440e", "#9aa5ab"


@dataclass(frozen=True)
class Stats:
    """A dataset in numbers. Rejected examples, which training leaves out, are in ``reviews`` only."""

    examples: int
    with_calls: int
    near_misses: int  # see is_near_miss
    near_miss_interval: tuple[float, float]  # 95 %, of their share
    unreadable: int  # examples whose calls can't be read
    tools: Counter[str]  # calls
    kinds: Counter[str]
    speakers: Counter[str]
    speaker_kinds: Counter[tuple[str, str]]
    conditions: Counter[str]
    reviews: Counter[str]  # accepted, rejected, or empty
    person_seconds: tuple[float, ...]  # of each recording that can be read
    reply_seconds: tuple[float, ...]
    unspoken: int  # responses without sound
    silent: int  # sound files that are missing or can't be read

    @property
    def near_miss_share(self) -> float:
        """From 0 to 1."""
        return self.near_misses / max(1, self.examples)


def is_near_miss(example: Example, calls: Sequence[ToolCall]) -> bool:
    """Whether an example, with these calls, only sounds like a command: it calls nothing and is no talk."""
    return not calls and example.kind != _TALK


def collect(examples: Iterable[Example], interval: Interval) -> Stats:
    """Count. Of the sound files only the headers are read; one that can't be read is counted as silent."""
    everything = list(examples)
    used = [example for example in everything if example.review != "rejected"]
    calls = [_calls(example) for example in used]
    readable = [(example, called) for example, called in zip(used, calls, strict=True) if called is not None]
    near_misses = sum(is_near_miss(example, called) for example, called in readable)
    person = [_seconds(example.audio) for example in used]
    reply = [_seconds(example.response_audio) for example in used if example.response_audio is not None]
    return Stats(
        examples=len(used),
        with_calls=sum(bool(called) for _, called in readable),
        near_misses=near_misses,
        near_miss_interval=interval(near_misses, len(used)),
        unreadable=len(used) - len(readable),
        tools=Counter(call.name for _, called in readable for call in called),
        kinds=Counter(example.kind for example in used),
        speakers=Counter(example.speaker for example in used),
        speaker_kinds=Counter((example.speaker, example.kind) for example in used),
        conditions=Counter(example.condition for example in used),
        reviews=Counter(example.review for example in everything),
        person_seconds=tuple(length for length in person if length is not None),
        reply_seconds=tuple(length for length in reply if length is not None),
        unspoken=len(used) - len(reply),
        silent=(person + reply).count(None),
    )


def as_json(stats: Stats) -> dict[str, Json]:
    """The numbers as data: counts, seconds, shares from 0 to 1; an empty name stands for none given."""
    return {
        "examples": stats.examples,
        "with_calls": stats.with_calls,
        "near_misses": stats.near_misses,
        "near_miss_share": round(stats.near_miss_share, 4),
        "near_miss_interval": [round(bound, 4) for bound in stats.near_miss_interval],
        "unreadable_responses": stats.unreadable,
        "calls_per_tool": _ordered(stats.tools),
        "kinds": _ordered(stats.kinds),
        "speakers": _ordered(stats.speakers),
        "speakers_by_kind": {
            speaker: {kind: count for (who, kind), count in stats.speaker_kinds.most_common() if who == speaker}
            for speaker in _ordered(stats.speakers)
        },
        "conditions": _ordered(stats.conditions),
        "reviews": _ordered(stats.reviews),
        "person_seconds": _lengths(stats.person_seconds),
        "reply_seconds": _lengths(stats.reply_seconds),
        "unspoken_replies": stats.unspoken,
        "unreadable_sounds": stats.silent,
    }


def show(stats: Stats, console: Console) -> None:
    """Print the tables."""
    whole = stats.examples
    low, high = stats.near_miss_interval
    table = Table("", "", show_header=False, title="the dataset, without its rejected examples")
    table.add_row("examples", str(whole))
    table.add_row("with calls", _share(stats.with_calls, whole))
    table.add_row("near-misses", f"{_share(stats.near_misses, whole)}, 95 % interval {100 * low:.1f}–{100 * high:.1f}")
    table.add_row("least that training needs", f"{100 * LEAST_NEAR_MISSES:.0f} % near-misses")
    if stats.unreadable:
        table.add_row("calls that can't be read", _share(stats.unreadable, whole))
    for who, seconds in (("person", stats.person_seconds), ("replies", stats.reply_seconds)):
        table.add_row(f"sound of the {who}", _told_lengths(seconds))
    table.add_row("replies without sound", str(stats.unspoken))
    if stats.silent:
        table.add_row("sound that can't be read", f"{stats.silent} files: see lfm-voice data check")
    reviewed = sum(stats.reviews.values())
    for review in ("accepted", "rejected", ""):
        table.add_row(review or "not reviewed", _share(stats.reviews[review], reviewed))
    console.print(table)
    for title, counts in (
        ("calls of the tool", stats.tools),
        ("kind", stats.kinds),
        ("speaker", stats.speakers),
        ("condition", stats.conditions),
    ):
        console.print(_table(title, counts))


def draw(stats: Stats, path: Path) -> None:
    """Write the picture as PNG. Raises ResourceError where it can't be written."""
    from matplotlib.figure import Figure

    rows = max(len(stats.tools), len(stats.speakers), 6)
    figure = Figure(figsize=(13.0, 4.6 + 0.3 * min(rows, _MOST_ROWS)), layout="constrained", dpi=110)
    panels = figure.subplots(2, 2, height_ratios=(max(6, min(rows, _MOST_ROWS)), 6.5))
    _draw_tools(panels[0][0], stats)
    _draw_speakers(panels[0][1], stats)
    _draw_lengths(panels[1][0], stats)
    _draw_shares(panels[1][1], stats)
    figure.suptitle(
        f"{stats.examples} examples, {_duration(sum(stats.person_seconds))} of people, "
        f"{_duration(sum(stats.reply_seconds))} of replies"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as exc:
        raise ResourceError(f"{path} can't be written ({exc}); give the path of a PNG file") from exc


def _draw_tools(axes: Axes, stats: Stats) -> None:
    counts = _most(stats.tools)
    axes.barh(range(len(counts)), list(counts.values()), color=_CALLS)
    for row, count in enumerate(counts.values()):
        axes.annotate(str(count), (count, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
    _tidy(axes, "calls per tool", counts)
    if not counts:
        _say_nothing(axes)


def _draw_speakers(axes: Axes, stats: Stats) -> None:
    speakers, kinds = _most(stats.speakers), _most(stats.kinds, _MOST_KINDS)
    table = Counter[tuple[str, str]]()
    for (speaker, kind), count in stats.speaker_kinds.items():
        table[speaker if speaker in speakers else _OTHERS, kind if kind in kinds else _OTHERS] += count
    left = np.zeros(len(speakers))
    for index, kind in enumerate(kinds):
        widths = np.array([table[speaker, kind] for speaker in speakers], float)
        axes.barh(range(len(speakers)), widths, left=left, color=f"C{index}", label=_label(kind))
        left += widths
    _tidy(axes, "speakers and kinds", speakers)
    if kinds:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    else:
        _say_nothing(axes)


def _draw_lengths(axes: Axes, stats: Stats) -> None:
    from matplotlib.ticker import MaxNLocator

    both = [("people", stats.person_seconds, _PERSON), ("replies", stats.reply_seconds, _ROBOT)]
    longest = max((max(seconds) for _, seconds, _ in both if seconds), default=1.0)
    edges = np.linspace(0.0, max(longest, 1e-3), 31)
    for name, seconds, color in both:
        if not seconds:
            continue
        low, middle, high = np.percentile(seconds, _PERCENTILES)
        label = f"{name}: p5 {low:.1f} s, p50 {middle:.1f} s, p95 {high:.1f} s"
        axes.hist(seconds, edges.tolist(), color=color, alpha=0.55, label=label)
        axes.axvline(middle, ymax=1 / _HEADROOM, color=color, ls="--", lw=1.2)
    axes.set_title("lengths of the sound (dashed: the middle)", fontsize=10)
    axes.set_xlabel("seconds")
    axes.set_ylabel("files")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if stats.person_seconds or stats.reply_seconds:
        axes.set_ylim(top=_HEADROOM * axes.get_ylim()[1])
        axes.legend(loc="upper right", fontsize=8, frameon=False)
    else:
        _say_nothing(axes)


def _draw_shares(axes: Axes, stats: Stats) -> None:
    whole = max(1, stats.examples)
    rest = stats.examples - stats.with_calls - stats.near_misses - stats.unreadable
    shares = {
        "with calls": (stats.with_calls / whole, _CALLS),
        "near-misses": (stats.near_misses / whole, _NEAR),
        _TALK: (rest / whole, _OTHER),
    }
    for row, (name, (share, color)) in enumerate(shares.items()):
        axes.barh(name, 100 * share, color=color, height=0.6)
        end = 100 * (stats.near_miss_interval[1] if name == "near-misses" else share)
        axes.annotate(
            f"{100 * share:.1f} %", (end, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    low, high = stats.near_miss_interval
    axes.plot([100 * low, 100 * high], [1, 1], color="black", lw=1.5, marker="|", ms=8)
    least = 100 * LEAST_NEAR_MISSES
    axes.plot([least, least], [0.6, 1.5], color="black", ls="--", lw=1.2)
    axes.text(least, 1.52, f" {least:.0f} % are needed", fontsize=8, va="center")
    axes.set_xlim(0, 100)
    axes.set_ylim(2.5, -0.5)
    axes.set_xlabel("% of the examples (black: 95 % interval)")
    axes.set_title("what the examples ask for", fontsize=10)


def _tidy(axes: Axes, title: str, names: Iterable[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    # By number, since two names can have the same label.
    labels = [_label(name) for name in names]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.tick_params(axis="y", labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize=10)


def _say_nothing(axes: Axes) -> None:
    axes.set_xticks([])
    axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color=_OTHER)


def _calls(example: Example) -> tuple[ToolCall, ...] | None:
    try:
        return example.calls
    except ModelOutputError:
        return None


def _seconds(path: Path) -> float | None:
    try:
        return seconds_of(path)
    except AudioError:
        return None


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """By count, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _most(counts: Counter[str], most: int = _MOST_ROWS) -> dict[str, int]:
    """The most frequent ones; where there are more than ``most``, the last stands for all others."""
    ordered = _ordered(counts)
    if len(ordered) <= most:
        return ordered
    first = dict(list(ordered.items())[: most - 1])
    return first | {_OTHERS: counts.total() - sum(first.values())}


def _lengths(seconds: Sequence[float]) -> dict[str, Json]:
    p5, p50, p95 = np.percentile(seconds, _PERCENTILES).tolist() if seconds else (None, None, None)
    rounded = {
        name: None if value is None else round(value, 3)
        for name, value in zip(("p5", "p50", "p95"), (p5, p50, p95), strict=True)
    }
    return {"files": len(seconds), "total": round(sum(seconds), 3), **rounded}


def _told_lengths(seconds: Sequence[float]) -> str:
    if not seconds:
        return _NOTHING
    p5, p50, p95 = np.percentile(seconds, _PERCENTILES)
    return f"{_duration(sum(seconds))}; p5 {p5:.1f} s, p50 {p50:.1f} s, p95 {p95:.1f} s"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if whole else str(part)


def _table(title: str, counts: Counter[str]) -> Table:
    table = Table(title, "number", "share")
    table.columns[1].justify = table.columns[2].justify = "right"
    for name, count in _most(counts).items():
        table.add_row(Text(_label(name)), str(count), f"{100 * count / counts.total():.1f} %")
    return table


def _label(name: str) -> str:
    """A name of any characters as a label: not too long, none that can't be shown, none that means something."""
    plain = "".join(char if char.isprintable() and char != "$" else "?" for char in name)
    plain = plain.lstrip("_")
    return (plain if len(plain) <= _LONGEST_LABEL else f"{plain[: _LONGEST_LABEL - 1]}…") or _NOTHING
