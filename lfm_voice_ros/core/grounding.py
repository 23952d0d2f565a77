"""Keeps replies true: after tool calls they are made of the tools' own results; otherwise they may not claim an act."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lfm_voice_ros.core import numbers
from lfm_voice_ros.core.types import Reply, ToolResult

_VERBS = r"(?:look|turn|mov|pan|tilt|rotat|nod|shak|cent(?:e)?r|stop|fac|sweep|scan|rais|lower)\w*"
_DOING = r"(?:look|turn|mov|pann?|tilt|rotat|nodd|shak|center|stopp|fac|sweep|scann|rais|lower)ing"
_OPENERS = r"(?:(?:okay|ok|sure|alright|all right|of course|certainly|yes|done)[,.!]? )*"
#: "I can turn my head" tells an ability and "I would look" a wish, neither an act.
_POSSIBLE = r"(?:can|could|would|may|might|must|like|love|want|how|when|if|to|not|never)\b"
#: What only a tool can make true: "I am turning…", "I've moved…", a sentence that begins with "Looking left", a time.
_CLAIMS = re.compile(
    rf"\bI(?:['’](?:m|ll|ve))?\s+(?:(?!{_POSSIBLE})\w+\s+){{0,3}}?{_VERBS}\b"
    rf"|\bmy (?:head|camera|face|gaze) (?:(?!{_POSSIBLE})\w+ ){{0,2}}?{_VERBS}\b"
    rf"|(?:^|[.!?]\s+){_OPENERS}(?:now )?{_DOING}\b"
    r"|\b\d{1,2}[:.]\d{2}\b|\bo['’]clock\b|\b\d{1,2}\s?[ap]\.?m\b|\b(?:half|quarter) (?:past|to)\b",
    re.IGNORECASE,
)
#: The tools whose results can be told in other words: those that the words of fact below are made for.
RETOLD = frozenset(
    {
        *(
            "pan_left",
            "pan_right",
            "tilt_up",
            "tilt_down",
            "center",
            "look_at",
            "look_around",
            "nod",
            "shake_head",
            "stop",
        ),
        *("get_head_position", "get_time", "get_date"),
    }
)
#: Words in which two ways of telling a result may not differ.
_FACTS = re.compile(
    r"\b(?:left|right|up|down|ahead|straight|limit|not|no|never|can['’]?t|cannot|could|fail\w*|unable|stop\w*|nod\w*|"
    r"shak\w*|around|am|pm)\b|\d+(?:[.:]\d+)*",
    re.IGNORECASE,
)
#: Those of them that say no.
_NEGATIONS = frozenset({"not", "no", "never", "can't", "cant", "cannot", "could", "fail", "failed", "fails", "unable"})
#: Capitalised words inside a sentence.
_NAMES = re.compile(r"(?<!^)\b(?!I\b|AM\b|PM\b)[A-Z]\w*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def compose(results: Sequence[ToolResult]) -> Reply:
    """The reply after tool calls: what each result says, in order. Calls that were canceled say nothing."""
    return Reply(" ".join(result.speech for result in results if result.speech), "tools")


def claims_an_act(text: str) -> bool:
    """Whether a text says that the robot moved or what time it is, which no reply without a tool may say."""
    return _CLAIMS.search(text) is not None


def tells_the_same(text: str, result: ToolResult) -> bool:
    """Whether a text has the same numbers, directions, gestures, names and negations as what a result says.

    It errs on the side of no: what is told in other words than these is taken for something else.
    """
    return _facts(text) == _facts(result.speech)


def contradicts(text: str, result: ToolResult) -> bool:
    """Whether a text says something else than a result does: another direction or number, or a yes for a no.

    It errs on the side of no: a text that doesn't speak of the result contradicts nothing.
    """
    told, true = _words_of_fact(numbers.digits(text)), _words_of_fact(numbers.digits(result.speech))
    denies, denied = told & _NEGATIONS, true & _NEGATIONS
    if denied and not denies:
        return claims_an_act(text)
    return bool(denies and not denied) or bool(told - true - _NEGATIONS)


def _words_of_fact(text: str) -> set[str]:
    return {match[0].lower().replace("’", "'") for match in _FACTS.finditer(text)}


def _facts(text: str) -> list[str]:
    plain = numbers.digits(text)
    names = [match[0] for sentence in sentences(plain) for match in _NAMES.finditer(sentence)]
    return sorted([*(match[0].lower().replace("’", "'") for match in _FACTS.finditer(plain)), *names])


def sentences(text: str) -> list[str]:
    """Split a reply into the sentences that are spoken one by one."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]
