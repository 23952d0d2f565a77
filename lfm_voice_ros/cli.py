"""`lfm-voice`: the commands around the assistant."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lfm_voice_ros.commands import (
    benchmark,
    data,
    doctor,
    echo,
    evaluate,
    evaluate_transcriber,
    monitor,
    replies,
    stop_words,
    train,
    training,
    turns,
)
from lfm_voice_ros.core.errors import VoiceError
from lfm_voice_ros.demo import options

_INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended
_PIPE_CLOSED = 141  # what a shell reports for a program that SIGPIPE ended


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


def _devices(_arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.sound_card import list_devices

    for device in list_devices():
        print(device)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.demo.main import run

    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lfm-voice", description="Tools around the voice assistant.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run the whole assistant on spoken input and draw what happened")
    options.add_to(demo)
    demo.set_defaults(run=_demo)
    devices = commands.add_parser("devices", help="list the microphones and loudspeakers")
    devices.set_defaults(run=_devices)
    doctor.add_to(commands)
    monitor.add_to(commands)
    evaluate.add_to(commands)
    evaluate_transcriber.add_to(commands)
    replies.add_to(commands)
    turns.add_to(commands)
    benchmark.add_to(commands)
    stop_words.add_to(commands)
    echo.add_to(commands)
    training.add_to(commands)
    data.add_to(commands)
    train.add_to(commands)
    return parser
