"""Calls as LFM2-Tool writes them: what is read, and what is refused."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.call_syntax import read_arguments, read_calls, write_calls
from lfm_voice_ros.core.errors import ModelOutputError
from lfm_voice_ros.core.types import Json, ToolCall


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[pan_left(degrees=30), get_time()]", [("pan_left", {"degrees": 30}), ("get_time", {})]),
        ("nod()", [("nod", {})]),
        ("[]", []),
        (
            " [ look_at ( pan_degrees = -12.5 , tilt_degrees=+3 ) ]",
            [("look_at", {"pan_degrees": -12.5, "tilt_degrees": 3})],
        ),
        ('[get_time(location="St. John\'s (Canada)")]', [("get_time", {"location": "St. John's (Canada)"})]),
        ("[f(a=True, b=None, c=true, d=null)]", [("f", {"a": True, "b": None, "c": True, "d": None})]),
        ('[f(a=[1, "x"], b={"k": [2.5]})]', [("f", {"a": [1, "x"], "b": {"k": [2.5]}})]),
    ],
)
def test_calls_are_read_in_order_with_literal_arguments(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert read_calls(text) == tuple(ToolCall(name, arguments) for name, arguments in expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Looking left.",
        "[pan_left(degrees=30)",
        "pan_left",
        "pan_left(30)",
        "pan_left(*x)",
        "pan_left(**x)",
        "pan_left(degrees=30, degrees=40)",
        "pan_left(degrees=other())",
        "pan_left(degrees=1+1)",
        "pan_left(degrees=x)",
        "pan_left(degrees=x.y)",
        "pan_left(degrees=f'{x}')",
        "pan_left(degrees=-True)",
        "pan_left(degrees=-'1')",
        "pan_left(degrees=1e999)",
        "pan_left(degrees=1j)",
        "pan_left(degrees=b'1')",
        "pan_left(degrees={1: 2})",
        "pan_left(degrees={**x})",
        "pan_left(degrees=(1, 2))",
        "pan_left(degrees=...)",
        "__import__('os').system('true')",
        "[__import__('os')]",
        "robot.stop()",
        "(lambda: 1)()",
        "[nod() for x in y]",
        "nod(); nod()",
        "nod() if x else stop()",
        'get_time(location="\\d")',
        "f(" * 3000,
        "[" * 3000,
        "nod()\x00",
        "[" + ", ".join(["nod()"] * 21) + "]",
        "x" * 5000,
    ],
)
def test_anything_but_named_literals_is_refused(text: str) -> None:
    with pytest.raises(ModelOutputError):
        read_calls(text)


@given(st.text())
def test_any_text_gives_calls_or_is_refused(text: str) -> None:
    with contextlib.suppress(ModelOutputError):
        read_calls(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True).filter(
    lambda name: (
        name not in {"and", "as", "def", "del", "elif", "else", "for", "from", "if", "in", "is", "not", "or"}
        and name
        not in {"async", "await", "break", "class", "continue", "except", "finally", "global", "import", "lambda"}
        and name not in {"nonlocal", "pass", "raise", "return", "try", "while", "with", "yield", "assert"}
    )
)


@given(st.lists(st.builds(ToolCall, _NAMES, st.dictionaries(_NAMES, _VALUES, max_size=3)), max_size=4))
def test_what_is_written_is_read_back(calls: list[ToolCall]) -> None:
    assert read_calls(write_calls(calls)) == tuple(calls)


def test_whole_numbers_are_written_without_decimals() -> None:
    assert write_calls([ToolCall("pan_left", {"degrees": 30.0})]) == "[pan_left(degrees=30)]"


@pytest.mark.parametrize(
    "text", ["[1]", "30", "{", '{"a": NaN}', '{"a": 1e999}', "{'a': 1}", "[" * 5000, "{" * 100_000]
)
def test_arguments_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(ModelOutputError):
        read_arguments(text)


def test_arguments_are_json_and_none_is_an_empty_text() -> None:
    assert read_arguments(' {"degrees": 30, "place": "é"} ') == {"degrees": 30, "place": "é"}
    assert read_arguments(" ") == {}
    assert math.isclose(read_arguments('{"a": 2.5}')["a"], 2.5)
