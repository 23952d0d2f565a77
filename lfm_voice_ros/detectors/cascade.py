"""Asks cheap detectors first, and a bigger one only when they disagree or are unsure."""

from __future__ import annotations

from dataclasses import replace

from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.tool_calls import same_calls
from lfm_voice_ros.core.types import ToolDecision


class Cascade:
    """A Detector of core/ports.py. A decision names who answered: "auto: keywords"."""

    name = "auto"

    def __init__(self, patterns: Detector, classifier: Detector, bigger: Detector, sure: float, trusted: float) -> None:
        """``patterns`` find calls precisely but not all of them; ``classifier`` says how sure it is.

        Where both agree and the classifier is at least ``sure`` (a probability), or both found the same calls, that is
        the answer. Otherwise ``bigger`` is asked, and two of three decide. When all three differ, calls by patterns
        count, and else those of the bigger one if it is at least ``trusted``.
        """
        self._patterns = patterns
        self._classifier = classifier
        self._bigger = bigger
        self._sure = sure
        self._trusted = trusted

    def detect(self, text: str) -> ToolDecision:
        """Give the calls that ``text`` asks for. Raises ResourceError when a detector's model fails."""
        found, guessed = self._patterns.detect(text), self._classifier.detect(text)
        agreed = same_calls(found.calls, guessed.calls)
        if agreed and (found.calls or guessed.confidence >= self._sure):
            return _by(found, guessed.confidence)
        third = self._bigger.detect(text)
        if same_calls(third.calls, found.calls):
            return _by(found if found.calls else third, max(guessed.confidence, third.confidence))
        if same_calls(third.calls, guessed.calls):
            return _by(third, third.confidence)
        if found.calls:
            return _by(found, guessed.confidence)
        if agreed and third.confidence < self._trusted:
            return _by(guessed, guessed.confidence)
        if third.confidence >= self._trusted:
            return _by(third, third.confidence)
        return replace(_by(third, 1.0 - third.confidence), calls=())


def _by(decision: ToolDecision, confidence: float) -> ToolDecision:
    return replace(decision, detector=f"{Cascade.name}: {decision.detector}", confidence=confidence)
