"""The tools that tell the time and the date."""

from __future__ import annotations

import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError, ToolError
from lfm_voice_ros.core.resources import read_yaml
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.tools.binding import Outcome

#: The time now in a zone; None is the robot's own.
Now = Callable[[tzinfo | None], datetime]


def now(zone: tzinfo | None) -> datetime:
    """The system's clock."""
    return datetime.now(zone) if zone else datetime.now().astimezone()


class Places:
    """Time zones by the names that people use."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        """``aliases``: spoken name to IANA zone. Raises ConfigurationError for a zone that there isn't."""
        zones = zoneinfo.available_timezones()
        if unknown := sorted(set(aliases.values()) - zones):
            raise ConfigurationError(f"places name time zones that don't exist: {', '.join(unknown)}")
        # America/New_York is known as "new york" and as "america new york"; sorted, so that the choice between two
        # zones of one city is always the same.
        self._zones: dict[str, str] = {}
        for zone in sorted(zones):
            self._zones.setdefault(_normalised(zone.rpartition("/")[2]), zone)
            self._zones[_normalised(zone)] = zone
        self._zones.update({_normalised(name): zone for name, zone in aliases.items()})

    @classmethod
    def from_file(cls, path: Path) -> Places:
        """Read the aliases. Raises ConfigurationError."""
        aliases = read_yaml(path)
        if not isinstance(aliases, dict) or not all(isinstance(item, str) for pair in aliases.items() for item in pair):
            raise ConfigurationError(f"{path} must map names of places to time zones")
        return cls(aliases)

    def zone(self, place: str) -> tzinfo:
        """The zone of a place, also of "Paris, France" or "Tokyo in Japan". Raises ToolError for an unknown one."""
        name = _normalised(place)
        candidates = [name, name.removeprefix("the "), _normalised(place.partition(",")[0]), name.partition(" in ")[0]]
        for candidate in candidates:
            if candidate in self._zones:
                return zoneinfo.ZoneInfo(self._zones[candidate])
        raise ToolError(f"I don't know the time zone of {place}")


class TimeOfDay:
    """A binding that tells the time."""

    words: Mapping[str, frozenset[str]] = {"done": frozenset({"time", "place"}), "failed": frozenset({"reason"})}

    def __init__(self, places: Places, now: Now) -> None:
        self._places = places
        self._now = now

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """The time here, or in ``location``."""
        place = arguments.get("location")
        moment = self._now(self._places.zone(place) if place else None)
        spoken = f"{moment.hour % 12 or 12}:{moment:%M} {'AM' if moment.hour < 12 else 'PM'}"
        return Outcome(
            data={"time": moment.isoformat(timespec="minutes"), **({"location": place} if place else {})},
            words={"time": spoken, "place": f" in {place}" if place else ""},
        )


class Date:
    """A binding that tells the date."""

    words: Mapping[str, frozenset[str]] = {"done": frozenset({"date"}), "failed": frozenset({"reason"})}

    def __init__(self, now: Now) -> None:
        self._now = now

    def run(self, arguments: Mapping[str, Json], append: bool, canceled: Callable[[], bool]) -> Outcome:
        """The date where the robot is."""
        moment = self._now(None)
        return Outcome(
            data={"date": moment.date().isoformat()}, words={"date": f"{moment:%A, %B} {moment.day}, {moment.year}"}
        )


def make_clock_binding(tool: str, entry: Mapping[str, Json], places: Places, now: Now) -> TimeOfDay | Date:
    """Make the binding ``{clock: time}`` or ``{clock: date}``. Raises ConfigurationError."""
    if entry == {"clock": "time"}:
        return TimeOfDay(places, now)
    if entry == {"clock": "date"}:
        return Date(now)
    raise ConfigurationError(f"the binding of {tool} is wrong: `clock` is time or date")


def _normalised(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    for mark in "_/-.,":
        plain = plain.replace(mark, " ")
    return " ".join(plain.split())
