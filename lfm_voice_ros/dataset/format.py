"""The dataset: what people said to a robot, and what it should answer and do. docs/training.md describes the file.

A dataset is a JSON file, a list of examples; a folder stands for the ``dataset.json`` in it. Paths of sound files are
relative to the JSON file. ``config/dataset.schema.json`` is the schema.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jsonschema

from lfm_voice_ros.core.call_stream import SYNTAXES
from lfm_voice_ros.core.call_syntax import write_tag
from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import Json, ToolCall, ToolResult

DATASET_FILE = "dataset.json"

#: What a person decided about an example; empty while nobody has.
Review = Literal["", "accepted", "rejected"]

_CALL = re.compile(r"<tool>(.*?)</tool>", re.DOTALL)
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Example:
    """One turn: what was said, and the answer to it."""

    audio: Path  # of the person; any rate, 16 kHz is best
    transcript: str
    response: str  # calls and speech: <tool>pan_left(degrees=30)</tool> Looking left, {moved}.
    response_audio: Path | None = None  # of the robot, without the calls; None where nobody spoke it yet
    results: tuple[Mapping[str, Json], ...] = ()  # of the calls, see result_entry; their data fill the response
    id: str = ""  # of the utterance, in recordings
    speaker: str = ""  # who said it: a person, or a voice of a synthesizer
    templates: tuple[str, ...] = ()  # of which the sentence was made
    kind: str = ""  # command, near_miss, talk, …: see training/corpus_generator.py
    condition: str = ""  # noise and room: see training/speech_corpus.py
    recorded: str = ""  # when: ISO 8601, with the time zone
    review: Review = ""

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls of the response. Raises ModelOutputError where one can't be read."""
        return read_response(self.response)[0]

    @property
    def speech(self) -> str:
        """What the robot says, with the results filled in. Raises ModelOutputError where a call can't be read.

        A field that no result gives stays in its braces.
        """
        return fill(read_response(self.response)[1], self.results)


def read_response(response: str) -> tuple[tuple[ToolCall, ...], str]:
    """Split a response into its calls and its speech, with the fields as they are.

    Raises ModelOutputError for a call that can't be read, and for a tag without its other half.
    """
    try:
        calls = tuple(call for body in _CALL.findall(response) for call in SYNTAXES["lora"].read(body))
    except RecursionError as exc:
        raise ModelOutputError("the arguments of a call are nested too deep") from exc
    speech = " ".join(_CALL.sub(" ", response).split())
    if "<tool>" in speech or "</tool>" in speech:
        raise ModelOutputError("a <tool> has no </tool>, or the other way round")
    return calls, speech


def write_response(calls: Iterable[ToolCall], speech: str) -> str:
    """Give the response of calls and speech: ``<tool>nod</tool> Nodding.``"""
    return " ".join([*map(write_tag, calls), *([speech] if speech else [])])


def fill(speech: str, results: Sequence[Mapping[str, Json]]) -> str:
    """Fill the fields of a speech from the data of results; the first result that has a field gives it."""
    known = {name: value for result in reversed(results) for name, value in result.get("data", {}).items()}
    return _FIELD.sub(lambda match: str(known.get(match[1], match[0])), speech)


def unfilled(speech: str) -> list[str]:
    """The fields that are still in braces."""
    return _FIELD.findall(speech)


def result_entry(result: ToolResult, words: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Give a tool's result as an example holds it; ``words`` are spoken forms of its data, which they replace."""
    return {
        "name": result.call.name,
        "arguments": dict(result.call.arguments),
        "status": result.status.name.lower(),
        "data": {**result.data, **(words or {})},
        "speech": result.speech,
    }


def dataset_file(path: Path) -> Path:
    """The JSON file that a path stands for."""
    return path / DATASET_FILE if path.is_dir() else path


def schema() -> dict[str, Any]:
    """The JSON schema of a dataset."""
    loaded: dict[str, Any] = json.loads(config_file("dataset.schema.json").read_text("utf-8"))
    return loaded


def read_dataset(path: Path) -> list[Example]:
    """Read a dataset: a JSON file, or the folder of one. Whether the sound files are there isn't looked at.

    Raises ConfigurationError, with the number of the example (from 1), for what doesn't fit the schema.
    """
    path = dataset_file(path)
    entries = read_entries(path)
    validator = jsonschema.Draft202012Validator(schema())
    if problem := min(validator.iter_errors(entries), key=lambda each: list(each.absolute_path), default=None):
        place = list(problem.absolute_path)
        where = f"{path}, example {int(place[0]) + 1}" if place else str(path)
        what = ".".join(map(str, place[1:]))
        raise ConfigurationError(f"{where}: {what + ': ' if what else ''}{problem.message[:200]}")
    return [from_entry(entry, path.parent) for entry in entries]


def read_entries(path: Path) -> Json:
    """Read the JSON of a dataset, whatever is in it. Raises ConfigurationError where it is no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"there is no dataset {path}; give a JSON file or the folder of a {DATASET_FILE}"
        ) from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigurationError(f"the dataset {path} can't be read: {exc}") from exc


def from_entry(entry: Mapping[str, Json], folder: Path) -> Example:
    """Make an example of an entry that fits the schema; ``folder`` is that of the JSON file."""
    audio = entry["response_audio"]
    plain = {
        name: entry[name] for name in ("id", "speaker", "kind", "condition", "recorded", "review") if name in entry
    }
    return Example(
        audio=folder / entry["audio"],
        transcript=entry["transcript"],
        response=entry["response"],
        response_audio=None if audio is None else folder / audio,
        results=tuple(entry.get("results", ())),
        templates=tuple(entry.get("templates", ())),
        **plain,
    )


def to_entry(example: Example, folder: Path) -> dict[str, Json]:
    """The entry of an example in the JSON file in ``folder``; what is empty and optional is left out."""
    entry: dict[str, Json] = {
        "audio": _relative(example.audio, folder),
        "transcript": example.transcript,
        "response": example.response,
        "response_audio": None if example.response_audio is None else _relative(example.response_audio, folder),
    }
    optional = {
        "results": [dict(result) for result in example.results],
        "id": example.id,
        "speaker": example.speaker,
        "templates": list(example.templates),
        "kind": example.kind,
        "condition": example.condition,
        "recorded": example.recorded,
        "review": example.review,
    }
    return entry | {name: value for name, value in optional.items() if value}


def write_dataset(path: Path, examples: Iterable[Example]) -> Path:
    """Write a dataset, complete or not at all, and give the JSON file.

    Raises ResourceError when it can't be written; what was there before is then still there.
    """
    path = path / DATASET_FILE if path.suffix != ".json" else path
    entries = [to_entry(example, path.parent) for example in examples]
    text = "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"
    # Half a surrogate pair, which JSON can carry and UTF-8 can't, stays what it was in JSON: an escape.
    replace_file(path, text.encode("utf-8", "backslashreplace"))
    return path


def replace_file(path: Path, content: bytes) -> None:
    """Have a file hold ``content``, or, whatever happens meanwhile, what it held before. Raises ResourceError."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as exc:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ResourceError(f"{path} can't be written ({exc}); free space or choose another folder") from exc


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
