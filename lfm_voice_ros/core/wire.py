"""Sound between two machines: pieces of Opus packets, put in order again, with what was lost concealed.

Opus counts in samples at 48 kHz. A packet is 20 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lfm_voice_ros.core.types import Samples

#: Hz in which Opus counts, and to which it decodes.
RATE = 48_000
#: Packets a second, and samples of one at 48 kHz.
PACKETS_PER_SECOND = 50
PACKET = RATE // PACKETS_PER_SECOND
#: Samples at 48 kHz by which decoded sound comes late: the encoder looks ahead, and the decoder gives silence first.
PRE_SKIP = 312

_LONGEST_GAP = 50  # packets that are concealed; a longer gap is a cut
_FURTHEST = 10 * 60 * PACKETS_PER_SECOND  # packets of the longest stream that is believed


@dataclass(frozen=True)
class Piece:
    """Some packets of a reply's stream."""

    first: int  # which packet of the stream comes first here
    packets: tuple[bytes, ...]
    text: str = ""  # the words that begin with the first packet
    last: bool = False
    samples: int = 0  # with last: how long all of the sound is


@dataclass(frozen=True)
class Heard:
    """Sound of a reply, in order and without gaps."""

    samples: Samples  # at 48 kHz
    text: str = ""
    last: bool = False


class ReplyStream:
    """One reply as it comes: put in order, concealed where a packet stays out, cut to its length. For one thread.

    A packet is waited for ``patience`` seconds once a later one is there. ``late`` counts packets that came after that,
    ``lost`` those that were concealed or, where more than a second was missing, left out.
    """

    def __init__(self, decode: Callable[[bytes | None], Samples], patience: float) -> None:
        """``decode`` gives the 20 ms of a packet at 48 kHz; None has it make up what is lost."""
        self.late = 0
        self.lost = 0
        self.ended = False
        self._decode = decode
        self._patience = patience
        self._waiting: dict[int, tuple[bytes, float]] = {}  # packets by their number, and when they came
        self._texts: dict[int, str] = {}
        self._next = 0  # the packet that is decoded next
        self._end: int | None = None  # how many packets there are
        self._end_at = 0.0
        self._samples = 0  # of the whole reply, once the end is known
        self._skip = PRE_SKIP  # samples that are left out
        self._given = 0
        self._left_out = 0  # samples of gaps that were not concealed
        self._newest: float | None = None

    def add(self, piece: Piece, now: float) -> None:
        """Take a piece, in any order, also twice."""
        if self.ended or piece.first + len(piece.packets) > _FURTHEST:
            self.late += 0 if piece.last else len(piece.packets)
            return
        self._newest = now
        for number, packet in enumerate(piece.packets, piece.first):
            if number < self._next:
                self.late += 1
            elif number not in self._waiting:
                self._waiting[number] = (packet, now)
        if piece.text:
            self._texts.setdefault(piece.first, piece.text)
        if piece.last and self._end is None:
            self._end, self._end_at, self._samples = piece.first + len(piece.packets), now, piece.samples

    def silent_for(self, now: float) -> float:
        """Seconds since a piece came."""
        return 0.0 if self._newest is None else now - self._newest

    def finish(self) -> Heard:
        """Nothing more is expected: give the end that didn't come."""
        self.ended = True
        return Heard(np.empty(0, np.float32), last=True)

    def pop(self, now: float) -> Heard | None:
        """Give what can be heard next; None when that hasn't come."""
        if self.ended:
            return None
        sound = list(self._decoded(now))
        text = " ".join(self._texts.pop(at) for at in sorted(self._texts) if at <= self._next)
        samples = np.concatenate(sound) if sound else np.empty(0, np.float32)
        skipped = min(self._skip, samples.size)
        self._skip -= skipped
        samples = samples[skipped:]
        if self._end is not None:
            samples = samples[: max(0, self._samples - self._left_out - self._given)]
            self.ended = self._next >= self._end
        self._given += samples.size
        return Heard(samples, text, self.ended) if samples.size or text or self.ended else None

    def _decoded(self, now: float) -> Iterator[Samples]:
        while True:
            if self._next in self._waiting:
                packet, _ = self._waiting.pop(self._next)
                self._next += 1
                yield self._decode(packet)
                continue
            gap = self._gap(now)
            if not gap:
                return
            self.lost += gap
            concealed = min(gap, _LONGEST_GAP)
            for _ in range(concealed):
                yield self._decode(None)
            self._left_out += (gap - concealed) * PACKET
            self._next += gap

    def _gap(self, now: float) -> int:
        """How many packets are given up now."""
        if self._waiting:
            following = min(self._waiting)
            came = min(at for _, at in self._waiting.values())
        elif self._end is not None and self._end > self._next:
            following, came = self._end, self._end_at
        else:
            return 0
        return following - self._next if now - came >= self._patience else 0
