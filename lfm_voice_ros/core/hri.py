"""How ROS4HRI (REP-155) names what we say: voices, locales, intents. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lfm_voice_ros.core.types import Json, ToolCall

#: The id of the voice where only one is told apart.
VOICE = "anonymous_speaker"
#: The priority of an intent that has no other.
PRIORITY = 128

PERFORM_MOTION = "PERFORM_MOTION"
STOP_ACTIVITY = "STOP_ACTIVITY"

#: Our tools for which hri_actions_msgs/Intent has a constant; its names are the same in every version.
_CONSTANTS = {
    "pan_left": PERFORM_MOTION,
    "pan_right": PERFORM_MOTION,
    "tilt_up": PERFORM_MOTION,
    "tilt_down": PERFORM_MOTION,
    "center": PERFORM_MOTION,
    "look_at": PERFORM_MOTION,
    "look_around": PERFORM_MOTION,
    "nod": PERFORM_MOTION,
    "shake_head": PERFORM_MOTION,
    "stop": STOP_ACTIVITY,
}
#: The keys of an intent's data that have a meaning of their own; everything else goes below other_data.
_ROLES = ("agent", "object", "goal", "recipient")
#: Where the region of a language isn't the language's own name.
_REGIONS = {
    "ar": "SA",
    "ca": "ES",
    "cs": "CZ",
    "da": "DK",
    "el": "GR",
    "en": "US",
    "hi": "IN",
    "ja": "JP",
    "ko": "KR",
    "sv": "SE",
    "uk": "UA",
    "zh": "CN",
}


def locale_of(language: str) -> str:
    """The locale, such as en_US, of an ISO 639-1 code; empty for none."""
    return f"{language}_{_REGIONS.get(language, language.upper())}" if language else ""


def language_of(locale: str) -> str:
    """The ISO 639-1 code of a locale, such as en_GB, or of an IETF tag, such as en-GB."""
    return locale.replace("-", "_").partition("_")[0].lower()


def intent_constant(call: ToolCall) -> str:
    """The name of the constant in hri_actions_msgs/Intent for a call; empty where the tool's own name is the intent."""
    return _CONSTANTS.get(call.name, "")


def intent_data(call: ToolCall) -> str:
    """The data of a call's intent: a JSON object with the arguments.

    Arguments that are thematic roles keep their names, others go below ``other_data``; a motion is its ``object``.
    """
    data: dict[str, Json] = {"object": call.name} if intent_constant(call) == PERFORM_MOTION else {}
    data |= {role: value for role, value in call.arguments.items() if role in _ROLES}
    other: Mapping[str, Json] = {name: value for name, value in call.arguments.items() if name not in _ROLES}
    return json.dumps(data | ({"other_data": other} if other else {}))
