"""What is wrong with a dataset: problems with the number of their example, what they are and what to do.

Nothing that a dataset holds makes the check fail; only a file that is no JSON can't be checked.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jsonschema
import numpy as np

from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.errors import AudioError, ModelOutputError, ToolError
from lfm_voice_ros.core.grounding import claims_an_act, compose, contradicts
from lfm_voice_ros.core.ports import VoiceActivityDetector
from lfm_voice_ros.core.tool_calls import same_calls, shortened
from lfm_voice_ros.core.types import SAMPLE_RATE, Json, Samples, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.dataset.format import Example, dataset_file, from_entry, read_entries, schema, unfilled
from lfm_voice_ros.dataset.stats import LEAST_NEAR_MISSES, is_near_miss
from lfm_voice_ros.tools.registry import Registry

Severity = Literal["error", "warning"]

_LEAST_RATE = 8_000  # Hz; below, consonants are lost
_LONGEST = 30.0  # s of one sound
_FRAME = SAMPLE_RATE // 50  # samples in which the level is measured
_SILENCE = -50.0  # dBFS that the loudest frame must reach
_SPEECH = 0.5  # probability of a frame that is speech
_LEAST_SPEECH = 0.09  # s of such frames; the shortest "no" has more
_FULL_SCALE = 0.98  # equal samples beyond are cut off
_LITTLE_CLIPPED, _MUCH_CLIPPED = 0.001, 0.01  # of the samples
_PUNCTUATION = re.compile(r"[.,!?;:…]+(?=\s|$)")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    severity: Severity
    kind: str  # one word for all problems of the same kind
    file: str  # the dataset, or the sound file
    example: int | None  # from 1; None for the whole dataset
    what: str
    todo: str


@dataclass(frozen=True)
class Report:
    """What a check has found."""

    dataset: str
    examples: int  # entries of the file, whatever they are
    rejected: int  # of those that fit the schema
    problems: tuple[Problem, ...]  # of the whole dataset first, then by example

    def count(self, severity: Severity) -> int:
        """How many problems of a severity there are."""
        return sum(problem.severity == severity for problem in self.problems)


def check(
    dataset: Path,
    registry: Registry,
    detector: VoiceActivityDetector | None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Look for what is wrong with a dataset: a JSON file, or the folder of one.

    Of rejected examples, which training leaves out, only the schema is checked. ``registry`` has the tools that may be
    called. Without a ``detector`` speech is told from silence by its level alone. ``progress`` gets the number of
    examples that are done and of all.

    Raises ConfigurationError where there is no such file or it is no JSON.
    """
    file = dataset_file(dataset)
    entries = read_entries(file)
    found = _Findings(file)
    fitting = _fitting(entries, file.parent, found)
    kept = {number: example for number, example in fitting.items() if example.review != "rejected"}
    calls: dict[int, tuple[ToolCall, ...]] = {}
    for done, (number, example) in enumerate(kept.items(), start=1):
        readable = _check_response(number, example, registry, found)
        if readable is not None:
            calls[number] = readable
        _check_sounds(number, example, detector, found)
        progress(done, len(kept))
    _check_repetitions(kept, calls, found)
    _check_whole(kept, calls, found)
    return Report(
        dataset=_printable(str(file)),
        examples=len(entries) if isinstance(entries, list) else 0,
        rejected=len(fitting) - len(kept),
        problems=found.ordered(),
    )


def as_json(report: Report) -> dict[str, Json]:
    """The report as data."""
    return {
        "dataset": report.dataset,
        "examples": report.examples,
        "rejected": report.rejected,
        "errors": report.count("error"),
        "warnings": report.count("warning"),
        "problems": [
            {
                "severity": problem.severity,
                "kind": problem.kind,
                "file": problem.file,
                "example": problem.example,
                "what": problem.what,
                "do": problem.todo,
            }
            for problem in report.problems
        ],
    }


