"""What `ros2 bag play` does to a topic of sound, and `--clock` to the time of all."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from harness import Probe
from rosgraph_msgs.msg import Clock

from lfm_voice_ros.nodes.base import to_seconds, to_stamp

_CLOCK_PERIOD = 0.02  # s


def play(probe: Probe, topics: Sequence[str], recorded: Sequence[Any], began: float) -> None:
    """Send recorded sound to the topics, as fast as it was recorded, stamped as if it had begun at ``began`` (s)."""
    first = to_seconds(recorded[0].header.stamp)
    started = time.monotonic()
    pause = threading.Event()
    for message in recorded:
        since = to_seconds(message.header.stamp) - first
        pause.wait(max(0.0, started + since - time.monotonic()))
        sent = copy.deepcopy(message)
        sent.header.stamp = to_stamp(began + since)
        for topic in topics:
            probe.publish(topic, sent)


class BagClock:
    """Publishes /clock for nodes with use_sim_time: the present time, ``behind`` seconds ago."""

    def __init__(self, probe: Probe, behind: float) -> None:
        self._probe = probe
        self._behind = behind
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def now(self) -> float:
        """What it shows, in seconds."""
        return self._probe.now() - self._behind

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ending.wait(_CLOCK_PERIOD):
            self._probe.publish("/clock", Clock(clock=to_stamp(self.now())), receivers=0)
