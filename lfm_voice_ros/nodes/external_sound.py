"""Sound from a topic, as one of the sources of audio_capture."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lfm_voice_ros.backends.resampling import StreamResampler
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.msg import Audio
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import samples_from_field

_GAP = 0.2  # s; sound that jumps further is another stream
_STALE = 5.0  # s; sound that is older was recorded before, as a replayed bag is
_AHEAD = 60.0  # s; sound that is later comes from a wrong clock
_FORGIVEN = 5.0  # s of usable sound after which a warning about unusable sound ends
_BACKLOG = 400  # pieces of sound that may wait


class ExternalSound:
    """The source ``topic``: sound of any rate from ``audio/external``.

    Stamps that are far from now, as those of a replayed bag, are moved to now, all by the same time, so that the sound
    has the gaps that it had.
    """

    description = "topic audio/external"

    def __init__(self, node: VoiceNode[Any]) -> None:
        self.dropped: Counter[str] = Counter()
        self._node = node
        self._deliver: Callable[[Samples, float], None] | None = None
        self._resampler: StreamResampler | None = None
        self._expected = 0.0  # s, the stamp that goes on without a gap
        self._moved = 0.0  # s, added to stamps that are far from now
        self._bad_at: dict[str, float] = {}  # s, monotonic, by kind
        self._work = node.add_worker("external sound", self._take, _BACKLOG)
        node.listen(Audio, "audio/external", self._work.put, qos.AUDIO)

    def start(self, deliver: Callable[[Samples, float], None]) -> None:
        """Deliver from the worker of this source; nothing can fail."""
        self._deliver = deliver

    def check(self) -> None:
        """A topic may be silent as long as it likes."""

    def stop(self) -> None:
        """Deliver no more."""
        self._deliver = None

    def _take(self, msg: Audio) -> None:
        deliver = self._deliver
        if deliver is None:
            return
        try:
            samples = samples_from_field(msg.samples, msg.sample_rate)
        except AudioError as exc:
            kind = "no samples" if not msg.samples else "not a number" if "NaN" in str(exc) else "wrong rate"
            self.dropped[kind] += 1
            self._bad_at[kind] = time.monotonic()
            self._node.trouble(f"external sound: {kind}", f"audio/external: {exc}", Level.WARN)
            return
        for kind in [k for k, at in self._bad_at.items() if time.monotonic() - at > _FORGIVEN]:
            del self._bad_at[kind]
            self._node.well(f"external sound: {kind}")
        stamp = to_seconds(msg.header.stamp)
        at = self._near_now(stamp) if stamp else max(self._node.now(), self._expected)
        if self._resampler is None or self._resampler.from_rate != msg.sample_rate or abs(at - self._expected) > _GAP:
            self._resampler = StreamResampler(msg.sample_rate, SAMPLE_RATE)
        self._expected = at + samples.size / msg.sample_rate
        began = at - self._resampler.held_seconds
        if (ready := self._resampler.push(samples)).size:
            deliver(np.clip(ready, -1.0, 1.0), began)

    def _near_now(self, stamp: float) -> float:
        now = self._node.now()
        # Sound that comes faster than it was spoken catches up with now; it stays where its beginning was put.
        for at in sorted((stamp, stamp + self._moved), key=lambda at: abs(at - self._expected)):
            if now - _STALE <= at <= now + _AHEAD:
                return at
        self._moved = now - stamp
        return now
