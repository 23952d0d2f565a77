"""Messages to types: what may come in, and what is refused."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from std_msgs.msg import Header

from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.msg import ToolCall as ToolCallMsg
from lfm_voice_ros.nodes.conversions import (
    call_from_msg,
    call_to_msg,
    result_from_msg,
    result_to_msg,
    samples_from_field,
    samples_to_field,
)


def test_a_result_survives_the_way_through_its_message() -> None:
    result = ToolResult(
        ToolCall("pan_left", {"degrees": 30.5}), ToolStatus.FAILED, "speech", {"limited": True}, "error", 1, 2
    )

    assert result_from_msg(result_to_msg(result, "u1", Header())) == result


def test_a_call_without_arguments_has_none() -> None:
    assert call_from_msg(ToolCallMsg(name="nod")) == call_from_msg(call_to_msg(ToolCall("nod"))) == ToolCall("nod")


@pytest.mark.parametrize(
    "arguments",
    [
        "degrees=30",
        "[30]",
        "30",
        '{"degrees": NaN}',
        '{"degrees": -Infinity}',
        '{"degrees": 1e999}',
        '{"a":' * 4000,
        '{"a": "\\ud800"}',
        "{" + " " * 20_000 + "}",
    ],
    ids=["no JSON", "list", "number", "NaN", "infinity", "too large", "deep", "half a surrogate", "long"],
)
def test_arguments_that_are_no_plain_json_object_are_refused_without_repeating_them(arguments: str) -> None:
    with pytest.raises(ValueError, match="the arguments of 'secret_free'") as refused:
        call_from_msg(ToolCallMsg(name="secret_free", arguments_json=arguments))

    assert "30" not in str(refused.value)


def test_sound_survives_the_way_through_its_field() -> None:
    sound = np.linspace(-1, 1, 100, dtype=np.float32)

    np.testing.assert_array_equal(samples_from_field(samples_to_field(sound), 16_000), sound)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        ([], 16_000, "without samples"),
        ([0.0, float("nan")], 16_000, "NaN"),
        ([float("inf")], 16_000, "infinite"),
        ([0.0], 0, "0 Hz"),
        ([0.0], 10**6, "1000000 Hz"),
    ],
)
def test_sound_that_cannot_be_used_is_refused(samples: list[float], rate: int, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        samples_from_field(array("f", samples), rate)


def test_sound_beyond_full_scale_is_clipped() -> None:
    assert samples_from_field(array("f", [3.0, -3.0]), 16_000).tolist() == [1.0, -1.0]
