"""tracing: gives each turn's latencies to OpenTelemetry. It never gives words."""

from __future__ import annotations

import math

from lfm_voice_ros.backends.opentelemetry_spans import TurnTracer, open_exporter
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.settings import TracingSettings
from lfm_voice_ros.core.turn_spans import spans_of
from lfm_voice_ros.msg import TurnMetrics
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.runtime import run

_MOMENTS = (
    *("endpoint", "draft", "transcript", "decision", "tools", "prepared"),
    *("reply", "first_audio", "playback", "end"),
)


class Tracing(VoiceNode[TracingSettings]):
    """Takes ``turn_metrics``; the worker ``export`` sends a trace for each."""

    rereads = True

    def __init__(self) -> None:
        super().__init__("tracing", TracingSettings)
        self._tracer: TurnTracer | None = None
        self._sent = 0
        self._export = self.add_worker("export", self._send, self.settings.queue)
        self.listen(TurnMetrics, "turn_metrics", self._on_metrics, qos.EVENT)

    def configure(self) -> None:
        """Open what the traces go to. Raises VoiceError where it isn't there."""
        self._tracer = TurnTracer(open_exporter(self.settings.exporter))
        self.health.value("exporter", self.settings.exporter)

    def cleanup(self) -> None:
        """Let go of it."""
        tracer, self._tracer = self._tracer, None
        if tracer is not None:
            tracer.close()

    def close(self) -> bool:
        """End the worker; what is just being sent is given up."""
        self.end()
        self.cleanup()
        return super().close()

    def _on_metrics(self, msg: TurnMetrics) -> None:
        if not self._export.put(msg):
            self.health.value("lost", f"{self._export.dropped} turns, which came faster than they were sent")

    def _send(self, msg: TurnMetrics) -> None:
        tracer = self._tracer
        turn = spans_of(to_seconds(msg.speech_end), {name: getattr(msg, name) for name in _MOMENTS})
        if tracer is None or turn is None:
            return
        try:
            tracer.send(
                turn,
                {
                    "utterance_id": msg.utterance_id,
                    "calls": msg.calls,
                    "interrupted": msg.interrupted,
                    "prepared": math.isfinite(msg.prepared),
                },
            )
        except ResourceError as exc:
            self.trouble("export", str(exc))
            return
        self.well("export")
        self._sent += 1
        self.health.value("turns sent", self._sent)


def main() -> int:
    """Run the node."""
    return run([Tracing])
