"""Speaks a corpus of sentences: in several voices, with the noise and the echo that a robot's microphone hears."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
_STRETCHES = (0.9, 1.0, 1.15)  # of flite
_TALKERS = 4  # of babble
_VERSION = 1  # of the recipe: a change of what the same arguments sound like raises it

_VOICES = (
    "piper, flite:VOICE with slt, awb, rms, kal or kal16, and espeak:VOICE such as espeak:en-us, "
    "espeak:en-gb-scotland or espeak:en-us+f3"
)
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
class Condition:
    """What stands between a speaker and the microphone."""

    name: str  # as it was asked for
    noise: str = ""  # of _NOISES, or none
    snr_db: float | None = None
    rt60: float | None = None  # s


@dataclass(frozen=True)
class Take:
    """A sentence with the voice and the condition that it was dealt."""

    number: int  # of the sentence
    text: str
    voice: str
    condition: Condition


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
    studio = Studio({number: str(fields["text"]) for number, fields in lines.items()}, voices, conditions, seed)
    if limit is not None and limit < 1:
        raise ConfigurationError("the limit must be 1 or more")
    digest = hashlib.sha256(corpus.read_bytes()).hexdigest()
    claim(out, "corpus.jsonl", {"version": _VERSION, "corpus_sha256": digest, **studio.recipe})
    takes = studio.takes(limit)
    written, made, kept = [], 0, 0
    for count, take in enumerate(takes, start=1):
        path = recording(out, take.number)
        done = studio.keep(take, path)
        if done == "nothing":
            progress(f"{count} of {len(takes)}: line {take.number} has nothing to speak")
            continue
        if done == "made":
            made += 1
            progress(f"{count} of {len(takes)}: {path.name}, {take.voice}, {take.condition.name}")
        else:
            kept += 1
        own = {"audio": f"audio/{path.name}", "voice": take.voice, "condition": take.condition.name}
        fields = {**lines[take.number], **own}
        fields.pop("snr_db", None)  # of a corpus that was spoken before
        if take.condition.snr_db is not None:
            fields["snr_db"] = take.condition.snr_db
        written.append(json.dumps(fields) + "\n")
    _replace(out / "corpus.jsonl", lambda part: part.write_text("".join(written), "utf-8"))
    return Summary(out / "corpus.jsonl", made, kept, len(takes) - made - kept)


class Studio:
    """Where sentences are dealt voices and conditions, and recorded."""

    def __init__(
        self, sentences: Mapping[int, str], voices: Sequence[str], conditions: Sequence[str], seed: int
    ) -> None:
        """Take sentences by their numbers; a voice or a condition that is named twice counts twice.

        Raises ConfigurationError for a voice or a condition that there isn't, ResourceError when a voice is missing.
        """
        names, self._conditions = [name.strip() for name in voices], [_condition(name.strip()) for name in conditions]
        if not names or not self._conditions:
            raise ConfigurationError(
                f"a voice and a condition are needed; voices: {_VOICES}; conditions: {_CONDITIONS}"
            )
        if seed < 0:
            raise ConfigurationError("the seed must be 0 or more")
        self._sentences = list(sentences.items())
        self._names = names
        self._voices = {name: _voice(name) for name in dict.fromkeys(names)}
        self._seed = seed

    @property
    def recipe(self) -> Mapping[str, Json]:
        """What the recordings depend on besides the sentences."""
        conditions = [condition.name for condition in self._conditions]
        return {"voices": self._names, "conditions": conditions, "seed": self._seed}

    def takes(self, limit: int | None = None) -> list[Take]:
        """Deal the sentences; give ``limit`` of them, drawn, or all, in the order of their numbers.

        They are dealt in a random order, so that no habit of a corpus meets one voice.
        """
        order = np.random.default_rng(self._seed).permutation(len(self._sentences))
        voices, conditions = len(self._names), len(self._conditions)
        cycle = math.lcm(voices, conditions)  # after which the same pairs would come again
        dealt = [
            Take(number, text, self._names[rank % voices], self._conditions[(rank + rank // cycle) % conditions])
            for rank, (number, text) in enumerate(self._sentences[index] for index in order)
        ]
        return sorted(dealt[:limit], key=lambda take: take.number)

    def keep(self, take: Take, path: Path) -> Literal["made", "kept", "nothing"]:
        """Record into ``path`` unless it is there; "nothing" where there is nothing to speak. Raises ResourceError."""
        if path.exists():
            return "kept"
        sound = self._record(take, np.random.default_rng((self._seed, take.number)))
        if not sound.size:
            return "nothing"
        keep_wav(path, sound, SAMPLE_RATE)
        return "made"

    def _record(self, take: Take, random: Generator) -> Samples:
        """Give the sentence as the microphone hears it; nothing where there is nothing to speak."""
        speech = self.speak(take, take.text, random)
        return self.surround(take, speech, random) if speech.any() else np.zeros(0, np.float32)

    def speak(self, take: Take, text: str, random: Generator) -> Samples:
        """Give ``text`` in the take's voice, and in the manner that ``random`` draws, at 16 kHz; it may be empty."""
        return self._voices[take.voice].speak(text, random)

    def surround(self, take: Take, speech: Samples, random: Generator) -> Samples:
        """Give speech, not silent, as the microphone hears it in the take's condition, between silences."""
        condition = take.condition
        sound = acoustics.between_silences(acoustics.at_level(speech, _LEVEL))
        if condition.rt60 is not None:
            sound = acoustics.in_room(sound, condition.rt60, random)
        if condition.snr_db is not None:
            noise = self._noise(condition.noise, sound.size, take, random)
            sound = acoustics.with_noise(sound, noise, condition.snr_db)
        return acoustics.without_clipping(sound)

    def _noise(self, kind: str, count: int, take: Take, random: Generator) -> Samples:
        if kind == "noise":
            return acoustics.pink_noise(count, random)
        if kind == "motor":
            return acoustics.motor_noise(count, random)
        return acoustics.babble(list(self._others(take, random)), count, random)

    def _others(self, take: Take, random: Generator) -> Iterator[Samples]:
        """Other sentences, by other voices where there are."""
        voices = [voice for name, voice in self._voices.items() if name != take.voice]
        voices = voices or list(self._voices.values())
        found = 0
        for index in random.permutation(len(self._sentences)):
            _, text = self._sentences[index]
            if text == take.text:
                continue
            speech = voices[random.integers(len(voices))].speak(text, random)
            if speech.any():
                yield speech
                found += 1
            if found == _TALKERS:
                return
        if not found:
            raise ConfigurationError("babble needs other sentences in the corpus; add some, or leave it out")


