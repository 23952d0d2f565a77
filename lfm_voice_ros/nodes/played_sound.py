"""What the loudspeaker plays, as a topic: the reference of echo cancellation."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lfm_voice_ros.backends.resampling import StreamResampler
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.msg import Audio
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import samples_to_field

_GAP = 0.02  # s; sound that jumps further has had silence before it
_CHUNK = round(0.02 * SAMPLE_RATE)  # samples of a message
_ATOMIC = 0.001  # s that two looks at clocks may be apart
_TRIES = 5
_FIRST_TRIES = 100
_BACKLOG = 400  # pieces of sound that may wait

_Piece = tuple[Samples, int, float]


class PlayedSound:
    """Publishes ``audio/played`` at 16 kHz in chunks of 20 ms, while somebody listens to it and the robot speaks."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        self._node = node
        self._publisher = node.create_publisher(Audio, "audio/played", qos.AUDIO)
        self._resampler: StreamResampler | None = None
        self._expected = 0.0  # s, monotonic: the end of what was taken
        self._ready: list[Samples] = []
        self._ready_at = 0.0  # s, monotonic
        self._ahead = 0.0  # s, ROS time before the monotonic clock, when that was last seen
        self._look_at_clocks(_FIRST_TRIES)
        self._worker = node.add_worker("played sound", self._take, _BACKLOG)

    def __call__(self, samples: Samples, rate: int, at: float) -> None:
        """Take what is played; see core.ports.Played. Called from the sink's thread."""
        self._worker.put((samples, rate, at))

    def _take(self, piece: _Piece) -> None:
        samples, rate, at = piece
        if self._publisher.get_subscription_count() == 0:
            self._resampler, self._ready = None, []
            return
        resampler = self._resampler
        if resampler is not None and (
            not samples.size or rate != resampler.from_rate or abs(at - self._expected) > _GAP
        ):
            began = self._expected - resampler.held_seconds
            self._add(resampler.push(np.empty(0, np.float32), last=True), began)
            self._publish()
            self._resampler = None
        if not samples.size:
            return
        if self._resampler is None:
            self._resampler = StreamResampler(rate, SAMPLE_RATE)
        began = at - self._resampler.held_seconds
        self._expected = at + samples.size / rate
        self._add(self._resampler.push(samples), began)
        if sum(part.size for part in self._ready) >= _CHUNK:
            self._publish()

    def _add(self, samples: Samples, at: float) -> None:
        if not samples.size:
            return
        if not self._ready:
            self._ready_at = at
        self._ready.append(samples)

    def _publish(self) -> None:
        if not self._ready:
            return
        samples = np.clip(np.concatenate(self._ready), -1.0, 1.0)
        self._ready = []
        self._look_at_clocks(_TRIES)
        at = self._ready_at + self._ahead
        self._publisher.publish(
            Audio(header=self._node.header(at), sample_rate=SAMPLE_RATE, samples=samples_to_field(samples))
        )

    def _look_at_clocks(self, tries: int) -> None:
        """See by how much ROS time is ahead; where others always run between two looks, what was seen before holds."""
        for _ in range(tries):
            before = time.monotonic()
            ahead = self._node.now() - before
            if time.monotonic() - before < _ATOMIC:
                self._ahead = ahead
                return
