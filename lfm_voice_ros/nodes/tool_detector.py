"""tool_detector: decides for each transcript which tools it asks for."""

from __future__ import annotations

import time

from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.core.types import ToolDecision
from lfm_voice_ros.detectors import load_detector
from lfm_voice_ros.msg import ToolDecision as ToolDecisionMsg
from lfm_voice_ros.msg import Transcript
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import decision_to_msg
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.tools.registry import Registry


class ToolDetector(VoiceNode[ToolDetectorSettings]):
    """Takes ``transcript``; gives exactly one ``tool_decision`` for each."""

    def __init__(self) -> None:
        super().__init__("tool_detector", ToolDetectorSettings)
        own_tools = [tool.name for tool in Registry.from_file(config_file("tools.yaml", self.settings.tools_file))]
        self._detector = load_detector(self.settings, own_tools)
        self._transcripts = self.add_worker("detector", self._decide, self.settings.queue)
        self._decisions = self.create_publisher(ToolDecisionMsg, "tool_decision", qos.EVENT)
        self.create_subscription(Transcript, "transcript", self._on_transcript, qos.EVENT)
        self.health.value("detector", self._detector.name)

    def _on_transcript(self, msg: Transcript) -> None:
        if not self._transcripts.put(msg):
            self.trouble("queue", "transcripts come faster than they are decided; some were taken for no command")
            self._publish(ToolDecision((), self._detector.name, 0.0), msg)
        else:
            self.well("queue")

    def _decide(self, msg: Transcript) -> None:
        began = time.monotonic()
        try:
            decision = self._detector.detect(msg.text) if msg.text else ToolDecision((), self._detector.name)
        except Exception:
            self._publish(ToolDecision((), self._detector.name, 0.0), msg)
            raise
        self.health.value("last decision took ms", round(1e3 * (time.monotonic() - began), 1))
        self._publish(decision, msg)

    def _publish(self, decision: ToolDecision, transcript: Transcript) -> None:
        msg = decision_to_msg(decision, transcript.utterance_id, self.header())
        msg.speech_end = transcript.speech_end
        self._decisions.publish(msg)


def main() -> int:
    """Run the node."""
    return run([ToolDetector])
