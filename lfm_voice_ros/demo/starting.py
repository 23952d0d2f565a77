"""How a whole assistant is started on a ROS domain of its own, and when it is ready."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.demo.domain import claim_domain
from lfm_voice_ros.demo.observer import Observer
from lfm_voice_ros.demo.processes import Processes

#: The nodes of a turn, with a simulated head.
NODES = (
    "audio_capture",
    "transcriber",
    "tool_detector",
    "tool_server",
    "pan_tilt",
    "pan_tilt_sim",
    "dialogue",
    "audio_player",
)
_READY_TIMEOUT = 90.0  # s; a slow board loads Whisper and Piper in this time


@contextmanager
def own_domain() -> Iterator[int]:
    """Have this process and what it starts talk on a domain of their own, on this machine only; give its id.

    Raises ResourceError when no id is free.
    """
    with claim_domain() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        yield domain


def await_ready(observer: Observer, processes: Processes, interrupted: threading.Event) -> None:
    """Wait until all nodes are ready. Raises ResourceError when one ends, when that takes too long, or on ^C."""
    waited = 0.0
    while not observer.wait(lambda: interrupted.is_set() or observer.ready(NODES), timeout=0.5):
        processes.check()
        waited += 0.5
        if waited > _READY_TIMEOUT:
            late = [node for node in NODES if observer.statuses.get(node, (0, "loading"))[1].startswith("loading")]
            raise ResourceError(f"not ready after {_READY_TIMEOUT:.0f} s: {', '.join(late) or 'DDS discovery'}")
    if interrupted.is_set():
        raise ResourceError("interrupted")
