"""What a demo leaves behind: the table on the console, the page, the data."""

from __future__ import annotations

import base64
import html
import json
import math
from pathlib import Path

from rich.table import Table

from lfm_voice_ros.core.tool_calls import call_text
from lfm_voice_ros.demo.record import Recording, Turn

#: Latencies that are shown: what they are called, and their column.
_COLUMNS = {
    "endpoint": "end of turn",
    "transcript": "words",
    "decision": "decision",
    "head": "head moves",
    "first_audio": "voice made",
    "playback": "voice heard",
}
_CAPTION = "milliseconds from the end of the last voiced sample; the silence window is part of each"


def latency_table(recording: Recording) -> Table:
    """A row per turn."""
    table = Table(title="Latencies per turn", caption=_CAPTION)
    table.add_column("turn", justify="right")
    table.add_column("heard")
    table.add_column("tools")
    for title in _COLUMNS.values():
        table.add_column(title, justify="right")
    for number, turn in enumerate(recording.turns.values(), start=1):
        table.add_row(
            str(number), turn.transcript or f"({turn.rejection})", _calls(turn), *(_ms(turn, name) for name in _COLUMNS)
        )
    return table


def write_json(recording: Recording, path: Path) -> None:
    """Write the turns as data."""
    data = {"turns": [turn.as_data() for turn in recording.turns.values()]}
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_page(recording: Recording, picture: Path, replies: Path, path: Path) -> None:
    """Write an HTML page that holds the picture and the turns, and plays the replies that lie in ``replies``."""
    image = base64.b64encode(picture.read_bytes()).decode()
    heads = "".join(f"<th>{html.escape(title)}" for title in _COLUMNS.values())
    rows = "".join(
        f"<tr><td>{number}<td>{html.escape(turn.transcript or turn.rejection)}<td>{html.escape(_calls(turn))}"
        f"<td>{html.escape(turn.reply or '')}{_player(turn, replies, path)}<td>{_head(turn)}"
        + "".join(f"<td class=n>{_ms(turn, name)}" for name in _COLUMNS)
        for number, turn in enumerate(recording.turns.values(), start=1)
    )
    path.write_text(
        f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>lfm_voice_ros demo</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1rem; color: #222 }}
img {{ max-width: 100% }} table {{ border-collapse: collapse; margin-top: 1rem }}
th, td {{ border-bottom: 1px solid #ddd; padding: .4rem .6rem; text-align: left; vertical-align: top }}
.n {{ text-align: right; font-variant-numeric: tabular-nums }}
audio {{ display: block; height: 2rem; margin-top: .3rem }}
</style>
<h1>lfm_voice_ros demo</h1>
<img alt="What the robot heard, said and did over time" src="data:image/png;base64,{image}">
<table><tr><th>turn<th>heard<th>tools<th>reply<th>head afterwards{heads}{rows}</table>
<p>Latencies: {_CAPTION}.</p>
</html>
""",
        encoding="utf-8",
    )


def _calls(turn: Turn) -> str:
    return ", ".join(call_text(name, arguments) for name, arguments in turn.calls) or "–"


def _ms(turn: Turn, name: str) -> str:
    seconds = turn.latency.get(name, math.nan)
    return f"{1e3 * seconds:.0f}" if math.isfinite(seconds) else "–"


def _head(turn: Turn) -> str:
    return f"pan {turn.head[0]:+.0f}°, tilt {turn.head[1]:+.0f}°" if math.isfinite(turn.head[0]) else "unknown"


def _player(turn: Turn, replies: Path, page: Path) -> str:
    reply = replies / f"{turn.utterance_id}.wav"
    if not reply.exists():
        return ""
    return f'<audio controls preload="none" src="{html.escape(reply.relative_to(page.parent).as_posix())}"></audio>'
