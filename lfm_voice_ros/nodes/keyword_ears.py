"""What audio_capture listens for at any time: stop words, and the wake word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from std_msgs.msg import Empty

from lfm_voice_ros.core.errors import VoiceError
from lfm_voice_ros.core.own_words import OwnWords
from lfm_voice_ros.core.ports import KeywordSpotter
from lfm_voice_ros.core.types import Samples, Spot
from lfm_voice_ros.msg import Interrupt, Keyword, Playback, SpeechAudio
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds

_BACKLOG = 400  # pieces of sound that may wait


class KeywordEars:
    """Gives the sound to the spotters in a worker of its own, and tells what they hear.

    ``keyword`` tells everybody; a stop word also goes to ``head/stop`` and ``interrupt`` at once, the wake word to
    ``woken`` (called in the worker, with the time in s at which the word ended).
    """

    def __init__(self, node: VoiceNode[Any], woken: Callable[[float], None]) -> None:
        self._node = node
        self._woken = woken
        self._stop_words: Sequence[str] = ()
        self._wake_word = ""
        self._spotters: list[tuple[str, KeywordSpotter]] | None = []  # None until they are loaded
        self._own = OwnWords()
        self._lock = threading.Lock()  # of _own: messages and the worker
        self._counts = {Keyword.STOP: 0, Keyword.WAKE: 0, "own": 0}
        self._keywords = node.create_publisher(Keyword, "keyword", qos.EVENT)
        self._stops = node.create_publisher(Empty, "head/stop", qos.EVENT)
        self._interrupts = node.create_publisher(Interrupt, "interrupt", qos.EVENT)
        node.listen(SpeechAudio, "audio/output", self._on_speech, qos.AUDIO)
        node.listen(Playback, "playback", self._on_playback, qos.EVENT)
        self._work = node.add_worker("keywords", self._spot, _BACKLOG)

    def listen_for(self, stop_words: Sequence[str], wake_word: str) -> None:
        """Load what hears these, in the worker; without any of them nothing is listened for."""
        self._stop_words, self._wake_word = tuple(stop_words), wake_word
        self._spotters = None if stop_words or wake_word else []
        if self._spotters is not None:
            self._node.well("keywords")

    def hear(self, samples: Samples, at: float) -> None:
        """Take the next sound of the microphone (16 kHz, first sample at ``at``); returns at once. From any thread."""
        if self._spotters is None or self._spotters:
            self._work.put((samples, at))

    def end(self) -> None:
        """The stream has ended; what comes next is another."""
        if self._spotters:
            self._work.put(None)

    def tell(self) -> None:
        """Put into the node's diagnostics what is listened for, and how often it was heard."""
        names = ", ".join(spotter.name for _, spotter in self._spotters or [])
        self._node.health.value("keywords", names or ("none" if self._spotters == [] else "loading"))
        self._node.health.value("stop words heard", self._counts[Keyword.STOP])
        self._node.health.value("stop words of the robot itself", self._counts["own"])
        self._node.health.value("wake words heard", self._counts[Keyword.WAKE])

    # In the worker.

    def _spot(self, sound: tuple[Samples, float] | None) -> None:
        if self._spotters is None:
            self._spotters = self._load()
        if sound is None:
            for _, spotter in self._spotters:
                spotter.reset()
            return
        for kind, spotter in self._spotters:
            for spot in spotter.push(*sound):
                self._tell_of(kind, spot)

    def _load(self) -> list[tuple[str, KeywordSpotter]]:
        from lfm_voice_ros.backends import load_stop_spotter, load_wake_spotter

        loaded: list[tuple[str, KeywordSpotter]] = []
        try:
            # Stop words first: they must not wait for the other.
            if self._stop_words:
                loaded.append((Keyword.STOP, load_stop_spotter(self._stop_words)))
            if self._wake_word:
                loaded.append((Keyword.WAKE, load_wake_spotter(self._wake_word)))
        except VoiceError as exc:
            self._node.trouble("keywords", str(exc))
        else:
            self._node.well("keywords")
        return loaded

    def _tell_of(self, kind: str, spot: Spot) -> None:
        with self._lock:
            own = self._own.says(spot.word, spot.end)
        if own:
            self._counts["own"] += 1
            return
        header = self._node.header(spot.end)
        if kind == Keyword.STOP:
            # The head first: it is what can hurt.
            self._stops.publish(Empty())
        self._keywords.publish(Keyword(header=header, kind=kind, word=spot.word, confidence=spot.confidence))
        if kind == Keyword.STOP:
            self._interrupts.publish(Interrupt(header=header, reason="stop word"))
        else:
            self._woken(spot.end)
        self._counts[kind] += 1

    # In the callbacks' thread.

    def _on_speech(self, msg: SpeechAudio) -> None:
        seconds = len(msg.samples) / msg.sample_rate if msg.sample_rate else 0.0
        with self._lock:
            self._own.spoken(msg.utterance_id, msg.text, seconds, msg.last)

    def _on_playback(self, msg: Playback) -> None:
        with self._lock:
            self._own.played(msg.utterance_id, msg.state, to_seconds(msg.header.stamp), msg.heard_seconds)
