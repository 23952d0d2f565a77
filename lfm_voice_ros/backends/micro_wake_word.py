"""Wake words by microWakeWord's small models, through pymicro-wakeword (TensorFlow Lite, no TensorFlow)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Spot

#: Those that the library carries.
WAKE_WORDS = ("okay_nabu", "hey_jarvis", "alexa", "hey_mycroft")

# A model is sure 0.1 to 0.25 s after the word. Of a guess that is too late the command would lose its first sound.
_LATE = 0.2  # s
_DEAF = 1.0  # s after a wake word in which it isn't heard again
_FULL_SCALE = 32767


class MicroWakeWord:
    """The port KeywordSpotter for one wake word. Used from one thread at a time."""

    def __init__(self, name: str) -> None:
        """Take one of WAKE_WORDS, or the path of a model's JSON file, beside which the .tflite lies.

        Raises ConfigurationError for a name that there isn't, ResourceError when the library or the model can't be
        loaded.
        """
        if name not in WAKE_WORDS and not Path(name).expanduser().is_file():
            raise ConfigurationError(
                f"there is no wake word '{name}'; there are: {', '.join(WAKE_WORDS)}, or the path of the JSON "
                "file of a microWakeWord model"
            )
        try:
            import pymicro_wakeword

            self._features: Any = pymicro_wakeword.MicroWakeWordFeatures()
            self._model: Any = (
                pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model(name))
                if name in WAKE_WORDS
                else pymicro_wakeword.MicroWakeWord.from_config(Path(name).expanduser())
            )
        except (ImportError, OSError, ValueError, KeyError, RuntimeError) as exc:
            raise ResourceError(
                f"the wake word '{name}' can't be loaded ({exc}); install it with: pip install pymicro-wakeword"
            ) from exc
        self.name = f"microWakeWord {Path(name).stem}"
        self._word = Path(name).stem
        self._deaf_until = 0.0  # s

    def push(self, samples: Samples, at: float) -> list[Spot]:
        """See the port. The end of the word is a guess, rather 0.1 s too early than too late."""
        sound = (np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype("<i2").tobytes()
        sure = [self._model.process_streaming(features) for features in self._features.process_streaming(sound)]
        now = at + samples.size / SAMPLE_RATE
        if not any(sure) or now < self._deaf_until:
            return []
        self._deaf_until = now + _DEAF
        return [Spot(self._word, now - _LATE, 1.0)]

    def reset(self) -> None:
        """See the port."""
        self._features.reset()
        self._model.reset()
        self._deaf_until = 0.0
