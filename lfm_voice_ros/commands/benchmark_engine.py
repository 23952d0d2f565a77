"""`lfm-voice benchmark --engine`: how fast an engine answers on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.settings import DialogueSettings

if TYPE_CHECKING:
    from lfm_voice_ros.evaluation.benchmark import Benchmark
    from lfm_voice_ros.evaluation.scoring import Spread

_ENGINES = ("lfm2_audio",)
_DETOKENIZERS = ("auto", "mimi", "lfm")
_TURNS = (2, 1000)
_FRAMES = (4, 375)  # 30 s, as much as a reply has by default
_REAL_SIZE = 4e9  # bytes of a checkpoint of the real size, with both detokenizers
_WIDTH_OF_A_FILE = 120  # columns where there is no terminal
_NO_GPU = "Without a GPU, CUDA graphs and the goals for a GPU can't be measured here."
_FIRST_AUDIO_GOAL, _REAL_TIME_GOAL = 150.0, 0.2  # ms, and time over sound: on a data-centre GPU at the real size
_NONE = "–"
_DEFAULTS = {"device": "auto", "dtype": "auto", "detokenizer": "auto", "turns": 20, "frames": 50}
_COLUMNS = ("", "this engine", "liquid-audio", "goal")


#: The options that only an engine has.
OPTIONS = (
    "model",
    "random_weights",
    "real_size",
    "device",
    "dtype",
    "detokenizer",
    "no_cuda_graphs",
    "frames",
    "threads",
)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("an engine alone")
    group.add_argument("--engine", choices=_ENGINES, help="measure this engine")
    group.add_argument("--model", help=f"a folder, or a name on the hub (default: {DialogueSettings().model})")
    group.add_argument("--random-weights", action="store_true", help="a tiny model without anything learned")
    group.add_argument("--real-size", action="store_true", help="with --random-weights: one of the real dimensions")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: auto")
    group.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), help="default: auto")
    group.add_argument("--detokenizer", choices=_DETOKENIZERS, help="default: auto")
    group.add_argument("--no-cuda-graphs", action="store_true", help="run each step as single operations")
    group.add_argument("--frames", type=int, metavar="N", help=f"of 80 ms in a reply (default: {_DEFAULTS['frames']})")
    group.add_argument("--threads", type=int, metavar="N", help="of the CPU (default: as torch chooses)")


def run(arguments: argparse.Namespace) -> int:
    """Measure it; give the exit code. Raises ConfigurationError, ResourceError."""
    for name, value in _DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    _check(arguments)
    try:
        import torch

        from lfm_voice_ros.evaluation.benchmark import Load, measure
        from lfm_voice_ros.lfm2_audio.checkpoint import Source
    except (ImportError, OSError) as exc:  # OSError: torchaudio and torch for different versions of CUDA
        raise ResourceError(f"liquid-audio can't be used ({exc}); run scripts/setup --lfm") from exc
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    plan = Load(arguments.turns, arguments.frames, not arguments.no_cuda_graphs)
    with _weights(arguments) as (folder, weights):
        source = Source(folder, "", arguments.device, arguments.dtype, arguments.detokenizer)
        measured = measure(source, plan, _progress)
    header, rows = _header(measured, weights), _rows(measured)
    _show(header, rows)
    if arguments.report:
        write(arguments.report, _as_markdown(header, rows))
    if arguments.json:
        write(arguments.json, json.dumps(_as_json(measured, weights), indent=1, allow_nan=False) + "\n")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise ConfigurationError for options that don't go together, before anything takes time."""
    if arguments.real_size and not arguments.random_weights:
        raise ConfigurationError("--real-size is for --random-weights; a model has the size that it has")
    if arguments.model and arguments.random_weights:
        raise ConfigurationError("--model and --random-weights exclude each other; give one of them")
    for option, (least, most) in {"turns": _TURNS, "frames": _FRAMES}.items():
        if not least <= getattr(arguments, option) <= most:
            raise ConfigurationError(f"--{option} must be from {least} to {most}")
    if arguments.threads is not None and arguments.threads < 1:
        raise ConfigurationError("--threads must be at least 1")
    check_files(arguments.json, arguments.report)


def check_files(*files: Path | None) -> None:
    """Raise ConfigurationError for files that can't be written."""
    for file in files:
        if file and (file.is_dir() or not os.access(file.parent, os.W_OK)):
            raise ConfigurationError(f"{file} can't be written; give a file in a folder that is there")


