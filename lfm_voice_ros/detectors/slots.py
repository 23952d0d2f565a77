"""Fills the arguments of a call from the words of a sentence; shared by the detectors that read patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lfm_voice_ros.core.types import Json
from lfm_voice_ros.detectors.pattern_file import PatternFile

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SIGNS: Mapping[str, tuple[str, float]] = {
    "left": ("pan_degrees", 1.0),
    "right": ("pan_degrees", -1.0),
    "down": ("tilt_degrees", 1.0),
    "up": ("tilt_degrees", -1.0),
    "pan": ("pan_degrees", 1.0),
    "tilt": ("tilt_degrees", 1.0),
}
_TOWARDS = {"upwards": "up", "upward": "up", "downwards": "down", "downward": "down"}
_UNIT = r"(?: ?(?:°|degrees?|degs?))?"
#: "30 degrees to the left", "pan to -20", "left 30": a number and the side it belongs to.
_AIMED = re.compile(
    rf"(?P<axis>pan|tilt)\b[^\d-]{{0,24}}?(?P<axis_number>-?\d+(?:\.\d+)?)"
    rf"|(?P<before>-?\d+(?:\.\d+)?){_UNIT} (?:(?:to|toward|towards|the|your|on|over|of) ){{0,3}}"
    r"(?P<after_side>left|right|up|down)(?:wards?)?\b"
    rf"|\b(?P<side>left|right|up|down)(?:wards?)?(?: (?:by|about|to|at))* (?P<side_number>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)


class Slots:
    """Reads amounts, angles and places. Takes texts with numbers in digits (core/numbers.py). Holds no state."""

    def __init__(self, patterns: PatternFile) -> None:
        self._amounts = patterns.amounts
        self._vague = re.compile(
            "|".join(rf"(?<!\w)(?:{expression.pattern})(?!\w)" for expression, _ in patterns.amounts), re.IGNORECASE
        )
        self._place = re.compile(rf"\bin\s+(?:the city of )?(?P<place>{patterns.place})", re.IGNORECASE)

    def degrees(self, text: str) -> float | None:
        """Give the degrees of an amount, "about 10 degrees" or "a bit"; None for another wording."""
        if number := _NUMBER.search(text):
            return float(number[0])
        words = text.split()
        # What stands before a vague amount is an adverb, as in "maybe a bit".
        for first in range(len(words)):
            for expression, degrees in self._amounts:
                if expression.fullmatch(" ".join(words[first:])):
                    return degrees
        return None

    def arguments(self, text: str, schema: Mapping[str, Any]) -> dict[str, Json]:
        """Fill what the JSON ``schema`` of a tool has and ``text`` says: degrees, pan and tilt degrees, a location."""
        properties = schema.get("properties", {})
        found: dict[str, Json] = {}
        if "degrees" in properties and (degrees := self._amount(text)) is not None:
            found["degrees"] = degrees
        if "pan_degrees" in properties or "tilt_degrees" in properties:
            found.update((name, value) for name, value in _angles(text) if name in properties)
        if "location" in properties and (places := [match["place"] for match in self._place.finditer(text)]):
            found["location"] = places[-1].rstrip(" .,?!'-")
        return found

    def _amount(self, text: str) -> float | None:
        if number := _NUMBER.search(text):
            return abs(float(number[0]))
        vague = self._vague.search(text)
        return self.degrees(vague[0]) if vague else None


def _angles(text: str) -> list[tuple[str, float]]:
    found = []
    for match in _AIMED.finditer(text):
        side = next(word for word in (match["axis"], match["after_side"], match["side"]) if word).lower()
        number = float(next(n for n in (match["axis_number"], match["before"], match["side_number"]) if n))
        name, sign = _SIGNS[_TOWARDS.get(side, side)]
        found.append((name, sign * number + 0.0))
    return found
