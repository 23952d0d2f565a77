"""What the demo makes of what it saw."""

from __future__ import annotations

import math

import pytest

from lfm_voice_ros.demo.record import Recording, Turn


def recording() -> Recording:
    """Two turns, at 10 s and at 20 s; the head turns by 10 degrees at 11.2 s and at 21.5 s."""
    made = Recording(begin=0.0)
    for number, start in enumerate((10.0, 20.0)):
        made.turns[f"u{number}"] = Turn(f"u{number}", start, start + 0.3, start + 1.0, calls=[("nod", {})])
    for step in range(1500, 3000):
        at = step * 0.01
        made.joints.append((at - 5.0, math.radians(10.0 * (at - 5.0 > 11.2) + 10.0 * (at - 5.0 > 21.5)), 0.0))
    return made


def test_the_heads_latency_counts_from_the_end_of_speech_to_its_first_motion() -> None:
    seen = recording()
    for turn in seen.turns.values():
        seen.note_head_latency(turn)

    assert [turn.latency["head"] for turn in seen.turns.values()] == pytest.approx([0.2, 0.5], abs=0.02)


def test_a_motion_of_a_later_turn_is_not_taken_for_an_earlier_ones() -> None:
    seen = recording()
    seen.joints = type(seen.joints)((at, math.radians(10.0 * (at > 21.5)), 0.0) for at, *_ in seen.joints)

    seen.note_head_latency(seen.turns["u0"])

    assert math.isnan(seen.turns["u0"].latency["head"])


def test_a_turn_as_data_has_numbers_or_null() -> None:
    turn = Turn("u1", 0.0, 0.1, 1.0, recording="nod.wav", transcript="nod", calls=[("nod", {})], reply="Nodding.")
    turn.latency = {"reply": 0.5, "tools": math.nan}
    turn.head = (29.96, -0.01)

    assert turn.as_data() == {
        "utterance_id": "u1",
        "recording": "nod.wav",
        "transcript": "nod",
        "rejection": "",
        "calls": [{"name": "nod", "arguments": {}}],
        "head": {"pan_degrees": 30.0, "tilt_degrees": 0.0},
        "reply": "Nodding.",
        "latency_ms": {"reply": 500.0, "tools": None},
        "errors": [],
    }


def test_a_long_talk_is_forgotten_from_its_beginning() -> None:
    seen = recording()

    seen.forget_before(20.0)

    assert seen.joints[0][0] >= 20.0
    assert seen.joints[-1][0] > 24.0
