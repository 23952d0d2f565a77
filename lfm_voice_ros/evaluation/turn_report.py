"""What `lfm-voice benchmark` tells of a running assistant: tables, goals, and all numbers as data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table

from lfm_voice_ros.core.types import Json
from lfm_voice_ros.evaluation.scoring import Spread
from lfm_voice_ros.evaluation.turn_times import AHEAD, STAGES, Results

_NONE = "–"
_ABOUT = (
    "Times count from the end of the last voiced sample that the person said. The head moves with the first change of "
    "a joint, the first audio is the first audible sample of the robot's voice. Cold is the first turn after the "
    "start, warm are all others; plain is the plain pipeline on the same recordings (`evaluation/yardstick.py`). In "
    "parentheses: of how many turns."
)
_STAGE_COLUMNS = ("ms after the end of speech", "p50", "p95", "cold", "warm p50", "warm p95", "plain p50", "plain p95")
_OTHER_COLUMNS = ("", "measured", "goal")


@dataclass(frozen=True)
class Goal:
    """A figure that should be below a limit."""

    name: str  # in the data
    what: str
    value: float
    limit: float
    unit: str  # ms, MB, %, or × the plain pipeline
    note: str = ""  # of how many, and whatever belongs to it

    @property
    def met(self) -> bool | None:
        """Whether it is; None where nothing was measured."""
        return self.value <= self.limit if math.isfinite(self.value) else None

    def cells(self) -> tuple[str, str, str]:
        """The row of a table."""
        verdict = {True: "met", False: "missed", None: "not measured"}[self.met]
        measured = f"{_number(self.value)} {self.unit}" if math.isfinite(self.value) else _NONE
        return self.what, measured + self.note, f"≤ {self.limit:g} {self.unit}: {verdict}"


def goals(results: Results) -> list[Goal]:
    """The goals on two cores, and what was reached."""
    first, head = results.stage("first_audio"), results.stage("motion")
    silence = Spread.of([turn.silence for turn in results.of_kind("interruption")])
    halted = Spread.of([turn.rest for turn in results.of_kind("stop")])
    paused = results.of_kind("pauses")
    cut = sum(turn.utterances > 1 for turn in paused)
    plainly_cut = sum(turn.plain is not None and turn.plain.pieces > 1 for turn in paused)
    memory = max(results.memory_mb, results.at_rest.memory_mb)
    return [
        _time("first_audio_p50", "end of speech → first audio, p50", first.p50, 1.2, first.count),
        _time("first_audio_p95", "end of speech → first audio, p95", first.p95, 1.8, first.count),
        _time("head_p50", "end of speech → head moves, p50", head.p50, 0.9, head.count),
        Goal("first_audio_ratio", "first audio, ours ÷ plain pipeline's", results.first_audio_ratio, 0.6, "×"),
        Goal("head_ratio", "head moves, ours ÷ plain pipeline's", results.head_ratio, 0.6, "×"),
        _time("interruption_p50", "person interrupts → robot silent, p50", silence.p50, 0.35, silence.count),
        _time("interruption_p95", "person interrupts → robot silent, p95", silence.p95, 0.5, silence.count),
        _time("stop_p95", "end of “stop” → head at rest, p95", halted.p95, 0.3, halted.count),
        Goal(
            "false_cut_offs",
            "sentences with a pause that were cut off",
            100.0 * cut / len(paused) if paused else math.nan,
            3.0,
            "%",
            f" ({cut} of {len(paused)}; plain pipeline: {plainly_cut})",
        ),
        Goal(
            "memory", "memory of the process (PSS)", memory, 600.0, "MB", f" ({results.at_rest.memory_mb:.0f} at first)"
        ),
        Goal("cpu_at_rest", "CPU at rest, of one core", 100.0 * results.at_rest.cpu, 10.0, "%"),
    ]


def counts(results: Results) -> dict[str, tuple[str, int, int | None]]:
    """Other figures by name: what was counted, how often, and among how many."""
    turns = results.turns
    back, background = results.of_kind("backchannel"), results.of_kind("background")
    stops = results.of_kind("stop", "hush")
    stray = sum(len(each.calls) for each in results.stray)
    return {
        "turns": ("turns", len(turns), None),
        "counted": (
            "turns whose times count: answered, heard in one piece",
            sum(t.counts for t in turns),
            len(turns),
        ),
        "missed": (
            "turns that were missed: no words, or a call",
            sum(t.deaf or t.missed > 0 for t in turns),
            len(turns),
        ),
        "wrong_calls": ("calls that nobody asked for", sum(t.wrong for t in turns) + stray, None),
        "background_calls": ("of them called by background talk", sum(t.wrong for t in background), None),
        "backchannels_cut": ("replies that “uh-huh” has ended", sum(t.cut_off for t in back), len(back)),
        "stops_spotted": ("stop words that the spotter heard", sum(t.spotted for t in stops), len(stops)),
        "false_stops": ("stop words that nobody had said", results.stops - sum(t.spotted for t in stops), None),
        "stray": ("utterances in which nobody had spoken", len(results.stray), None),
        "lost": ("turns that were lost", sum(t.lost for t in turns), len(turns)),
        "contradicted": ("replies that contradict what was done", sum(t.contradicted for t in turns), len(turns)),
        "errors": ("errors", sum(t.failed for t in turns) + len(results.problems), None),
    }


def stage_rows(results: Results) -> list[tuple[str, ...]]:
    """A row for each stage; then what was done ahead, where anything was."""
    rows = []
    for name, what in STAGES.items():
        all_turns, warm, plain = results.stage(name), results.warm(name), results.plain(name)
        times = (all_turns.p50, all_turns.p95, results.cold(name), warm.p50, warm.p95, plain.p50, plain.p95)
        rows.append((what, *(_ms(value) for value in times)))
    for name, what in AHEAD.items():
        spread = results.ahead(name)
        if spread.count:
            rows.append((f"{what} ({spread.count} turns)", _ms(spread.p50), _ms(spread.p95), *[_NONE] * 5))
    return rows


def other_rows(results: Results) -> list[tuple[str, str, str]]:
    """The goals, and what else was counted."""
    hush = Spread.of([turn.hush for turn in results.of_kind("hush")])
    return [
        *(goal.cells() for goal in goals(results)),
        ("end of “stop” → robot silent, p50 / p95", f"{_ms(hush.p50)} / {_ms(hush.p95)} ms ({hush.count})", ""),
        *((what, _of(number, whole), "") for what, number, whole in counts(results).values()),
    ]


def as_tables(results: Results) -> list[RenderableType]:
    """For a terminal."""
    tables: list[RenderableType] = []
    for columns, rows in ((_STAGE_COLUMNS, stage_rows(results)), (_OTHER_COLUMNS, other_rows(results))):
        table = Table()
        for index, title in enumerate(columns):
            table.add_column(title, justify="right" if index and title != "goal" else "left")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def as_markdown(header: Sequence[str], results: Results, picture: str) -> str:
    """As a page; ``picture`` is how it refers to the picture, empty without one."""
    parts = ["# Turns, as `lfm-voice benchmark` has measured them", *header, _ABOUT]
    for columns, rows in ((_STAGE_COLUMNS, stage_rows(results)), (_OTHER_COLUMNS, other_rows(results))):
        marks = ["---" if not index or title == "goal" else "---:" for index, title in enumerate(columns)]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in (columns, marks, *rows)))
    if picture:
        parts.append(f"![A bar per turn, from the end of speech to the first audio]({picture})")
    return "\n\n".join(parts) + "\n"


def as_json(header: Sequence[str], results: Results) -> Json:
    """Everything as data: times in ms, memory in MB, and null for what was not measured."""
    return {
        "about": list(header),
        "first_audio_ratio": _rounded(results.first_audio_ratio, 3),
        "head_ratio": _rounded(results.head_ratio, 3),
        "stages": {
            name: {
                "all": _spread(results.stage(name)),
                "cold": _rounded(1e3 * results.cold(name)),
                "warm": _spread(results.warm(name)),
                "plain": _spread(results.plain(name)),
            }
            for name in STAGES
        },
        "ahead": {name: _spread(results.ahead(name)) for name in AHEAD},
        "goals": {
            goal.name: {"value": _rounded(goal.value, 3), "limit": goal.limit, "unit": goal.unit, "met": goal.met}
            for goal in goals(results)
        },
        "counts": {name: number for name, (_, number, _whole) in counts(results).items()},
        "at_rest": dataclasses.asdict(results.at_rest),
        "memory_mb": results.memory_mb,
        "unsound": results.unsound(),
        "turns": [
            {
                "number": turn.said.number,
                "kind": turn.said.line.kind,
                "said": turn.said.line.text,
                "voice": turn.said.voice,
                "utterances": turn.utterances,
                "counts": turn.counts,
                "stages_ms": {name: _rounded(1e3 * seconds) for name, seconds in turn.stages.items()},
                "ahead_ms": {name: _rounded(1e3 * seconds) for name, seconds in turn.ahead.items()},
                "plain_ms": {name: _rounded(1e3 * at) for name, at in results.plain_stages(turn).items()},
                "plain_pieces": turn.plain.pieces if turn.plain else None,
                "silence_ms": _rounded(1e3 * turn.silence),
                "rest_ms": _rounded(1e3 * turn.rest),
                "hush_ms": _rounded(1e3 * turn.hush),
                "cut_off": turn.cut_off,
                "spotted": turn.spotted,
                "deaf": turn.deaf,
                "missed": turn.missed,
                "wrong": turn.wrong,
                "lost": turn.lost,
                "contradicted": turn.contradicted,
                "failed": turn.failed,
            }
            for turn in results.turns
        ],
    }


def _time(name: str, what: str, seconds: float, limit: float, count: int) -> Goal:
    return Goal(name, what, 1e3 * seconds, 1e3 * limit, "ms", f" ({count})")


def _spread(spread: Spread) -> Json:
    return {"p50": _rounded(1e3 * spread.p50), "p95": _rounded(1e3 * spread.p95), "count": spread.count}


def _rounded(value: float, digits: int = 1) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f}" if math.isfinite(seconds) else _NONE


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _of(number: int, whole: int | None) -> str:
    return str(number) if whole is None else f"{number} of {whole}"
