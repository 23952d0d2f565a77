"""A ROS domain of one's own, so that tests, the demo and other ROS programs on a machine don't meet."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lfm_voice_ros.core.errors import ResourceError

#: Domain ids whose ports lie below those that the kernel gives to other programs; the low ones, which people pick by
#: hand, come last.
DOMAINS = range(100, 0, -1)


@contextmanager
def claim_domain(domains: Iterable[int] = DOMAINS, folder: Path | None = None) -> Iterator[int]:
    """Hold a ROS domain id that nobody else on this machine holds or uses; give the id.

    The claim is a lock on a file in ``folder`` (the system's temporary folder by default) and ends with the context or
    with the process, however that ends. Raises ResourceError when no id is free.
    """
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    for domain in domains:
        lock = _lock(folder / f"lfm_voice_ros.domain-{domain}.lock")
        if lock is None:
            continue
        try:
            if _unused(domain):
                yield domain
                return
        finally:
            os.close(lock)
    raise ResourceError("no ROS domain id is free on this machine; end other ROS programs or tests and try again")


def _lock(path: Path) -> int | None:
    """The descriptor of the locked file; None when somebody else holds it, another user included."""
    descriptor = None
    with suppress(BlockingIOError, PermissionError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    if descriptor is not None:
        os.close(descriptor)
    return None


def _unused(domain: int) -> bool:
    """Whether no DDS participant listens on the domain's discovery ports (DDSI-RTPS 9.6.1)."""
    multicast = 7400 + 250 * domain
    for port in (multicast, multicast + 10):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise ResourceError(f"the ports of ROS domain {domain} can't be tried: {exc}") from exc
                return False
    return True
