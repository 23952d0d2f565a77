"""The file of a dataset: what is written is read again, and what doesn't fit is refused with its place."""

from __future__ import annotations

import json
import keyword
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError
from lfm_voice_ros.core.types import Json, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.dataset import format as dataset_format
from lfm_voice_ros.dataset.format import (
    Example,
    fill,
    read_dataset,
    read_response,
    replace_file,
    result_entry,
    unfilled,
    write_dataset,
    write_response,
)

ENTRY: dict[str, Json] = {"audio": "a.wav", "transcript": "nod", "response": "Hello.", "response_audio": None}

texts = st.text(max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
values = st.one_of(
    st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6), st.text("abc ,;.'\"()[]{}=é✓\\\n", max_size=9)
)
calls = st.builds(ToolCall, names, st.dictionaries(names, values, max_size=3))
results = st.fixed_dictionaries(
    {"name": names, "status": st.sampled_from(["succeeded", "canceled"]), "data": st.dictionaries(names, texts)}
)
examples = st.builds(
    Example,
    audio=st.just(Path("/data/set/audio/a.wav")),
    transcript=texts,
    response=texts,
    response_audio=st.sampled_from([None, Path("/data/other/r.wav")]),
    results=st.lists(results, max_size=2).map(tuple),
    id=texts,
    speaker=texts,
    templates=st.lists(texts, max_size=3).map(tuple),
    kind=texts,
    condition=texts,
    recorded=texts,
    review=st.sampled_from(["", "accepted", "rejected"]),
)


def written(folder: Path, content: Any) -> Path:
    path = folder / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


@settings(deadline=None)  # a disk may be busy
@given(st.lists(examples, max_size=4))
def test_what_is_written_is_read_again_from_any_folder(some: list[Example]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_dataset(Path(folder), some)
        again = read_dataset(path)
    assert path.name == "dataset.json"
    assert [one.audio.resolve() for one in again] == [one.audio for one in some]
    assert [dataset_format.to_entry(one, Path(folder)) for one in again] == [
        dataset_format.to_entry(one, Path(folder)) for one in some
    ]


def test_sounds_are_found_beside_the_file_and_a_folder_stands_for_its_dataset(tmp_path: Path) -> None:
    written(tmp_path, [{**ENTRY, "audio": "audio/1.wav", "response_audio": "audio/1.reply.wav"}])
    (example,) = read_dataset(tmp_path)
    assert (example.audio, example.response_audio) == (tmp_path / "audio/1.wav", tmp_path / "audio/1.reply.wav")


def test_sounds_beside_the_dataset_are_written_relative_to_it(tmp_path: Path) -> None:
    write_dataset(tmp_path / "dev.json", [Example(tmp_path / "audio" / "1.wav", "nod", "Hello.")])
    assert json.loads((tmp_path / "dev.json").read_text("utf-8"))[0]["audio"] == "audio/1.wav"


@given(st.lists(calls, max_size=3), st.text("abc {}.,!?é'", max_size=20).map(lambda text: " ".join(text.split())))
def test_a_response_that_is_written_is_read_again(some: list[ToolCall], speech: str) -> None:
    again, told = read_response(write_response(some, speech))
    assert told == speech
    assert [(call.name, dict(call.arguments)) for call in again] == [(call.name, call.arguments) for call in some]


@pytest.mark.parametrize(
    "response",
    [
        "<tool>nod Nodding.",
        "nod</tool> Nodding.",
        "<tool>nod</tool> and <tool> Nodding.",
        "<tool>pan_left(30)</tool>",
        "<tool>pan_left(degrees=other())</tool>",
        "<tool>two words</tool>",
        "<tool>look_at(pan_degrees=" + "-" * 2000 + "1)</tool>",
    ],
)
def test_a_call_that_cannot_be_read_is_refused(response: str) -> None:
    with pytest.raises(ModelOutputError):
        read_response(response)


def test_fields_are_filled_by_the_first_result_that_has_them_and_others_stay() -> None:
    given_by = [{"data": {"moved": "ten degrees"}}, {"data": {"moved": "never", "time": "noon"}}, {}]
    speech = fill("Left, {moved}. It is {time}, {weather}, {not a field}.", given_by)
    assert speech == "Left, ten degrees. It is noon, {weather}, {not a field}."
    assert unfilled(speech) == ["weather"]


def test_an_example_says_its_speech_with_its_results() -> None:
    result = ToolResult(
        ToolCall("pan_left", {"degrees": 30}), ToolStatus.SUCCEEDED, "Looking left.", {"moved_degrees": 30.0}
    )
    entry = result_entry(result, {"moved": "thirty degrees"})
    example = Example(Path("a.wav"), "left", "<tool>pan_left(degrees=30)</tool> Left, {moved}.", None, (entry,))
    assert entry["status"] == "succeeded"
    assert entry["data"] == {"moved_degrees": 30.0, "moved": "thirty degrees"}
    assert example.speech == "Left, thirty degrees."
    assert example.calls == (result.call,)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"audio": ""}, "audio: "),
        ({"audio": None}, "audio: "),
        ({"response": ["x"]}, "response: "),
        ({"color": "red"}, "'color'"),
        ({"review": "maybe"}, "review: "),
        ({"results": [{"name": "nod", "status": "gone", "data": {}}]}, "results.0.status: "),
        ({"results": [{"name": "nod", "status": "failed"}]}, "results.0: "),
        ({"templates": ["a", 1]}, "templates.1: "),
    ],
)
def test_what_does_not_fit_is_refused_with_the_first_such_example(
    tmp_path: Path, changes: dict[str, Json], place: str
) -> None:
    wrong = {**ENTRY, **changes}
    path = written(tmp_path, [ENTRY, ENTRY, wrong, *[ENTRY] * 7, wrong])
    with pytest.raises(ConfigurationError, match=rf"example 3: .*{re.escape(place)}"):
        read_dataset(path)


@pytest.mark.parametrize("content", ["", "{", "[NaN", "[" * 100_000, '{"audio": "a.wav"}', "1"])
def test_what_is_no_list_of_examples_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigurationError, match=r"dataset\.json"):
        read_dataset(written(tmp_path, content))


def test_a_missing_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no dataset"):
        read_dataset(tmp_path)


def test_text_that_utf_8_cannot_carry_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([{**ENTRY, "transcript": "\ud800 nod"}]))
    write_dataset(path, read_dataset(path))
    assert read_dataset(path)[0].transcript == "\ud800 nod"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dataset(tmp_path, [Example(tmp_path / "a.wav", "nod", "Hello.")])
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        write_dataset(tmp_path, [])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ResourceError, match="choose another folder"):
        replace_file(tmp_path / "file" / "dataset.json", b"")
