"""audio_player: the robot's voice, and what was heard of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import AudioError, ConfigurationError, ResourceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.interruption import Interruption, Verdict
from lfm_voice_ros.core.playback import Chunk, PlaybackReport, PlaybackState, Player, ReplySink, TimedSink
from lfm_voice_ros.core.ports import Played
from lfm_voice_ros.core.settings import AudioPlayerSettings
from lfm_voice_ros.msg import Interrupt, Playback, SpeechAudio, Transcript, VoiceActivity
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import samples_from_field
from lfm_voice_ros.nodes.played_sound import PlayedSound
from lfm_voice_ros.nodes.runtime import run

_TICK = 0.02  # s between looks at what was heard
_IDLE_TICKS = 50  # looks at nothing after which there are no more until sound comes
_TEND_PERIOD = 0.1  # s between looks at the sink
_RELEASE_TIMEOUT = 1.0  # s
_BACKLOG = 1000  # chunks and interrupts that may wait for the player


class AudioPlayer(VoiceNode[AudioPlayerSettings]):
    """Plays ``audio/output``, cuts on ``interrupt``, publishes ``playback`` and ``audio/played``.

    A person who speaks (BARGE_IN) makes it pause; their words (``transcript/draft``, ``transcript``) say whether the
    reply is cut or goes on. Without a working sink replies pass in real time unheard, so that turns still end.
    Threads: ``playing`` owns the player; ``device`` opens sinks; ``played sound`` publishes what they play.
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("audio_player", AudioPlayerSettings)
        self._make_sink: Callable[[], ReplySink] | None = None
        self._sink: ReplySink | None = None  # the one of the settings, while it works
        self._next_try = 0.0  # s, monotonic
        self._unusable = 0
        self._played = PlayedSound(self)
        self._player = Player(self._silence(), self._report, self._stalled, time.monotonic)
        self._interruption = Interruption()
        self._resumed = 0
        self._playbacks = self.create_publisher(Playback, "playback", qos.EVENT)
        self.listen(SpeechAudio, "audio/output", self._on_audio, qos.AUDIO)
        self.listen(Interrupt, "interrupt", self._on_interrupt, qos.EVENT)
        self.listen(VoiceActivity, "voice_activity", self._on_activity, qos.STATE)
        self.listen(Transcript, "transcript/draft", lambda msg: self._on_words(msg, final=False), qos.EVENT)
        self.listen(Transcript, "transcript", lambda msg: self._on_words(msg, final=True), qos.EVENT)
        self._playing = self.add_worker("playing", self._play, _BACKLOG)
        self._device = self.add_worker("device", self._tend, 2)
        self._ticker = self.every(_TICK, self._on_tick)
        self._idle_ticks = 0
        self.every(_TEND_PERIOD, self._on_tend)

    def configure(self) -> None:
        """Find out what the sink is; it is opened when the node becomes active."""
        self._make_sink = _sink_maker(self.settings, self._played)

    def activate(self) -> None:
        """Begin to open the sink; one that can't be opened is tried again every ``reconnect_period``."""
        self._next_try = 0.0

    def deactivate(self) -> None:
        """Fall silent, and let go of the speaker."""
        released = threading.Event()
        self._playing.put(lambda: self._release(released))
        if not released.wait(_RELEASE_TIMEOUT):
            self.trouble("sink", "the sound device is still busy; it is let go of when it answers", Level.WARN)

    def close(self) -> bool:
        """Stop the workers and the sink; a file that is being written is completed."""
        ended = super().close()
        if self._sink is not None:
            self._sink.stop()
        return ended

    def publish_diagnostics(self) -> None:
        """Send the node's health, with the sink's name and the chunks that were dropped."""
        sink = self._sink  # the worker may take it away at any time
        self.health.value("sink", sink.description if sink else "none, replies pass unheard")
        self.health.value("underflows", getattr(sink, "underflows", 0))
        self.health.value("latency ms", f"{1e3 * getattr(sink, 'latency', 0.0):.0f}")
        self.health.value("interruptions that were none", self._resumed)
        self.health.value("chunks dropped: unusable", self._unusable)
        for kind, count in self._player.dropped.copy().items():
            self.health.value(f"chunks dropped: {kind}", count)
        super().publish_diagnostics()

    # Callbacks: they hand over to the worker "playing", which alone touches the player.

    def _on_audio(self, msg: SpeechAudio) -> None:
        self._idle_ticks = 0
        if self._ticker.is_canceled():
            self._ticker.reset()
        self._playing.put(lambda: self._take(msg))

    def _on_interrupt(self, msg: Interrupt) -> None:
        if msg.reason == Interrupt.BARGE_IN and msg.by:
            self._playing.put(lambda: self._pause(msg.utterance_id, msg.by))
        else:  # also a person of whom nobody will tell what they say
            person = msg.reason == Interrupt.BARGE_IN
            self._playing.put(lambda: self._player.interrupt(msg.utterance_id, by_person=person))

    def _on_activity(self, msg: VoiceActivity) -> None:
        if msg.speaking:
            self._playing.put(lambda: self._interruption.speaking(msg.utterance_id, time.monotonic()))

    def _on_words(self, msg: Transcript, *, final: bool) -> None:
        self._playing.put(lambda: self._judge(msg, final))

    def _on_tick(self) -> None:
        if self._playing.waiting() > 0:
            return
        if self._player.busy:
            self._idle_ticks = 0
            self._playing.put(self._advance)
        elif (idle := self._idle_ticks + 1) < _IDLE_TICKS:
            self._idle_ticks = idle
        else:
            self._ticker.cancel()

    def _on_tend(self) -> None:
        if self._device.waiting() == 0:
            self._device.put(self._open_sink)
        if self._playing.waiting() == 0:
            self._playing.put(self._check)

    def _play(self, action: Callable[[], None]) -> None:
        action()

    def _take(self, msg: SpeechAudio) -> None:
        samples = np.empty(0, np.float32)
        if msg.samples or not (msg.last or msg.text):
            try:
                samples = samples_from_field(msg.samples, msg.sample_rate)
                if self.settings.volume != 1.0:
                    samples = np.clip(self.settings.volume * samples, -1.0, 1.0).astype(np.float32)
            except AudioError as exc:
                self._unusable += 1
                self.trouble("chunk", f"audio/output: {exc}", Level.WARN)
            else:
                self.well("chunk")
        # A chunk without usable sound still counts in the sequence, and may be the last.
        chunk = Chunk(msg.utterance_id, msg.sequence, msg.last, samples, msg.sample_rate, msg.text, msg.uninterruptible)
        self._player.add(chunk)

    def _pause(self, utterance_id: str, by: str) -> None:
        if self._player.pause(utterance_id):
            self._interruption.begin(self._player.paused, by, time.monotonic())

    def _judge(self, msg: Transcript, final: bool) -> None:
        self._act(self._interruption.words(msg.utterance_id, msg.text, final=final, failed=msg.failed))

    def _advance(self) -> None:
        self._act(self._interruption.check(time.monotonic()))
        self._player.tick()

    def _act(self, verdict: Verdict) -> None:
        if verdict is Verdict.CUT:
            self._player.interrupt(self._interruption.reply, by_person=True)
            self._player.resume()  # where it has become uninterruptible meanwhile
        elif verdict is Verdict.RESUME:
            self._resumed += 1
            self._player.resume()

    def _silence(self) -> TimedSink:
        return TimedSink(time.monotonic, self._played)

    def _check(self) -> None:
        try:
            self._player.check()
        except ResourceError as exc:
            self.trouble("sink", f"{exc}; replies pass unheard")
            broken, self._sink = self._player.change_sink(self._silence()), None
            self._next_try = time.monotonic() + self.settings.reconnect_period
            self._device.put(broken.stop)

    def _release(self, released: threading.Event) -> None:
        self._player.interrupt("")
        sink, self._sink = self._sink, None
        if sink is not None:
            self._player.change_sink(self._silence()).stop()
        self.well("sink")
        released.set()

    # The sink: opened and closed in the worker "device".

    def _tend(self, action: Callable[[], None]) -> None:
        action()

    def _open_sink(self) -> None:
        if self._sink is not None or time.monotonic() < self._next_try or self._make_sink is None:
            return
        self._next_try = time.monotonic() + self.settings.reconnect_period
        sink = self._make_sink()
        try:
            sink.start()
        except ResourceError as exc:
            self.trouble("sink", f"{exc}; replies pass unheard")
            return
        self._sink = sink
        self._playing.put(lambda: self._use(sink))

    def _use(self, sink: ReplySink) -> None:
        if not self.active:  # not any more
            self._sink = None
            sink.stop()
            return
        self._player.change_sink(sink)
        self.well("sink")
        self.get_logger().info(f"speaking into {sink.description}")

    def _report(self, report: PlaybackReport) -> None:
        over = report.state in (PlaybackState.FINISHED, PlaybackState.INTERRUPTED)
        if over and report.utterance_id == self._interruption.reply:
            self._interruption.clear()
        self._playbacks.publish(
            Playback(
                header=self.header(self.now() - report.age),
                utterance_id=report.utterance_id,
                state=int(report.state),
                heard_seconds=report.heard,
                queued_seconds=report.queued,
                heard_text=report.text,
            )
        )

    def _stalled(self, utterance_id: str) -> None:
        self.get_logger().warning(f"reply {utterance_id} stopped coming; it was ended. Look at the dialogue node.")


def _sink_maker(settings: AudioPlayerSettings, played: Played) -> Callable[[], ReplySink]:
    kind, _, target = settings.sink.partition(":")
    if kind == "sound_card":
        from lfm_voice_ros.backends.sound_card import Speaker

        return lambda: Speaker(target, settings.latency, played)
    if kind == "wav" and target:
        from lfm_voice_ros.backends.wav_file import WavFolderSink

        return lambda: WavFolderSink(Path(target).expanduser(), time.monotonic, played)
    if settings.sink == "none":
        return lambda: TimedSink(time.monotonic, played)
    raise ConfigurationError(
        f"audio_player.sink is '{settings.sink}'; it must be sound_card, sound_card:NAME_OR_INDEX, wav:FOLDER or none"
    )


def main() -> int:
    """Run the node; give the exit code."""
    return run([AudioPlayer])
