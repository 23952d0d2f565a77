"""What is shown above and beside the head: the words that were heard and said, and where a command will turn it.

Positions are in m in the frame of the head's foot (x forward, y left, z up), angles in rad with the signs of REP-103.
Times are seconds on one clock of the caller's. Called from one thread.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from dataclasses import dataclass

from lfm_voice_ros.core.settings import MarkersSettings

Point = tuple[float, float, float]
Color = tuple[float, float, float, float]  # red, green, blue, alpha

HEARD, SAID, COMMAND = "heard", "said", "command"

_PERSON: Color = (0.55, 0.80, 1.0, 1.0)
_ROBOT: Color = (1.0, 0.72, 0.35, 1.0)
_ARROW: Color = (1.0, 0.45, 0.1, 0.9)
_MOST_LINES = 4
#: rad; as near as this the head counts as being where it was told to go, as for pan_tilt.
_SETTLED = 0.05
#: m between the tip of the arrow and its label.
_LABEL_GAP = 0.04
#: RViz draws a line of text twice as high as its capitals, and leaves this many m between two lines.
_LINE_GAP = 0.01
#: RViz draws one glyph for each byte: only ASCII comes out right.
_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "°": " deg", "ß": "ss"}
)


@dataclass(frozen=True)
class Label:
    """A text that faces the viewer; its middle is at ``position``."""

    namespace: str
    number: int
    text: str
    position: Point
    size: float  # m, height of a capital
    color: Color


@dataclass(frozen=True)
class Arrow:
    """An arrow between two points."""

    namespace: str
    number: int
    start: Point
    end: Point
    color: Color


@dataclass(frozen=True)
class _Said:
    text: str
    at: float


class Board:
    """Remembers what was heard, said and commanded, and gives what of it is to be seen now."""

    def __init__(self, settings: MarkersSettings) -> None:
        """Take sizes and places from the settings."""
        self._settings = settings
        self._heard: _Said | None = None
        self._said: _Said | None = None
        self._command: tuple[float, float] | None = None

    def heard(self, text: str, confidence: float, rejection: str, now: float) -> None:
        """Take a transcript; one without text shows why there is none."""
        shown = f'"{text}" ({100.0 * confidence:.0f} %)' if text else f"({rejection or 'nothing understood'})"
        self._heard = _Said(f"heard: {shown}", now)

    def said(self, text: str, now: float) -> None:
        """Take a reply; an empty one changes nothing."""
        if text:
            self._said = _Said(f'said: "{text}"', now)

    def head(self, position: tuple[float, float], target: tuple[float, float], moving: bool, stale: bool) -> None:
        """Take the head's state, as (pan, tilt). A target that isn't reached is pending; a stale head has none."""
        known = all(map(math.isfinite, (*position, *target)))
        reached = known and max(abs(position[0] - target[0]), abs(position[1] - target[1])) <= _SETTLED
        self._command = target if known and not stale and (moving or not reached) else None

    def marks(self, now: float) -> list[Label | Arrow]:
        """Give what is to be seen, from the bottom up."""
        settings = self._settings
        shown: list[Label | Arrow] = []
        if self._command is not None:
            pan, tilt = self._command
            start = (0.0, 0.0, settings.axis_height)
            ahead = direction(pan, tilt)
            shown.append(Arrow(COMMAND, 0, start, _along(start, ahead, settings.arrow_length), _ARROW))
            text = f"pan {math.degrees(pan):+.0f} deg, tilt {math.degrees(tilt):+.0f} deg"
            place = _along(start, ahead, settings.arrow_length + _LABEL_GAP)
            shown.append(Label(COMMAND, 1, text, place, settings.text_size, _ARROW))
        bottom = settings.text_above
        for namespace, what, color in ((SAID, self._said, _ROBOT), (HEARD, self._heard, _PERSON)):
            if what is None or not 0.0 <= now - what.at < settings.lifetime:
                continue
            text = wrapped(what.text, settings.text_width)
            lines = text.count("\n") + 1
            height = lines * 2.0 * settings.text_size + (lines - 1) * _LINE_GAP
            shown.append(Label(namespace, 0, text, (0.0, 0.0, bottom + height / 2), settings.text_size, color))
            bottom += height + settings.text_size
        return shown


def direction(pan: float, tilt: float) -> Point:
    """Give the unit vector in which a head looks that is turned by ``pan`` to the left and ``tilt`` down."""
    return math.cos(pan) * math.cos(tilt), math.sin(pan) * math.cos(tilt), -math.sin(tilt)


def wrapped(text: str, width: int) -> str:
    """Give a text in ASCII, in at most four lines of ``width`` letters; what is longer ends in three dots."""
    return "\n".join(
        textwrap.wrap(_ascii(text), width, max_lines=_MOST_LINES, placeholder=" ...", break_on_hyphens=False)
    )


def _ascii(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c))


def _along(start: Point, ahead: Point, length: float) -> Point:
    return start[0] + length * ahead[0], start[1] + length * ahead[1], start[2] + length * ahead[2]
