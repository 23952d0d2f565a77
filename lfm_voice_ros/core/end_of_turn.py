"""Whether a person has ended: what the words so far say of the silence that follows them, and how long to wait then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import ToolCall, Transcript

_MISHEARD = 0.72  # confidence below which words are more likely wrong than not
_SCALES = {"cautious": 1.5, "balanced": 1.0, "quick": 0.8}


class Ending(IntEnum):
    """What the words say of the pause; the numbers are those of msg/EndOfTurn.msg."""

    UNCLEAR = 0
    COMPLETE = 1
    UNFINISHED = 2


@dataclass(frozen=True)
class Windows:
    """How long a silence ends an utterance, in s."""

    complete: float
    unclear: float
    unfinished: float

    @classmethod
    def of(cls, settings: AudioCaptureSettings) -> Windows:
        """Read them from the settings. Raises ConfigurationError for those that don't fit together."""
        complete, unclear, unfinished = (
            settings.complete_window,
            settings.silence_window,
            settings.unfinished_window,
        )
        if not complete <= unclear <= unfinished:
            raise ConfigurationError(
                f"silence_window ({unclear}) must lie between complete_window ({complete}) and unfinished_window "
                f"({unfinished})"
            )
        if settings.endpointing == "fixed":
            windows = cls(unclear, unclear, unclear)
        else:
            scale = _SCALES[settings.endpointing]
            windows = cls(complete * scale, unclear * scale, unfinished * scale)
        if settings.draft_silence >= windows.unclear:
            raise ConfigurationError(
                f"draft_silence ({settings.draft_silence}) must be below the silence that ends an utterance "
                f"({windows.unclear:g} s: silence_window, with endpointing {settings.endpointing})"
            )
        return windows

    def seconds(self, ending: Ending) -> float:
        """How long to wait at such a pause."""
        return {
            Ending.COMPLETE: self.complete,
            Ending.UNCLEAR: self.unclear,
            Ending.UNFINISHED: self.unfinished,
        }[ending]


def judge(transcript: Transcript, calls: Sequence[ToolCall]) -> Ending:
    """Take a draft and the calls that were found in it; give what it says of the pause after it.

    What was not understood would have no answer, so that the person is waited for. Of another language than English only
    the calls say something.
    """
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
    if sentence in _PHRASES or _QUESTION.fullmatch(sentence):
        return Ending.COMPLETE
    if transcript.confidence < _MISHEARD or _lacks_something(words):
        return Ending.UNFINISHED
    return Ending.UNCLEAR


#: What Whisper writes behind a sentence that was broken off.
_TRAILS = re.compile(r"(?:\.\.|…|[-–—,:;])\s*$")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FILLERS = re.compile(r"u+[hm]+|e+r+m?|h+m+|mm+|a+h+|eh")
_NUMBERS = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half"
)
#: A number that ends a sentence: "seven times eight", "it starts at nine".
_BEFORE_NUMBER = _set("times plus minus divided by at number until is")
_DETERMINERS = _set("the a an my your our their its every another each whose")
_SUBJECTS = _set("i we he she they")
_PRONOUNS = _SUBJECTS | _set("you it this that there")
_AUXILIARIES = _set(
    "is are was were am be been can could will would shall should may might must do does did has have had isn't aren't "
    "wasn't don't doesn't didn't can't couldn't won't wouldn't i'm you're he's she's it's we're they're that's there's "
    "what's who's where's how's i've you've we've they've i'll you'll he'll she'll it'll we'll they'll i'd you'd he'd "
    "she'd we'd they'd let's let"
)
#: No sentence ends with these, whatever stands before.
_OPEN = _set(
    "and or but then because if whether although though while unless until than as of to into onto towards toward from "
    "by at with without during between against upon per very really quite too extremely almost usually always rather "
    "such which other same first next both either neither nearly about couple kind sort piece cup glass bottle pair"
) | _set(
    "i'm you're he's we're they're i've you've we've they've i'll you'll he'll she'll it'll we'll they'll i'd you'd he'd she'd we'd they'd let's lets"
)
#: These end questions about the place, the thing or the person: "where are you from".
_STRANDED = _set("from at with about to of for in on")
_QUESTION_WORDS = _set("what who where when why how which whose")
#: A verb that something must follow, in a command or a statement.
_TRANSITIVE = _set(
    "want wants need needs like likes love loves have has had tell tells give gives show shows say says said make makes "
    "take takes put puts get gets bring brings turn look move set point tilt pan rotate swivel shake raise lift lower "
    "face lost find found told gave made ordered think thinks believe believes wonder sing wrote writes call called"
)
_VERBS = (
    _TRANSITIVE
    | _AUXILIARIES
    | _set(
        "go goes went gone come comes came see sees saw seen know knows knew live lives lived work works worked stop nod "
        "center stay stays eat drink drinks play plays played help helps talk talks read reads write run runs walk sleep "
        "sit stand start starts started feel feels felt meet met met use used try tried ask asked hear heard thank thanks "
        "watched watch bought buy sold left drove drive cooked cook changed change rain rains snow snows arrive arrives leave "
        "leaves open close closed begin began becomes became seem seems wait waits waited listen return glance built build "
        "hope hopes guess mean means happened happens starts speak speaks spoke teach taught learn learned broke broken cost costs weigh weighs"
    )
)
_ADJECTIVES = _set(
    "big small little large new old young good bad nice great long short high low red blue green white black yellow "
    "clever smart funny beautiful interesting important different whole last next best favourite favorite second third "
    "million other only main real clean dark warm cold hot happy sad early late own local current"
)
#: Commands to the head begin with these.
_MOVES = _set("turn move rotate tilt pan point swivel set look looks glance raise lift lower shake nod center")
#: Something is given to somebody: "show you" is followed by what.
_GIVING = _set("show tell give bring send buy ask")
#: "It's a pity that" goes on; "look at that" doesn't.
_POINTING = _set("this that these those")
_AT = _set("do did does is was are were about like at of with to in on for what say said know see all love hate")
_OF_COMMANDS = _MOVES | _set(
    "left right up down upwards downwards around back centre middle straight forward ahead degrees stop tell say what "
    "time date go face"
)
_POLITE = _set("please robot hey okay ok now so just kindly well hi hello and then first also maybe")
_OPENERS = _set(
    "well actually anyway maybe perhaps probably okay so now good hello hey hi robot please also then first honestly "
    "alright right basically"
)
_SUBORDINATE = _set("if because although while after before since unless instead when as though")
#: Said before a sentence.
_BEFORE = frozenset(
    (
        "let's see", "lets see", "let me see", "let me think", "to be honest", "you know", "i mean", "all right now",
        "okay now", "hey robot", "hello robot", "i need you", "i want you", "i would like you", "i'd like you",
        "by the way", "excuse me",
    )
)  # fmt: skip
#: Complete though short.
_PHRASES = frozenset(
    (
        "thank you", "thank you very much", "thanks", "thanks a lot", "many thanks", "good morning", "good night",
        "good evening", "good afternoon", "goodbye", "bye", "bye bye", "see you", "see you later", "yes please",
        "no thanks", "no thank you", "never mind", "help", "how are you doing",
    )
)  # fmt: skip
_QUESTION = re.compile(
    r"(?:how|who|where) are (?:you|they)"
    r"|how (?:old|tall|big|heavy|smart|fast) are you"
    r"|what(?: is|'s) your name|what can you do|where do you (?:live|come from)|where are you(?: from| looking)?"
    r"|(?:can you |could you |please )*tell me (?:a|another|the) joke|(?:can|do) you (?:hear|see) me"
)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'"))