def recording(out: Path, number: int) -> Path:
    """Where the recording of a sentence lies in the folder of a spoken corpus."""
    return out / "audio" / f"{number:05d}.wav"


def claim(out: Path, result: str, recipe: Mapping[str, Json]) -> None:
    """Make a folder with audio/, and leave the recipe in it: what another one made must not be taken for ours.

    ``result`` is the name of the file that a complete run writes. Raises ConfigurationError when the folder holds what
    another recipe made, ResourceError when it can't be written.
    """
    path, text = out / "recipe.json", json.dumps(recipe, indent=2) + "\n"
    try:
        (out / "audio").mkdir(parents=True, exist_ok=True)
        found = path.read_text("utf-8", errors="replace") if path.exists() else ""
        if found != text and ((out / result).exists() or any((out / "audio").iterdir())):
            raise ConfigurationError(
                f"{out} holds another corpus, or recordings of other voices or conditions or another seed; "
                "choose another folder or delete it"
            )
    except OSError as exc:
        raise ResourceError(f"the folder {out} can't be written ({exc}); choose another one") from exc
    if found != text:
        _replace(path, lambda part: part.write_text(text, "utf-8"))


def keep_wav(path: Path, sound: Samples, rate: int) -> None:
    """Write a sound at ``rate`` Hz, complete or not at all. Raises ResourceError."""
    _replace(path, lambda part: write_wav(part, sound, rate))


def _read(corpus: Path) -> dict[int, Mapping[str, Json]]:
    """The fields of the lines by their numbers, counted from 1."""
    examples = read_corpus(corpus)
    lines = corpus.read_text("utf-8").splitlines()
    return {example.line: json.loads(lines[example.line - 1]) for example in examples}


def _voice(name: str) -> _Voice:
    engine, _, voice = name.partition(":")
    if name == "piper":
        from lfm_voice_ros.backends.piper import Piper

        piper = Piper("bundled", steady=True)
        return _Voice(name, tuple((piper, tempo) for tempo in _TEMPOS))
    if engine == "espeak" and voice:
        from lfm_voice_ros.backends.espeak import Espeak

        return _Voice(name, tuple((Espeak(voice, speed, pitch), 1.0) for speed, pitch in _MANNERS))
    if engine == "flite" and voice:
        from lfm_voice_ros.backends.flite import Flite

        return _Voice(name, tuple((Flite(voice, stretch), 1.0) for stretch in _STRETCHES))
    raise ConfigurationError(f"there is no voice '{name}'; there are: {_VOICES}")


def _condition(name: str) -> Condition:
    refusal = ConfigurationError(f"there is no condition '{name}'; there are: {_CONDITIONS}")
    if name == "clean":
        return Condition(name)
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
    return Condition(name, noise, snr_db, rt60)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under another name and then take its own, so that what is there is complete."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    except OSError as exc:
        raise ResourceError(f"{path} can't be written ({exc}); free space or choose another folder") from exc