class _Findings:
    """Collects problems. What comes from the dataset is made printable, so that no terminal obeys it."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._problems: list[Problem] = []

    def add(
        self, severity: Severity, kind: str, example: int | None, what: str, todo: str, file: Path | None = None
    ) -> None:
        where = _printable(str(file or self._dataset))
        self._problems.append(Problem(severity, kind, where, example, _printable(what), todo))

    def ordered(self) -> tuple[Problem, ...]:
        """Of the whole dataset first, then by example; of one example the errors first."""
        return tuple(sorted(self._problems, key=lambda one: (one.example or 0, one.severity)))


def _fitting(entries: Json, folder: Path, found: _Findings) -> dict[int, Example]:
    """Give the examples that fit the schema by their number."""
    todo = "see config/dataset.schema.json and docs/training.md"
    if not isinstance(entries, list):
        found.add("error", "schema", None, "a dataset is a list of examples, and this is none", todo)
        return {}
    validator = jsonschema.Draft202012Validator(schema()["items"])
    fitting = {}
    for number, entry in enumerate(entries, start=1):
        fits = True
        for problem in validator.iter_errors(entry):
            fits = False
            place = ".".join(map(str, problem.absolute_path))
            found.add("error", "schema", number, f"{place + ': ' if place else ''}{shortened(problem.message)}", todo)
        if fits:
            fitting[number] = from_entry(entry, folder)
    return fitting


def _check_response(number: int, example: Example, registry: Registry, found: _Findings) -> tuple[ToolCall, ...] | None:
    """Check what the robot does and says; give the calls, or None where they can't be read."""
    try:
        calls, speech = example.calls, example.speech
    except ModelOutputError as exc:
        todo = "write calls as <tool>name(argument=value)</tool>"
        found.add("error", "unreadable_call", number, f"a call can't be read: {exc}", todo)
        return None
    names = {tool.name for tool in registry}
    for call in calls:
        try:
            registry.check(call)
        except ToolError as exc:
            if call.name in names:
                found.add("error", "arguments", number, str(exc), "change the call, or the tool's parameters")
            else:
                todo = f"there are: {', '.join(sorted(names))}; --tools names another file of tools"
                found.add("error", "unknown_tool", number, str(exc), todo)
    if not speech:
        found.add("error", "no_speech", number, "the response has no speech", "write what the robot says")
    if missing := unfilled(speech):
        what = f"no result gives {', '.join(f'{{{name}}}' for name in missing)}"
        found.add("error", "unfilled", number, what, "add it to the data of a result, or write the words themselves")
    if not calls and claims_an_act(speech):
        what = "the reply claims an act or a time, and nothing was called"
        found.add("warning", "claim", number, what, "add the call, or let the reply claim nothing")
    if _contradicts(speech, example.results):
        what = "the reply says something else than the results of its calls"
        found.add("error", "contradiction", number, what, "let the reply say what the results say, or correct these")
    if not example.transcript.strip():
        what = "there is no transcript, so that sentences can't be compared"
        found.add("warning", "no_transcript", number, what, "write what the person says")
    return calls


def _contradicts(speech: str, results: Sequence[Mapping[str, Json]]) -> bool:
    """Whether a reply contradicts its results; it is taken for true where some of them say nothing."""
    told = [
        ToolResult(ToolCall(result["name"]), ToolStatus[result["status"].upper()], result.get("speech", ""))
        for result in results
    ]
    if not told or not all(result.speech or result.status is ToolStatus.CANCELED for result in told):
        return False
    # All at once: what one of two results says contradicts the other in nothing.
    return contradicts(speech, ToolResult(told[0].call, told[0].status, compose(told).text))


def _check_sounds(number: int, example: Example, detector: VoiceActivityDetector | None, found: _Findings) -> None:
    sounds = [(example.audio, "the person", "say it again")]
    if example.response_audio is not None:
        sounds.append((example.response_audio, "the reply", "set response_audio to null and run lfm-voice data speak"))
    for path, whose, again in sounds:
        try:
            sound = _Sound.read(path)
        except AudioError as exc:
            what, _, todo = str(exc).rpartition("; ")
            kind = "unreadable_sound" if _exists(path) else "missing_file"
            found.add("error", kind, number, what, f"{todo}, or leave the example out", path)
            continue
        for severity, kind, what, todo in _sound_problems(sound, detector, person=path is example.audio):
            found.add(severity, kind, number, f"the sound of {whose} {what}", todo or again, path)


def _sound_problems(
    sound: _Sound, detector: VoiceActivityDetector | None, *, person: bool
) -> list[tuple[Severity, str, str, str]]:
    """Give severity, kind, what is wrong, and what to do, which is empty where it must be made again."""
    problems: list[tuple[Severity, str, str, str]] = []
    if person and sound.rate < _LEAST_RATE:
        problems.append(("error", "rate", f"has {sound.rate} Hz, which is too few to understand it", ""))
    elif person and sound.rate != SAMPLE_RATE:
        what = f"has {sound.rate} Hz; training makes {SAMPLE_RATE} Hz of it"
        problems.append(("warning", "rate", what, f"nothing, or record at {SAMPLE_RATE} Hz"))
    elif not person and sound.rate < SAMPLE_RATE:
        what = f"has {sound.rate} Hz: the voice that is learned from it will be dull"
        problems.append(("warning", "rate", what, f"speak it at {SAMPLE_RATE} Hz or more, best 24000 Hz"))
    if sound.seconds > _LONGEST:
        what = f"takes {sound.seconds:.1f} s; {_LONGEST:.0f} s are the most"
        problems.append(("error", "too_long", what, "cut it to the one turn that it should hold"))
        return problems
    if sound.level < _SILENCE:
        problems.append(("error", "silence", f"is silent (at most {sound.level:.0f} dBFS)", ""))
    elif detector is not None and not _has_speech(sound.samples, detector):
        problems.append(("error", "empty_speech", "has no speech in it", ""))
    if sound.clipped > _LITTLE_CLIPPED:
        severity: Severity = "error" if sound.clipped > _MUCH_CLIPPED else "warning"
        problems.append((severity, "clipped", f"is cut off at full scale ({sound.clipped:.1%} of it)", ""))
    return problems


