"""`lfm-voice data forget`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lfm_voice_ros.core.settings import RecorderSettings

if TYPE_CHECKING:
    from lfm_voice_ros.dataset.forgetting import Forgotten

_REFUSED = 1  # the exit code when the answer was no


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    forget = commands.add_parser("forget", help="delete recorded turns: examples, sound and messages")
    what = forget.add_mutually_exclusive_group(required=True)
    what.add_argument("--turn", action="append", metavar="ID", help="this turn; may be given more than once")
    what.add_argument("--day", type=date.fromisoformat, metavar="YYYY-MM-DD", help="all turns of a day")
    what.add_argument("--older-than", type=_days, metavar="DAYS", help="all days that are longer ago")
    what.add_argument("--all", action="store_true", help="everything that was recorded")
    forget.add_argument(
        "--folder",
        type=Path,
        default=Path(RecorderSettings().folder),
        metavar="FOLDER",
        help="where the recorder writes (default %(default)s)",
    )
    forget.add_argument("--yes", action="store_true", help="don't ask")
    forget.set_defaults(run=_forget)


def _forget(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.core.errors import ConfigurationError
    from lfm_voice_ros.dataset.forgetting import count_turns, forget_days

    root: Path = arguments.folder.expanduser().absolute()
    if not root.is_dir():
        raise ConfigurationError(f"there is no folder {root}; give that of the recordings with --folder")
    if arguments.turn:
        return _forget_turns(root, list(dict.fromkeys(arguments.turn)), arguments.yes)
    days = _chosen_days(root, arguments)
    if not days:
        print(f"nothing to forget in {root}")
        return 0
    span = str(days[0]) if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"
    what = f"{_counted(count_turns(root, days), 'turn')} of {span}"
    return _carry_out(what, root, lambda: forget_days(root, days), arguments.yes)


def _forget_turns(root: Path, turns: list[str], yes: bool) -> int:
    from lfm_voice_ros.core.errors import ConfigurationError
    from lfm_voice_ros.dataset.forgetting import forget_turns, missing_turns

    if missing := missing_turns(root, turns):
        raise ConfigurationError(f"there is no turn {', '.join(missing)} in {root}; nothing was forgotten")
    what = f"turn {turns[0]}" if len(turns) == 1 else f"{len(turns)} turns"
    return _carry_out(what, root, lambda: forget_turns(root, turns), yes)


def _chosen_days(root: Path, arguments: argparse.Namespace) -> list[date]:
    from lfm_voice_ros.core.errors import ConfigurationError
    from lfm_voice_ros.dataset.forgetting import days_before
    from lfm_voice_ros.dataset.recording import day_folders

    if arguments.older_than is not None:
        return days_before(root, arguments.older_than, datetime.now(UTC).astimezone().date())
    days = list(day_folders(root))
    if arguments.all:
        return days
    if arguments.day not in days:
        there = f"{days[0]} to {days[-1]}" if days else "nothing"
        raise ConfigurationError(f"there are no recordings of {arguments.day} in {root}, which has {there}")
    return [arguments.day]


def _carry_out(what: str, root: Path, work: Callable[[], Forgotten], yes: bool) -> int:
    """Ask, unless the answer was given, and do it."""
    from lfm_voice_ros.core.errors import ConfigurationError

    if not yes:
        if not sys.stdin.isatty():
            raise ConfigurationError("nobody can be asked, since standard input is no terminal; add --yes")
        print(f"Delete {what} in {root}, for ever? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was forgotten")
            return _REFUSED
    forgotten = work()
    print(f"forgot {_counted(forgotten.turns, 'turn')}: {_counted(forgotten.files, 'file')} deleted in {root}")
    return 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _days(text: str) -> int:
    days = int(text)
    if days < 0:
        raise ValueError(text)
    return days
