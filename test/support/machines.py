"""Two machines on one: network namespaces, joined by a cable that can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

Value = TypeVar("Value")


class Machine:
    """One end of the cable: a network namespace with an address."""

    def __init__(self, name: str, cable: str, address: str) -> None:
        self.name = name
        self.cable = cable
        self._address = address

    @property
    def prefix(self) -> list[str]:
        """What runs a command there."""
        return ["ip", "netns", "exec", self.name]

    def connect(self) -> None:
        """Plug the cable in. The routes that the kernel drops with it come back as a network manager brings them."""
        _ip("-n", self.name, "link", "set", self.cable, "up")
        _ip("-n", self.name, "address", "replace", self._address, "dev", self.cable)
        _ip("-n", self.name, "route", "replace", "224.0.0.0/4", "dev", self.cable)

    def disconnect(self) -> None:
        """Pull the cable."""
        _ip("-n", self.name, "link", "set", self.cable, "down")

    def sent(self) -> int:
        """Bytes that have left through the cable."""
        read = ["cat", f"/sys/class/net/{self.cable}/statistics/tx_bytes"]
        return int(subprocess.run([*self.prefix, *read], check=True, capture_output=True, text=True).stdout)

    def run(self, make: Callable[[], Value]) -> Value:
        """Call in a thread that is in this machine's network; sockets that it opens stay there."""
        made: list[Value] = []

        def there() -> None:
            with Path("/run/netns", self.name).open() as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)
            made.append(make())

        thread = threading.Thread(target=there, name=f"on {self.name}")
        thread.start()
        thread.join()
        return made[0]


class TwoMachines:
    """A robot and a brain, and the cable between them."""

    def __init__(self, robot: Machine, brain: Machine) -> None:
        self.robot = robot
        self.brain = brain

    def connect(self) -> Self:
        """Plug the cable in at both ends."""
        self.robot.connect()
        self.brain.connect()
        return self

    def disconnect(self) -> None:
        """Pull it at both ends."""
        self.robot.disconnect()
        self.brain.disconnect()


def why_not() -> str:
    """Why there can't be two machines here; empty when there can."""
    if not shutil.which("ip"):
        return "needs the command ip (Debian: iproute2)"
    name = f"lfm-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)  # noqa: S607
    if tried.returncode:
        return f"needs network namespaces: {tried.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Make them, connected."""
    tag = f"{os.getpid() % 100_000}"
    robot = Machine(f"lfm-{tag}-robot", f"lfm{tag}r", "10.77.0.1/24")
    brain = Machine(f"lfm-{tag}-brain", f"lfm{tag}b", "10.77.0.2/24")
    made = []
    try:
        for machine in (robot, brain):
            _ip("netns", "add", machine.name)
            made.append(machine)
            _ip("-n", machine.name, "link", "set", "lo", "up")
        _ip("link", "add", robot.cable, "netns", robot.name, "type", "veth", "peer", brain.cable, "netns", brain.name)
        yield TwoMachines(robot, brain).connect()
    finally:
        for machine in made:
            _ip("netns", "delete", machine.name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)  # noqa: S607
