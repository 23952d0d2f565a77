"""`lfm-voice doctor`: looks at this machine and at the running assistant, and says what to do."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.watching import graph_verdicts, machine_verdicts
from lfm_voice_ros.watching.findings import Finding, as_json, exit_code, show, summary
from lfm_voice_ros.watching.machine import Machine, disk, examine, settings

if TYPE_CHECKING:
    from lfm_voice_ros.watching.watcher import Neighbour, Watcher

_WIDTH_OF_A_FILE = 140  # columns where there is no terminal
_MEETING_TIMEOUT = 3.0  # s beyond the time for which the assistant is watched
_NO_ROS = "ROS 2's Python libraries can't be imported: {}"
_SOURCE = (
    "source /opt/ros/$ROS_DISTRO/setup.bash and the workspace's install/setup.bash, or use scripts/run lfm-voice …"
)


def run(namespace: str, timeout: float, offline: bool, json: bool) -> int:
    """Print the findings; give 1 where there is an ERROR, 0 otherwise.

    ``timeout`` is for how many seconds a running assistant is watched; with ``offline`` it isn't. Raises
    ConfigurationError for a namespace that can't be one.
    """
    here, there = _offline() if offline else _online(namespace.strip("/"), timeout)
    findings = [*here, *there]
    if json:
        print(as_json(findings))
    else:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
        show("This machine", here, console)
        if not offline:
            show(f"The assistant in /{namespace.strip('/')}", there, console)
        console.print(summary(findings))
    return exit_code(findings)


def _offline() -> tuple[list[Finding], list[Finding]]:
    return machine_verdicts.machine(examine()), []


def _online(namespace: str, timeout: float) -> tuple[list[Finding], list[Finding]]:
    """Watch, and look at this machine while discovery goes on."""
    if machine_verdicts.obstacles(settings()):
        nothing = Finding(
            Level.ERROR,
            "ROS 2",
            "the assistant was not looked for, since ROS 2 can't be started with this environment",
            "see the lines about domain and middleware above",
        )
        return machine_verdicts.machine(examine()), [nothing]
    try:
        from lfm_voice_ros.watching.node import watching
        from lfm_voice_ros.watching.watcher import Neighbour, Watcher
    except ImportError as exc:
        nothing = Finding(Level.ERROR, "ROS 2", _NO_ROS.format(exc), _SOURCE)
        return machine_verdicts.machine(examine()), [nothing]
    until = time.monotonic() + timeout
    try:
        with watching(lambda: Watcher("doctor", namespace)) as watcher, Neighbour() as neighbour:
            watcher.wait(lambda: watcher.parameters.keys() >= {"audio_capture", "audio_player"}, timeout / 2)
            machine = examine(
                watcher.parameter("audio_capture", "source") or "sound_card",
                watcher.parameter("audio_player", "sink") or "sound_card",
            )
            watcher.wait(lambda: False, max(0.0, until - time.monotonic()))
            meeting = _meeting(watcher, neighbour)
            with watcher.news:
                return _about_both(machine, watcher, meeting, timeout)
    except ResourceError as exc:
        return machine_verdicts.machine(examine()), [Finding(Level.ERROR, "ROS 2", str(exc))]


def _meeting(watcher: Watcher, neighbour: Neighbour) -> bool:
    """Whether the two see each other; a busy machine gets more time for that."""
    late = time.monotonic() + _MEETING_TIMEOUT
    while not (watcher.meets(neighbour.name) and neighbour.meets(watcher.get_name())):
        if time.monotonic() > late:
            return False
        watcher.wait(lambda: False, 0.2)
    return True


def _about_both(
    machine: Machine, watcher: Watcher, meeting: bool, timeout: float
) -> tuple[list[Finding], list[Finding]]:
    if folder := watcher.parameter("recorder", "folder"):
        machine = replace(machine, disk=disk(folder))
    network = replace(machine.network, environment={**machine.network.environment, "RMW_IMPLEMENTATION": watcher.rmw()})
    machine = replace(machine, network=network)
    here = machine_verdicts.machine(
        machine,
        source=watcher.parameter("audio_capture", "source"),
        sink=watcher.parameter("audio_player", "sink"),
        engine=watcher.parameter("dialogue", "engine"),
        meeting=meeting,
    )
    return here, graph_verdicts.assistant(watcher.graph(), watcher.seen, watcher.parameters, watcher.states, timeout)
