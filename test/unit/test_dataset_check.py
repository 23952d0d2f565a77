"""The check of a dataset: each kind of problem is found where it is, and nothing that a file holds makes it fail."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfm_voice_ros import cli
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import Json, Samples
from lfm_voice_ros.dataset.check import Problem, Report, as_json, check
from lfm_voice_ros.dataset.format import schema
from lfm_voice_ros.tools.registry import Registry

REGISTRY = Registry.from_file(config_file("tools.yaml"))
LEFT = "<tool>pan_left(degrees=30)</tool> Looking left, {moved}."
LEFT_RESULT: Json = {
    "name": "pan_left",
    "status": "succeeded",
    "data": {"moved": "thirty degrees"},
    "speech": "Looking left, thirty degrees.",
}


class Hears:
    """A voice activity detector that finds speech wherever there is sound, or nowhere."""

    frame_samples = 512

    def __init__(self, anything: bool = True) -> None:
        self._anything = anything
        self.resets = 0

    def probability(self, frame: Samples) -> float:
        return 1.0 if self._anything and float(np.abs(frame).max()) > 0.01 else 0.0

    def reset(self) -> None:
        """Count that, for there is nothing to forget."""
        self.resets += 1


def tone(frequency: float = 440.0, rate: int = 16_000, seconds: float = 0.5, peak: float = 0.5) -> Samples:
    return np.asarray(peak * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate), np.float32)


class Dataset:
    """A dataset that is being made: three good examples, and what a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[Json] = []
        self.add("look left", LEFT, results=[LEFT_RESULT])
        self.add("I left my keys", "I hope you find them.")
        self.add("hello", "Hello.", kind="talk")

    def add(
        self, transcript: str, response: str, sound: Samples | None = None, rate: int = 16_000, **more: Json
    ) -> int:
        """Add an example whose sound is one of its own, unless it is given; give its number."""
        number = len(self.entries) + 1
        sound = tone(300.0 + 10 * number, rate) if sound is None else sound
        soundfile.write(self.folder / f"{number}.wav", sound, rate)
        if "response_audio" not in more:
            soundfile.write(self.folder / f"{number}.reply.wav", tone(200.0, 24_000), 24_000)
            more["response_audio"] = f"{number}.reply.wav"
        self.entries.append({"audio": f"{number}.wav", "transcript": transcript, "response": response, **more})
        return number

    def check(self, speech: bool = True) -> Report:
        (self.folder / "dataset.json").write_text(json.dumps(self.entries), "utf-8")
        return check(self.folder, REGISTRY, Hears(speech))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def brief(report: Report) -> list[tuple[str, str, int | None]]:
    return [(problem.severity, problem.kind, problem.example) for problem in report.problems]


def only(report: Report) -> Problem:
    (problem,) = report.problems
    return problem


def test_a_good_dataset_has_no_problems(dataset: Dataset) -> None:
    report = dataset.check()
    assert report.problems == ()
    assert (report.examples, report.rejected) == (3, 0)


def test_everything_that_does_not_fit_the_schema_is_told_and_the_rest_is_checked(dataset: Dataset) -> None:
    dataset.entries += [{"audio": "", "transcript": 1, "color": "red"}, "text"]
    dataset.add("look right", "<tool>fly</tool> Flying.")
    found = brief(dataset.check())
    assert found == [
        ("warning", "near_misses", None),
        *[("error", "schema", 4)] * 5,  # two that are missing, two wrong ones, one that is too many
        ("error", "schema", 5),
        ("error", "unknown_tool", 6),
    ]


@pytest.mark.parametrize(
    ("response", "more", "kind", "words"),
    [
        ("<tool>pan_left(30)</tool> Left.", {}, "unreadable_call", "can't be read"),
        ("<tool>pan_left Left.", {}, "unreadable_call", "</tool>"),
        ("<tool>f(a=" + "-" * 3000 + "1)</tool> Left.", {}, "unreadable_call", "can't be read"),
        ("<tool>fly</tool> Hello.", {}, "unknown_tool", "no tool named fly"),
        ("<tool>pan_left(degrees=500)</tool> Hello.", {}, "arguments", "500"),
        ("<tool>nod(times=2)</tool> Hello.", {}, "arguments", "times"),
        ("<tool>nod</tool>", {}, "no_speech", "no speech"),
        ("", {}, "no_speech", "no speech"),
        ("<tool>pan_left</tool> Left, {moved}.", {}, "unfilled", "{moved}"),
        ("Left, {moved}.", {"results": [{**LEFT_RESULT, "data": {}}]}, "unfilled", "{moved}"),
        ("<tool>pan_left</tool> Looking right.", {"results": [LEFT_RESULT]}, "contradiction", "something else"),
        ("<tool>pan_left</tool> Left, twenty degrees.", {"results": [LEFT_RESULT]}, "contradiction", "something"),
    ],
)
def test_a_wrong_response_is_an_error(
    dataset: Dataset, response: str, more: Mapping[str, Json], kind: str, words: str
) -> None:
    number = dataset.add("do it", response, **more)
    dataset.add("I had a nod", "Did you.")
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("error", kind, number)
    assert words in problem.what
    assert problem.todo