@contextmanager
def _weights(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Give the model and what to call it; random weights are there only inside."""
    if not arguments.random_weights:
        model = arguments.model or DialogueSettings().model
        yield model, model
        return
    from lfm_voice_ros.lfm2_audio import random_checkpoint

    real = arguments.real_size
    temporary = Path(tempfile.gettempdir())
    if real and shutil.disk_usage(temporary).free < _REAL_SIZE:
        raise ResourceError(f"{temporary} has no {_REAL_SIZE / 1e9:.0f} GB of room; set TMPDIR to a folder that has")
    with tempfile.TemporaryDirectory(prefix="lfm_voice_") as folder:
        _progress(f"writing random weights into {folder}" + (": 3.6 GB, about a minute" if real else ""))
        random_checkpoint.write(
            Path(folder),
            "real" if real else "tiny",
            detokenizer=arguments.detokenizer != "mimi",
            mimi=real or arguments.detokenizer == "mimi",
            dtype="bfloat16" if real else "float32",
        )
        yield folder, "random weights, " + ("the size of LFM2.5-Audio-1.5B" if real else "tiny (no real model's speed)")


def _header(measured: Benchmark, weights: str) -> list[str]:
    """Lines above the table: what was measured, and where."""
    machine, plan = measured.machine, measured.load
    lines = [
        f"LFM2-Audio: {weights}",
        f"{machine.gpu or 'no GPU'}; {machine.cpu}, {machine.cores} cores, {machine.threads} threads; "
        f"torch {machine.torch}, {machine.dtype}; CUDA graphs: {machine.cuda_graphs}",
        f"{plan.turns} turns of 2 s of speech, each answered with {plan.frames} frames of 80 ms; "
        f"decoded by {machine.detokenizer}, in liquid-audio's loop by {measured.their_detokenizer}",
    ]
    return lines if machine.gpu else [*lines, _NO_GPU]


def _rows(measured: Benchmark) -> list[tuple[str, str, str, str]]:
    """What was measured, ours, theirs, and the goal."""
    last, ours, theirs = measured.load.turns, measured.ours, measured.theirs
    growth, gpu = measured.first_audio_growth, bool(measured.machine.gpu)
    faster = measured.frame_rate_ratio
    rows = []
    for turn in (1, last):
        rows += _first_audio(measured, turn)
    rows += [
        (f"time to first audio, turn {last} over turn 1", _times(growth), _NONE, _goal("≤ 1.2", growth <= 1.2)),
        (
            "time to first audio, all turns (p50 / p95)",
            _spread(measured.first_audio),
            _NONE,
            _goal("≤ 150 ms on a GPU", measured.first_audio.p50 <= _FIRST_AUDIO_GOAL if gpu else None),
        ),
    ]
    for turn in (1, last):
        both = _ms(ours.first_frame_ms[turn - 1]), _ms(theirs.first_frame_ms[turn - 1])
        rows.append((f"time to first frame, not decoded, turn {turn}", *both, ""))
    rows += [
        (f"positions of the history at turn {last}", str(ours.positions), str(theirs.positions), ""),
        ("generation of a frame (p50 / p95)", _spread(ours.frame_ms), _spread(theirs.frame_ms), ""),
        (
            "frames a second over liquid-audio's",
            _times(faster),
            _NONE,
            _goal("≥ 3 on a GPU", faster >= 3 if gpu else None),
        ),
    ]
    for count, spread in measured.decoding_ms.items():
        rows.append((f"decoding of a frame, {count} in a call (p50 / p95)", _spread(spread), _NONE, ""))
    factor = measured.real_time_factor
    rows += [
        (
            "real-time factor, from the end of speech",
            _number(factor),
            _number(measured.their_real_time_factor),
            _goal("< 0.2 on a GPU", factor < _REAL_TIME_GOAL if gpu else None),
        ),
        ("from an interruption to the end (p50 / p95)", _spread(measured.interruption_ms), _NONE, ""),
        ("memory of the process", f"{measured.memory_mb:.0f} MB", _NONE, ""),
        ("memory of the GPU, at most", f"{measured.gpu_memory_mb:.0f} MB" if gpu else _NONE, _NONE, ""),
        ("weights read for a frame", f"{measured.weights_read / 1e6:.4g} MB", _NONE, ""),
        ("bandwidth of the memory", f"{measured.bandwidth / 1e9:.4g} GB/s", _NONE, ""),
        ("time to read them, the least for a frame", _ms(measured.floor_ms), _NONE, ""),
        ("share of the bandwidth's limit", f"{100 * measured.bandwidth_share:.3g} %", _NONE, ""),
    ]
    return rows


def _first_audio(measured: Benchmark, turn: int) -> list[tuple[str, str, str, str]]:
    """The time to first audio of a turn and its parts: what isn't hearing or decoding is generation."""
    whole, hearing = measured.first_audio_ms[turn - 1], measured.hearing_ms[turn - 1]
    decoding = measured.decoding_ms[1].p50
    return [
        (f"time to first audio, turn {turn}", _ms(whole), _NONE, ""),
        ("  hearing: encoder and prefill", _ms(hearing), _NONE, ""),
        ("  first text and frame", _ms(whole - hearing - decoding), _NONE, ""),
        ("  decoding of one frame, as below", _ms(decoding), _NONE, ""),
    ]


def _as_json(measured: Benchmark, weights: str) -> dict[str, Any]:
    """Give all numbers: times in ms, memory in MB, and null for what can't be measured."""
    computed = {
        name: getattr(measured, name)
        for name in ("first_audio_growth", "frame_rate_ratio", "floor_ms", "bandwidth_share")
    }
    return {"engine": "lfm2_audio", "weights": weights, **_finite({**dataclasses.asdict(measured), **computed})}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(header: Sequence[str], rows: Sequence[tuple[str, str, str, str]]) -> None:
    table = Table()
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title in (_COLUMNS[0], _COLUMNS[-1]) else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
    for line in header:
        console.print(line, markup=False)
    console.print(table)


def _as_markdown(header: Sequence[str], rows: Sequence[tuple[str, str, str, str]]) -> str:
    lines = [_COLUMNS, ("---", "---:", "---:", "---"), *rows]
    return "".join(f"{line}\n\n" for line in header) + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(path: Path, text: str) -> None:
    """Write a text file. Raises ConfigurationError when that can't be."""
    try:
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc


def _ms(value: float) -> str:
    return _NONE if math.isnan(value) else f"{_number(value)} ms"


def _spread(spread: Spread) -> str:
    return f"{_number(spread.p50)} / {_number(spread.p95)} ms" if spread.count else _NONE


def _times(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:.2f} ×"


def _number(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _goal(goal: str, kept: bool | None) -> str:
    return goal if kept is None else f"{goal}: {'kept' if kept else 'missed'}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
