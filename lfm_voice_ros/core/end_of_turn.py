"""Whether a person has ended: what the words so far say of the silence that follows them, and how long to wait then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from lfm_voice_ros.core import english
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import ToolCall, Transcript

_MISHEARD = 0.72  # confidence below which words are more likely wrong than not
#: Confidence of the last word below which Whisper may have made it up to end a sentence that was broken off.
_INVENTED = 0.65
_SCALES = {"cautious": 1.5, "balanced": 1.0, "quick": 0.8}


class Ending(IntEnum):
    """What the words say of the pause; the numbers are those of msg/EndOfTurn.msg."""

    UNCLEAR = 0
    COMPLETE = 1
    UNFINISHED = 2


@dataclass(frozen=True)
class Windows:
    """How long a silence ends an utterance, in s."""

    silent: float  # whose words nobody looks at
    complete: float
    unclear: float
    unfinished: float

    @classmethod
    def of(cls, settings: AudioCaptureSettings) -> Windows:
        """Read them from the settings. Raises ConfigurationError for those that don't fit together."""
        silent, complete = settings.silence_window, settings.complete_window
        unclear, unfinished = settings.unclear_window, settings.unfinished_window
        if not complete <= unclear <= unfinished:
            raise ConfigurationError(
                f"unclear_window ({unclear}) must lie between complete_window ({complete}) and unfinished_window "
                f"({unfinished})"
            )
        if settings.endpointing == "fixed":
            windows = cls(silent, silent, silent, silent)
        else:
            scale = _SCALES[settings.endpointing]
            windows = cls(silent * scale, complete * scale, unclear * scale, unfinished * scale)
        if settings.draft_silence >= min(windows.silent, windows.unclear):
            raise ConfigurationError(
                f"draft_silence ({settings.draft_silence}) must be below the silences that end an utterance "
                f"(with endpointing {settings.endpointing} {windows.silent:g} s, silence_window, and "
                f"{windows.unclear:g} s, unclear_window)"
            )
        return windows

    def seconds(self, ending: Ending | None) -> float:
        """How long to wait at such a pause; None is one whose words nobody looks at."""
        return {
            None: self.silent,
            Ending.COMPLETE: self.complete,
            Ending.UNCLEAR: self.unclear,
            Ending.UNFINISHED: self.unfinished,
        }[ending]


def judge(transcript: Transcript, calls: Sequence[ToolCall]) -> Ending:
    """Take a draft and the calls that were found in it; give what it says of the pause after it.

    What was not understood would have no answer, so that the person is waited for. Of another language than English
    only the calls say something. A recognizer completes what was broken off ("I can't find my" becomes "I can't find
    mine"), but isn't sure of the word with which it does: then what looks complete is unclear, and what is unclear
    unfinished.
    """
    ending = _of_words(transcript, calls)
    if transcript.end_confidence >= _INVENTED:
        return ending
    return Ending.UNCLEAR if ending is Ending.COMPLETE else Ending.UNFINISHED


def _of_words(transcript: Transcript, calls: Sequence[ToolCall]) -> Ending:
    if transcript.failed:
        return Ending.UNCLEAR
    words = _words(transcript.text)
    if transcript.language not in ("en", ""):
        return Ending.COMPLETE if calls else Ending.UNCLEAR
    if not words or _TRAILS.search(transcript.text) or _goes_on(words):
        return Ending.UNFINISHED
    sentence = " ".join(words)
    if calls:
        return Ending.COMPLETE if _all_commands(words) else Ending.UNFINISHED
    if sentence in english.PHRASES or english.QUESTION.fullmatch(sentence):
        return Ending.COMPLETE
    if transcript.confidence < _MISHEARD or _lacks_something(words):
        return Ending.UNFINISHED
    return Ending.UNCLEAR


#: What Whisper writes behind a sentence that was broken off.
_TRAILS = re.compile(r"(?:\.\.|…|[-–—,:;])\s*$")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'"))


def _is_number(word: str) -> bool:
    return word.isdigit() or word in english.NUMBERS


def _goes_on(words: list[str]) -> bool:
    """Whether the last words can't be the last ones, whatever was asked for before them."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    asked = words[0] in english.QUESTION_WORDS
    if english.FILLERS.fullmatch(last) or last in english.DETERMINERS or last in english.SUBJECTS:
        return True
    if (
        last in english.STRANDED
        and asked
        and before in english.PRONOUNS | english.words("come looking talking thinking doing")
    ):
        return False
    if last in english.OPEN or (last in ("for", "in") and before not in ("come", "what")):
        return True
    if (
        len(words) == 2
        and before in ("what", "which", "how")
        and last not in english.PRONOUNS | english.words("about else")
    ):
        return True  # "what day"
    return _is_number(last) and bool(english.MOVES.intersection(words))


def _all_commands(words: list[str]) -> bool:
    """Whether what follows the last "and" or "then" can be a command, too."""
    last = max((at for at, word in enumerate(words) if word in ("and", "then")), default=-1)
    return last < 0 or bool(english.OF_COMMANDS.intersection(words[last + 1 :]))


def _lacks_something(words: list[str]) -> bool:
    """Whether a sentence in which no call was found misses a part."""
    while len(words) > 1 and words[0] in english.POLITE:
        words = words[1:]
    while len(words) > 1 and words[-1] in ("please", "robot"):
        words = words[:-1]
    if words[0] in ("can", "could", "would", "will") and words[1:2] == ["you"] and words[2:]:
        words = words[3:] if words[2] == "please" and words[3:] else words[2:]
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if " ".join(words) in english.BEFORE or (
        len(words) == 1 and (last in english.OPENERS or last in english.QUESTION_WORDS)
    ):
        return True
    if (
        last in english.QUESTION_WORDS
        or last in english.TRANSITIVE
        or (last in english.ADJECTIVES and before in english.DETERMINERS)
    ):
        return True
    if before == "how" or (last in ("many", "much", "long", "far") and before in ("so", "too", "how")):
        return True
    if last in english.AUXILIARIES and not (before in english.PRONOUNS and english.QUESTION_WORDS.intersection(words)):
        return True
    if last in ("any", "ever") and words[0] in english.AUXILIARIES:
        return True  # "do you have any", "have you ever"
    if last == "you" and before in english.AUXILIARIES | english.words("need want"):
        return True
    if len(words) == 2 and before in english.AUXILIARIES and last in english.PRONOUNS:
        return True
    if (last in english.words("you me us him her them") and before in english.GIVING) or (
        last in english.POINTING and before not in english.AT
    ):
        return True
    if _is_number(last) and not english.BEFORE_NUMBER.intersection(words[2:-1]):
        return True
    if words[0] in english.MOVES:
        return True  # a command, but none that was understood
    verbs = sum(word in english.VERBS for word in words)
    if (
        words[0] in english.QUESTION_WORDS
        and verbs < 2
        and (words[0] == "why" or english.words("do does did").intersection(words))
    ):
        return True  # "why is the sky", "when does the next train"
    if words[0] in english.SUBORDINATE and not (words[0] == "when" and words[1:2] and words[1] in english.AUXILIARIES):
        return verbs < (1 if words[1:2] == ["of"] else 2)
    return (
        verbs == 0 and len(words) > 1 and words[0] in english.DETERMINERS | english.words("these those in on at last")
    )