def _is_number(word: str) -> bool:
    return word.isdigit() or word in _NUMBERS


def _goes_on(words: list[str]) -> bool:
    """Whether the last words can't be the last ones, whatever was asked for before them."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    asked = words[0] in _QUESTION_WORDS
    if _FILLERS.fullmatch(last) or last in _DETERMINERS or last in _SUBJECTS:
        return True
    if last in _STRANDED and asked and before in _PRONOUNS | _set("come looking talking thinking doing"):
        return False
    if last in _OPEN or (last in ("for", "in") and before not in ("come", "what")):
        return True
    if len(words) == 2 and before in ("what", "which", "how") and last not in _PRONOUNS | _set("about else"):
        return True  # "what day"
    return _is_number(last) and bool(_MOVES.intersection(words))


def _all_commands(words: list[str]) -> bool:
    """Whether what follows the last "and" or "then" can be a command, too."""
    last = max((at for at, word in enumerate(words) if word in ("and", "then")), default=-1)
    return last < 0 or bool(_OF_COMMANDS.intersection(words[last + 1 :]))


def _lacks_something(words: list[str]) -> bool:
    """Whether a sentence in which no call was found misses a part."""
    while len(words) > 1 and words[0] in _POLITE:
        words = words[1:]
    while len(words) > 1 and words[-1] in ("please", "robot"):
        words = words[:-1]
    if words[0] in ("can", "could", "would", "will") and words[1:2] == ["you"] and words[2:]:
        words = words[3:] if words[2] == "please" and words[3:] else words[2:]
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if " ".join(words) in _BEFORE or (len(words) == 1 and (last in _OPENERS or last in _QUESTION_WORDS)):
        return True
    if last in _QUESTION_WORDS or last in _TRANSITIVE or (last in _ADJECTIVES and before in _DETERMINERS):
        return True
    if before == "how" or (last in ("many", "much", "long", "far") and before in ("so", "too", "how")):
        return True
    if last in _AUXILIARIES and not (before in _PRONOUNS and _QUESTION_WORDS.intersection(words)):
        return True
    if last == "you" and before in _AUXILIARIES | _set("need want"):
        return True
    if (last in _set("you me us him her them") and before in _GIVING) or (last in _POINTING and before not in _AT):
        return True
    if _is_number(last) and not _BEFORE_NUMBER.intersection(words[2:-1]):
        return True
    if words[0] in _MOVES:
        return True  # a command, but none that was understood
    verbs = sum(word in _VERBS for word in words)
    if words[0] in _QUESTION_WORDS and verbs < 2 and (words[0] == "why" or _set("do does did").intersection(words)):
        return True  # "why is the sky", "when does the next train"
    if words[0] in _SUBORDINATE and not (words[0] == "when" and words[1:2] and words[1] in _AUXILIARIES):
        return verbs < (1 if words[1:2] == ["of"] else 2)
    return verbs == 0 and len(words) > 1 and words[0] in _DETERMINERS | _set("these those in on at last")
