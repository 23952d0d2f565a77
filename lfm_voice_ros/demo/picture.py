"""The picture of a demo: what was heard, what was said, and where the head went, over time."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lfm_voice_ros.demo.record import Recording

_PERSON, _ROBOT, _PAN, _TILT, _TOOL = "#33658a", "#b5651d", "#33658a", "#c1440e", "#2a7f4f"
_SECONDS_PER_INCH = 3.2
_ROOM = 3.0  # s at the end, for the last label


def draw(recording: Recording, path: Path) -> None:
    """Write the picture as PNG."""
    matplotlib.use("agg")
    end = _end(recording)
    figure = Figure(figsize=(max(12.0, min(40.0, end / _SECONDS_PER_INCH)), 8.0), layout="constrained", dpi=110)
    heard, said, head = figure.subplots(3, 1, sharex=True, height_ratios=(1.0, 0.8, 1.6))
    _draw_heard(heard, recording)
    _draw_said(said, recording)
    _draw_head(head, recording)
    for number, turn in enumerate(recording.turns.values(), start=1):
        for axes in (heard, said, head):
            axes.axvspan(
                turn.speech_start - recording.begin, turn.speech_end - recording.begin, color="#dde8f0", lw=0, zorder=0
            )
        heard.annotate(
            f"{number}  {_shortened(turn.transcript or turn.rejection)}",
            (turn.speech_start - recording.begin, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            rotation=12,
        )
        if turn.calls and math.isfinite(turn.decided_at):
            at = turn.decided_at - recording.begin
            head.axvline(at, color=_TOOL, lw=1, ls="--")
            head.annotate(
                "\n".join(name for name, _ in turn.calls),
                (at, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=_TOOL,
            )
    begin = recording.heard[0][0] - recording.begin if recording.heard else 0.0
    head.set_xlim(begin, end + _ROOM)
    head.set_xlabel("seconds")
    figure.suptitle("What the robot heard, said and did (shaded: a person speaks; dashed: a tool was decided)", y=1.06)
    figure.savefig(path, bbox_inches="tight")


def _draw_heard(axes: Axes, recording: Recording) -> None:
    times, samples = recording.waveform()
    _draw_envelope(axes, times, samples, _PERSON)
    axes.set_ylabel("person")


def _draw_said(axes: Axes, recording: Recording) -> None:
    for number, turn in enumerate(recording.turns.values(), start=1):
        if not turn.voice or not math.isfinite(turn.voice_start):
            continue
        samples = np.concatenate(turn.voice)
        start = turn.voice_start - recording.begin
        _draw_envelope(axes, start + np.arange(samples.size) / turn.voice_rate, samples, _ROBOT)
        label = textwrap.fill(f"{number}  {turn.reply or ''}", width=26, max_lines=3, placeholder=" …")
        axes.text(start, 2.3, label, fontsize=7.5, color=_ROBOT, va="top")
    axes.set_ylabel("robot")
    axes.set_ylim(-1.0, 2.4)
    axes.set_yticks([-1.0, 0.0, 1.0])


def _draw_head(axes: Axes, recording: Recording) -> None:
    if recording.joints:
        joints = np.asarray(recording.joints)
        axes.plot(joints[:, 0] - recording.begin, np.degrees(joints[:, 1]), color=_PAN, label="pan (left is positive)")
        axes.plot(
            joints[:, 0] - recording.begin, np.degrees(joints[:, 2]), color=_TILT, label="tilt (down is positive)"
        )
        axes.legend(loc="lower right", fontsize=8)
    axes.axhline(0.0, color="#999999", lw=0.5)
    axes.margins(y=0.25)
    axes.set_ylabel("head, degrees")


def _draw_envelope(axes: Axes, times: NDArray[Any], samples: NDArray[Any], color: str) -> None:
    # The extremes of every 10 ms draw the same picture as all samples do.
    size = 160
    count = samples.size // size
    if count:
        blocks = samples[: count * size].reshape(count, size)
        axes.fill_between(times[: count * size : size], blocks.min(axis=1), blocks.max(axis=1), color=color, lw=0.3)


def _end(recording: Recording) -> float:
    """Seconds from the recording's beginning to the last thing in it."""
    last = recording.begin + 1.0
    if recording.joints:
        last = max(last, recording.joints[-1][0])
    if recording.heard:
        last = max(last, recording.heard[-1][0])
    return last - recording.begin


def _shortened(text: str, length: int = 42) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
