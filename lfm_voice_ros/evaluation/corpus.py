"""Reads a corpus: sentences, or recordings of them, with the calls that they ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import Json, ToolCall


@dataclass(frozen=True)
class Example:
    """One line of a corpus: a text or a recording, and the calls it asks for, in order."""

    line: int  # counted from 1
    text: str  # empty for a recording
    audio: Path | None
    calls: tuple[ToolCall, ...]


def read_corpus(path: Path) -> list[Example]:
    """Read a file of JSON lines; paths of recordings are relative to it. Blank lines are skipped.

    Raises ConfigurationError, with file and line, for a file that can't be read, a line that is not a JSON object, a
    field that is missing or of a wrong type, and a file without any line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the corpus {path} can't be read: {exc}") from exc
    examples = [_example(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not examples:
        raise ConfigurationError(f"the corpus {path} has no lines; write one JSON object a line")
    return examples


def _example(path: Path, number: int, line: str) -> Example:
    where = f"{path}:{number}"
    try:
        fields = json.loads(line)
    except ValueError as exc:
        raise ConfigurationError(f"{where}: this line is not JSON: {exc}") from exc
    if not isinstance(fields, dict):
        raise ConfigurationError(f'{where}: a JSON object is needed, with "calls" and "text" or "audio"')
    text, audio, calls = fields.get("text"), fields.get("audio"), fields.get("calls")
    if not isinstance(text, str) and not isinstance(audio, str):
        raise ConfigurationError(f'{where}: the line needs a "text", or an "audio" that names a WAV file')
    if not isinstance(calls, list):
        raise ConfigurationError(f'{where}: the line needs "calls", a list that may be empty')
    return Example(
        line=number,
        text=text if isinstance(text, str) else "",
        audio=path.parent / audio if isinstance(audio, str) else None,
        calls=tuple(_call(where, call) for call in calls),
    )


def _call(where: str, call: Json) -> ToolCall:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ConfigurationError(f'{where}: each of the "calls" needs a "name"')
    arguments = call.get("args", {})
    if not isinstance(arguments, dict):
        raise ConfigurationError(f'{where}: the "args" of {call["name"]} must be an object')
    return ToolCall(call["name"], arguments)
