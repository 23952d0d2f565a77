"""A conversation with a dialogue node, as the tests have it."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from harness import Probe

from lfm_voice_ros.msg import Reply, SpeechAudio, ToolCall, ToolDecision, ToolResult, Transcript, TurnMetrics, Utterance
from lfm_voice_ros.nodes.base import to_stamp


class Talk:
    """What a dialogue node gives, and the messages of a turn to give it."""

    def __init__(self, probe: Probe, name: str = "dialogue") -> None:
        self.probe = probe
        self._name = name  # of the node in the diagnostics
        self.replies: list[Reply] = probe.subscribe("reply", Reply)
        self.chunks: list[SpeechAudio] = probe.subscribe("audio/output", SpeechAudio)
        self.metrics: list[TurnMetrics] = probe.subscribe("turn_metrics", TurnMetrics)
        self.diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)

    def ready(self, timeout: float = 60.0) -> None:
        self.probe.wait_for(
            lambda: not (self.status() or (0, "loading"))[1].startswith("loading"), timeout, what="a loaded voice"
        )

    def status(self) -> tuple[int, str] | None:
        found = [each for message in self.diagnostics for each in message.status if each.name == self._name]
        return (found[-1].level[0], found[-1].message) if found else None

    def turn(self, utterance_id: str, text: str, *results: str) -> None:
        """A person has said ``text``, and tools have answered ``results``."""
        self.heard(utterance_id, text)
        self.decided(utterance_id, *results)

    def decided(self, utterance_id: str, *results: str) -> None:
        """Tools were decided, and have answered ``results``."""
        calls = [ToolCall(name="pan_left", arguments_json="{}") for _ in results]
        self.probe.publish("tool_decision", ToolDecision(utterance_id=utterance_id, calls=calls))
        for index, speech in enumerate(results):
            result = ToolResult(
                utterance_id=utterance_id, index=index, total=len(results), speech=speech, call=calls[index]
            )
            self.probe.publish("tool_result", result)

    def heard(self, utterance_id: str, text: str, ended: float | None = None) -> None:
        """A person has said ``text`` until ``ended`` (s), or now."""
        stamp = to_stamp(self.probe.now() if ended is None else ended)
        self.probe.publish("utterance", Utterance(utterance_id=utterance_id, speech_end=stamp))
        self.probe.publish("transcript", Transcript(utterance_id=utterance_id, speech_end=stamp, text=text))

    def draft(self, utterance_id: str, text: str, ended: float, *results: str) -> None:
        """A person has said ``text`` until ``ended`` (s) and may have ended; tools would answer ``results``."""
        stamp = to_stamp(ended)
        calls = [ToolCall(name="pan_left", arguments_json="{}") for _ in results]
        self.probe.publish("transcript/draft", Transcript(utterance_id=utterance_id, speech_end=stamp, text=text))
        self.probe.publish(
            "tool_decision/draft", ToolDecision(utterance_id=utterance_id, speech_end=stamp, calls=calls)
        )
        for index, speech in enumerate(results):
            result = ToolResult(
                utterance_id=utterance_id, index=index, total=len(results), speech=speech, call=calls[index]
            )
            self.probe.publish("tool_result/draft", result)

    def value(self, key: str) -> str:
        """What the node's newest diagnostics say of ``key``; empty without it."""
        values = self.values(key)
        return values[-1] if values else ""

    def values(self, key: str) -> list[str]:
        """What all of the node's diagnostics have said of ``key``."""
        found = [each for message in self.diagnostics for each in message.status if each.name == self._name]
        return [next((pair.value for pair in each.values if pair.key == key), "") for each in found]

    def reply(self, utterance_id: str) -> Reply:
        return self.probe.wait_for(lambda: self._of(self.replies, utterance_id), what="a reply")

    def closed(self, utterance_id: str) -> TurnMetrics:
        return self.probe.wait_for(lambda: self._of(self.metrics, utterance_id), what="the metrics of the turn")

    def spoken(self, utterance_id: str) -> list[SpeechAudio]:
        """All chunks of a reply, once the last has come."""
        self.probe.wait_for(
            lambda: any(chunk.last for chunk in self.chunks if chunk.utterance_id == utterance_id), what="the voice"
        )
        return [chunk for chunk in self.chunks if chunk.utterance_id == utterance_id]

    @staticmethod
    def _of(messages: list[Any], utterance_id: str) -> Any:
        return next((message for message in messages if message.utterance_id == utterance_id), None)
