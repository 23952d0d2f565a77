"""`lfm-voice demo`: the whole assistant as separate processes, spoken to, watched, and drawn."""

from __future__ import annotations

import fcntl
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soxr
from rich.console import Console
from rich.text import Text

from lfm_voice_ros.backends import load_synthesizer
from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.errors import AudioError, ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import config_file, read_yaml
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.demo.observer import Observer
from lfm_voice_ros.demo.person import Person
from lfm_voice_ros.demo.picture import draw
from lfm_voice_ros.demo.processes import Processes
from lfm_voice_ros.demo.record import Recording
from lfm_voice_ros.demo.report import latency_table, write_json, write_page
from lfm_voice_ros.demo.starting import NODES, await_ready, own_domain
from lfm_voice_ros.watching.node import interruptible, watching

_TURN_TIMEOUT = 30.0  # s from the end of a recording to the end of its turn
_HEARING_TIMEOUT = 3.0  # s from the end of a recording to its utterance; after that there was no speech in it
_INTERRUPTED = 130  # the exit code of a program that ^C has ended
_BREATH = 0.5  # s of silence before the person speaks again
_MARGIN = 3.0  # s that handing over a recording may take longer than the recording
_COLORS = {"person": "cyan", "decided": "green", "head": "magenta", "said": "yellow", "warning": "red", "error": "red"}


@dataclass(frozen=True)
class Line:
    """One thing that the person says."""

    label: str
    samples: Samples  # 16 kHz


def run(arguments: Namespace) -> int:
    """Run the demo; give the exit code. Raises ConfigurationError, ResourceError."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    lines = [] if arguments.mic else _recordings(arguments.wav) if arguments.wav else _conversation()
    if not lines and not arguments.mic:
        raise ResourceError("none of the recordings can be used")
    output: Path = arguments.output.absolute()
    replies = output / "replies"
    lock = _prepare(output, replies, arguments.json)
    params_file: Path = arguments.params_file or config_file("assistant.yaml")
    with lock, own_domain() as domain, interruptible() as interrupted:
        console.print(f"Starting {len(NODES)} nodes (ROS domain {domain}); their logs are in {output / 'logs'}")
        with Processes(params_file.absolute(), output / "logs") as processes, _observer(console) as observer:
            for node in NODES:
                processes.start(node, _parameters(node, arguments.mic, replies))
            await_ready(observer, processes, interrupted)
            if arguments.mic:
                level, message = observer.statuses["audio_capture"]
                if level:
                    raise ResourceError(message)
                console.print("Speak; ^C ends. “Look to the left”, “What time is it?”")
                while not interrupted.wait(0.5):
                    processes.check()
            else:
                _hold_conversation(observer, processes, lines, interrupted)
    recording = observer.recording
    if not recording.heard:
        raise ResourceError("no sound came in, so there is nothing to show")
    for turn in recording.turns.values():
        recording.note_head_latency(turn)
    picture, page = output / "demo.png", output / "demo.html"
    draw(recording, picture)
    write_page(recording, picture, replies, page)
    console.print()
    console.print(latency_table(recording))
    if arguments.json:
        write_json(recording, arguments.json)
    console.print(f"Picture: {picture}\nPage:    {page}\nReplies: {replies}")
    if interrupted.is_set() and not arguments.mic:
        return _INTERRUPTED
    # What people record may be without speech; the demo's own sentences must all be answered.
    missing = [] if arguments.mic or arguments.wav else _missing(recording, lines)
    for problem in missing:
        print(f"lfm-voice demo: {problem}", file=sys.stderr)
    return 1 if missing else 0


def _missing(recording: Recording, lines: Sequence[Line]) -> list[str]:
    """What isn't as it should be in a conversation of which every sentence is understood."""
    problems = []
    for turn in recording.turns.values():
        problems += [f"“{turn.recording}” ended in an error: {error}" for error in turn.errors]
        if not turn.voice:
            problems.append(f"“{turn.recording}” was not answered aloud")
    if len(recording.turns) != len(lines):
        problems.append(f"{len(lines)} sentences were said and {len(recording.turns)} were heard")
    return problems


def _prepare(output: Path, replies: Path, json_file: Path | None) -> IO[str]:
    """Make the folders and give the file whose lock keeps other demos out of them until it is closed."""
    try:
        replies.mkdir(parents=True, exist_ok=True)
        lock = (output / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for old in replies.glob("*.wav"):
            old.unlink()
        if json_file:
            json_file.touch()
    except BlockingIOError as exc:
        raise ResourceError(f"another demo writes into {output}; give another folder with --output") from exc
    except OSError as exc:
        raise ResourceError(f"{exc.filename} can't be written: {exc.strerror}") from exc
    return lock


def _conversation() -> list[Line]:
    path = config_file("demo.yaml")
    try:
        texts: Sequence[str] = read_yaml(path)["person"]
    except (KeyError, TypeError) as exc:
        raise ConfigurationError(f"{path} needs a list `person` of sentences") from exc
    voice = load_synthesizer("piper", "bundled", steady=True)
    lines = []
    for text in texts:
        spoken = np.concatenate(list(voice.synthesize(text)))
        lines.append(Line(text, soxr.resample(spoken, voice.sample_rate, SAMPLE_RATE)))
    return lines


def _recordings(paths: Sequence[Path]) -> list[Line]:
    lines = []
    for path in paths:
        try:
            lines.append(Line(path.name, read_wav(path)))
        except AudioError as exc:
            print(f"lfm-voice demo: {exc}", file=sys.stderr)
    return lines


def _parameters(node: str, microphone: bool, replies: Path) -> dict[str, str]:
    if node == "audio_capture":
        # What comes over a topic has no echo of the robot in it.
        return {"source": "sound_card"} if microphone else {"source": "topic", "barge_in": "true"}
    if node == "audio_player":
        return {"sink": "sound_card" if microphone else f"wav:{replies}"}
    return {}


def _hold_conversation(
    observer: Observer, processes: Processes, lines: Sequence[Line], interrupted: threading.Event
) -> None:
    person = Person(observer.speak, observer.now)
    person.start()
    try:
        for line in lines:
            known = len(observer.recording.turns)
            if interrupted.is_set():
                return
            observer.person_says(line.label)
            person.say(np.pad(line.samples, (round(_BREATH * SAMPLE_RATE), 0)), timeout=_MARGIN)
            if not observer.wait(_more_turns_than(observer, known), _HEARING_TIMEOUT):
                observer.event("heard", "nothing that begins and ends like speech")
            over = observer.wait(lambda: interrupted.is_set() or observer.at_rest(), _TURN_TIMEOUT)
            processes.check()
            if not over:
                observer.event("error", f"the turn was not over after {_TURN_TIMEOUT:.0f} s")
    finally:
        person.stop()


@contextmanager
def _observer(console: Console) -> Iterator[Observer]:
    def tell(at: float, kind: str, text: str) -> None:
        console.print(Text.assemble(f"{at:6.1f} s  ", (f"{kind:<8}", _COLORS.get(kind, "")), f"  {text}"))

    head = PanTiltSettings()
    with watching(lambda: Observer(tell, (head.pan_joint, head.tilt_joint))) as observer:
        yield observer


def _more_turns_than(observer: Observer, known: int) -> Callable[[], bool]:
    return lambda: len(observer.recording.turns) > known