@dataclass(frozen=True)
class _Sound:
    samples: Samples  # 16 kHz
    rate: int  # Hz, of the file
    seconds: float
    level: float  # dBFS, root mean square of the loudest 20 ms
    clipped: float  # share of the samples that are cut off, of the worst channel

    @classmethod
    def read(cls, path: Path) -> _Sound:
        """Raises AudioError."""
        import soundfile

        try:
            samples = read_wav(path)
            raw, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, ValueError, RuntimeError) as exc:
            raise AudioError(f"{path} can't be read ({exc}); convert it to WAV") from exc
        return cls(samples, rate, len(raw) / rate, _level(samples), _clipped(raw))


def _level(samples: Samples) -> float:
    padded = np.pad(samples, (0, -samples.size % _FRAME))
    power = np.square(padded.reshape(-1, _FRAME), dtype=np.float64).mean(axis=1).max()
    return float(10 * np.log10(power + 1e-12))


def _clipped(raw: Samples) -> float:
    """The share of samples, shape (samples, channels), that repeat the one before at full scale."""
    if len(raw) < 2:
        return 0.0
    cut = np.clip(raw, -1.0, 1.0)
    flat = (np.abs(cut[1:]) >= _FULL_SCALE) & (cut[1:] == cut[:-1])
    return float(flat.mean(axis=0).max())


def _has_speech(samples: Samples, detector: VoiceActivityDetector) -> bool:
    detector.reset()
    size = detector.frame_samples
    spoken = 0.0
    for start in range(0, samples.size - size + 1, size):
        spoken += size / SAMPLE_RATE if detector.probability(samples[start : start + size]) >= _SPEECH else 0.0
        if spoken >= _LEAST_SPEECH:
            return True
    return False


def _check_repetitions(
    kept: Mapping[int, Example], calls: Mapping[int, tuple[ToolCall, ...]], found: _Findings
) -> None:
    """Find the same sound twice, and the same sentence twice."""
    of_sound: dict[str, int] = {}
    same_sound = set[int]()
    for number, example in kept.items():
        first = of_sound.setdefault(_digest(example.audio) or f"example {number}", number)
        if first != number:
            same_sound.add(number)
            what = f"the sound of the person is that of example {first}"
            found.add("error", "same_sound", number, what, "leave one of the two out", example.audio)
    of_sentence: defaultdict[str, list[int]] = defaultdict(list)
    for number in calls:
        if sentence := _sentence(kept[number].transcript):
            of_sentence[sentence].append(number)
    for numbers in of_sentence.values():
        first = numbers[0]
        of_condition: dict[tuple[str, str], int] = {}
        for number in numbers:
            example = kept[number]
            if not same_calls(calls[number], calls[first]):
                what = f"the person says the same as in example {first}, and something else is called"
                found.add("error", "two_answers", number, what, "decide what is right for both")
                continue
            like = of_condition.setdefault((example.speaker, example.condition), number)
            if like != number and number not in same_sound:
                what = f"it has the sentence, the speaker, the condition and the calls of example {like}"
                found.add("warning", "repeated", number, what, "nothing, or leave one of the two out")


def _check_whole(kept: Mapping[int, Example], calls: Mapping[int, tuple[ToolCall, ...]], found: _Findings) -> None:
    if not kept:
        found.add("error", "empty", None, "there is nothing to train on", "record, review or synthesize examples")
        return
    if silent := sum(example.response_audio is None for example in kept.values()):
        what = f"{silent} of {len(kept)} replies have no sound"
        found.add("warning", "unspoken", None, what, "run lfm-voice data speak")
    near = sum(is_near_miss(kept[number], called) for number, called in calls.items())
    if near < LEAST_NEAR_MISSES * len(kept):
        what = (
            f"{near} of {len(kept)} examples ({near / len(kept):.0%}) only sound like commands; with less than "
            f"{LEAST_NEAR_MISSES:.0%} a model learns to call a tool whatever is said"
        )
        todo = "add sentences that speak of looking, turning or time and ask for nothing"
        found.add("warning", "near_misses", None, what, todo)


def _sentence(transcript: str) -> str:
    """The words that are compared: without regard to case, spaces and punctuation at the ends of words."""
    return " ".join(_PUNCTUATION.sub("", transcript.casefold()).split())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
