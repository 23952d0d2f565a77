"""Turns as OpenTelemetry traces, sent to a collector or written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.turn_spans import Span, TurnSpans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_MISSING = "OpenTelemetry is not installed; run scripts/setup --extra opentelemetry"
_SERVICE = "lfm_voice_ros"


def open_exporter(where: str) -> SpanExporter:
    """Make what spans go to: ``otlp``, ``console`` or ``file:PATH``, which gets a line of JSON for each span.

    ``otlp`` goes over HTTP to where the standard variables OTEL_EXPORTER_OTLP_… say, without them to this machine's
    port 4318. Raises ConfigurationError for another name, ResourceError when the library or the file's folder is
    missing.
    """
    kind, _, path = where.partition(":")
    if kind not in ("otlp", "console", "file") or bool(path) != (kind == "file"):
        raise ConfigurationError(f"exporter is '{where}'; it must be otlp, console, or file:PATH")
    try:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter
    except ImportError as exc:
        raise ResourceError(_MISSING) from exc

    def line(span: ReadableSpan) -> str:
        return f"{span.to_json(indent=None)}\n"

    if kind == "console":
        return ConsoleSpanExporter(formatter=line)
    if kind == "file":

        class File(ConsoleSpanExporter):
            """Closes its file in the end."""

            def shutdown(self) -> None:
                self.out.close()

        try:
            return File(out=Path(path).expanduser().open("a", encoding="utf-8"), formatter=line)
        except OSError as exc:
            raise ResourceError(f"spans can't be written to {path}: {exc.strerror}; give another file") from exc
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as exc:
        raise ResourceError(_MISSING) from exc
    return OTLPSpanExporter()


class TurnTracer:
    """Makes a trace of each turn. For one thread, but for :meth:`close`."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Take where the spans go. Raises ResourceError when the library is missing."""
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
        except ImportError as exc:
            raise ResourceError(_MISSING) from exc

        ended: list[ReadableSpan] = []

        class Collect(SpanProcessor):
            """Keeps a turn's spans together, so that they are sent at once."""

            def on_end(self, span: ReadableSpan) -> None:
                ended.append(span)

        provider = TracerProvider(
            resource=Resource.create({"service.name": _SERVICE, "service.version": version(_SERVICE)}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Collect())
        self._tracer = provider.get_tracer(_SERVICE)
        self._ended = ended
        self._exporter = exporter

    def send(self, turn: TurnSpans, attributes: Mapping[str, str | int | bool | float]) -> None:
        """Send one turn; ``attributes`` are those of the whole. Raises ResourceError when it was not taken."""
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.trace import set_span_in_context

        begin, end = _nanoseconds(turn.whole)
        root = self._tracer.start_span(turn.whole.name, attributes=dict(attributes), start_time=begin)
        for name, at in turn.events:
            root.add_event(name, timestamp=round(at * 1e9))
        within = set_span_in_context(root)
        for stage in turn.stages:
            stage_begin, stage_end = _nanoseconds(stage)
            self._tracer.start_span(stage.name, within, start_time=stage_begin).end(stage_end)
        root.end(end)
        spans = list(self._ended)
        self._ended.clear()
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise ResourceError(
                "a turn's trace was not taken; is the collector running at OTEL_EXPORTER_OTLP_ENDPOINT?"
            )

    def close(self) -> None:
        """Send no more; what is just being sent is given up."""
        self._exporter.shutdown()


def _nanoseconds(span: Span) -> tuple[int, int]:
    return round(span.begin * 1e9), round(span.end * 1e9)
