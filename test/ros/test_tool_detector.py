"""tool_detector over DDS: one decision for each transcript."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import NodeProcess, Probe

from lfm_voice_ros.msg import ToolDecision, Transcript

Start = Callable[..., NodeProcess]


def test_each_transcript_has_exactly_one_decision_also_when_no_tool_is_meant(start: Start, probe: Probe) -> None:
    decisions = probe.subscribe("tool_decision", ToolDecision)
    start("tool_detector")
    texts = {
        "u1": "Look left thirty degrees and tell me the time.",
        "u2": "I left my keys on the right side of the table.",
        "u3": "",
        "u4": "\x00‮ " + "左を見て" * 50,
        "u5": "look left " * 1000,
    }

    for utterance_id, text in texts.items():
        probe.publish("transcript", Transcript(utterance_id=utterance_id, text=text))

    probe.wait_for(lambda: {decision.utterance_id for decision in decisions} == set(texts), what="all decisions")
    assert len(decisions) == len(texts)
    by_id = {decision.utterance_id: decision for decision in decisions}
    calls = [(call.name, json.loads(call.arguments_json)) for call in by_id["u1"].calls]
    assert calls == [("pan_left", {"degrees": 30}), ("get_time", {})]
    assert by_id["u1"].detector == "keywords"
    assert [list(by_id[each].calls) for each in ("u2", "u3", "u4")] == [[], [], []]


@pytest.mark.parametrize(
    "text", ["patterns: [", "unknown_key: 1", "nothing"], ids=["not YAML", "unknown key", "no mapping"]
)
def test_wrong_patterns_end_the_start_up_with_file_and_reason(start: Start, tmp_path: Path, text: str) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(text)

    node = start("tool_detector", parameters={"patterns_file": str(path)})

    assert node.wait() == 2
    assert f"lfm_voice_ros: {path}:" in node.output
    assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("parameter", "value", "complaint"),
    [
        ("detectr", "keywords", "no parameter 'detectr'"),
        ("detector", "magic", "must be one of: keywords"),
        ("queue", 0, "between 1 and 100"),
        ("queue", "many", "must be a int"),
    ],
)
def test_a_wrong_parameter_ends_the_start_up_with_a_sentence(
    start: Start, domain: int, parameter: str, value: object, complaint: str
) -> None:
    node = start("tool_detector", parameters={parameter: value})

    assert node.wait() == 2
    assert complaint in node.output
    assert "Traceback" not in node.output
