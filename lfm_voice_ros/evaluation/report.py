"""Shows scores to people and to programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.evaluation.scoring import Score


def as_json(scores: Mapping[str, Score]) -> Json:
    """Give scores by detector as data: shares from 0 to 1, and every miss."""
    return {
        "results": {
            detector: {
                "names": score.names_share,
                "arguments": score.arguments_share,
                "near_misses": score.near_misses_share,
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
    table = Table("detector", "names right", "names and arguments right", "near-misses left alone")
    for detector, score in scores.items():
        table.add_row(
            detector,
            _counted(score.names, score.commands, score.names_share),
            _counted(score.arguments, score.commands, score.arguments_share),
            _counted(score.left_alone, score.others, score.near_misses_share),
        )
    console.print(table)
    for detector, score in scores.items():
        if score.misses:
            misses = Table("line", "text", "expected", "found", title=f"misses of {detector}")
            for miss in score.misses:
                found = miss.reason or _written(miss.found)
                misses.add_row(str(miss.line), Text(miss.text), Text(_written(miss.expected)), Text(found))
            console.print(misses)


def _counted(part: int, whole: int, share: float) -> str:
    return f"{part} of {whole} ({100 * share:.1f} %)"


def _written(calls: Iterable[ToolCall]) -> str:
    return ", ".join(
        f"{call.name}({', '.join(f'{key}={value}' for key, value in call.arguments.items())})" for call in calls
    )


def _calls_as_json(calls: Iterable[ToolCall]) -> list[Json]:
    return [{"name": call.name, "args": dict(call.arguments)} for call in calls]
