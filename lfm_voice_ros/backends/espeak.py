"""Text to speech by the program espeak-ng: many voices and accents, none of them natural."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import wave
from collections.abc import Iterator

import numpy as np

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.core.types import Samples

_TIMEOUT = 30.0  # s for a sentence, which takes milliseconds


class Espeak:
    """The port Synthesizer. The same text always sounds the same. Used from one thread at a time."""

    def __init__(self, voice: str, speed: int = 160, pitch: int = 50) -> None:
        """Take ``voice``, a language with or without a variant ("en-gb", "en-us+f3"), and try it.

        ``speed`` is in words a minute, 80 to 450; ``pitch`` from 0 to 99, 50 is the voice's own.

        Raises ResourceError when the program is missing or fails, ConfigurationError for a voice that it doesn't have.
        """
        program = shutil.which("espeak-ng")
        if program is None:
            raise ResourceError("espeak-ng is not installed; install it with: sudo apt-get install espeak-ng")
        self._program = program
        self.name = f"espeak-ng {voice}"
        self._check(voice)
        self._arguments = ("-v", voice, "-s", str(speed), "-p", str(pitch), "-b", "1", "--stdin", "--stdout")
        self.sample_rate = self._sound("a")[1]

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Give the sound of ``text``, float32 in [-1, 1] at ``sample_rate``, in one piece.

        A text without a letter or a digit gives nothing. Raises ResourceError when the program fails.
        """
        words = speakable(text)
        if words:
            yield self._sound(words)[0]

    def _check(self, voice: str) -> None:
        """Refuse what the program would refuse at length, and a variant that it doesn't know, which it would ignore."""
        language, _, variant = voice.partition("+")
        table = [line.split() for line in self._run("--voices").splitlines()[1:]]
        languages = sorted({fields[1] for fields in table if len(fields) > 1})
        if language not in languages:
            english = ", ".join(name for name in languages if name.startswith("en"))
            raise ConfigurationError(
                f"espeak-ng has no voice '{language}'; there are for English: {english} (espeak-ng --voices lists all)"
            )
        variants = sorted(re.findall(r"!v/(\S+)", self._run("--voices=variant")))
        if variant not in variants and voice != language:
            raise ConfigurationError(f"espeak-ng has no variant '{variant}'; there are: {', '.join(variants)}")

    def _sound(self, text: str) -> tuple[Samples, int]:
        output = self._call(self._arguments, text.encode())
        try:
            # The length in the header of a WAV that goes into a pipe is a guess; what is there is read.
            with wave.open(io.BytesIO(output)) as sound:
                samples, rate = sound.readframes(sound.getnframes()), sound.getframerate()
        except (wave.Error, EOFError) as exc:
            raise ResourceError(f"{self.name} gave no sound; choose another voice: {exc}") from exc
        return np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768), rate

    def _run(self, argument: str) -> str:
        return self._call((argument,)).decode(errors="replace")

    def _call(self, arguments: tuple[str, ...], text: bytes = b"") -> bytes:
        try:
            done = subprocess.run(
                [self._program, *arguments], input=text, capture_output=True, timeout=_TIMEOUT, check=True
            )
        except subprocess.CalledProcessError as exc:
            lines = exc.stderr.decode(errors="replace").splitlines()
            why = lines[-1] if lines else f"exit code {exc.returncode}"
            raise ResourceError(f"{self.name} failed; choose another voice: {why}") from exc
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ResourceError(f"{self.name} can't be run ({exc}); install espeak-ng again") from exc
        return done.stdout
