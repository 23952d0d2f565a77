"""`lfm-voice echo`: whether a robot that hears itself takes its own voice for a person, and still hears people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import numpy as np
from rich.console import Console
from rich.table import Table

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.training.echo import Outcome, Scene, listen_to_itself, scenes

_ECHOES = (-32.0, -26.0, -20.0, -16.0)  # dBFS of the robot at the microphone, where people have -26
_PITCH = 1.12  # of the person, who is the same voice otherwise
_BARGE_INS = 8.0  # a minute


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("echo", help="measure echo cancellation and interruption in simulated rooms")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="minutes of the robot alone")
    parser.add_argument(
        "--person-minutes", type=float, default=4.0, metavar="M", help="minutes with a person, for each loudness"
    )
    parser.add_argument("--scene", type=float, default=120.0, metavar="S", help="s in one room")
    parser.add_argument("--seed", type=int, default=1, help="which rooms and sentences")
    parser.add_argument(
        "--without", action="store_true", help="also without echo cancellation, for a tenth of the time"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="scenes at a time")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    seconds, each, seed = 60 * arguments.minutes, arguments.scene, arguments.seed
    runs: dict[str, Outcome] = {}

    def measure(name: str, dealt: Sequence[Scene], cancel: bool = True) -> None:
        outcome = runs[name] = Outcome()
        for number, one in enumerate(_measured(dealt, seed, arguments.processes, cancel), start=1):
            outcome.add(one)
            print(f"{name}: {number} of {len(dealt)} rooms, {outcome.false_starts} false starts", file=sys.stderr)

    if arguments.without:
        measure("alone, without cancellation", scenes(max(each, seconds / 10), each, seed), cancel=False)
    measure("alone", scenes(seconds, each, seed))
    for echo in _ECHOES if arguments.person_minutes else ():
        measure(
            f"person, robot {echo + 26:+.0f} dB", scenes(60 * arguments.person_minutes, each, seed, _BARGE_INS, echo)
        )
    if arguments.json:
        print(json.dumps({name: _figures(outcome) for name, outcome in runs.items()}))
    else:
        _show(runs)
    return 0


def _measured(dealt: Sequence[Scene], seed: int, processes: int, cancel: bool) -> Iterator[Outcome]:
    jobs = [(scene, 1_000 * seed + number, cancel) for number, scene in enumerate(dealt)]
    if processes == 1:
        yield from map(_scene, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_scene, jobs)


def _scene(job: tuple[Scene, int, bool]) -> Outcome:
    from lfm_voice_ros.backends.silero_vad import SileroVad
    from lfm_voice_ros.backends.webrtc_echo import WebRtcEchoCanceller
    from lfm_voice_ros.core.settings import AudioCaptureSettings

    scene, seed, cancel = job
    robot, person = _voices()
    canceller = WebRtcEchoCanceller() if cancel else None
    return listen_to_itself(scene, seed, robot, person, canceller, SileroVad(), AudioCaptureSettings())


@cache
def _voices() -> tuple[Callable[[str], Samples], Callable[[str], Samples]]:
    from lfm_voice_ros.backends.resampling import resample
    from lfm_voice_ros.commands.replies import voice

    speak = voice()

    @cache
    def robot(text: str) -> Samples:
        sound = speak(text)
        loud = np.flatnonzero(np.abs(sound) > 0.02)
        return sound[loud[0] : loud[-1]]

    @cache
    def person(text: str) -> Samples:
        return resample(robot(text), round(16_000 * _PITCH), 16_000)

    return robot, person


def _figures(outcome: Outcome) -> dict[str, float | int | None]:
    half, most = np.quantile(outcome.times, (0.5, 0.95)).tolist() if outcome.times else (None, None)
    return {
        "minutes": outcome.seconds / 60,
        "spoken_minutes": outcome.spoken / 60,
        "false_starts": outcome.false_starts,
        "discarded": outcome.discarded,
        "interruptions": outcome.interruptions,
        "heard": outcome.heard,
        "heard_after_p50": half,
        "heard_after_p95": most,
        "erle_db": float(np.median(outcome.erle)) if outcome.erle else None,
    }


def _show(runs: dict[str, Outcome]) -> None:
    table = Table("", "minutes", "took itself for a person", "heard people", "after, p50 / p95", "echo quieter by")
    for name, outcome in runs.items():
        figures = _figures(outcome)
        table.add_row(
            name,
            f"{figures['minutes']:.0f}",
            str(outcome.false_starts),
            f"{outcome.heard} of {outcome.interruptions}" if outcome.interruptions else "",
            f"{figures['heard_after_p50']:.2f} / {figures['heard_after_p95']:.2f} s" if outcome.times else "",
            f"{figures['erle_db']:.0f} dB" if outcome.erle else "",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
