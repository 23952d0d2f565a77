"""Forgets recordings: turns by their id, or whole days. What is forgotten is deleted, examples and files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.dataset.changes import LOCK_FILE, locked, read_list, write_list
from lfm_voice_ros.dataset.recording import DELETED, TurnFiles, day_folders, named_files


@dataclass(frozen=True)
class Forgotten:
    """What was deleted."""

    turns: int
    files: int


def days_before(root: Path, keep_days: int, today: date) -> list[date]:
    """The days in a folder of recordings that are more than ``keep_days`` days ago, oldest first."""
    return [day for day in day_folders(root) if day < today - timedelta(days=keep_days)]


def count_turns(root: Path, days: Iterable[date]) -> int:
    """How many turns these days have; a broken dataset counts as none."""
    folders = day_folders(root)
    return sum(_turns(folders[day]) for day in days)


def forget_days(root: Path, days: Collection[date]) -> Forgotten:
    """Delete the folders of these days, with all that is in them; a day without a folder needs nothing.

    Raises ResourceError when one can't be deleted.
    """
    turns = files = 0
    for folder in [folder for day, folder in day_folders(root).items() if day in days]:
        with locked(folder):
            turns += _turns(folder)
            files += sum(1 for path in folder.rglob("*") if path.is_file() and path.name != LOCK_FILE)
            try:
                # Under its name the recorder may make a new one at any time.
                shutil.rmtree(folder.rename(folder.with_name(f"{DELETED}{folder.name}-{os.getpid()}")))
            except OSError as exc:
                raise ResourceError(f"{folder} can't be deleted ({exc}); delete it by hand") from exc
    return Forgotten(turns, files)


def missing_turns(root: Path, utterance_ids: Iterable[str]) -> list[str]:
    """Those of the turns of which there is nothing in a folder of recordings.

    Raises ConfigurationError where a dataset is broken.
    """
    folders = day_folders(root).values()
    listed = {str(entry.get("id")) for folder in folders for entry in read_list(folder)}
    return [
        utterance_id
        for utterance_id in utterance_ids
        if utterance_id not in listed
        and not any(path.exists() for folder in folders for path in TurnFiles(folder, utterance_id).all())
    ]


def forget_turns(root: Path, utterance_ids: Collection[str]) -> Forgotten:
    """Delete turns: their examples, what was said and answered, and their messages. The recorder may be running.

    Raises ResourceError when something can't be written or deleted, ConfigurationError where a dataset is broken.
    """
    turns = files = 0
    for folder in day_folders(root).values():
        with locked(folder):
            known = read_list(folder)
            others = [entry for entry in known if entry.get("id") not in utterance_ids]
            gone = [entry for entry in known if entry.get("id") in utterance_ids]
            if gone:
                write_list(folder, others)
            for path in _files(folder, gone, others, utterance_ids):
                try:
                    path.unlink()
                except OSError as exc:
                    raise ResourceError(f"{path} can't be deleted ({exc}); delete it by hand") from exc
                files += 1
            turns += len(gone)
    return Forgotten(turns, files)


def _files(
    folder: Path, gone: Iterable[dict[str, Json]], others: Iterable[dict[str, Json]], utterance_ids: Iterable[str]
) -> list[Path]:
    """The files of the turns that are there: those that the recorder makes, and those that their examples name."""
    own = {path for utterance_id in utterance_ids for path in TurnFiles(folder, utterance_id).all()}
    named = {path for path in named_files(folder, gone) if path.is_relative_to(folder)}
    return sorted(path for path in (own | named) - named_files(folder, others) if path.is_file())


def _turns(folder: Path) -> int:
    try:
        return len(read_list(folder))
    except ConfigurationError:
        return 0
