"""A person made of recordings: speaks into an audio topic in real time, and is silent in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_CHUNK = 800  # samples at 16 kHz: 50 ms


class Person:
    """Delivers chunks of 50 ms from a thread of its own, without a gap, from :meth:`start` to :meth:`stop`."""

    def __init__(self, deliver: Callable[[Samples, float], None], now: Callable[[], float]) -> None:
        """``deliver`` gets 16 kHz sound and the time (s, of ``now``) of its first sample."""
        self._deliver = deliver
        self._now = now
        self._lock = threading.Condition()
        self._pending = np.zeros(0, np.float32)
        self._next = 0.0  # s, of the chunk that is taken next
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="person", daemon=True)

    def start(self) -> None:
        """Begin, with silence."""
        self._next = self._now()
        self._thread.start()

    def begin(self, samples: Samples) -> float:
        """Speak 16 kHz sound as soon as what was begun before is said; give the time of its first sample."""
        with self._lock:
            at = self._next + self._pending.size / SAMPLE_RATE
            self._pending = np.concatenate([self._pending, samples])
            return at

    def say(self, samples: Samples, timeout: float) -> None:
        """Speak, and return when it was said. ``samples`` at 16 kHz; ``timeout`` in s beyond its length."""
        self.begin(samples)
        with self._lock:
            self._lock.wait_for(lambda: self._pending.size == 0, samples.size / SAMPLE_RATE + timeout)

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        began, stamp = time.monotonic(), self._next
        sent = 0
        while not self._ending.is_set():
            with self._lock:
                chunk = self._pending[:_CHUNK]
                self._pending = self._pending[_CHUNK:]
                self._next = stamp + (sent + _CHUNK) / SAMPLE_RATE
                if self._pending.size == 0:
                    self._lock.notify_all()
            chunk = np.pad(chunk, (0, _CHUNK - chunk.size))
            # A microphone hands a chunk over when its last sample was taken.
            due = began + (sent + _CHUNK) / SAMPLE_RATE
            self._ending.wait(max(0.0, due - time.monotonic()))
            self._deliver(chunk, stamp + sent / SAMPLE_RATE)
            sent += _CHUNK
