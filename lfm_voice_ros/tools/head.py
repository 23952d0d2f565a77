"""The tools that move the head or tell where it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.numbers import spell
from lfm_voice_ros.core.ports import Head
from lfm_voice_ros.core.types import HeadMove, Json
from lfm_voice_ros.tools.binding import Outcome

_GESTURES = ("center", "look_around", "nod", "shake_head", "stop")
#: Below this the head counts as straight ahead or as not moved: half of the last digit that is spoken.
_SMALLEST_DEGREES = 0.5


@dataclass(frozen=True)
class Axis:
    """How an argument in degrees becomes an angle of a joint."""

    argument: str
    factor: float
    default: float  # degrees; NaN leaves the joint alone when the argument is missing

    @classmethod
    def read(cls, owner: str, entry: Json) -> Axis:
        """Read it from the tool file. Raises ConfigurationError."""
        try:
            known = {"argument", "factor", "default"}
            if unknown := set(entry) - known:
                raise ConfigurationError(f"{owner}: unknown keys {', '.join(sorted(unknown))}")
            return cls(str(entry["argument"]), float(entry["factor"]), float(entry.get("default", math.nan)))
        except (KeyError, TypeError, ValueError) as exc:
            raise ConfigurationError(f"{owner} needs `argument` and a number `factor`: {entry}") from exc

    def angle(self, arguments: Mapping[str, Json]) -> float:
        """The angle in rad."""
        return math.radians(self.factor * float(arguments.get(self.argument, self.default)))


class HeadMotion:
    """A binding that moves the head."""

    words: Mapping[str, frozenset[str]] = {
        **dict.fromkeys(("done", "limited", "at_limit"), frozenset({"moved", "position"})),
        "failed": frozenset({"reason"}),
    }

    def __init__(self, head: Head, motion: str, pan: Axis | None, tilt: Axis | None) -> None:
        self._head = head
        self._motion = motion
        self._pan = pan
        self._tilt = tilt

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Begin the motion; the outcome tells what was really applied."""
        move = self._head.move(
            self._motion,
            self._pan.angle(arguments) if self._pan else math.nan,
            self._tilt.angle(arguments) if self._tilt else math.nan,
            append,
        )
        moved = max(abs(math.degrees(move.pan_change)), abs(math.degrees(move.tilt_change)))
        limited = move.pan_limited or move.tilt_limited
        return Outcome(
            kind="done" if not limited else "limited" if moved >= _SMALLEST_DEGREES else "at_limit",
            data={**_degrees(move.pan, move.tilt), "moved_degrees": round(moved, 1), "limited": limited},
            words={"moved": _amount(math.radians(moved)), "position": describe(move)},
        )


class HeadPosition:
    """A binding that tells where the head is."""

    words: Mapping[str, frozenset[str]] = {"done": frozenset({"position"}), "failed": frozenset({"reason"})}

    def __init__(self, head: Head) -> None:
        self._head = head

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """Ask the head."""
        pan, tilt = self._head.position()
        return Outcome(data=_degrees(pan, tilt), words={"position": describe_angles(pan, tilt)})


def make_head_binding(tool: str, entry: Mapping[str, Json], head: Head) -> HeadMotion | HeadPosition:
    """Make the binding ``{head: MOTION, pan: …, tilt: …}``. Raises ConfigurationError."""
    motion = entry["head"]
    if unknown := set(entry) - {"head", "pan", "tilt"}:
        raise ConfigurationError(f"the binding of {tool} has unknown keys: {', '.join(sorted(unknown))}")
    axes = {name: Axis.read(f"{name} of {tool}", entry[name]) for name in ("pan", "tilt") if name in entry}
    if motion == "position" and not axes:
        return HeadPosition(head)
    if (motion in _GESTURES and not axes) or (motion in ("relative", "absolute") and axes):
        return HeadMotion(head, motion, axes.get("pan"), axes.get("tilt"))
    raise ConfigurationError(
        f"the binding of {tool} is wrong: `head` is relative or absolute with pan or tilt, "
        f"or without them position, {', '.join(_GESTURES)}"
    )


def describe(move: HeadMove) -> str:
    """Where a motion ends, in words."""
    return describe_angles(move.pan, move.tilt)


def describe_angles(pan: float, tilt: float) -> str:
    """A direction (rad) in words: "thirty degrees to the left and ten degrees up"."""
    parts = []
    if abs(math.degrees(pan)) >= _SMALLEST_DEGREES:
        parts.append(f"{_amount(pan)} to the {'left' if pan > 0 else 'right'}")
    if abs(math.degrees(tilt)) >= _SMALLEST_DEGREES:
        parts.append(f"{_amount(tilt)} {'down' if tilt > 0 else 'up'}")
    return " and ".join(parts) or "straight ahead"


def _amount(angle: float) -> str:
    degrees = round(abs(math.degrees(angle)), 1)
    return f"{spell(degrees)} degree{'' if degrees == 1 else 's'}"


def _degrees(pan: float, tilt: float) -> dict[str, float]:
    return {"pan_degrees": round(math.degrees(pan), 1), "tilt_degrees": round(math.degrees(tilt), 1)}
