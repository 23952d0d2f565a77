"""Speaks a corpus of sentences: in several voices, with the noise and the echo that a robot's microphone hears."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.types import SAMPLE_RATE, Json, Samples
from lfm_voice_ros.evaluation.corpus import read_corpus
from lfm_voice_ros.training import acoustics

_LEVEL = -26.0  # dBFS of active speech: what telephony takes for normal
_TEMPOS = (0.92, 1.0, 1.08)  # of Piper; the pitch goes with it
_MANNERS = ((145, 38), (160, 50), (175, 62))  # of espeak-ng: words a minute, pitch
_TALKERS = 4  # of babble
_VERSION = 1  # of the recipe: a change of what the same arguments sound like raises it

_VOICES = "piper, and espeak:VOICE such as espeak:en-us, espeak:en-gb-scotland or espeak:en-us+f3"
_CONDITIONS = (
    "clean, noise:SNR, motor:SNR, babble:SNR (each in dB, -10 to 60), room:RT60 (in s, 0.1 to 2), "
    "and room:RT60+noise:SNR, with any of the noises"
)
_NOISES = ("noise", "motor", "babble")
_SNR_RANGE = (-10.0, 60.0)  # dB
_RT60_RANGE = (0.1, 2.0)  # s


@dataclass(frozen=True)
class Summary:
    """What became of the sentences that were asked for."""

    corpus: Path  # the corpus with the recordings
    made: int  # recordings
    kept: int  # recordings of an earlier run
    skipped: int  # sentences in which there is nothing to speak


@dataclass(frozen=True)
class _Condition:
    name: str  # as it was asked for
    noise: str = ""  # of _NOISES, or none
    snr_db: float | None = None
    rt60: float | None = None  # s


@dataclass(frozen=True)
class _Line:
    number: int  # in the corpus, counted from 1
    fields: Mapping[str, Json]
    text: str


@dataclass(frozen=True)
class _Voice:
    """A voice, and the manners in which it speaks: who speaks, and how much faster than that the sound is played."""

    name: str
    manners: tuple[tuple[Synthesizer, float], ...]

    def speak(self, text: str, random: Generator) -> Samples:
        """Give the sound at 16 kHz; nothing where there is nothing to speak."""
        synthesizer, tempo = self.manners[random.integers(len(self.manners))]
        pieces = list(synthesizer.synthesize(text))
        if not pieces:
            return np.zeros(0, np.float32)
        return resample(np.concatenate(pieces), round(synthesizer.sample_rate * tempo), SAMPLE_RATE)


def synthesize(
    corpus: Path,
    out: Path,
    voices: Sequence[str],
    conditions: Sequence[str],
    seed: int,
    limit: int | None,
    progress: Callable[[str], None],
) -> Summary:
    """Speak the sentences of ``corpus`` into ``out``: audio/NNNNN.wav (the line's number) and corpus.jsonl.

    Each line of corpus.jsonl has the fields of the original and "audio", "voice", "condition" and, where there is
    noise, "snr_db". Every sentence gets one voice and one condition: each voice, each condition and each pair of them
    as often as the others, to whom is drawn by ``seed``. ``limit`` takes that many of the lines, also drawn, and more
    of them add to fewer. The same arguments give the same files.

    A run that was interrupted goes on where it was. ``progress`` gets a line for each recording.

    Raises ConfigurationError for a voice or a condition that there isn't, an unusable corpus, and a folder that holds
    what another run made, or the corpus itself; ResourceError when a voice is missing or the folder can't be written.
    """
    lines = _read(corpus)
    voices, conditions = [name.strip() for name in voices], [name.strip() for name in conditions]
    parsed = [_condition(name) for name in conditions]
    if not voices or not parsed:
        raise ConfigurationError(f"a voice and a condition are needed; voices: {_VOICES}; conditions: {_CONDITIONS}")
    if seed < 0 or (limit is not None and limit < 1):
        raise ConfigurationError("the seed must be 0 or more, and the limit 1 or more")
    known = {name: _voice(name) for name in dict.fromkeys(voices)}
    studio = _Studio(lines, list(known.values()))
    audio = out / "audio"
    try:
        audio.mkdir(parents=True, exist_ok=True)
        _claim(out, _recipe(corpus, voices, conditions, seed))
    except OSError as exc:
        raise ResourceError(f"the folder {out} can't be written ({exc}); choose another one") from exc
    chosen = sorted(_dealt(lines, voices, parsed, seed)[:limit], key=lambda dealt: dealt[0].number)
    written, made, kept = [], 0, 0
    for count, (line, voice, condition) in enumerate(chosen, start=1):
        path = audio / f"{line.number:05d}.wav"
        if path.exists():
            kept += 1
        else:
            sound = studio.record(line, known[voice], condition, np.random.default_rng((seed, line.number)))
            if not sound.size:
                progress(f"{count} of {len(chosen)}: line {line.number} has nothing to speak")
                continue
            _keep(path, sound)
            made += 1
            progress(f"{count} of {len(chosen)}: {path.name}, {voice}, {condition.name}")
        fields = {**line.fields, "audio": f"audio/{path.name}", "voice": voice, "condition": condition.name}
        fields.pop("snr_db", None)  # of a corpus that was spoken before
        if condition.snr_db is not None:
            fields["snr_db"] = condition.snr_db
        written.append(json.dumps(fields) + "\n")
    _replace(out / "corpus.jsonl", lambda part: part.write_text("".join(written), "utf-8"))
    return Summary(out / "corpus.jsonl", made, kept, len(chosen) - made - kept)


class _Studio:
    """Where sentences are spoken and conditions are made."""

    def __init__(self, lines: Sequence[_Line], voices: Sequence[_Voice]) -> None:
        self._lines = lines
        self._voices = voices

    def record(self, line: _Line, voice: _Voice, condition: _Condition, random: Generator) -> Samples:
        """Give the sentence as the microphone hears it; nothing where there is nothing to speak."""
        speech = voice.speak(line.text, random)
        if not speech.any():
            return np.zeros(0, np.float32)
        sound = acoustics.between_silences(acoustics.at_level(speech, _LEVEL))
        if condition.rt60 is not None:
            sound = acoustics.in_room(sound, condition.rt60, random)
        if condition.snr_db is not None:
            noise = self._noise(condition.noise, sound.size, line, voice, random)
            sound = acoustics.with_noise(sound, noise, condition.snr_db)
        return acoustics.without_clipping(sound)

    def _noise(self, kind: str, count: int, line: _Line, voice: _Voice, random: Generator) -> Samples:
        if kind == "noise":
            return acoustics.pink_noise(count, random)
        if kind == "motor":
            return acoustics.motor_noise(count, random)
        return acoustics.babble(list(self._others(line, voice, random)), count, random)

    def _others(self, line: _Line, voice: _Voice, random: Generator) -> Iterator[Samples]:
        """Other sentences, by other voices where there are."""
        voices = [other for other in self._voices if other is not voice] or [voice]
        found = 0
        for index in random.permutation(len(self._lines)):
            other = self._lines[index]
            if other.text == line.text:
                continue
            speech = voices[random.integers(len(voices))].speak(other.text, random)
            if speech.any():
                yield speech
                found += 1
            if found == _TALKERS:
                return
        if not found:
            raise ConfigurationError("babble needs other sentences in the corpus; add some, or leave it out")


def _read(corpus: Path) -> list[_Line]:
    examples = read_corpus(corpus)
    lines = corpus.read_text("utf-8").splitlines()
    return [_Line(example.line, json.loads(lines[example.line - 1]), example.text) for example in examples]


def _voice(name: str) -> _Voice:
    engine, _, voice = name.partition(":")
    if name == "piper":
        from lfm_voice_ros.backends.piper import Piper

        piper = Piper("bundled", steady=True)
        return _Voice(name, tuple((piper, tempo) for tempo in _TEMPOS))
    if engine == "espeak" and voice:
        from lfm_voice_ros.backends.espeak import Espeak

        return _Voice(name, tuple((Espeak(voice, speed, pitch), 1.0) for speed, pitch in _MANNERS))
    raise ConfigurationError(f"there is no voice '{name}'; there are: {_VOICES}")


def _condition(name: str) -> _Condition:
    refusal = ConfigurationError(f"there is no condition '{name}'; there are: {_CONDITIONS}")
    if name == "clean":
        return _Condition(name)
    noise, snr_db, rt60 = "", None, None
    for part in name.split("+"):
        kind, _, text = part.partition(":")
        try:
            value = float(text)
        except ValueError as exc:
            raise refusal from exc
        if kind == "room" and rt60 is None and _RT60_RANGE[0] <= value <= _RT60_RANGE[1]:
            rt60 = value
        elif kind in _NOISES and snr_db is None and _SNR_RANGE[0] <= value <= _SNR_RANGE[1]:
            noise, snr_db = kind, value
        else:
            raise refusal
    return _Condition(name, noise, snr_db, rt60)


def _dealt(
    lines: Sequence[_Line], voices: Sequence[str], conditions: Sequence[_Condition], seed: int
) -> list[tuple[_Line, str, _Condition]]:
    """The lines in a random order, so that no habit of the corpus meets one voice, with what each of them gets."""
    order = np.random.default_rng(seed).permutation(len(lines))
    cycle = math.lcm(len(voices), len(conditions))  # after which the same pairs would come again
    return [
        (lines[index], voices[rank % len(voices)], conditions[(rank + rank // cycle) % len(conditions)])
        for rank, index in enumerate(order)
    ]


def _recipe(corpus: Path, voices: Sequence[str], conditions: Sequence[str], seed: int) -> str:
    recipe = {
        "version": _VERSION,
        "corpus_sha256": hashlib.sha256(corpus.read_bytes()).hexdigest(),
        "voices": voices,
        "conditions": conditions,
        "seed": seed,
    }
    return json.dumps(recipe, indent=2) + "\n"


def _claim(out: Path, recipe: str) -> None:
    """Leave the recipe in the folder: what was made by another one must not be taken for ours, or overwritten."""
    path = out / "recipe.json"
    found = path.read_text("utf-8", errors="replace") if path.exists() else ""
    if found == recipe:
        return
    if (out / "corpus.jsonl").exists() or any((out / "audio").iterdir()):
        raise ConfigurationError(
            f"{out} holds another corpus, or recordings of other voices or conditions or another seed; "
            "choose another folder or delete it"
        )
    _replace(path, lambda part: part.write_text(recipe, "utf-8"))


def _keep(path: Path, sound: Samples) -> None:
    _replace(path, lambda part: write_wav(part, sound, SAMPLE_RATE))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under another name and then take its own, so that what is there is complete."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    except OSError as exc:
        raise ResourceError(f"{path} can't be written ({exc}); free space or choose another folder") from exc
