"""Numbers as people say them, in both directions: "twenty-five" to 25, and 12.5 to "twelve point five"."""

from __future__ import annotations

import re

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_SMALL = {word: number for number, word in enumerate(_UNITS + _TEENS)}
_LARGE = {word: 10 * number for number, word in enumerate(_TENS, start=2)} | {"fourty": 40}

_unit = "(?:" + "|".join(_UNITS[1:]) + ")"
_tens = "(?:" + "|".join(_LARGE) + ")"
_below_hundred = rf"(?:{_tens}(?:[\s-]+{_unit})?|{'|'.join((*_TEENS[::-1], *_UNITS))})"
_word = (
    rf"(?:(?:an?|{_unit})[\s-]+hundred(?:(?:[\s-]+and)?[\s-]+{_below_hundred})?"  # a hundred and ten
    rf"|{_unit}[\s-]+{_tens}(?:[\s-]+{_unit})?"  # one eighty
    rf"|{_below_hundred})"
)
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w.])(?:minus|negative)\s+|(?<![\w.°-])[-−](?=[\d.]))?"
    r"(?<![\w.])"
    rf"(?:(?P<digits>\d{{1,6}}(?:\.\d{{1,6}})?)(?![\d.]*\d)|(?P<words>{_word})\b)"
    rf"(?:\s+point\s+(?P<decimals>(?:{'|'.join(_UNITS)}|\d)(?:\s+(?:{'|'.join(_UNITS)}|\d)\b)*)\b"
    r"|\s+and\s+a\s+(?P<fraction>half|quarter)\b)?",
    re.IGNORECASE,
)
_FRACTIONS = {"half": 0.5, "quarter": 0.25}


def digits(text: str) -> str:
    """Write every number in ``text`` in digits: "minus ten, a hundred and ten" becomes "-10, 110".

    Numbers that are in digits already stay; the rest of the text is not touched. Never raises.
    """
    return _NUMBER.sub(lambda match: _plain(_value(match)), text)


def parse(text: str) -> float | None:
    """Give the number that ``text`` is, in words or digits, or None when it is anything else."""
    match = _NUMBER.fullmatch(text.strip())
    return None if match is None else _value(match)


def spell(value: float) -> str:
    """Give a number as it is spoken: 30.0 is "thirty", -12.54 is "minus twelve point five".

    Rounds to one decimal. From 1000 on the digits are left to the voice. Raises ValueError for NaN and infinity.
    """
    tenths = round(abs(value) * 10)
    whole, decimal = divmod(tenths, 10)
    words = _spell_whole(whole) + (f" point {_UNITS[decimal]}" if decimal else "")
    return f"minus {words}" if value < 0 and tenths else words


def _spell_whole(number: int) -> str:
    if number >= 1000:
        return str(number)
    if number >= 100:
        rest = f" and {_spell_whole(number % 100)}" if number % 100 else ""
        return f"{_UNITS[number // 100]} hundred{rest}"
    if number >= 20:
        rest = f"-{_UNITS[number % 10]}" if number % 10 else ""
        return _TENS[number // 10 - 2] + rest
    return (_UNITS + _TEENS)[number]


def _value(match: re.Match[str]) -> float:
    value = float(match["digits"]) if match["digits"] else float(_value_of_words(match["words"]))
    if match["decimals"]:
        spoken = [str(_SMALL.get(word.lower(), word)) for word in match["decimals"].split()]
        value = float(f"{value:.0f}.{''.join(spoken)}")
    if match["fraction"]:
        value += _FRACTIONS[match["fraction"].lower()]
    return -value if match["sign"] else value


def _value_of_words(words: str) -> int:
    total = 0
    for word in re.split(r"[\s-]+", words.lower()):
        if word == "hundred":
            total = max(total, 1) * 100
        elif word in _LARGE:
            total = (total * 100 if 0 < total < 10 else total) + _LARGE[word]
        else:
            total += _SMALL.get(word, 0)
    return total


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
