"""Turns as OpenTelemetry traces."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lfm_voice_ros.backends.opentelemetry_spans import TurnTracer, open_exporter
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.turn_spans import TurnSpans, spans_of

pytest.importorskip("opentelemetry.sdk", reason="scripts/setup --extra opentelemetry installs it")

ATTRIBUTES: dict[str, str | int | bool | float] = {
    "utterance_id": "u1",
    "calls": 2,
    "interrupted": False,
    "prepared": True,
}


def turn() -> TurnSpans:
    made = spans_of(1000.0, {"endpoint": 0.5, "draft": 0.25, "transcript": 0.75, "reply": 1.0, "end": 3.0})
    assert made is not None
    return made


class Collector:
    """A collector on this machine that keeps what it is sent, and answers with a status."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, body))
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.address)
    yield made
    made.close()


def test_a_turn_is_one_trace_with_a_span_for_each_stage() -> None:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    TurnTracer(memory).send(turn(), ATTRIBUTES)

    spans = {span.name: span for span in memory.get_finished_spans()}
    assert set(spans) == {"turn", "endpoint", "recognition", "reply", "playback"}
    whole = spans.pop("turn")
    assert dict(whole.attributes or {}) == ATTRIBUTES
    assert (whole.start_time, whole.end_time, whole.parent) == (1000 * 10**9, 1003 * 10**9, None)
    assert [(event.name, event.timestamp) for event in whole.events] == [("draft", 1000_250_000_000)]
    assert whole.resource.attributes["service.name"] == "lfm_voice_ros"
    for span in spans.values():
        assert span.parent == whole.context
    assert (spans["recognition"].start_time, spans["recognition"].end_time) == (1000_500_000_000, 1000_750_000_000)


def test_each_turn_is_a_trace_of_its_own() -> None:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    tracer = TurnTracer(memory)
    for _ in range(2):
        tracer.send(turn(), ATTRIBUTES)

    assert len({span.context.trace_id for span in memory.get_finished_spans() if span.context}) == 2
    assert len(memory.get_finished_spans()) == 10


def test_a_collector_gets_a_turn_over_http_in_one_request(collector: Collector) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    tracer = TurnTracer(open_exporter("otlp"))
    tracer.send(turn(), ATTRIBUTES)
    tracer.close()

    ((path, body),) = collector.requests
    assert path == "/v1/traces"
    request = ExportTraceServiceRequest.FromString(body)
    spans = request.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["endpoint", "recognition", "reply", "playback", "turn"]
    assert {attribute.key for attribute in spans[-1].attributes} == set(ATTRIBUTES)
    assert all(span.parent_span_id == spans[-1].span_id for span in spans[:-1])


def test_a_collector_that_refuses_is_told_with_what_to_do(collector: Collector) -> None:
    collector.status = 400
    tracer = TurnTracer(open_exporter("otlp"))

    with pytest.raises(ResourceError, match="is the collector running at OTEL_EXPORTER_OTLP_ENDPOINT"):
        tracer.send(turn(), ATTRIBUTES)
    collector.status = 200
    tracer.send(turn(), ATTRIBUTES)

    assert len(collector.requests) == 2


def test_a_file_gets_a_line_for_each_span(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    tracer = TurnTracer(open_exporter(f"file:{path}"))
    tracer.send(turn(), ATTRIBUTES)
    tracer.close()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["endpoint", "recognition", "reply", "playback", "turn"]


@pytest.mark.parametrize("where", ["jaeger", "file:", "file", "otlp:here", ""])
def test_another_exporter_is_refused_with_what_there_is(where: str) -> None:
    with pytest.raises(ConfigurationError, match="otlp, console, or file:PATH"):
        open_exporter(where)


def test_a_file_that_cant_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="give another file"):
        open_exporter(f"file:{tmp_path}/none/turns.jsonl")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(ResourceError, match="scripts/setup --extra opentelemetry"):
        open_exporter("otlp")
