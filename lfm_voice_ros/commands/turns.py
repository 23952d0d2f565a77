"""`lfm-voice evaluate-turns`: how often people are cut off in a pause, and how long they wait at the end."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.commands.training import add_acoustics
from lfm_voice_ros.core import end_of_turn
from lfm_voice_ros.core.end_of_turn import Ending
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file, corpus_file
from lfm_voice_ros.core.settings import (
    ENDPOINTING,
    AudioCaptureSettings,
    ToolDetectorSettings,
    TranscriberSettings,
    build,
)
from lfm_voice_ros.core.types import Utterance
from lfm_voice_ros.evaluation.turn_ends import Judge, Outcome, Summary, frames_of, outcome, turn_ends

_VOICES = ["piper", "piper", "espeak:en-us", "flite:slt", "flite:rms", "espeak:en-gb+f3"]
_NOISE = ["noise:30", "noise:20", "motor:20", "room:0.3+noise:25"]
_COLUMNS = ("", "cut off in a pause", "95 %", "asked: p50 s", "p95 s", "told: p50 s", "p95 s")
_WIDTH_OF_A_FILE = 120  # columns where there is no terminal

#: Takes a draft; gives what its words say, and the s that this took.
_Timed = Callable[[Utterance], tuple[Ending, float]]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "evaluate-turns", help="how often a pause is taken for the end, and how long one waits"
    )
    parser.add_argument("--corpus", type=Path, metavar="FILE.jsonl", help="default: the package's corpus/pauses.jsonl")
    parser.add_argument("--part", choices=("dev", "test"), default="test", help="of the corpus (default test)")
    parser.add_argument(
        "--latency",
        type=float,
        metavar="S",
        help="from a draft to what its words say (default: what it takes here, each draft on its own)",
    )
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="a parameter of audio_capture"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="who speaks where (default 1)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    add_acoustics(parser)
    parser.set_defaults(run=_run, voices=_VOICES, noise=_NOISE)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.latency is not None and not 0 <= arguments.latency <= 10:
        raise ConfigurationError("--latency must be from 0 to 10 s")
    ways = {way: _settings(arguments, way) for way in ENDPOINTING}
    outcomes, latencies = _play(arguments, ways)
    summaries = {way: Summary.of(found) for way, found in outcomes.items()}
    latency = sorted(latencies)[len(latencies) // 2] if latencies else math.nan
    if arguments.json:
        print(json.dumps({"latency_p50": latency, **{way: _as_json(one) for way, one in summaries.items()}}))
    else:
        _show(summaries, latency)
    return 0


def _settings(arguments: argparse.Namespace, way: str) -> AudioCaptureSettings:
    return build(AudioCaptureSettings, {**dict(arguments.set), "endpointing": way}, "audio_capture")


def _play(
    arguments: argparse.Namespace, ways: dict[str, AudioCaptureSettings]
) -> tuple[dict[str, list[Outcome]], list[float]]:
    """Play each recording under each setting; a draft that several of them have is recognized once."""
    from lfm_voice_ros.backends.silero_vad import SileroVad
    from lfm_voice_ros.training.paused_speech import read_paused, speak_paused

    sentences = [
        one for one in read_paused(arguments.corpus or corpus_file("pauses.jsonl")) if one.part == arguments.part
    ]
    if not sentences:
        raise ConfigurationError(f"the corpus has no sentences with the part {arguments.part}")
    judge, detector = _load_judge(), SileroVad()
    outcomes: dict[str, list[Outcome]] = {way: [] for way in ways}
    latencies: list[float] = []
    for number, spoken in enumerate(speak_paused(sentences, arguments.voices, arguments.noise, arguments.seed), 1):
        frames = frames_of(spoken.samples, detector)
        known: dict[tuple[float, float], tuple[Ending, float]] = {}
        for way, settings in ways.items():
            ends = turn_ends(frames, settings, _remembering(judge, known, arguments.latency))
            outcomes[way].append(
                outcome(spoken.sentence.kind, bool(spoken.sentence.pauses), ends, spoken.last_piece, spoken.speech_end)
            )
        latencies += [seconds for _, seconds in known.values()]
        if number % 20 == 0:
            print(f"{number} of {len(sentences)} sentences", file=sys.stderr, flush=True)
    return outcomes, latencies


def _remembering(judge: _Timed, known: dict[tuple[float, float], tuple[Ending, float]], latency: float | None) -> Judge:
    def judged(draft: Utterance) -> tuple[Ending, float]:
        key = draft.start, draft.speech_end
        if key not in known:
            ending, seconds = judge(draft)
            known[key] = ending, seconds if latency is None else latency
        return known[key]

    return judged


def _load_judge() -> _Timed:
    from lfm_voice_ros.assembly import load_detector, load_patterns
    from lfm_voice_ros.backends import load_transcriber
    from lfm_voice_ros.tools.registry import Registry

    settings = ToolDetectorSettings()
    tools = Registry.from_file(config_file("tools.yaml")).specs()
    detector = load_detector(settings, tools, load_patterns(settings, tools))
    transcriber = load_transcriber(TranscriberSettings())

    def judge(draft: Utterance) -> tuple[Ending, float]:
        began = time.monotonic()
        transcript = transcriber.transcribe(draft.samples)
        calls = detector.detect(transcript.text).calls if transcript.text else ()
        ending = end_of_turn.judge(transcript, calls)
        return ending, time.monotonic() - began

    return judge


def _show(summaries: dict[str, Summary], latency: float) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    table = Table(*_COLUMNS)
    for way, one in summaries.items():
        share = one.cut_off / one.paused if one.paused else math.nan
        low, high = one.interval
        table.add_row(
            way,
            f"{share:.1%} ({one.cut_off} of {one.paused})",
            f"{low:.1%} to {high:.1%}",
            *(f"{value:.2f}" for waits in (one.asked, one.told) for value in (waits.p50, waits.p95)),
        )
    console.print(table)
    console.print(f"From a draft to what its words say: {latency:.2f} s p50. Waits count from the end of the sound.")
    if unheard := max(one.unheard for one in summaries.values()):
        console.print(f"{unheard} sentences were not heard at all; they are in no column.")


def _as_json(summary: Summary) -> dict[str, Any]:
    values = {**dataclasses.asdict(summary), "interval": summary.interval}
    return {
        name: {key: None if math.isnan(part) else part for key, part in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in values.items()
    }


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    kinds = {
        one.name: type(getattr(AudioCaptureSettings(), one.name)) for one in dataclasses.fields(AudioCaptureSettings)
    }
    if not equals or kinds.get(name) is not float:
        raise argparse.ArgumentTypeError(f"'{text}' must be NAME=VALUE with a number of audio_capture")
    try:
        return name, float(value)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"the value of {name} must be a number") from exc
