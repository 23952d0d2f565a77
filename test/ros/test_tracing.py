"""tracing over DDS: a turn's latencies, never its words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import NodeProcess, Probe

from lfm_voice_ros.msg import TurnMetrics
from lfm_voice_ros.nodes.base import to_stamp

pytest.importorskip("opentelemetry.sdk", reason="scripts/setup --extra opentelemetry installs it")

Start = Callable[..., NodeProcess]


def metrics(utterance_id: str) -> TurnMetrics:
    return TurnMetrics(
        utterance_id=utterance_id,
        speech_end=to_stamp(1000.0),
        endpoint=0.5,
        draft=0.25,
        transcript=0.5,
        decision=0.5,
        tools=math.nan,
        prepared=math.nan,
        reply=0.75,
        first_audio=1.0,
        playback=1.25,
        end=3.0,
        calls=1,
        interrupted=True,
    )


def test_each_turn_is_written_as_spans_and_one_without_an_end_of_speech_is_left_out(
    start: Start, probe: Probe, tmp_path: Path
) -> None:
    path = tmp_path / "turns.jsonl"
    node = start("tracing", parameters={"exporter": f"file:{path}"})

    probe.publish("turn_metrics", TurnMetrics(utterance_id="unknown"))
    probe.publish("turn_metrics", metrics("u1"))
    probe.publish("turn_metrics", metrics("u2"))

    probe.wait_for_value("tracing", "turns sent", "2")
    spans = [json.loads(line) for line in path.read_text().splitlines()]
    turns = [span for span in spans if span["name"] == "turn"]
    assert [turn["attributes"] for turn in turns] == [
        {"utterance_id": name, "calls": 1, "interrupted": True, "prepared": False} for name in ("u1", "u2")
    ]
    assert [span["name"] for span in spans if span["context"]["trace_id"] == turns[0]["context"]["trace_id"]] == [
        *("endpoint", "recognition", "decision", "reply", "synthesis", "delivery", "playback", "turn")
    ]
    assert node.stop() == 0


def test_a_collector_that_is_not_there_is_told_and_the_node_ends_in_time(start: Start, probe: Probe) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    node = start("tracing", environment=environment)

    probe.publish("turn_metrics", metrics("u1"))

    node.wait_for_output("is the collector running at OTEL_EXPORTER_OTLP_ENDPOINT")
    assert node.stop() == 0


def test_a_wrong_exporter_ends_the_start_up_with_a_sentence(start: Start) -> None:
    node = start("tracing", parameters={"exporter": "jaeger"})

    assert node.wait() == 2
    assert "otlp, console, or file:PATH" in node.output
