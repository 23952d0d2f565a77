"""What we say in the words of ROS4HRI."""

from __future__ import annotations

import json

import pytest

from lfm_voice_ros.core.hri import intent_constant, intent_data, language_of, locale_of
from lfm_voice_ros.core.types import ToolCall


@pytest.mark.parametrize(
    ("language", "locale"), [("en", "en_US"), ("de", "de_DE"), ("fr", "fr_FR"), ("ja", "ja_JP"), ("", "")]
)
def test_a_language_has_a_locale(language: str, locale: str) -> None:
    assert locale_of(language) == locale
    assert language_of(locale) == language


@pytest.mark.parametrize("locale", ["en_GB", "en-GB", "EN", "en"])
def test_the_language_of_a_locale_is_its_first_part(locale: str) -> None:
    assert language_of(locale) == "en"


@pytest.mark.parametrize(
    ("call", "constant", "data"),
    [
        (ToolCall("nod"), "PERFORM_MOTION", {"object": "nod"}),
        (
            ToolCall("pan_left", {"degrees": 30}),
            "PERFORM_MOTION",
            {"object": "pan_left", "other_data": {"degrees": 30}},
        ),
        (ToolCall("stop"), "STOP_ACTIVITY", {}),
        (ToolCall("get_time", {"location": "Tokyo"}), "", {"other_data": {"location": "Tokyo"}}),
        (ToolCall("go_to", {"goal": "kitchen"}), "", {"goal": "kitchen"}),
    ],
)
def test_a_call_is_an_intent(call: ToolCall, constant: str, data: dict[str, object]) -> None:
    assert intent_constant(call) == constant
    assert json.loads(intent_data(call)) == data
