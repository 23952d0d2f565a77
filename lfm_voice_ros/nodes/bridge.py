"""bridge: our topics in the words of other ROS packages, and theirs in ours. Each part is off until it is asked for."""

from __future__ import annotations

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.settings import BridgeSettings
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.bridges.audio_common import SoundIn, SoundOut
from lfm_voice_ros.nodes.bridges.ros4hri import Intents, LiveSpeechWords, Voices
from lfm_voice_ros.nodes.bridges.whisper_ros import WhisperRosWords
from lfm_voice_ros.nodes.runtime import run


class Bridge(VoiceNode[BridgeSettings]):
    """Makes the parts that are asked for; they live as long as the node."""

    def __init__(self) -> None:
        """Raises ConfigurationError where a package is missing that a part needs."""
        super().__init__("bridge", BridgeSettings)
        settings = self.settings
        self._parts: list[object] = []
        if settings.ros4hri:
            self._parts.append(Intents(self))
            if settings.transcripts != "live_speech":  # else another recognizer publishes the voice
                self._parts.append(Voices(self))
        if settings.transcripts == "live_speech":
            self._parts.append(LiveSpeechWords(self))
        elif settings.transcripts == "whisper_ros":
            self._parts.append(WhisperRosWords(self, settings.transcripts_timeout))
        if settings.audio_in:
            self._parts.append(SoundIn(self))
        if settings.audio_out != "off":
            self._parts.append(SoundOut(self, settings.audio_out))
        self.health.value("transcripts", settings.transcripts)
        parts = ", ".join(type(part).__name__ for part in self._parts)
        self.health.value("parts", parts or "none")
        if not self._parts:
            self.health.set("parts", Level.OK, "off")

    def publish_diagnostics(self) -> None:
        """Send the node's health, with whether somebody else does what another package was asked to do."""
        if self.settings.transcripts != "own":
            self._check("transcript", self.count_publishers("transcript") > 1)
        if self.settings.transcripts == "live_speech":
            self._check("utterance", self.count_publishers("utterance") > 0)
        super().publish_diagnostics()

    def _check(self, topic: str, taken: bool) -> None:
        if taken:
            node = "transcriber" if topic == "transcript" else "audio_capture"
            self.trouble(
                topic, f"another node publishes {topic}; with {self.settings.transcripts}, {node} must not run"
            )
        else:
            self.well(topic)


def main() -> int:
    """Run the node until SIGINT or SIGTERM; give the exit code."""
    return run([Bridge])
