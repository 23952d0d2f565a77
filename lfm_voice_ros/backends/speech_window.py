"""A faster-whisper model whose encoder reads the speech only, not the 30 s that Whisper was trained with."""

from __future__ import annotations

from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from numpy.typing import NDArray

_FRAMES = 3000  # of Whisper's window, 10 ms each; the encoder makes one of two
_MARGIN = 100  # frames of silence that are encoded behind the speech


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

    def encode(self, features: NDArray[np.float32]) -> StorageView:
        """Take the features of one window, shape (mels, 3000), zero behind the sound; give the encoder's output.

        That has the shape (1, 1500, size). Raises RuntimeError when the model fails.
        """
        sound = np.flatnonzero(features.any(axis=0))
        frames = _MARGIN + (int(sound[-1]) + 1 if sound.size else 0)
        frames += frames % 2
        if self.whole or frames >= _FRAMES:
            return super().encode(features)
        if self._silence is None:
            self._silence = np.array(super().encode(np.zeros_like(features)))
        speech = np.array(super().encode(features[:, :frames]))
        return StorageView.from_array(np.concatenate([speech, self._silence[:, frames // 2 :]], axis=1))
