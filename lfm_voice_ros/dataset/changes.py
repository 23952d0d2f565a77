"""Changes to a dataset that others may be changing, too: the recorder, people who forget or review turns."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.dataset.format import DATASET_FILE, read_entries, replace_file

LOCK_FILE = ".lock"

_RETRY_PERIOD = 0.02  # s


@contextmanager
def locked(folder: Path, timeout: float = 5.0) -> Iterator[None]:
    """Have a dataset's folder to oneself, from the reading of its ``dataset.json`` to the writing.

    The folder is made where there is none. Raises ResourceError when others keep it for ``timeout`` seconds, and when
    no file can be made in it.
    """
    file = _take(folder, timeout)
    try:
        yield
    finally:
        file.close()


def read_list(folder: Path) -> list[dict[str, Json]]:
    """The entries of a folder's dataset, as they are; none where there is no dataset yet.

    Raises ConfigurationError where the file holds anything else.
    """
    path = folder / DATASET_FILE
    if not path.exists():
        return []
    entries = read_entries(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{path} is no list of examples; repair it or move it away")
    return entries


def write_list(folder: Path, entries: Iterable[dict[str, Json]]) -> None:
    """Have a folder's dataset hold these entries. Raises ResourceError; what was there before is then still there."""
    text = "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"
    replace_file(folder / DATASET_FILE, text.encode())


def _take(folder: Path, timeout: float) -> IO[str]:
    path = folder / LOCK_FILE
    deadline = time.monotonic() + timeout
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as exc:
            # Where it isn't there, somebody has removed the folder between the two.
            if not isinstance(exc, FileNotFoundError) or time.monotonic() > deadline:
                raise ResourceError(f"{path} can't be written ({exc}); free space or choose another folder") from exc
            time.sleep(_RETRY_PERIOD)
            continue
        if _is_ours(file, path):
            return file
        file.close()
        if time.monotonic() > deadline:
            raise ResourceError(f"another program kept {folder} for {timeout:g} s; try again when it has ended")
        time.sleep(_RETRY_PERIOD)


def _is_ours(file: IO[str], path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed the folder, and this file with it.
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
