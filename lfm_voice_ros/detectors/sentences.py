"""Cuts a transcript into sentences and clauses, without a word of its meaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_DEGREE_SIGNS = str.maketrans({"º": "°", "˚": "°"})
_APOSTROPHES = re.compile("[’‘ʼ`´]")
_DASHES = re.compile(r"\s[-–]+\s|\s?—+\s?|\s?–\s(?!\d)|…|\.{2,}")
_MINUS = re.compile("[−–](?=\\d)")
_QUOTES = re.compile(r"[\"“”«»„()\[\]{}*_~]|(?<!\w)'|'(?!\w)")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\ufeff]+")
_SENTENCE = re.compile(r"[^.!?]+(?:\.(?=\w)[^.!?]+)*[.!?]*")
_REPEATED = re.compile(r"\b(\w+)(?: \1\b)+", re.IGNORECASE)
_TAG = re.compile(r",\s*(?:right|okay|ok|yes|yeah|alright|huh)\s*\?+$", re.IGNORECASE)
_CONNECTORS = (
    r"(?:and|then|but|or|plus|before|after that|afterwards|followed by"
    r"|(?:when|once|as soon as) (?:that(?:'s| is)|you(?:'re| are)) (?:done|finished)"
    r"(?! (?!bring|swing)\w+ing\b| with\b))\b"
)
_JOINT = re.compile(
    rf"(?:\s*[,;:]\s*|\s+|^)(?:{_CONNECTORS}[\s,;:]*)+|\s*[,;:]+\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """A piece of a sentence, and the joint (", and then ") that ties it to the piece before."""

    joint: str
    text: str


def clean(text: str) -> str:
    """Give plain apostrophes, degree signs and single spaces, without quotes and control characters."""
    text = unicodedata.normalize("NFKC", text.translate(_DEGREE_SIGNS))
    text = _SPACES.sub(" ", _APOSTROPHES.sub("'", text))
    return _SPACES.sub(" ", _QUOTES.sub(" ", _MINUS.sub("-", _DASHES.sub(", ", text)))).strip()


def sentences(text: str) -> Iterator[str]:
    """Give the sentences of a clean text, without their full stops and without tags such as ", right?"."""
    for match in _SENTENCE.finditer(text):
        sentence = _TAG.sub("", match[0].strip()).rstrip(".!? ")
        if sentence:
            yield _REPEATED.sub(r"\1", sentence)


def clauses(sentence: str) -> list[Clause]:
    """Cut a sentence at its commas and at "and", "then", "but" and the like. Empty pieces are left out."""
    found: list[Clause] = []
    start, joint = 0, ""
    for match in _JOINT.finditer(sentence):
        if piece := sentence[start : match.start()].strip():
            found.append(Clause(joint, piece))
            joint = ""
        joint += match[0].lower()
        start = match.end()
    if piece := sentence[start:].strip():
        found.append(Clause(joint, piece))
    return found


def joined(pieces: Sequence[Clause]) -> Clause:
    """Put neighbouring clauses together again."""
    text = pieces[0].text + "".join(piece.joint + piece.text for piece in pieces[1:])
    return Clause(pieces[0].joint, text)
