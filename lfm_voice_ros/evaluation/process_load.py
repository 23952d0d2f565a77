"""What a process takes, as Linux counts it."""

from __future__ import annotations

import os
from pathlib import Path

from lfm_voice_ros.core.errors import ResourceError


def memory_mb(pid: int) -> float:
    """The proportional set size: its own memory, and its share of what it has in common with others."""
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ResourceError("the memory of the assistant can't be read here; Linux 4.14 or later tells it")


def cpu_seconds(pid: int) -> float:
    """Seconds of one core that all of its threads have taken since it began."""
    # The name of the program, in parentheses, may hold blanks.
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_name() -> str:
    """What the machine's processor is called, and how many cores of it may be used."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return f"{next(names, 'unknown processor')}, {len(os.sched_getaffinity(0))} cores"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as exc:
        raise ResourceError(f"{path} can't be read ({exc.strerror}); the benchmark needs Linux") from exc
