"""`lfm-voice monitor`: a running assistant as a picture in the terminal.

rich draws it, which is here already; there are no keys and no windows that would need textual.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console, RenderableType
from rich.live import Live

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.watching import machine_verdicts
from lfm_voice_ros.watching.frame import frame
from lfm_voice_ros.watching.machine import settings

_PERIOD = 0.25  # s between pictures
_TURNS = 6  # the newest ones, where the terminal has room
_OTHER_ROWS = 18  # of the terminal, for all but the turns; a turn takes about three
_WIDTH_OF_A_FILE = 140  # columns where there is no terminal


def run(namespace: str, once: float | None) -> int:
    """Draw until ^C, or one picture after ``once`` seconds; give 0.

    Raises ConfigurationError where there is no terminal to draw on or ROS 2 can't be started with the environment's
    settings, ResourceError where there is no ROS 2.
    """
    for finding in machine_verdicts.obstacles(settings()):
        raise ConfigurationError(f"{finding.what}; {finding.remedy}")
    try:
        from lfm_voice_ros.watching.node import interruptible, watching
        from lfm_voice_ros.watching.watcher import Watcher
    except ImportError as exc:
        raise ResourceError(
            f"ROS 2's Python libraries can't be imported ({exc}); source ROS 2, or use scripts/run"
        ) from exc
    if once is None and not sys.stdout.isatty():
        raise ConfigurationError("a live view needs a terminal; --once SECONDS prints one picture")
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
    turns = min(_TURNS, max(2, (console.height - _OTHER_ROWS) // 3)) if console.is_terminal else _TURNS
    with interruptible() as interrupted, watching(lambda: Watcher("monitor", namespace.strip("/"))) as watcher:

        def picture() -> RenderableType:
            with watcher.news:
                return frame(watcher.seen, watcher.now(), watcher.nodes(), turns)

        if once is not None:
            until = time.monotonic() + once
            while not interrupted.wait(min(_PERIOD, max(0.0, until - time.monotonic()))) and time.monotonic() < until:
                watcher.wait(lambda: True, 0.0)
        else:
            with Live(picture(), console=console, auto_refresh=False, screen=True) as live:
                while not interrupted.wait(_PERIOD):
                    watcher.wait(lambda: True, 0.0)  # raises when nothing is watched any more
                    live.update(picture(), refresh=True)
        console.print(picture())
    return 0