@pytest.mark.parametrize(
    "results",
    [
        [LEFT_RESULT, {"name": "nod", "status": "succeeded", "data": {}, "speech": "Nodding."}],
        [LEFT_RESULT, {"name": "nod", "status": "canceled", "data": {}}],
        [{**LEFT_RESULT, "speech": "Looking right."}, {"name": "nod", "status": "succeeded", "data": {}}],
    ],
)
def test_several_results_are_told_together_and_those_without_words_contradict_nothing(
    dataset: Dataset, results: list[Json]
) -> None:
    nodding = " Nodding." if results[1]["status"] == "succeeded" else ""
    dataset.add(
        "left and nod", f"<tool>pan_left</tool> <tool>nod</tool> Looking left, {{moved}}.{nodding}", results=results
    )
    dataset.add("a nod was left", "Was it.")
    assert dataset.check().problems == ()


def test_a_call_that_was_canceled_says_nothing_and_the_others_can_still_be_contradicted(dataset: Dataset) -> None:
    canceled = {"name": "nod", "status": "canceled", "data": {}}
    number = dataset.add("left and nod", "<tool>pan_left</tool> Looking right.", results=[LEFT_RESULT, canceled])
    dataset.add("a nod was left", "Was it.")
    assert brief(dataset.check()) == [("error", "contradiction", number)]


def test_a_claim_without_a_call_is_a_warning(dataset: Dataset) -> None:
    number = dataset.add("I nod off", "I am nodding.")
    assert brief(dataset.check()) == [("warning", "claim", number)]


def test_an_example_without_a_transcript_is_a_warning(dataset: Dataset) -> None:
    first, second = dataset.add(" ", "Hello."), dataset.add("", "<tool>nod</tool> Nodding.")
    dataset.add("nod to him in my name", "I can't.")
    assert brief(dataset.check()) == [("warning", "no_transcript", first), ("warning", "no_transcript", second)]


def cut(share: float) -> Samples:
    """A second of a low tone of which about so much is cut off."""
    sound = tone(50.0, seconds=1.0, peak=0.9)
    length = round(share * sound.size)
    sound[: length + 1] = 1.0
    return sound


@pytest.mark.parametrize(
    ("sound", "rate", "severity", "kind", "words"),
    [
        (tone(rate=44_100), 44_100, "warning", "rate", "44100 Hz"),
        (tone(rate=8_000), 8_000, "warning", "rate", "8000 Hz"),
        (tone(rate=7_000), 7_000, "error", "rate", "7000 Hz"),
        (np.zeros(8_000, np.float32), 16_000, "error", "silence", "silent"),
        (tone(peak=0.002), 16_000, "error", "silence", "dBFS"),
        (tone(seconds=31.0), 16_000, "error", "too_long", "31.0 s"),
        (cut(0.005), 16_000, "warning", "clipped", "0.5%"),
        (cut(0.05), 16_000, "error", "clipped", "5.0%"),
        (np.stack((0.5 * cut(0.0), cut(0.05)), axis=1), 16_000, "error", "clipped", "5.0%"),
        (np.full(8_000, np.nan, np.float32), 16_000, "error", "unreadable_sound", "not numbers"),
    ],
)
def test_a_wrong_sound_of_the_person_is_told(
    dataset: Dataset, sound: Samples, rate: int, severity: str, kind: str, words: str
) -> None:
    number = dataset.add("so it is", "Is it.", audio="x.wav")
    soundfile.write(dataset.folder / "x.wav", sound, rate, subtype="FLOAT")
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == (severity, kind, number)
    assert Path(problem.file).name == "x.wav"
    assert words in problem.what
    assert problem.todo


@pytest.mark.parametrize(
    ("sound", "rate", "found"),
    [
        (tone(rate=8_000), 8_000, [("warning", "rate")]),
        (tone(rate=44_100), 44_100, []),
        (np.zeros(24_000, np.float32), 24_000, [("error", "silence")]),
        (tone(rate=24_000, seconds=31.0), 24_000, [("error", "too_long")]),
    ],
)
def test_a_wrong_sound_of_the_reply_is_told(
    dataset: Dataset, sound: Samples, rate: int, found: list[tuple[str, str]]
) -> None:
    soundfile.write(dataset.folder / "2.reply.wav", sound, rate)
    assert [(problem.severity, problem.kind) for problem in dataset.check().problems] == found


