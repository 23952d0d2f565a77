"""`lfm-voice doctor`: why does it not react?"""

from __future__ import annotations

import argparse
import math


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    parser = commands.add_parser(
        "doctor",
        help="say why the assistant does not react, and what to do; exit code 1 where something is wrong",
        description="Looks at this machine (microphone, speaker, models, network, disk) and at the running assistant "
        "(nodes, topics, QoS, head, diagnostics). Speak while it runs to have the way of a sentence checked.",
    )
    add_namespace(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=5.0,
        metavar="S",
        help="for how long the assistant is watched (default %(default)g)",
    )
    parser.add_argument("--offline", action="store_true", help="look at this machine only")
    parser.add_argument("--json", action="store_true", help="the findings as JSON on standard output")
    parser.set_defaults(run=_run)


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Declare --namespace."""
    parser.add_argument("--namespace", default="", metavar="NS", help="the namespace of the assistant's nodes")


def seconds(text: str) -> float:
    """Read a number of seconds. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' must be a number of seconds, above 0 and at most 3600")
    return number


def _run(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.watching.doctor import run

    return run(arguments.namespace, arguments.timeout, arguments.offline, arguments.json)
