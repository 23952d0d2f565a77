"""`lfm-voice monitor`: a live view of a running assistant."""

from __future__ import annotations

import argparse

from lfm_voice_ros.commands.doctor import add_namespace, seconds


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    parser = commands.add_parser(
        "monitor", help="show what a running assistant hears, decides and does, live in the terminal; ^C ends"
    )
    add_namespace(parser)
    parser.add_argument(
        "--once", type=seconds, nargs="?", const=5.0, metavar="S", help="print one picture after so many seconds (5)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.watching.monitor import run

    return run(arguments.namespace, arguments.once)
