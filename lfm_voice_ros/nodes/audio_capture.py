"""audio_capture: sound in, utterances out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from lfm_voice_ros.core.attention import Attention
from lfm_voice_ros.core.end_of_turn import Ending
from lfm_voice_ros.core.endpointing import (
    Endpointer,
    Event,
    Listener,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
    UtteranceIds,
)
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.motor_noise import MotorAware
from lfm_voice_ros.core.playback import RobotVoice
from lfm_voice_ros.core.ports import AudioSource
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Utterance
from lfm_voice_ros.msg import Asking, Audio, EndOfTurn, HeadState, Interrupt, Playback, VoiceActivity
from lfm_voice_ros.msg import Utterance as UtteranceMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import samples_to_field, utterance_to_msg
from lfm_voice_ros.nodes.echo_cancelling import EchoCancelling
from lfm_voice_ros.nodes.external_sound import ExternalSound
from lfm_voice_ros.nodes.keyword_ears import KeywordEars
from lfm_voice_ros.nodes.runtime import run

_TEND_PERIOD = 0.1  # s between looks at the source
_ACTIVITY_PERIOD = 1.0  # s between repeated voice_activity
_PATIENCE = 5.0  # s for which a file waits until somebody takes utterances
_DRY = 1.0  # s without sound after which an utterance can't go on
_RELEASE_TIMEOUT = 1.0  # s
_BACKLOG = 400  # pieces of sound that may wait for the VAD
_CHUNK = 1024  # samples of audio/input
_DEAD = 10.0  # s of zeros after which a microphone is taken for muted
_SILENCE_DBFS = -120.0


@dataclass(frozen=True)
class _Sound:
    """A piece of what the source gave."""

    samples: Samples  # 16 kHz
    at: float  # s, first sample
    counts: bool  # whether what is said in it becomes an utterance


class _Source(AudioSource, Protocol):
    def check(self) -> None:
        """Raises ResourceError when the source gives no sound any more."""


class AudioCapture(VoiceNode[AudioCaptureSettings]):
    """Takes sound from the microphone, a file or a topic; publishes ``audio/input``, ``voice_activity``, ``utterance``.

    In a pause it publishes ``utterance/draft``; ``end_of_turn`` says what was said, and so how long the pause may be.

    Threads: the source delivers in its own; ``device`` opens and watches it; ``hearing`` runs the VAD and publishes;
    ``keywords`` listens for stop words and the wake word (KeywordEars).
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("audio_capture", AudioCaptureSettings)
        self._external: ExternalSound | None = None
        self._make_source: Callable[[], _Source] | None = None
        self._ids = UtteranceIds()
        self._listener: Listener | None = None
        self._vad: MotorAware | None = None  # of the listener
        self._head_moves = False
        self._attention: Attention | None = None  # with a wake word; of the worker "hearing"
        self._not_meant = 0  # utterances that weren't for the robot
        self._source: _Source | None = None
        self._released = threading.Event()  # the source, after the node became inactive
        self._next_try = 0.0  # s, monotonic
        self._patient_until = 0.0  # s, monotonic
        self._dry = True  # what was being said has been ended, because no sound came
        self._delivered_at = time.monotonic()
        self._sounded_at = time.monotonic()  # s, monotonic: when something else than zeros was delivered
        self._spoken_at = float("nan")  # s, monotonic
        self._activity = VoiceActivity(level_dbfs=_SILENCE_DBFS)
        self._activity_at = 0.0  # s, monotonic
        self._chunk: list[Samples] = []
        self._chunk_at = 0.0
        self._robot = RobotVoice()
        self._audio = self.create_publisher(Audio, "audio/input", qos.AUDIO)
        self._activities = self.create_publisher(VoiceActivity, "voice_activity", qos.STATE)
        self._utterances = self.create_publisher(UtteranceMsg, "utterance", qos.EVENT)
        self._drafts = self.create_publisher(UtteranceMsg, "utterance/draft", qos.EVENT)
        self._interrupts = self.create_publisher(Interrupt, "interrupt", qos.EVENT)
        self._listening = True
        self._pressed = False
        self.listen(Playback, "playback", self._on_playback, qos.EVENT)
        self.listen(Bool, "push_to_talk", lambda msg: self._press(msg.data), qos.EVENT)
        self.listen(EndOfTurn, "end_of_turn", self._on_end_of_turn, qos.EVENT)
        self.listen(HeadState, "head/state", self._on_head_state, qos.STATE)
        self.listen(Asking, "asking", self._on_asking, qos.STATE)
        self.create_service(SetBool, "listen", self._on_listen)
        self.create_service(SetBool, "push_to_talk/press", self._on_press)
        self._keywords = KeywordEars(self, lambda end: self._attend(lambda attention: attention.woken(end)))
        self._hearing = self.add_worker("hearing", self._hear, _BACKLOG)
        self._echo = EchoCancelling(self, self._hearing.put)
        self._device = self.add_worker("device", self._tend, 1)
        self.every(_TEND_PERIOD, self._on_tend)

    def check(self, settings: AudioCaptureSettings) -> None:
        """See VoiceNode: thresholds and times must fit together."""
        Endpointer(settings, UtteranceIds())

    def configure(self) -> None:
        """Find out what the source is; it is opened when the node becomes active."""
        self._make_source = self._source_maker(self.settings.source)
        self._attention = Attention(self.settings.follow_up) if self.settings.wake_word else None
        self._keywords.listen_for([word for word in self.settings.stop_words if word], self.settings.wake_word)
        self._echo.prepare()

    def activate(self) -> None:
        """Begin to open the source; a source that can't be opened is tried again every ``reconnect_period``."""
        self._next_try = 0.0
        self._pressed = False
        if self.settings.source.startswith("wav:"):
            # A file would be over before the discovery of the other nodes is.
            self._patient_until = time.monotonic() + _PATIENCE

    def deactivate(self) -> None:
        """Let go of the microphone; what was being said is ended."""
        self._released.clear()
        self._device.put(None)
        if not self._released.wait(_RELEASE_TIMEOUT):
            self.trouble("source", "the sound device is still busy; it is let go of when it answers", Level.WARN)

    def cleanup(self) -> None:
        """Forget the source and the VAD."""
        self._make_source = None
        self._hearing.put(self._forget)

    def changed(self) -> None:
        """Hear with the new thresholds, from the next utterance on."""
        self._hearing.put(self._renew)

    def close(self) -> bool:
        """Stop the source and the workers."""
        ended = super().close()
        if self._source is not None:
            self._source.stop()
        return ended

    def publish_diagnostics(self) -> None:
        """Send the node's health, with the source's name, level and drops."""
        now = time.monotonic()
        source = self._source
        self.health.value("source", source.description if source else "none")
        self.health.value("listening", self._ears())
        if self._silent_for(now) > _DEAD:
            name = source.description if source else "the microphone"
            what_to_do = "unmute it, or choose another (lfm-voice devices lists them)"
            self.trouble("silence", f"{name} gives nothing but zeros; {what_to_do}", Level.WARN)
        else:
            self.well("silence")
        self.health.value("level dBFS", f"{self._activity.level_dbfs:.1f}")
        self.health.value("seconds since sound", f"{now - self._delivered_at:.1f}")
        self.health.value("seconds since speech", f"{now - self._spoken_at:.1f}")
        self.health.value("overflows", getattr(source, "overflows", 0))
        self._keywords.tell()
        if self.settings.wake_word:
            self.health.value("utterances not for the robot", self._not_meant)
        if self._external is not None:
            for kind, count in self._external.dropped.copy().items():
                self.health.value(f"external sound dropped: {kind}", count)
        super().publish_diagnostics()

    def _silent_for(self, now: float) -> float:
        """Seconds for which a sound card has given digital silence; no room is that quiet."""
        if self._source is None or not self.settings.source.startswith("sound_card"):
            self._sounded_at = now
        return now - self._sounded_at

    def _ears(self) -> str:
        if not self._listening:
            return "no: the service listen has said so"
        if self.settings.push_to_talk and not self._pressed:
            return "no: push_to_talk is not pressed"
        return "yes" if self._hears(time.monotonic(), self.now()) else "no: the robot speaks"

    def _source_maker(self, text: str) -> Callable[[], _Source]:
        kind, _, target = text.partition(":")
        if kind == "sound_card":
            from lfm_voice_ros.backends.sound_card import Microphone

            return lambda: Microphone(target, self.now)
        if kind == "wav" and target:
            from lfm_voice_ros.backends.wav_file import WavSource

            return lambda: WavSource(Path(target).expanduser(), self.now)
        if text == "topic":
            external = self._external = self._external or ExternalSound(self)
            return lambda: external
        raise ConfigurationError(
            f"audio_capture.source is '{text}'; it must be sound_card, sound_card:NAME_OR_INDEX, wav:FILE or topic"
        )

    # The source: in the worker "device".

    def _on_tend(self) -> None:
        if self._device.waiting() == 0:
            self._device.put(None)
        if time.monotonic() - self._activity_at >= _ACTIVITY_PERIOD - _TEND_PERIOD / 2:
            self._publish_activity()

    def _tend(self, _: None) -> None:
        now = time.monotonic()
        if not self.active:
            source, self._source = self._source, None
            if source is not None:
                source.stop()
                self._hearing.put(None)
            self.well("source")
            self._released.set()
            return
        expected = self._utterances.get_subscription_count() > 0 or now >= self._patient_until
        if self._source is None and expected and now >= self._next_try:
            self._next_try = now + self.settings.reconnect_period
            self._open_source()
        elif self._source is not None:
            try:
                self._source.check()
            except ResourceError as exc:
                self.trouble("source", str(exc))
                self._source.stop()
                self._source = None
        if not self._dry and now - self._delivered_at > _DRY:
            self._dry = True
            self._hearing.put(None)

    def _open_source(self) -> None:
        try:
            if self._listener is None:
                from lfm_voice_ros.backends.silero_vad import SileroVad

                self._vad = MotorAware(SileroVad(), self.settings.motor_noise)
                self._vad.moving(self._head_moves)
                self._listener = Listener(self._vad, Endpointer(self.settings, self._ids))
            if self._make_source is None:
                return  # cleaned up meanwhile
            source = self._make_source()
            self._echo.open()
            source.start(self._deliver)
        except VoiceError as exc:
            self.trouble("source", str(exc))
            return
        self._source = source
        self.well("source")
        self.get_logger().info(f"listening to {source.description}")

    # Sound: delivered in the source's thread, heard in the worker "hearing".

    def _deliver(self, samples: Samples, at: float) -> None:
        now = time.monotonic()
        self._delivered_at = now
        if samples.any():
            self._sounded_at = now
        self._dry = False
        if not self._may_listen():
            samples = np.zeros_like(samples)
        self._hearing.put(_Sound(samples, at, self._hears(now, at)))

    def _may_listen(self) -> bool:
        """Whether people want to be heard; where not, nothing in the node gets the sound."""
        return self._listening and (self._pressed or not self.settings.push_to_talk)

    def _hears(self, now: float, at: float) -> bool:
        """Whether what a person says now, in sound of that stamp, becomes an utterance."""
        return self._may_listen() and (self.settings.barge_in or not self._robot.audible(now) or self._echo.hears(at))

    def _hear(self, sound: _Sound | Callable[[], None] | None) -> None:
        if callable(sound):
            sound()
            return
        if self._listener is None:
            return  # no source delivers before there is one
        if sound is None:
            self._keywords.end()
            self._handle(self._listener.finish())
            return
        clean = self._echo.push(sound.samples, sound.at)
        self._keywords.hear(clean.samples, clean.at)
        self._publish_audio(clean.samples, clean.at)
        before, heard = self._listener.push(clean.person if sound.counts else np.zeros_like(clean.person), clean.at)
        self._handle(before)
        for frame in heard:
            self._activity.probability = min(max(frame.probability, 0.0), 1.0)
            self._activity.level_dbfs = _level_dbfs(frame.frame)
            if self._listener.speaking:
                self._spoken_at = time.monotonic()
            self._handle(frame.events)

    def _renew(self) -> None:
        if self._listener is not None:
            self._listener.use(Endpointer(self.settings, self._ids))
        if self._vad is not None:
            self._vad.mode = self.settings.motor_noise
        if self._attention is not None:
            self._attention.use(self.settings.follow_up)

    def _judge(self, utterance_id: str, speech_end: float, ending: Ending) -> None:
        if self._listener is not None:
            self._handle(self._listener.judge(utterance_id, speech_end, ending))

    def _forget(self) -> None:
        self._listener = None

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, SpeechStarted):
                self._publish_activity(event.utterance_id, event.at)
                self._barge_in(event)
            elif isinstance(event, SpeechPaused):
                if self._drafts.get_subscription_count() and (so_far := self._meant(event.utterance)) is not None:
                    self._drafts.publish(utterance_to_msg(so_far))
                    # Somebody is about to say more of it.
                    self._judge(so_far.utterance_id, so_far.speech_end, Ending.UNCLEAR)
            elif isinstance(event, SpeechEnded):
                if (utterance := self._meant(event.utterance)) is not None:
                    self._utterances.publish(utterance_to_msg(utterance))
                else:
                    self._not_meant += 1
                self._publish_activity("", event.utterance.speech_end)
            else:
                self.get_logger().debug(f"{event.seconds:.2f} s of speech are too short for an utterance")

    def _meant(self, utterance: Utterance) -> Utterance | None:
        """What of an utterance is for the robot."""
        return utterance if self._attention is None else self._attention.takes(utterance)

    def _attend(self, learn: Callable[[Attention], None]) -> None:
        """Tell the attention something, in the worker that asks it. From any thread."""

        def tell() -> None:
            if self._attention is not None:
                learn(self._attention)

        if self.settings.wake_word:
            self._hearing.put(tell)

    def _barge_in(self, started: SpeechStarted) -> None:
        if reply := self._robot.playing(time.monotonic()):
            self._interrupts.publish(
                Interrupt(
                    header=self.header(started.at),
                    utterance_id=reply,
                    reason=Interrupt.BARGE_IN,
                    by=started.utterance_id,
                )
            )

    def _publish_activity(self, utterance_id: str | None = None, at: float | None = None) -> None:
        """Publish a new state that began ``at`` (s), or repeat the present one."""
        self._activity_at = time.monotonic()
        if utterance_id is not None:
            self._activity.speaking, self._activity.utterance_id = bool(utterance_id), utterance_id
        state = self._activity
        # A message of its own: the timer and the worker both publish.
        self._activities.publish(
            VoiceActivity(
                header=self.header(at),
                speaking=state.speaking,
                utterance_id=state.utterance_id,
                probability=state.probability,
                level_dbfs=state.level_dbfs,
            )
        )

    def _publish_audio(self, samples: Samples, at: float) -> None:
        if not self._chunk:
            self._chunk_at = at
        self._chunk.append(samples)
        if sum(part.size for part in self._chunk) >= _CHUNK:
            chunk, self._chunk = self._chunk, []
            if self._audio.get_subscription_count():
                field = samples_to_field(np.concatenate(chunk))
                self._audio.publish(Audio(header=self.header(self._chunk_at), sample_rate=SAMPLE_RATE, samples=field))

    def _on_listen(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._listening = bool(request.data)
        if not self._listening and self.active:
            self._hearing.put(None)  # what was being said is ended
        if self._listening:
            self.well("listening")
        else:
            self.trouble("listening", "it was told not to listen; call the service listen with true", Level.WARN)
        response.success, response.message = True, "listening" if self._listening else "deaf until told to listen again"
        self.get_logger().info(response.message)
        return response

    def _press(self, down: bool) -> None:
        released = self._pressed and not down
        self._pressed = down
        now = self.now()
        self._attend(lambda attention: attention.pressed(down, now))
        if released and self.settings.push_to_talk:
            self._hearing.put(None)  # the end of the utterance is known: no silence need be waited for

    def _on_end_of_turn(self, msg: EndOfTurn) -> None:
        try:
            ending = Ending(msg.ending)
        except ValueError:
            return  # of a newer version: as if the words said nothing
        self._hearing.put(partial(self._judge, msg.utterance_id, to_seconds(msg.speech_end), ending))

    def _on_press(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self.active
        response.message = "audio_capture is not active; activate it: ros2 lifecycle set /audio_capture activate"
        if self.active:
            self._press(bool(request.data))
            response.message = self._ears()
        return response

    def _on_asking(self, msg: Asking) -> None:
        at = to_seconds(msg.header.stamp)
        self._attend(lambda attention: attention.asked(msg.open, at))

    def _on_head_state(self, msg: HeadState) -> None:
        self._head_moves = msg.moving
        if self._vad is not None:
            self._vad.moving(msg.moving)

    def _on_playback(self, msg: Playback) -> None:
        self._robot.update(msg.utterance_id, msg.state, time.monotonic())
        at = to_seconds(msg.header.stamp)
        if msg.state in (Playback.FINISHED, Playback.INTERRUPTED):
            self._attend(lambda attention: attention.fell_silent(at))
        elif msg.state == Playback.STARTED:
            self._attend(lambda attention: attention.talking(at))


def _level_dbfs(frame: Samples) -> float:
    power = float(np.mean(np.square(frame)))
    return max(_SILENCE_DBFS, 10.0 * float(np.log10(power))) if power > 0 else _SILENCE_DBFS


def main() -> int:
    """Run the node; give the exit code."""
    return run([AudioCapture])
