"""Stop words, by the speech embedding of openWakeWord (pyopen-wakeword, TensorFlow Lite) and a small head of our own.

The embedding was trained by Google on speech of many people; models/stop_words/ holds the head and the record of its
training (training/stop_words.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import model_file
from lfm_voice_ros.core.sound_gate import SoundGate
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Spot

BLOCK = 1280  # samples between two embeddings
SIZE = 96  # of an embedding
WINDOW = 10  # blocks of sound in an embedding
# The library's own counts of what it has not used yet: with these the next block is the first that is complete.
_UNUSED_SAMPLES = 480
_UNUSED_MELS = 68
_MELS_OF_BLOCK = 8
_FULL_SCALE = 32767
_LATE = 0.1  # s after the end of a word at which it is spotted, in the median
_DEAF = 0.8  # s after a word in which it isn't spotted again


class Embedder:
    """Sound to vectors: one for each BLOCK, of the 0.78 s before its end. Used from one thread at a time."""

    def __init__(self) -> None:
        """Raises ResourceError when the library is missing."""
        try:
            from pyopen_wakeword import OpenWakeWordFeatures

            self._features: Any = OpenWakeWordFeatures.from_builtin()
        except (ImportError, OSError, ValueError, RuntimeError) as exc:
            raise ResourceError(
                f"the speech embedding can't be loaded ({exc}); install it with: pip install pyopen-wakeword"
            ) from exc
        self.restart(())

    def restart(self, before: Sequence[Samples]) -> None:
        """Begin a stream, of which these blocks have gone before."""
        self._features.reset()
        self._features.new_audio_samples = _UNUSED_SAMPLES
        self._features.new_mels = _UNUSED_MELS - _MELS_OF_BLOCK * len(before)
        for block in before:
            self.embed(block)

    def embed(self, block: Samples) -> NDArray[np.float32]:
        """Take BLOCK samples at 16 kHz; give the vector of what was heard last, shape (SIZE,)."""
        sound = (np.clip(block, -1.0, 1.0) * _FULL_SCALE).astype("<i2").tobytes()
        vectors = [vector.reshape(SIZE) for vector in self._features.process_streaming(sound)]
        return np.asarray(vectors[-1], np.float32) if vectors else np.zeros(SIZE, np.float32)


@dataclass(frozen=True)
class Head:
    """A small network on the last embeddings: the probability of each word, and of none."""

    words: tuple[str, ...]
    thresholds: NDArray[np.float32]  # shape (words,): the probability at which a word counts
    mean: NDArray[np.float32]  # shape (look * SIZE,)
    scale: NDArray[np.float32]  # shape (look * SIZE,)
    first: NDArray[np.float32]  # shape (look * SIZE + 1, hidden), the bias last
    second: NDArray[np.float32]  # shape (hidden + 1, 1 + words), none first

    @classmethod
    def load(cls, path: Path) -> Head:
        """Read what :meth:`save` wrote. Raises ConfigurationError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = [file[name].astype(np.float32) for name in ("thresholds", "mean", "scale", "first", "second")]
                return cls(tuple(str(word) for word in file["words"]), *arrays)
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as exc:
            raise ConfigurationError(f"{path} holds no spotter; build the package again") from exc

    def save(self, path: Path) -> None:
        """Write it. Raises OSError."""
        np.savez(
            path,
            words=np.array(self.words),
            thresholds=self.thresholds,
            mean=self.mean,
            scale=self.scale,
            first=self.first,
            second=self.second,
        )

    @property
    def look(self) -> int:
        """Embeddings that it sees at once."""
        return self.mean.size // SIZE

    def probabilities(self, looks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take shape (n, look * SIZE); give shape (n, words)."""
        hidden = np.maximum((looks - self.mean) / self.scale @ self.first[:-1] + self.first[-1], 0.0)
        scores = hidden @ self.second[:-1] + self.second[-1]
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray((odds / odds.sum(axis=1, keepdims=True))[:, 1:], np.float32)


class StopWords:
    """The port KeywordSpotter for stop words. Used from one thread at a time.

    In an empty room it only measures the level; what is louder is listened to, with the 0.8 s before it.
    """

    def __init__(self, words: Sequence[str], head: Head | None = None) -> None:
        """Take words of the head, by default of the one that comes with the package.

        Raises ConfigurationError for a word that it doesn't know, ResourceError when the library is missing.
        """
        self._head = head or Head.load(model_file("stop_words/head.npz"))
        if unknown := [word for word in words if word not in self._head.words]:
            raise ConfigurationError(f"'{unknown[0]}' is no stop word; there are: {', '.join(self._head.words)}")
        self.name = f"openWakeWord {', '.join(words)}"
        self._wanted = [self._head.words.index(word) for word in words]
        self._embedder = Embedder()
        self._gate = SoundGate()
        self._before: deque[Samples] = deque(maxlen=WINDOW - 1)
        self._rest = np.empty(0, np.float32)
        self._listening = False
        self._seen: deque[NDArray[np.float32]] = deque(maxlen=self._head.look)
        self._deaf_until = -np.inf  # s

    def push(self, samples: Samples, at: float) -> list[Spot]:
        """See the port. A word's end is estimated from when it was spotted."""
        spots: list[Spot] = []
        self._rest = np.concatenate((self._rest, samples))
        end = at + samples.size / SAMPLE_RATE
        while self._rest.size >= BLOCK:
            block, self._rest = self._rest[:BLOCK], self._rest[BLOCK:]
            if (looks := self._look(block)) is not None:
                spots += self._decide(looks, end - self._rest.size / SAMPLE_RATE)
        return spots

    def reset(self) -> None:
        """See the port."""
        self._rest = np.empty(0, np.float32)
        self._before.clear()
        self._listening = False
        self._deaf_until = -np.inf

    def _look(self, block: Samples) -> NDArray[np.float32] | None:
        """Give the last embeddings, while there is something to listen to."""
        open_ = self._gate.opens(block)
        if open_:
            if not self._listening:
                self._embedder.restart(self._before)
            vector = self._embedder.embed(block)
            self._seen.extend([vector] * (1 if self._listening else self._head.look))
        self._listening = open_
        self._before.append(block)
        return np.concatenate(self._seen) if open_ else None

    def _decide(self, looks: NDArray[np.float32], now: float) -> list[Spot]:
        probabilities = self._head.probabilities(looks[None])[0]
        sure = [index for index in self._wanted if probabilities[index] >= self._head.thresholds[index]]
        if not sure or now < self._deaf_until:
            return []
        best = max(sure, key=lambda index: float(probabilities[index]))
        self._deaf_until = now + _DEAF
        return [Spot(self._head.words[best], now - _LATE, float(probabilities[best]))]
