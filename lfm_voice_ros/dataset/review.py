"""The review of a dataset: what a person corrects, accepts and rejects, written at once.

Others may change the dataset meanwhile, the recorder or another review: each change is made under the lock of
changes.py to what the file then holds, and never to an example that became another one since it was shown.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lfm_voice_ros.core.call_syntax import write_call
from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError, ToolError
from lfm_voice_ros.core.grounding import claims_an_act
from lfm_voice_ros.core.tool_calls import same, same_calls
from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.dataset.changes import locked
from lfm_voice_ros.dataset.format import (
    Example,
    Review,
    dataset_file,
    fill,
    read_dataset,
    read_response,
    to_entry,
    unfilled,
    write_dataset,
)
from lfm_voice_ros.tools.registry import Registry

#: Whose sound of an example.
Voice = Literal["person", "reply"]

_REVIEWED = ("transcript", "response", "response_audio", "results", "review")


class GoneMeanwhile(ResourceError):
    """The example is no longer in the dataset."""


class ChangedMeanwhile(ResourceError):
    """Others changed the example since it was shown."""


class Unacceptable(ConfigurationError):
    """What was to be written is wrong, see the message."""


@dataclass(frozen=True)
class Checked:
    """What a response means, and what is wrong with it."""

    calls: tuple[tuple[str, str], ...]  # each as it is written, and why it can't be carried out, or nothing
    speech: str  # with the results filled in
    problems: tuple[str, ...]  # while there are any, it can't be accepted
    notes: tuple[str, ...]  # what saving it does beyond what was typed, and what may be a mistake


@dataclass(frozen=True)
class Shown:
    """An example as it is shown. Its number is its own as long as the program runs."""

    number: int
    example: Example
    version: str  # changes with whatever a review can change


@dataclass(frozen=True)
class _Change:
    number: int
    before: Example
    after: Example


class DatasetReview:
    """A dataset under review. For any threads."""

    def __init__(self, dataset: Path, registry: Registry) -> None:
        """``dataset`` is a JSON file, or the folder of one; ``registry`` has the tools that may be called.

        Raises ConfigurationError where there is no such dataset or it doesn't fit the schema.
        """
        self.file = dataset_file(dataset).absolute()
        if self.file.suffix != ".json":
            raise ConfigurationError(f"{self.file} doesn't end with .json; rename it")
        self.tools = tuple(registry)
        self._registry = registry
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, int], int] = {}
        self._examples: dict[int, Example] = {}
        self._stamp: tuple[int, ...] = ()
        self._changes: list[_Change] = []
        self._read()

    def states(self) -> list[tuple[int, Review]]:
        """The number and the state of each example, in the order of the file."""
        with self._lock:
            return [(number, example.review) for number, example in self._read().items()]

    def can_undo(self) -> bool:
        """Whether there is a change of this program that was not undone."""
        return bool(self._changes)

    def show(self, number: int) -> Shown:
        """Give an example as it is now. Raises GoneMeanwhile."""
        with self._lock:
            return self._shown(number)

    def sound(self, number: int, voice: Voice) -> Path | None:
        """The sound file of an example; None where nobody spoke the reply yet. Raises GoneMeanwhile."""
        example = self.show(number).example
        return example.audio if voice == "person" else example.response_audio

    def check(self, number: int, transcript: str, response: str) -> Checked:
        """Say what an example would be with another transcript and response. Raises GoneMeanwhile."""
        return self._check(self.show(number).example, transcript, response)

    def change(
        self, number: int, version: str, transcript: str, response: str, review: Review | None = None
    ) -> tuple[Shown, tuple[str, ...]]:
        """Write an example anew; without a ``review`` its state stays, unless it can't be accepted any more.

        Give it as it is then, and what was done beyond what was typed: results of other calls are left out, and the
        sound of a reply in other words. Raises Unacceptable for an example with problems that is to be accepted and for
        a response that can't be read; GoneMeanwhile, and ChangedMeanwhile when ``version`` is no longer its version;
        ResourceError when the file can't be written. Nothing is then changed.
        """
        with self._alone():
            shown = self._shown(number)
            if shown.version != version:
                raise ChangedMeanwhile("this example was changed elsewhere meanwhile; look at it and decide again")
            before = shown.example
            checked = self._check(before, transcript, response)
            if checked.problems and (review == "accepted" or not _readable(before, response)):
                raise Unacceptable(checked.problems[0])
            state = before.review if review is None else review
            if checked.problems and state == "accepted":
                state = ""
            after = replace(_corrected(before, response), transcript=transcript, review=state)
            if after != before:
                self._write(number, after)
                self._changes.append(_Change(number, before, after))
            return self._shown(number), _consequences(before, after)

    def undo(self) -> Shown:
        """Take the last change back and give the example as it is then.

        Raises Unacceptable when there is none; GoneMeanwhile, and ChangedMeanwhile when others changed the example
        since, and then the change before it is the next to be taken back; ResourceError when the file can't be written.
        """
        with self._alone():
            if not self._changes:
                raise Unacceptable("there is nothing to undo")
            change = self._changes.pop()
            now = self._shown(change.number).example
            if _version(now, self.file.parent) != _version(change.after, self.file.parent):
                raise ChangedMeanwhile("this example was changed elsewhere since; nothing was undone")
            try:
                self._write(change.number, replace(now, **{name: getattr(change.before, name) for name in _REVIEWED}))
            except ResourceError:
                self._changes.append(change)
                raise
            return self._shown(change.number)

    def close(self, timeout: float) -> None:
        """Wait until nothing is being written, at most ``timeout`` seconds; afterwards nothing is."""
        self._lock.acquire(timeout=timeout)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            self._read()  # a folder that was forgotten must not come back for its lock
            with locked(self.file.parent):
                yield

    def _shown(self, number: int) -> Shown:
        example = self._read().get(number)
        if example is None:
            raise GoneMeanwhile("this example is no longer in the dataset; go on with another one")
        return Shown(number, example, _version(example, self.file.parent))

    def _check(self, example: Example, transcript: str, response: str) -> Checked:
        try:
            calls, speech = read_response(response)
        except ModelOutputError as exc:
            problem = f"a call can't be read: {exc}; write calls as <tool>name(argument=value)</tool>"
            return Checked((), "", (problem,), ())
        after = _corrected(example, response)
        wrong = [self._call_problem(call) for call in calls]
        problems = [problem for problem in wrong if problem]
        speech = fill(speech, after.results)
        if not speech:
            problems.append("the response has no speech; write what the robot says")
        if missing := unfilled(speech):
            names = ", ".join(f"{{{name}}}" for name in missing)
            problems.append(f"no result gives {names}; write the words themselves")
        notes = list(_consequences(example, after))
        if not transcript.strip():
            notes.append("there is no transcript; write what the person says")
        if speech and not calls and claims_an_act(speech):
            notes.append("the robot claims an act or a time, and calls no tool")
        return Checked(
            calls=tuple((write_call(call), problem) for call, problem in zip(calls, wrong, strict=True)),
            speech=speech,
            problems=tuple(problems),
            notes=tuple(notes),
        )

    def _call_problem(self, call: ToolCall) -> str:
        try:
            self._registry.check(call)
        except ToolError as exc:
            known = [tool.name for tool in self.tools]
            return str(exc) if call.name in known else f"{exc}; there are: {', '.join(known)}"
        return ""

    def _read(self) -> Mapping[int, Example]:
        """The examples by their numbers; read again when the file is another one."""
        stamp = self._stamp_now()
        if stamp != self._stamp or not stamp:
            self._know(read_dataset(self.file), stamp)
        return self._examples

    def _write(self, number: int, example: Example) -> None:
        examples = [example if each == number else other for each, other in self._examples.items()]
        write_dataset(self.file, examples)
        self._know(examples, self._stamp_now())

    def _know(self, examples: Sequence[Example], stamp: tuple[int, ...]) -> None:
        seen = Counter[str]()
        self._examples = {}
        for example in examples:
            audio = str(example.audio)
            # An example is found again by the person's sound; which of those with the same sound, by their order.
            number = self._numbers.setdefault((audio, seen[audio]), len(self._numbers))
            seen[audio] += 1
            self._examples[number] = example
        self._stamp = stamp

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            state = self.file.stat()
        except OSError:  # reading it says why
            return ()
        return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _corrected(example: Example, response: str) -> Example:
    """The example with another response that can be read, without what no longer belongs to it."""
    if response == example.response:
        return example
    calls, speech = read_response(response)
    try:
        kept = same_calls(calls, example.calls)
        said: str | None = example.speech
    except ModelOutputError:
        kept, said = False, None
    results = example.results if kept or _belong(example.results, calls) else ()
    sound = example.response_audio if fill(speech, results) == said else None
    return replace(example, response=response, results=results, response_audio=sound)


def _belong(results: Sequence[Mapping[str, Json]], calls: Sequence[ToolCall]) -> bool:
    return len(results) == len(calls) and all(
        result["name"] == call.name and same(result.get("arguments"), dict(call.arguments))
        for result, call in zip(results, calls, strict=True)
    )


def _consequences(before: Example, after: Example) -> tuple[str, ...]:
    """What a correction takes away, as sentences."""
    sentences = []
    if before.results and not after.results:
        sentences.append("the results were those of other calls and are left out")
    if before.response_audio and not after.response_audio:
        sentences.append(
            "the sound of the reply says other words and is left out; `lfm-voice data speak` speaks it anew"
        )
    return tuple(sentences)


def _readable(before: Example, response: str) -> bool:
    """Whether a response can be read, or is as it was anyway."""
    if response == before.response:
        return True
    try:
        read_response(response)
    except ModelOutputError:
        return False
    return True


def _version(example: Example, folder: Path) -> str:
    entry = to_entry(example, folder)
    text = json.dumps([entry.get(name) for name in _REVIEWED], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