def test_sound_without_speech_is_an_error_where_speech_can_be_told(dataset: Dataset) -> None:
    found = dataset.check(speech=False).problems
    assert [(problem.kind, problem.example) for problem in found] == [
        ("empty_speech", number) for number in (1, 1, 2, 2, 3, 3)
    ]
    assert check(dataset.folder, REGISTRY, None).problems == ()


def test_sound_that_only_touches_full_scale_is_not_cut_off(dataset: Dataset) -> None:
    dataset.add("so it is", "Is it.", tone(50.0, peak=1.0))
    assert dataset.check().problems == ()


def test_what_was_heard_in_one_sound_is_forgotten_before_the_next(dataset: Dataset) -> None:
    dataset.check()
    hears = Hears()
    check(dataset.folder, REGISTRY, hears)
    assert hears.resets == 6


@pytest.mark.parametrize("content", [None, b"", b"no sound", b"RIFF\x00\x00\x00\x00WAVEfmt "])
@pytest.mark.parametrize("whose", ["2.wav", "2.reply.wav"])
def test_a_sound_that_is_missing_or_none_is_an_error(dataset: Dataset, whose: str, content: bytes | None) -> None:
    (dataset.folder / whose).unlink()
    if content is not None:
        (dataset.folder / whose).write_bytes(content)
    problem = only(dataset.check())
    assert (problem.severity, problem.example) == ("error", 2)
    assert problem.kind == ("missing_file" if content is None else "unreadable_sound")
    assert "leave the example out" in problem.todo


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.wav", "\ud800.wav", ".", "/dev/null", "\x1b[31m.wav"])
def test_a_name_of_a_file_that_cannot_be_is_an_error_and_is_told_in_print(dataset: Dataset, name: str) -> None:
    dataset.entries[1]["audio"] = name
    problem = only(dataset.check())
    assert (problem.severity, problem.example) == ("error", 2)
    assert (problem.file + problem.what).isprintable()


def test_the_same_sound_twice_is_an_error(dataset: Dataset) -> None:
    number = dataset.add("something else", "Hello.", tone(310.0))
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("error", "same_sound", number)
    assert "example 1" in problem.what


def test_replies_may_share_their_sound(dataset: Dataset) -> None:
    dataset.entries[1]["response_audio"] = dataset.entries[2]["response_audio"]
    assert dataset.check().problems == ()


def test_one_sentence_with_different_calls_is_an_error(dataset: Dataset) -> None:
    number = dataset.add("Look LEFT.", "I don't want to.")
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("error", "two_answers", number)
    assert "example 1" in problem.what


@pytest.mark.parametrize("transcript", ["look left by -3", "look left by 3.5", "look left by 35"])
def test_punctuation_inside_of_words_makes_another_sentence(dataset: Dataset, transcript: str) -> None:
    dataset.add("look left by 3", "<tool>pan_left(degrees=3)</tool> Left.")
    dataset.add(transcript, "<tool>pan_left(degrees=4)</tool> Left.")
    dataset.add("3 are left", "So few.")
    assert dataset.check().problems == ()


def test_one_sentence_with_the_same_calls_is_a_warning_where_speaker_and_condition_are_the_same(
    dataset: Dataset,
) -> None:
    first = dataset.add("so it is", "Is it.", speaker="anna", condition="clean")
    dataset.add("so it is", "Is it.", speaker="ben", condition="clean")
    dataset.add("so it is", "Is it.", speaker="anna", condition="noise:20")
    number = dataset.add("So it is!", "Oh.", speaker="anna", condition="clean")
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("warning", "repeated", number)
    assert f"example {first}" in problem.what


def test_rejected_examples_are_counted_and_not_checked(dataset: Dataset) -> None:
    dataset.add("look left", "<tool>fly</tool>", np.zeros(10, np.float32), review="rejected")
    report = dataset.check()
    assert report.problems == ()
    assert (report.examples, report.rejected) == (4, 1)


def test_replies_without_sound_are_counted(dataset: Dataset) -> None:
    dataset.add("so it is", "Is it.", response_audio=None)
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("warning", "unspoken", None)
    assert "1 of 4" in problem.what
    assert "data speak" in problem.todo


def test_too_few_near_misses_are_a_warning_that_says_why_it_matters(dataset: Dataset) -> None:
    dataset.add("nod", "<tool>nod</tool> Nodding.")
    problem = only(dataset.check())
    assert (problem.severity, problem.kind, problem.example) == ("warning", "near_misses", None)
    assert "1 of 4 examples (25%)" in problem.what
    assert "whatever is said" in problem.what


@pytest.mark.parametrize("content", ["[]", "{}", "1", "null", '"x"'])
def test_a_dataset_with_nothing_in_it_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content, "utf-8")
    assert check(tmp_path, REGISTRY, None).count("error") > 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
