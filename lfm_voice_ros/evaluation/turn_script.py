"""What the person of the benchmark says, and when: the lines of config/benchmark.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import read_yaml
from lfm_voice_ros.core.types import Json

#: What a line is for; config/benchmark.yaml tells them.
KINDS = (
    "command",
    "question",
    "talk",
    "several",
    "pauses",
    "motion",
    "interruption",
    "backchannel",
    "stop",
    "hush",
    "background",
)
#: Kinds that are answered: their way from the end of speech to the first audio counts.
ANSWERED = ("command", "question", "talk", "several", "pauses", "motion", "interruption")

_WHEN = ("rest", "voice", "motion")
_FIELDS = {"kind", "say", "calls", "when", "after"}
_PAUSE = re.compile(r"\[(\d+(?:\.\d+)?)\]")


@dataclass(frozen=True)
class Line:
    """One thing that is said."""

    kind: str  # of KINDS
    text: str  # with [SECONDS] where the person pauses
    calls: tuple[str, ...] = ()  # the tools that must be called
    when: str = "rest"  # what is waited for: rest, voice or motion of the robot
    after: float = 0.0  # s that it has lasted

    @property
    def answered(self) -> bool:
        """Whether an answer is waited for."""
        return self.kind in ANSWERED

    @property
    def words(self) -> str:
        """The text without its pauses."""
        return " ".join(_PAUSE.sub(" ", self.text).split())

    def parts(self) -> Iterator[str | float]:
        """The pieces that are spoken in one breath, and between them the pauses in s."""
        for index, part in enumerate(_PAUSE.split(self.text)):
            if index % 2:
                yield float(part)
            elif part.strip():
                yield part.strip()


def read_script(path: Path) -> list[Line]:
    """Read the lines of a script. Raises ConfigurationError that names the line."""
    data = read_yaml(path)
    entries = data.get("turns") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(f"{path} needs a list `turns`")
    lines = [_line(entry, f"{path}, turn {number}") for number, entry in enumerate(entries, start=1)]
    if lines[0].when != "rest":
        raise ConfigurationError(f"{path}: the first turn can't wait for the robot's {lines[0].when}")
    return lines


def shortened(lines: Sequence[Line], turns: int | None) -> list[Line]:
    """The first ``turns`` lines, and those that belong to the last of them; all without a number."""
    if turns is None:
        return list(lines)
    taken = list(lines[:turns])
    for line in lines[turns:]:
        if line.when == "rest":
            break
        taken.append(line)
    return taken


def _line(entry: Json, where: str) -> Line:
    if not isinstance(entry, dict) or not {"kind", "say"} <= set(entry) <= _FIELDS:
        raise ConfigurationError(f"{where} must have `kind` and `say`, and may have `calls`, `when` and `after`")
    kind, text, calls = entry["kind"], entry["say"], entry.get("calls", [])
    when, after = entry.get("when", "rest"), entry.get("after", 0.0)
    if kind not in KINDS:
        raise ConfigurationError(f"{where}: kind is '{kind}'; it must be one of: {', '.join(KINDS)}")
    if when not in _WHEN:
        raise ConfigurationError(f"{where}: when is '{when}'; it must be one of: {', '.join(_WHEN)}")
    if not isinstance(text, str) or not _PAUSE.sub("", text).strip():
        raise ConfigurationError(f"{where}: `say` must be a sentence")
    if not isinstance(calls, list) or not all(isinstance(call, str) for call in calls):
        raise ConfigurationError(f"{where}: `calls` must be a list of names of tools")
    if isinstance(after, bool) or not isinstance(after, int | float) or not 0.0 <= after <= 10.0:
        raise ConfigurationError(f"{where}: `after` must be a number of seconds from 0 to 10")
    return Line(kind, text, tuple(calls), when, float(after))
