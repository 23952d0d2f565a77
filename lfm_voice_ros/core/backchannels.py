"""Words by which a listener says that the other may go on: "mhm", "yeah", "okay"."""

from __future__ import annotations

import re

#: Sounds and words that a listener makes without taking the turn. None of them is a command or a refusal.
_WORDS = frozenset(
    (
        *("uhhuh", "aha", "ah", "aah", "oh", "ooh", "uh", "uhm", "um", "er", "huh"),
        *("yeah", "yea", "yep", "yup", "yes", "ok", "okay", "kay", "alright", "right"),
        *("sure", "good", "great", "nice", "cool", "wow", "really", "indeed", "exactly", "true", "fine", "gotcha"),
        *("interesting", "wonderful"),
    )
)
_PHRASES = frozenset(("i see", "all right", "of course", "got it", "go on", "uh huh", "i know", "oh really"))
_HUM = re.compile("[mh]+")  # "mhm", "hmm", and "M-H-M", as Whisper spells it
_MOST = 4  # words, beyond which somebody says something


def is_backchannel(text: str) -> bool:
    """Whether all of a transcript is such words; not when it is empty, and not with a question mark or many words."""
    words = re.findall(r"[a-z']+", re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text.lower()))
    if not words or len(words) > _MOST or "?" in text or re.search(r"\d", text):
        return False
    at = 0
    while at < len(words):
        if " ".join(words[at : at + 2]) in _PHRASES:
            at += 2
        elif words[at] in _WORDS or _HUM.fullmatch(words[at]):
            at += 1
        else:
            return False
    return True