words = st.sampled_from(
    ["<tool>", "</tool>", "pan_left", "(degrees=30)", "([", "{moved}", "{", " I am turning. ", "\ud800", "\0"]
)
responses = st.lists(words | st.text(max_size=4), max_size=6).map("".join)


results = st.fixed_dictionaries(
    {
        "name": st.text(min_size=1, max_size=5),
        "status": st.sampled_from(["failed", "canceled"]),
        "data": st.dictionaries(st.sampled_from(["moved", "x"]), json_values, max_size=2),
    },
    optional={"speech": responses},
)
needed: dict[str, st.SearchStrategy[Json]] = {
    "audio": st.text(min_size=1, max_size=5),
    "transcript": responses,
    "response": responses,
    "response_audio": st.none() | st.text(max_size=5),
}
optional: dict[str, st.SearchStrategy[Json]] = {
    **dict.fromkeys(("id", "speaker", "kind", "condition", "recorded"), st.text(max_size=4)),
    "results": st.lists(results, max_size=2),
    "templates": st.lists(st.text(max_size=3), max_size=2),
    "review": st.sampled_from(["accepted", "rejected"]),
}
#: What fits the schema and nothing else, and what doesn't fit it in some fields.
hostile = st.fixed_dictionaries(needed, optional=optional) | st.fixed_dictionaries(
    {name: fitting | json_values for name, fitting in needed.items()}, optional=optional
)


def test_the_hostile_examples_have_all_fields() -> None:
    assert needed.keys() | optional.keys() == schema()["items"]["properties"].keys()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(json_values | st.lists(hostile | json_values, max_size=4))
def test_nothing_makes_it_fail(content: Json) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dataset.json").write_text(json.dumps(content), "utf-8")
        report = check(Path(folder), REGISTRY, Hears())
    json.dumps(as_json(report)).encode()
    assert all((problem.file + problem.what).isprintable() and problem.todo for problem in report.problems)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "[1" + "0" * 5000 + "]"])
def test_what_is_no_json_cannot_be_checked(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match=r"dataset\.json can't be read"):
        check(tmp_path, REGISTRY, None)


def test_the_command_lists_the_problems_and_ends_with_1_where_there_are_errors(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        dataset.add(f"fly {number}", "<tool>fly</tool> Flying.", tone(1000.0 + 10 * number), kind="[bold]")
    noise = np.random.default_rng(1).normal(0.0, 0.1, 16_000).astype(np.float32)
    dataset.add("so it is", "Is it.", noise)
    dataset.check()
    told = dataset.folder / "told" / "problems.json"
    assert cli.main(["data", "check", str(dataset.folder), "--json", str(told)]) == 1
    out = capsys.readouterr().out
    assert "there is no tool named fly" in out
    assert "unknown_tool: 5 more" in out
    content = json.loads(told.read_text("utf-8"))
    assert content["errors"] == sum(one["severity"] == "error" for one in content["problems"])
    assert sum(one["kind"] == "unknown_tool" for one in content["problems"]) == 25
    # Silero VAD is asked: noise is no speech.
    assert any(one["kind"] == "empty_speech" and one["example"] == 29 for one in content["problems"])
    assert f"29 examples; {content['errors']} errors, 1 warnings" in out


def test_the_command_takes_other_tools_and_ends_with_2_where_it_cannot_begin(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.entries = dataset.entries[1:]
    for entry in dataset.entries:
        entry["review"] = "rejected"
    dataset.check()
    assert cli.main(["data", "check", str(dataset.folder / "missing")]) == 2
    assert cli.main(["data", "check", str(dataset.folder), "--tools", str(dataset.folder / "tools.yaml")]) == 2
    assert "tools.yaml" in capsys.readouterr().err
    assert cli.main(["data", "check", str(dataset.folder)]) == 1
    assert "2 of them rejected" in capsys.readouterr().out


def test_the_command_ends_with_0_for_warnings_only(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfm_voice_ros.backends.silero_vad.SileroVad", Hears)
    dataset.add("I nod off", "I am nodding.")
    dataset.check()
    assert cli.main(["data", "check", str(dataset.folder)]) == 0
    assert "0 errors, 1 warnings" in capsys.readouterr().out
