"""The picture of a benchmark: a bar per turn from the end of speech to the first audio, and how soon it was silent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.evaluation.turn_times import Results, Turn

#: The parts of a bar: until which stage, what they are called, and their colour.
_PARTS = (
    ("utterance", "silence that ends the turn", "#c9d6df"),
    ("words", "recognition", "#33658a"),
    ("decision", "decision", "#f6ae2d"),
    ("reply", "tools, text of the reply", "#2a7f4f"),
    ("first_audio", "voice made and begun", "#86bbd8"),
)
_HEAD, _PLAIN, _OURS, _INK = "#c1440e", "#7a7a7a", "#1b3a4b", "#333333"
_TITLES = {
    "interruption": "interrupted\n→ silent",
    "hush": "“stop”\n→ silent",
    "stop": "“stop”\n→ head rests",
}
_SOON = {"interruption": 0.35, "stop": 0.3}  # s, the goals
_FIRST_AUDIO = 1.2  # s, likewise
_LABEL = 0.055  # of the height of the picture that a label takes


def draw(results: Results, machine: str, path: Path) -> None:
    """Write the picture as PNG. Raises ConfigurationError when that can't be."""
    matplotlib.use("agg")
    turns = [turn for turn in results.turns if turn.counts and math.isfinite(turn.stages["first_audio"])]
    figure = Figure(figsize=(13.0, 6.4), layout="constrained", dpi=120)
    bars, dots = figure.subplots(1, 2, width_ratios=(3.9, 1.0))
    _draw_bars(bars, turns, results)
    _draw_dots(dots, results)
    figure.suptitle(f"From the end of the last voiced sample to the first audible one, turn by turn  ({machine})")
    try:
        figure.savefig(path)
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc


def _draw_bars(axes: Axes, turns: Sequence[Turn], results: Results) -> None:
    turns = sorted(turns, key=lambda turn: turn.stages["first_audio"])
    places = np.arange(len(turns))
    below = np.zeros(len(turns))
    for name, label, color in _PARTS:
        # A stage that is over before the one below it adds nothing.
        top = np.fmax(below, [turn.stages.get(name, math.nan) for turn in turns])
        axes.bar(places, top - below, 0.82, bottom=below, color=color, label=label)
        below = top
    moved = [turn.stages.get("motion", math.nan) for turn in turns]
    axes.plot(places, moved, ls="", marker="_", ms=9, mew=2.2, color=_HEAD, label="head begins to move")
    plain = [results.plain_stages(turn).get("first_audio", math.nan) for turn in turns]
    axes.plot(places, plain, ls="", marker=".", ms=5, color=_PLAIN, label="plain pipeline, same recording")
    ours, theirs = results.stage("first_audio"), results.plain("first_audio")
    lines = [
        (_FIRST_AUDIO, "goal (p50)", _HEAD, ":"),
        (ours.p50, "p50", _OURS, "-"),
        (ours.p95, "p95", _OURS, "--"),
        (theirs.p50, "plain p50", _PLAIN, "-"),
        (theirs.p95, "plain p95", _PLAIN, "--"),
    ]
    highest = max(float(np.nanmax([0.0, *below, *plain])), *(line[0] for line in lines if math.isfinite(line[0])))
    axes.set_ylim(0.0, 1.06 * highest)
    room = _LABEL * highest
    place = -math.inf
    for value, text, color, style in sorted(line for line in lines if math.isfinite(line[0])):
        place = max(value, place + room)
        axes.axhline(value, color=color, lw=1.2, ls=style)
        axes.text(len(turns) - 0.1, place, f"{text}\n{value:.2f} s", va="center", color=color, size=8)
    axes.set_xlim(-0.8, len(turns) - 0.2)
    axes.set_ylabel("seconds after the end of speech")
    axes.set_xlabel(f"{len(turns)} turns, the quickest first")
    axes.set_xticks([])
    axes.legend(loc="upper left", fontsize=8, ncols=2, framealpha=0.9)
    _plainly(axes)


def _draw_dots(axes: Axes, results: Results) -> None:
    values = {
        "interruption": [turn.silence for turn in results.of_kind("interruption")],
        "hush": [turn.hush for turn in results.of_kind("hush")],
        "stop": [turn.rest for turn in results.of_kind("stop")],
    }
    for place, (kind, seconds) in enumerate(values.items()):
        finite = sorted(value for value in seconds if math.isfinite(value))
        spread = np.linspace(-0.12, 0.12, len(finite)) if len(finite) > 1 else np.zeros(len(finite))
        axes.plot(place + spread, finite, ls="", marker="o", ms=5, color=_OURS, alpha=0.8)
        if kind in _SOON:
            axes.plot((place - 0.32, place + 0.32), (_SOON[kind],) * 2, color=_HEAD, lw=1.4)
            axes.annotate("goal", (place + 0.32, _SOON[kind]), size=7, color=_HEAD, ha="right", va="bottom")
    axes.axhline(0.0, color=_INK, lw=0.6)
    axes.set_xticks(range(len(values)), [_TITLES[kind] for kind in values], size=8)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_title("from the first voiced sample,\nor the end of the word", size=9)
    _plainly(axes)


def _plainly(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
