"""Speaks sentences with pauses in them, and keeps where each pause and the end are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.training import acoustics
from lfm_voice_ros.training.speech_corpus import Studio

PARTS = ("dev", "test")
KINDS = ("command", "question", "talk")

_PAUSE = re.compile(r"\s*\[(\d+(?:\.\d+)?)\]\s*")
_LONGEST_PAUSE = 5.0  # s
_TAIL = 3.0  # s of silence behind a sentence, which no window is longer than
_FRAME = SAMPLE_RATE // 100
_AUDIBLE = -40.0  # dB below the loudest frame


@dataclass(frozen=True)
class PausedSentence:
    """A sentence of a corpus, in the pieces between its pauses."""

    line: int  # counted from 1
    kind: str  # of KINDS
    part: str  # of PARTS: with dev a judgement is made, with test it is measured
    pieces: tuple[str, ...]
    pauses: tuple[float, ...]  # s between the pieces

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.pieces)


@dataclass(frozen=True)
class PausedRecording:
    """A sentence as the microphone hears it."""

    sentence: PausedSentence
    voice: str
    condition: str
    samples: Samples  # at 16 kHz
    last_piece: float  # s from the begin of the samples to that of the last piece
    speech_end: float  # s from the begin of the samples to the end of the last piece


def read_paused(path: Path) -> list[PausedSentence]:
    """Read JSON lines {"text": "Look to the [0.8] left.", "kind": "command", "part": "dev"}; numbers are s of silence.

    Raises ConfigurationError, with file and line, for what isn't of that form.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the corpus {path} can't be read: {exc}") from exc
    sentences = [_sentence(f"{path}:{number}", number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not sentences:
        raise ConfigurationError(f"the corpus {path} has no lines; write one JSON object a line")
    return sentences


def speak_paused(
    sentences: Sequence[PausedSentence], voices: Sequence[str], conditions: Sequence[str], seed: int
) -> Iterator[PausedRecording]:
    """Speak the sentences, each in the voice and the condition it is dealt; the same arguments give the same sound.

    The pieces are spoken one by one, those before a pause with a comma, so that the voice stays up. The silence between
    two of them is cut to the length of the pause, counted from what can be heard; the noise goes on through it.
    Raises what Studio raises.
    """
    known = {sentence.line: sentence for sentence in sentences}
    studio = Studio({line: sentence.text for line, sentence in known.items()}, voices, conditions, seed)
    for take in studio.takes():
        sentence = known[take.number]
        parts: list[Samples] = []
        begin = end = 0
        for number, piece in enumerate(sentence.pieces):
            if number:
                parts.append(np.zeros(round(sentence.pauses[number - 1] * SAMPLE_RATE), np.float32))
            words = piece if number == len(sentence.pieces) - 1 or piece[-1] in ",.!?" else piece + ","
            # The same chance for each piece: one speaker in one manner.
            sound = _audible(studio.speak(take, words, np.random.default_rng((seed, take.number))))
            begin = sum(part.size for part in parts)
            end = begin + sound.size
            parts.append(sound)
        speech = np.concatenate((*parts, np.zeros(round(_TAIL * SAMPLE_RATE), np.float32)))
        heard = studio.surround(take, speech, np.random.default_rng((seed, take.number, 1)))
        before = acoustics.SILENCE_BEFORE
        yield PausedRecording(
            sentence, take.voice, take.condition.name, heard, before + begin / SAMPLE_RATE, before + end / SAMPLE_RATE
        )


def _sentence(where: str, number: int, line: str) -> PausedSentence:
    try:
        fields = json.loads(line)
        text, kind, part = fields["text"], fields["kind"], fields["part"]
    except (ValueError, TypeError, KeyError) as exc:
        raise ConfigurationError(f'{where}: a JSON object with "text", "kind" and "part" is needed') from exc
    if not isinstance(text, str) or kind not in KINDS or part not in PARTS:
        raise ConfigurationError(f"{where}: kind must be one of {', '.join(KINDS)}, part one of {', '.join(PARTS)}")
    pieces = _PAUSE.split(text.strip())
    words, pauses = tuple(pieces[::2]), tuple(float(pause) for pause in pieces[1::2])
    if not all(re.search(r"\w", piece) for piece in words) or any(pause > _LONGEST_PAUSE for pause in pauses):
        raise ConfigurationError(f"{where}: a pause [s] of at most {_LONGEST_PAUSE:g} s must stand between words")
    return PausedSentence(number, kind, part, words, pauses)


def _audible(sound: Samples) -> Samples:
    """Take off the silence before and after."""
    frames = np.pad(sound, (0, -sound.size % _FRAME)).reshape(-1, _FRAME).astype(np.float64)
    powers = np.mean(frames**2, axis=1)
    loud = np.flatnonzero(powers > powers.max(initial=0.0) * 10 ** (_AUDIBLE / 10))
    return sound[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME] if loud.size else sound[:0]
