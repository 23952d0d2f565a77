"""What was seen of an assistant as a picture for a terminal. Without ROS."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.types import ToolStatus
from lfm_voice_ros.watching.graph import Graph
from lfm_voice_ros.watching.seen import NEEDED, Head, Limits, Seen, Status, Turn

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.ERROR: "bold red"}
_SILENT_AFTER = 4.0  # s without diagnostics after which a node counts as gone; it sends them every second
_QUIET_DBFS, _LOUD_DBFS = -70.0, 0.0  # the ends of the level's bar
_BAR = 30  # columns
_GAUGE = 31  # columns
_SHOWN_LATENCIES = {
    "endpoint": "end of turn",
    "transcript": "words",
    "decision": "decision",
    "tools": "tools",
    "first_audio": "voice made",
    "playback": "voice heard",
}
_MARKS = {
    ToolStatus.SUCCEEDED: ("✓", "green"),
    ToolStatus.CANCELED: ("–", "yellow"),
}


def frame(seen: Seen, now: float, graph: Graph, turns: int = 6) -> RenderableType:
    """One picture with the newest ``turns``.

    ``now`` is ROS time in seconds; of the ``graph`` only the nodes are looked at.
    """
    parts: list[RenderableType] = [
        Text.assemble(("lfm-voice monitor", "bold"), f"  /{seen.namespace}  {_clock(now)}"),
        *_troubles(seen, now, graph),
    ]
    if not seen.counts:
        nodes = f"{len(graph.nodes)} other ROS nodes are seen" if graph.nodes else "no other ROS node is seen"
        question = f"Nothing heard yet in /{seen.namespace} ({nodes}); is the assistant running?"
        parts.append(Text(f"{question} lfm-voice doctor tells more.", "yellow"))
    parts += [Text(), _microphone(seen, now), _head(seen.head, seen.limits), Text()]
    parts += [_turns(seen, turns), Text(), _latencies(seen), Text(), _nodes(seen, now)]
    return Group(*parts)


def _troubles(seen: Seen, now: float, graph: Graph) -> Iterator[Text]:
    """The lines on top: what is wrong, worst first."""
    lines = [
        (_present(status, now), name, _sign_of_life(status, name, now) or status.message)
        for name, status in seen.statuses.items()
    ]
    own = graph.own()
    if now - seen.status_since > _SILENT_AFTER:
        lines += [
            (Level.ERROR, node, f"no sign of life. Start it: ros2 run lfm_voice_ros {node}")
            for node in NEEDED
            if node not in seen.statuses
        ]
    lines += [
        (Level.ERROR, node, f"is there {own[node]} times: two assistants share a namespace and a ROS_DOMAIN_ID")
        for node in NEEDED
        if own[node] > 1
    ]
    for level, name, message in sorted(lines, key=lambda line: (-line[0], line[1])):
        if level is not Level.OK:
            yield Text.assemble((f"{level.name:<5} ", _STYLES[level]), (f"{name}: ", "bold"), message)


def _present(status: Status, now: float) -> Level:
    return Level.ERROR if now - status.at > _SILENT_AFTER else status.level


def _sign_of_life(status: Status, name: str, now: float) -> str:
    gone = now - status.at
    if gone <= _SILENT_AFTER:
        return ""
    return f"no sign of life for {gone:.0f} s; it has ended or hangs. Start it: ros2 run lfm_voice_ros {name}"


def _microphone(seen: Seen, now: float) -> RenderableType:
    source = seen.statuses.get("audio_capture")
    name = source.values.get("source", "") if source else ""
    if math.isnan(seen.level_dbfs):
        return Text("microphone  no level yet", "dim")
    share = (seen.level_dbfs - _QUIET_DBFS) / (_LOUD_DBFS - _QUIET_DBFS)
    filled = round(_BAR * min(max(share, 0.0), 1.0))
    color = "red" if seen.level_dbfs > -3.0 else "green" if seen.speaking else "cyan"
    if seen.speaking:
        speech = Text("● a person speaks", "bold green")
    elif math.isnan(seen.speech_at):
        speech = Text("nobody has spoken yet", "dim")
    else:
        speech = Text(f"last speech {max(0.0, now - seen.speech_at):.0f} s ago", "dim")
    return Text.assemble(
        "microphone  ",
        ("█" * filled, color),
        ("·" * (_BAR - filled), "dim"),
        f" {seen.level_dbfs:6.1f} dBFS  ",
        speech,
        (f"  {name}" if name else "", "dim"),
    )


def _head(head: Head | None, limits: Limits) -> RenderableType:
    if head is None:
        return Text("head        no head/state yet", "dim")
    if head.stale:
        return Text("head        unknown: joint_states are missing or too old, so no motion is begun", "red")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=11)
    for name, is_at, target, limit, ends in (
        ("pan", head.pan, head.target_pan, limits.pan, ("right", "left")),
        ("tilt", head.tilt, head.target_tilt, limits.tilt, ("up", "down")),
    ):
        told = Text(_angles(is_at, target, ends))
        if head.moving:
            told.append("  moving", "green")
        table.add_row(f"head {name}", *_gauge(is_at, target, limit), told)
    return table


def _gauge(is_at: float, target: float, limits: tuple[float, float]) -> tuple[Text, Text, Text]:
    """The low end, a line with ● where the joint is and ○ where it goes to, and the high end."""
    known = all(map(math.isfinite, limits))
    low, high = limits if known else (-math.pi, math.pi)
    cells = ["─"] * _GAUGE

    def column(angle: float) -> int:
        return round((_GAUGE - 1) * min(max((angle - low) / (high - low), 0.0), 1.0)) if math.isfinite(angle) else 0

    if low < 0 < high:
        cells[column(0.0)] = "┼"
    cells[column(target)] = "○"
    cells[column(is_at)] = "●"
    near = min(is_at - low, high - is_at) < math.radians(1.0) if known else False
    style = "yellow" if near else ""
    return Text(_degrees(low), style), Text("".join(cells), style), Text(_degrees(high) if known else "limits unknown")


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle) + 0.0:+.0f}°" if math.isfinite(angle) else "?"


def _angles(is_at: float, target: float, ends: tuple[str, str]) -> str:
    side = "" if abs(is_at) < math.radians(0.5) else f" {ends[is_at > 0]}"
    going = f" → {_degrees(target)}" if abs(target - is_at) > math.radians(0.5) else ""
    return f"{_degrees(is_at)}{side}{going}"


def _turns(seen: Seen, number: int) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, expand=True, padding=(0, 1, 0, 0))
    table.add_column("time", no_wrap=True)
    table.add_column("heard", ratio=3)
    table.add_column("decided", ratio=3, overflow="fold")
    table.add_column("results", ratio=3)
    table.add_column("reply", ratio=3)
    table.add_column("voice", justify="right", no_wrap=True)
    for turn in list(seen.turns.values())[-number:]:
        table.add_row(_clock(turn.began), _heard(turn), _decided(turn), _results(turn), _replied(turn), _took(turn))
    if not seen.turns:
        table.add_row("", Text("no sentence yet", "dim"))
    return table


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def _heard(turn: Turn) -> Text:
    if turn.text is None:
        return Text("(no transcript came)", "yellow") if turn.closed else Text("…", "dim")
    if not turn.text:
        return Text(f"({turn.rejection or 'nothing was understood'})", "yellow")
    sure = f" {turn.confidence:.2f}" if math.isfinite(turn.confidence) else ""
    return Text.assemble(turn.text, (sure, "dim"))


def _decided(turn: Turn) -> Text:
    if turn.calls is None:
        return Text("…", "dim") if turn.text else Text("")
    by = f" by {turn.detector}" if turn.detector else ""
    return Text.assemble(", ".join(turn.calls) or ("no tool", "dim"), (by, "dim"))


def _results(turn: Turn) -> Text:
    text = Text()
    for index in sorted(turn.results):
        status, what = turn.results[index]
        mark, style = _MARKS.get(status, ("✗", "red"))
        text.append(f"{mark} {what or status.name.lower()}", style)
        text.append(" ")
    return text


def _replied(turn: Turn) -> Text:
    if turn.reply is None:
        return Text("…", "dim") if turn.text else Text("")
    cut = " (cut)" if turn.interrupted else ""
    return Text.assemble((turn.reply, "red" if turn.source == "error" else ""), (cut, "yellow"))


def _took(turn: Turn) -> str:
    seconds = turn.latency.get("playback", math.nan)
    return f"{seconds:.2f} s" if math.isfinite(seconds) else ""


def _latencies(seen: Seen) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("ms after speech")
    for title in _SHOWN_LATENCIES.values():
        table.add_column(title, justify="right")
    last = next((turn for turn in reversed(seen.turns.values()) if turn.closed), None)
    table.add_row(
        "last turn", *(_ms(last.latency.get(name, math.nan) if last else math.nan) for name in _SHOWN_LATENCIES)
    )
    quantiles = [seen.latencies.quantiles(name) for name in _SHOWN_LATENCIES]
    number = max(number for _, _, number in quantiles)
    table.add_row("p50", *(_ms(half) for half, _, _ in quantiles))
    table.add_row(f"p95 of {number}", *(_ms(most) for _, most, _ in quantiles))
    return table


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f}" if math.isfinite(seconds) else "–"


def _nodes(seen: Seen, now: float) -> RenderableType:
    """A line a node, cut to the terminal's width: the values are as the nodes give them."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name in sorted(seen.statuses):
        status = seen.statuses[name]
        level = _present(status, now)
        values = "; ".join(f"{key} {value}" for key, value in status.telling().items())
        table.add_row(Text(level.name, _STYLES[level]), name, Text(values or status.message, "dim"))
    return table
