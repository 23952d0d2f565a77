"""The first stage that sound passes in audio_capture: the robot's own voice is taken out."""

from __future__ import annotations

from collections.abc import Callable

from lfm_voice_ros.core.echo import Clean, EchoStage
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.msg import Audio
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import samples_from_field


class EchoCancelling:
    """Takes ``audio/played``; gives the microphone's sound without it, where the settings want that and it can be.

    ``prepare`` and the topic belong to the callbacks' thread, :meth:`open` to any one, :meth:`push` to the worker that
    hears; ``hand_over`` brings work there.
    """

    def __init__(
        self, node: VoiceNode[AudioCaptureSettings], hand_over: Callable[[Callable[[], None]], object]
    ) -> None:
        self._node = node
        self._hand_over = hand_over
        self._subscribed = False
        self._stage: EchoStage | None = None

    def prepare(self) -> None:
        """Subscribe, where it is wanted."""
        if self._wanted() and not self._subscribed:
            self._subscribed = True
            self._node.listen(Audio, "audio/played", self._on_played, qos.AUDIO)

    def open(self) -> None:
        """Begin with a new source: load the library, or say what is missing."""
        self._stage = None
        self._node.well("echo")
        self._node.health.value("echo cancellation", "off")
        if not self._wanted():
            return
        try:
            from lfm_voice_ros.backends.webrtc_echo import WebRtcEchoCanceller

            canceller = WebRtcEchoCanceller()
        except ResourceError as exc:
            self._node.trouble("echo", f"{exc}; until then nobody is heard while the robot speaks", Level.WARN)
            return
        self._stage = EchoStage(canceller)
        self._node.health.value("echo cancellation", canceller.name)

    def hears(self, at: float) -> bool:
        """Whether the person is heard at ``at`` (s, the sound's stamp) although the robot speaks."""
        stage = self._stage
        return stage is not None and stage.learnt and stage.covers(at)

    def push(self, samples: Samples, at: float) -> Clean:
        """Take sound at 16 kHz and the time (s) of its first sample; give what is ready of it."""
        stage = self._stage
        if stage is None:
            return Clean(samples, at, samples)
        try:
            return stage.push(samples, at)
        except ResourceError as exc:
            self._stage = None
            self._node.trouble("echo", f"{exc}; until then nobody is heard while the robot speaks", Level.WARN)
            return Clean(samples, at, samples)

    def _wanted(self) -> bool:
        settings = self._node.settings
        return settings.echo_cancellation == "on" or (
            settings.echo_cancellation == "auto" and settings.source.startswith("sound_card")
        )

    def _on_played(self, msg: Audio) -> None:
        stage = self._stage
        if stage is None:
            return
        try:
            samples = samples_from_field(msg.samples, msg.sample_rate)
        except AudioError:
            return  # what isn't sound was not played
        at = to_seconds(msg.header.stamp)
        self._hand_over(lambda: stage.played(samples, at))
