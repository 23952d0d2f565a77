"""Shows scores to people and to programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.evaluation.scoring import NONE, SEVERAL, Score, wilson

_COLUMNS = (
    "detector",
    "names right",
    "names and arguments right",
    "near-misses left alone",
    "median ms",
    "p95 ms",
    "memory MB",
)
_INCHES = 5.6  # of a detector's confusion picture


def as_json(scores: Mapping[str, Score]) -> Json:
    """Give scores by detector as data: shares from 0 to 1 with their 95 % intervals, times, memory, every miss."""
    return {
        "results": {
            detector: {
                "names": score.names_share,
                "names_interval": wilson(score.names, score.commands),
                "arguments": score.arguments_share,
                "arguments_interval": wilson(score.arguments, score.commands),
                "near_misses": score.near_misses_share,
                "near_misses_interval": wilson(score.left_alone, score.others),
                "commands": score.commands,
                "others": score.others,
                "median_ms": _number(score.median_ms),
                "p95_ms": _number(score.p95_ms),
                "memory_mb": _number(score.memory_mb),
                "answered_by": dict(score.answered_by),
                "misses": [
                    {
                        "line": miss.line,
                        "text": miss.text,
                        "expected": _calls_as_json(miss.expected),
                        "found": _calls_as_json(miss.found),
                        "reason": miss.reason,
                    }
                    for miss in score.misses
                ],
            }
            for detector, score in scores.items()
        }
    }


def show(scores: Mapping[str, Score], console: Console) -> None:
    """Print a table of the scores, and below it every miss."""
    table = Table(*_COLUMNS, caption="shares with their 95 % intervals (Wilson)")
    for row in _rows(scores):
        table.add_row(*row)
    console.print(table)
    for detector, score in scores.items():
        if score.misses:
            misses = Table("line", "text", "expected", "found", title=f"misses of {detector}")
            for miss in score.misses:
                found = miss.reason or written(miss.found)
                misses.add_row(str(miss.line), Text(miss.text), Text(written(miss.expected)), Text(found))
            console.print(misses)


def as_markdown(scores: Mapping[str, Score]) -> str:
    """The table as Markdown."""
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *_rows(scores)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw_confusion(scores: Mapping[str, Score], path: Path) -> None:
    """Draw what each detector took for what, as a picture: rows what was asked for, columns what was found."""
    from matplotlib.figure import Figure

    labels = _labels(scores)
    columns = min(len(scores), 3)
    rows = math.ceil(len(scores) / columns)
    figure = Figure(figsize=(_INCHES * columns, _INCHES * rows), layout="constrained")
    for index, (detector, score) in enumerate(scores.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        counts = [[score.confusion[row, column] for column in labels] for row in labels]
        shares = [[count / max(1, sum(line)) for count in line] for line in counts]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for y, line in enumerate(counts):
            for x, count in enumerate(line):
                if count:
                    color = "white" if shares[y][x] > 0.5 else "black" if x == y else "firebrick"
                    axes.text(x, y, str(count), ha="center", va="center", fontsize=7, color=color)
        axes.set_title(detector)
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
        axes.set_xlabel("found")
        axes.set_ylabel("asked for")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def written(calls: Iterable[ToolCall]) -> str:
    """Calls as people read them."""
    return ", ".join(
        f"{call.name}({', '.join(f'{key}={value}' for key, value in call.arguments.items())})" for call in calls
    )


def _rows(scores: Mapping[str, Score]) -> list[list[str]]:
    return [
        [
            detector,
            _counted(score.names, score.commands, score.names_share),
            _counted(score.arguments, score.commands, score.arguments_share),
            _counted(score.left_alone, score.others, score.near_misses_share),
            _shown(score.median_ms, 1),
            _shown(score.p95_ms, 1),
            _shown(score.memory_mb, 0),
        ]
        for detector, score in scores.items()
    ]


def _labels(scores: Mapping[str, Score]) -> list[str]:
    seen = {label for score in scores.values() for pair in score.confusion for label in pair}
    return [*sorted(seen - {NONE, SEVERAL}), *(label for label in (SEVERAL, NONE) if label in seen)]


def _counted(part: int, whole: int, share: float) -> str:
    low, high = wilson(part, whole)
    return f"{part} of {whole} ({100 * share:.1f} %, {100 * low:.1f}–{100 * high:.1f})"


def _shown(value: float, decimals: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)


def _calls_as_json(calls: Iterable[ToolCall]) -> list[Json]:
    return [{"name": call.name, "args": dict(call.arguments)} for call in calls]
