"""What of a text can be spoken."""

from __future__ import annotations

import unicodedata


def speakable(text: str) -> str:
    """The text without control characters, lone surrogates and the [[ ]] by which espeak marks phonemes.

    Empty when no letter and no digit is left.
    """
    clean = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text)
    clean = clean.replace("[[", " ").replace("]]", " ").strip()
    return clean if any(c.isalnum() for c in clean) else ""
