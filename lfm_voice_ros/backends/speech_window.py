"""A faster-whisper model whose encoder reads the speech only, not the 30 s that Whisper was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

_FRAMES = 3000  # of Whisper's window, 10 ms each; the encoder makes one of two
_MARGIN = 100  # frames of silence that are encoded behind the speech
_ALIGNED = 16  # frames over which words are aligned: their places aren't asked for, and few are quick


class SpeechWindowModel(WhisperModel):  # type: ignore[misc]  # the library has no types
    """A WhisperModel that reads the speech only unless ``whole`` is true, as it is at first. On a CPU only.

    Most of a command's window is silence, and the encoder makes of it always nearly the same. It is therefore encoded
    once, and put behind what is encoded of the speech. The decoder gets its 30 s, without which it repeats itself, and
    the encoder has a tenth of the work.
    """

    def __init__(self, folder: str, **options: Any) -> None:
        """Load the model in ``folder``; ``options`` are WhisperModel's. Raises what that raises."""
        super().__init__(folder, **options)
        self.whole = True
        self._silence: NDArray[np.float32] | None = None
        self._encoded: StorageView | None = None  # the window that was read last

    def encode(self, features: NDArray[np.float32]) -> StorageView:
        """Take the features of one window, shape (mels, 3000), zero behind the sound; give the encoder's output.

        That has the shape (1, 1500, size). Raises RuntimeError when the model fails.
        """
        self._encoded = self._encode(features)
        return self._encoded

    def end_probability(self, tokens: Sequence[int], language: str) -> float:
        """How probable the last word is, the mean of its tokens, [0, 1]; 1 without a word.

        ``tokens`` are those of the segment that was recognized last. Raises RuntimeError when the model fails.
        """
        tokenizer = Tokenizer(self.hf_tokenizer, self.model.is_multilingual, task="transcribe", language=language)
        words = [token for token in tokens if token < tokenizer.eot]
        if self._encoded is None or not words:
            return 1.0
        start = list(tokenizer.sot_sequence)
        alignment = self.model.align(self._encoded, start, [words], [_ALIGNED])[0]
        last: list[float] = []
        for token, probability in zip(reversed(words), reversed(alignment.text_token_probs), strict=True):
            text = self.hf_tokenizer.decode([token])
            if any(character.isalnum() for character in text):
                last.append(probability)
            if last and text.startswith(" "):
                break
        return float(np.mean(last)) if last else 1.0

    def _encode(self, features: NDArray[np.float32]) -> StorageView:
        sound = np.flatnonzero(features.any(axis=0))
        frames = _MARGIN + (int(sound[-1]) + 1 if sound.size else 0)
        frames += frames % 2
        if self.whole or frames >= _FRAMES:
            return super().encode(features)
        if self._silence is None:
            self._silence = np.array(super().encode(np.zeros_like(features)))
        speech = np.array(super().encode(features[:, :frames]))
        return StorageView.from_array(np.concatenate([speech, self._silence[:, frames // 2 :]], axis=1))
