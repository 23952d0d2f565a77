"""Text to speech by the program flite: a few voices made of recordings of real speakers, small and quick."""

from __future__ import annotations

import io
import shutil
import subprocess
import unicodedata
import wave
from collections.abc import Iterator

import numpy as np

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.core.types import Samples

#: It has others that can say nothing but the time, and takes its first voice for a name that it doesn't know.
VOICES = ("slt", "awb", "rms", "kal", "kal16")

_TIMEOUT = 30.0  # s for a sentence, which takes a tenth of one
_SPEEDS = (0.3, 3.0)


class Flite:
    """The port Synthesizer. The same text always sounds the same. Used from one thread at a time."""

    def __init__(self, voice: str, speed: float = 1.0) -> None:
        """Take ``voice``, one of VOICES, and try it.

        ``speed`` stretches what it says: 1.15 takes 15 % longer than the voice's own way, 0.9 a tenth less; 0.3 to 3.

        Raises ResourceError when the program is missing or fails, ConfigurationError for a voice that it doesn't have
        or another speed.
        """
        if voice not in VOICES:
            raise ConfigurationError(f"flite has no voice '{voice}'; there are: {', '.join(VOICES)}")
        if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
            raise ConfigurationError(f"flite's speed is {speed:g}; it must be {_SPEEDS[0]:g} to {_SPEEDS[1]:g}")
        program = shutil.which("flite")
        if program is None:
            raise ResourceError("flite is not installed; install it with: sudo apt-get install flite")
        self.name = f"flite {voice}"
        self._command = (program, "-voice", voice, "--setf", f"duration_stretch={speed:g}", "-o", "/dev/stdout", "-t")
        self.sample_rate = self._sound("a")[1]

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Give the sound of ``text``, float32 in [-1, 1] at ``sample_rate``, in one piece.

        Letters lose their accents, and what is then not ASCII isn't spoken. A text without a letter or a digit gives
        nothing. Raises ResourceError when the program fails.
        """
        words = speakable(unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode())
        if words:
            yield self._sound(words)[0]

    def _sound(self, text: str) -> tuple[Samples, int]:
        try:
            done = subprocess.run(
                [*self._command, text],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=True,
            )
            with wave.open(io.BytesIO(done.stdout)) as sound:
                samples, rate = sound.readframes(sound.getnframes()), sound.getframerate()
        except subprocess.CalledProcessError as exc:
            lines = exc.stderr.decode(errors="replace").splitlines()
            why = lines[-1] if lines else f"exit code {exc.returncode}"
            raise ResourceError(f"{self.name} failed; choose another voice: {why}") from exc
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ResourceError(f"{self.name} can't be run ({exc}); install flite again") from exc
        except (wave.Error, EOFError) as exc:
            raise ResourceError(f"{self.name} gave no sound; choose another voice: {exc}") from exc
        return np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768), rate
