"""How far a long command is, on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_PERIOD = 10.0  # s between lines where there is no terminal


def say(text: str) -> None:
    """Tell what is going on."""
    print(text, file=sys.stderr, flush=True)


class Bar:
    """A bar with the time left on a terminal; elsewhere a line each ten seconds. A context manager."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._what = what
        self._total = total
        self._began = time.monotonic()
        self._told = self._began
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]} {task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=total, note="", left="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: int, note: str = "", seconds_left: float | None = None) -> None:
        """So much is done. The time left is computed from the time since the beginning unless it is given."""
        now = time.monotonic()
        left = (now - self._began) / max(done, 1) * (self._total - done) if seconds_left is None else seconds_left
        text = f"{_minutes(left)} left"
        self._bar.update(self._task, completed=done, note=note, left=text)
        if self._bar.disable and (now - self._told >= _PERIOD or done == self._total):
            self._told = now
            say(f"{self._what}: {done} of {self._total}, {text}{', ' if note else ''}{note}")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d} min"
