"""The command lfm-voice: run the demo, score the detectors on a corpus, list the sound devices."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lfm_voice_ros.core.errors import ResourceError, VoiceError
from lfm_voice_ros.core.ports import Detector, Transcriber
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings, TranscriberSettings
from lfm_voice_ros.demo import options
from lfm_voice_ros.detectors import load_detector
from lfm_voice_ros.evaluation import report
from lfm_voice_ros.evaluation.corpus import Example, read_corpus
from lfm_voice_ros.evaluation.scoring import score
from lfm_voice_ros.tools.registry import Registry

DETECTORS = ("keywords",)

_INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended
_PIPE_CLOSED = 141  # what a shell reports for a program that SIGPIPE ended
_WIDTH_OF_A_FILE = 160  # columns where there is no terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; give the exit code: 0, or 2 with one sentence on standard error."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except VoiceError as exc:
        print(f"lfm-voice: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return code


class Words:
    """Gives the words of an example: its text, or the transcript of its recording.

    Raises AudioError for a recording that can't be used and ResourceError when the transcriber fails on it.
    """

    def __init__(self, transcriber: Transcriber | None) -> None:
        self._transcriber = transcriber
        self._known: dict[Path, str] = {}

    def __call__(self, example: Example) -> str:
        """Give the words; a recording is transcribed once."""
        if example.audio is None or self._transcriber is None:
            return example.text
        if example.audio not in self._known:
            self._known[example.audio] = self._transcribe(example.audio, self._transcriber)
        return self._known[example.audio]

    def _transcribe(self, path: Path, transcriber: Transcriber) -> str:
        from lfm_voice_ros.backends.wav_file import read_wav

        transcript = transcriber.transcribe(read_wav(path))
        if transcript.failed:
            raise ResourceError(f"{path} could not be transcribed: {transcript.rejection}")
        return transcript.text


def _load_transcriber() -> Transcriber:
    from lfm_voice_ros.backends import load_transcriber

    return load_transcriber(TranscriberSettings())


def _load_detector(name: str) -> Detector:
    tools = Registry.from_file(config_file("tools.yaml"))
    return load_detector(ToolDetectorSettings(detector=name), [tool.name for tool in tools])


def _evaluate(arguments: argparse.Namespace) -> int:
    examples = read_corpus(arguments.corpus)
    words = Words(_load_transcriber() if any(example.audio for example in examples) else None)
    scores = {name: score(_load_detector(name), examples, words) for name in arguments.detector}
    console = Console(stderr=arguments.json, width=None if _on_terminal(arguments.json) else _WIDTH_OF_A_FILE)
    report.show(scores, console)
    if arguments.json:
        print(json.dumps(report.as_json(scores), ensure_ascii=False))
    return 0


def _on_terminal(on_standard_error: bool) -> bool:
    return (sys.stderr if on_standard_error else sys.stdout).isatty()


def _devices(_arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.sound_card import list_devices

    for device in list_devices():
        print(device)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.demo.main import run

    return run(arguments)


def _detector_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in DETECTORS:
            raise argparse.ArgumentTypeError(f"there is no detector '{name}'; there is: {', '.join(DETECTORS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lfm-voice", description="Tools around the voice assistant.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    evaluate = commands.add_parser("evaluate", help="score detectors on a corpus")
    evaluate.add_argument(
        "--detector", type=_detector_names, default=["keywords"], metavar="NAME[,NAME]", help="which detectors"
    )
    evaluate.add_argument(
        "--corpus",
        type=Path,
        required=True,
        metavar="FILE.jsonl",
        help='JSON lines: {"text": …, "calls": [{"name": …, "args": {…}}]}, or "audio" with the path of a WAV file',
    )
    evaluate.add_argument(
        "--json", action="store_true", help="the scores as JSON on standard output, the rest on standard error"
    )
    evaluate.set_defaults(run=_evaluate)
    demo = commands.add_parser("demo", help="run the whole assistant on spoken input and draw what happened")
    options.add_to(demo)
    demo.set_defaults(run=_demo)
    devices = commands.add_parser("devices", help="list the microphones and loudspeakers")
    devices.set_defaults(run=_devices)
    return parser
