"""Brings a transcript into the form that patterns and the classifier read: no hesitations, numbers in digits."""

from __future__ import annotations

import re

from lfm_voice_ros.core import numbers
from lfm_voice_ros.detectors.pattern_file import PatternFile
from lfm_voice_ros.detectors.sentences import clean


def plain(text: str, patterns: PatternFile) -> str:
    """Give the text without hesitations, with known misheard words put right and numbers in digits."""
    text = re.sub(rf"\s*,?\s*{patterns.fillers.pattern},?", " ", clean(text), flags=re.IGNORECASE)
    for expression, replacement in patterns.words:
        text = expression.sub(replacement, text)
    return " ".join(numbers.digits(text).split())


def without_openers(text: str, patterns: PatternFile) -> str:
    """Take off "okay robot", "so", "please" and the like, as long as there are any."""
    return text[matched_length(patterns.opener, text) :]


def matched_length(expression: re.Pattern[str], text: str) -> int:
    """Where the matches at the beginning of ``text``, one after the other, end."""
    at = 0
    while (match := expression.match(text, at)) and match.end() > at:
        at = match.end()
    return at
