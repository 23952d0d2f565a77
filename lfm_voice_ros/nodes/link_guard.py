"""link_guard: what a robot does by itself when the machine with its models is out of reach."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from std_msgs.msg import Empty

from lfm_voice_ros.core.endpointing import UtteranceIds
from lfm_voice_ros.core.errors import VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.link import Act, Cut, LinkWatch, Say, Sentence, StopHead
from lfm_voice_ros.core.settings import LinkGuardSettings
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.msg import HeadState, Interrupt, Playback, SpeechAudio, TurnMetrics, Utterance
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import samples_to_field
from lfm_voice_ros.nodes.runtime import run

_CHECK_PERIOD = 0.1  # s between looks at the heartbeat
_WHAT_TO_DO = "look at the network, and whether brain.launch.py runs on the other machine"


class LinkGuard(VoiceNode[LinkGuardSettings]):
    """Takes ``brain/alive``; gives ``head/stop``, ``interrupt`` and, in the robot's own voice, ``audio/output``.

    The sentences are spoken by Piper once, at the start, in the worker ``voice``, and kept in memory.
    """

    def __init__(self) -> None:
        super().__init__("link_guard", LinkGuardSettings)
        self._watch = LinkWatch(self.settings.timeout)
        self._ids = UtteranceIds()
        self._rate = 0  # Hz
        self._spoken: dict[Sentence, Samples] = {}
        self._stop = self.create_publisher(Empty, "head/stop", qos.EVENT)
        self._interrupts = self.create_publisher(Interrupt, "interrupt", qos.EVENT)
        self._sound = self.create_publisher(SpeechAudio, "audio/output", qos.AUDIO)
        self.listen(Empty, "brain/alive", self._on_alive, qos.HEARTBEAT)
        self.listen(Utterance, "utterance", self._on_utterance, qos.EVENT)
        self.listen(SpeechAudio, "audio/output", self._on_sound, qos.AUDIO)
        self.listen(Playback, "playback", self._on_playback, qos.EVENT)
        self.listen(TurnMetrics, "turn_metrics", self._on_metrics, qos.EVENT)
        self.listen(HeadState, "head/state", self._on_head, qos.STATE)
        self._voice = self.add_worker("voice", self._speak, len(Sentence))
        self.every(_CHECK_PERIOD, self._on_timer)

    def configure(self) -> None:
        """Speak the sentences into memory."""
        self._voice.put({each: getattr(self.settings, each.value) for each in Sentence})

    def activate(self) -> None:
        """Watch."""
        self._watch = LinkWatch(self.settings.timeout)
        self.trouble("link", f"no brain has been heard of yet; {_WHAT_TO_DO}", Level.WARN)

    def publish_diagnostics(self) -> None:
        """Send the node's health, with how often the brain was lost."""
        self.health.value("link", self._watch.state.value)
        self.health.value("losses", self._watch.losses)
        super().publish_diagnostics()

    def _on_alive(self, _msg: Empty) -> None:
        before = self._watch.state
        acts = self._watch.beat(time.monotonic())
        if self._watch.state is not before:
            self.get_logger().info("the brain is there")
            self.well("link")
        self._do(acts)

    def _on_timer(self) -> None:
        before = self._watch.state
        acts = self._watch.check(time.monotonic())
        if self._watch.state is not before:
            self.trouble(
                "link",
                f"the brain is lost: no heartbeat for {self.settings.timeout:g} s; {_WHAT_TO_DO}",
            )
        self._do(acts)

    def _on_utterance(self, msg: Utterance) -> None:
        self._do(self._watch.utterance(msg.utterance_id, time.monotonic()))

    def _on_sound(self, msg: SpeechAudio) -> None:
        self._watch.reply(msg.utterance_id, msg.last)

    def _on_playback(self, msg: Playback) -> None:
        if msg.state in (Playback.FINISHED, Playback.INTERRUPTED):
            self._watch.closed(msg.utterance_id)

    def _on_metrics(self, msg: TurnMetrics) -> None:
        self._watch.closed(msg.utterance_id)

    def _on_head(self, msg: HeadState) -> None:
        self._watch.head(msg.moving)

    def _do(self, acts: Iterable[Act]) -> None:
        for act in acts:
            match act:
                case StopHead():
                    self._stop.publish(Empty())
                case Cut(utterance_id):
                    self._interrupts.publish(
                        Interrupt(header=self.header(), utterance_id=utterance_id, reason="the brain is lost")
                    )
                case Say(sentence):
                    self._say(sentence)

    def _say(self, sentence: Sentence) -> None:
        samples = self._spoken.get(sentence)
        if samples is None or not samples.size:
            return  # the diagnostics say why there is no voice
        now = self.now()
        self._sound.publish(
            SpeechAudio(
                header=self.header(now),
                utterance_id=f"link-{self._ids(now)}",
                last=True,
                sample_rate=self._rate,
                samples=samples_to_field(samples),
                text=getattr(self.settings, sentence.value),
            )
        )

    # In the worker.

    def _speak(self, sentences: dict[Sentence, str]) -> None:
        from lfm_voice_ros.backends.piper import Piper

        try:
            voice = Piper(self.settings.voice)
            spoken = {
                each: np.concatenate([np.empty(0, np.float32), *voice.synthesize(text)])
                for each, text in sentences.items()
            }
        except VoiceError as exc:
            self.trouble("voice", f"without its brain the robot can't say so: {exc}")
            return
        self._rate = voice.sample_rate
        self._spoken = spoken


def main() -> int:
    """Run the node; give the exit code."""
    return run([LinkGuard])
