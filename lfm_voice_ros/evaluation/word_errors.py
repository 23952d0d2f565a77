"""How far what was heard is from what was said, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lfm_voice_ros.core import numbers

_SEED = 1  # the same figures give the same interval
_DRAWS = 4000


def words(text: str) -> list[str]:
    """Give the words of a text as they count: in small letters, without punctuation, numbers in digits."""
    text = text.lower().replace("°", " degrees").replace("%", " percent").replace("-", " ").replace("’", "'")
    text = numbers.digits(text)
    found = "".join(character if character.isalnum() or character in ".'" else " " for character in text).split()
    return [word for word in (one.strip(".'") for one in found) if word]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Give how many words must be put in, left out or replaced to come from one to the other (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for left_out, one in enumerate(said, start=1):
        before, row[0] = row[0], left_out
        for index, other in enumerate(heard, start=1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (one != other))
    return row[-1]


def interval(errors: Sequence[int], lengths: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of errors a word, by drawing recordings anew (bootstrap).

    ``errors`` of each recording, which may be differences of two ways, and its ``lengths`` in words. NaN of none.
    """
    if not errors:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(_SEED).integers(len(errors), size=(_DRAWS, len(errors)))
    rates = np.asarray(errors)[drawn].sum(axis=1) / np.maximum(1, np.asarray(lengths)[drawn].sum(axis=1))
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)
