"""Sentences that were spoken or prepared, kept as sound.

In memory only: a sentence can repeat what a person said, and nothing of that is written to disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.types import Samples

_Key = tuple[str, str]  # voice, sentence


class SentenceCache:
    """The sound of the sentences that were used last, within a number of bytes. For one thread."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes of sound; 0 keeps nothing."""
        self.limit = limit
        self.size = 0  # bytes
        self.hits = 0
        self.misses = 0
        self._sounds: OrderedDict[_Key, tuple[Samples, ...]] = OrderedDict()

    def __len__(self) -> int:
        """How many sentences there are."""
        return len(self._sounds)

    def __str__(self) -> str:
        """For the diagnostics."""
        return f"{len(self)} sentences, {self.size / 1e6:.1f} MB, {self.hits} of {self.hits + self.misses} found"

    def has(self, voice: str, sentence: str) -> bool:
        """Whether it is there; counts for nothing."""
        return (voice, sentence) in self._sounds

    def get(self, voice: str, sentence: str) -> tuple[Samples, ...] | None:
        """The sound in the pieces in which it was made; None where it isn't there."""
        sound = self._sounds.get((voice, sentence))
        if sound is None:
            self.misses += 1
            return None
        self.hits += 1
        self._sounds.move_to_end((voice, sentence))
        return sound

    def put(self, voice: str, sentence: str, sound: tuple[Samples, ...]) -> None:
        """Keep a sentence; those that were used longest ago make room for it. One that is too large isn't kept."""
        self._drop((voice, sentence))
        if _bytes(sound) > self.limit:
            return
        self._sounds[voice, sentence] = sound
        self.size += _bytes(sound)
        while self.size > self.limit:
            self._drop(next(iter(self._sounds)))

    def clear(self) -> None:
        """Forget all sentences."""
        self._sounds.clear()
        self.size = 0

    def _drop(self, key: _Key) -> None:
        self.size -= _bytes(self._sounds.pop(key, ()))


class CachingSynthesizer:
    """Port Synthesizer: makes no sentence twice as long as the cache has it."""

    def __init__(self, synthesizer: Synthesizer, cache: SentenceCache, voice: str) -> None:
        """``voice`` tells the synthesizer's sound from that of others in the same cache."""
        self.name = synthesizer.name
        self.sample_rate = synthesizer.sample_rate
        self._synthesizer = synthesizer
        self._cache = cache
        self._voice = voice

    def synthesize(self, text: str) -> Iterator[Samples]:
        """See the port. A sentence is kept once it was made to its end."""
        sound = self._cache.get(self._voice, text)
        if sound is not None:
            yield from sound
            return
        made: list[Samples] = []
        for piece in self._synthesizer.synthesize(text):
            made.append(piece)
            yield piece
        self._cache.put(self._voice, text, tuple(made))

    def keep(self, text: str) -> bool:
        """Make a sentence for later; False where it can't be kept. Raises ResourceError."""
        if self._cache.limit and not self._cache.has(self._voice, text):
            self._cache.put(self._voice, text, tuple(self._synthesizer.synthesize(text)))
        return self._cache.has(self._voice, text)


def _bytes(sound: tuple[Samples, ...]) -> int:
    return sum(piece.nbytes for piece in sound)
