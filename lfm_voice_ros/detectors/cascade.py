"""Asks cheap detectors first, and a bigger one only when they disagree or are unsure."""

from __future__ import annotations

from dataclasses import replace

from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.types import ToolDecision


class Cascade:
    """A Detector of core/ports.py. A decision names who answered: "auto: keywords"."""

    name = "auto"

    def __init__(self, patterns: Detector, classifier: Detector, bigger: Detector, sure: float, doubt: float) -> None:
        """Calls that ``patterns`` find count at once: a pattern accounts for every word of a command.

        Where they find none, the ``classifier`` is believed that no tool is meant when it is at least ``sure`` (a
        probability). Otherwise ``bigger`` is asked: what both call counts, and what one of them calls counts when it is
        sure, the bigger one only against a classifier that is at most ``doubt`` sure of the contrary.
        """
        self._patterns = patterns
        self._classifier = classifier
        self._bigger = bigger
        self._sure = sure
        self._doubt = doubt

    def detect(self, text: str) -> ToolDecision:
        """Give the calls that ``text`` asks for. Raises ResourceError when a detector's model fails."""
        found = self._patterns.detect(text)
        if found.calls:
            return _by(found)
        guessed = self._classifier.detect(text)
        if not guessed.calls and guessed.confidence >= self._sure:
            return _by(guessed)
        third = self._bigger.detect(text)
        if _names(third) == _names(guessed):
            # The classifier's arguments are read from the words by patterns; those of several calls are less certain.
            return _by(guessed if len(guessed.calls) == 1 else third)
        if not third.calls:
            return _by(guessed if guessed.confidence >= self._sure else third)
        if third.confidence >= self._sure and (guessed.calls or guessed.confidence <= self._doubt):
            return _by(third)
        return _by(replace(third, calls=(), confidence=1.0 - third.confidence) if guessed.calls else guessed)


def _by(decision: ToolDecision) -> ToolDecision:
    return replace(decision, detector=f"{Cascade.name}: {decision.detector}")


def _names(decision: ToolDecision) -> list[str]:
    return [call.name for call in decision.calls]
