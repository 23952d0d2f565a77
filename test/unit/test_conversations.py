"""Datasets of conversations, with voices that only hum."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.grounding import claims_an_act
from lfm_voice_ros.core.resources import config_file, corpus_file
from lfm_voice_ros.core.tool_calls import same_calls
from lfm_voice_ros.core.types import Samples, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.dataset.format import (
    Example,
    fill,
    read_dataset,
    read_response,
    result_entry,
    unfilled,
    write_dataset,
)
from lfm_voice_ros.dataset.stats import LEAST_NEAR_MISSES
from lfm_voice_ros.dialogue.lite import LiteEngine
from lfm_voice_ros.dialogue.small_talk import SmallTalk
from lfm_voice_ros.tools.clock import Places
from lfm_voice_ros.tools.executor import Performed
from lfm_voice_ros.tools.registry import Registry
from lfm_voice_ros.training import conversations, speech_corpus
from lfm_voice_ros.training.conversations import (
    HARD,
    Answer,
    Answerer,
    Speaker,
    Summary,
    choose,
    converse,
    told,
)
from lfm_voice_ros.training.corpus_generator import Sentence

REGISTRY = Registry.from_file(config_file("tools.yaml"))
LEFT = ToolCall("pan_left", {"degrees": 30})
SENTENCES = (
    Sentence("Look left, thirty degrees.", (LEFT,), "command", ("look {side}",)),
    Sentence("What time is it in Tokyo?", (ToolCall("get_time", {"location": "Tokyo"}),), "command", ("time",)),
    Sentence("Don't nod.", (), "unwanted", ("don't {command}", "nod")),
    Sentence("Hello.", (), "talk", ("hello",)),
    Sentence("Nod and look left.", (ToolCall("nod"), LEFT), "joined", ("{first} and {second}", "nod", "look {side}")),
    Sentence("He left.", (), "near_miss", ("he left",)),
)


class Hum:
    """The port Synthesizer: a tone as long as the text, and nothing for one without letters."""

    name = "hum"
    sample_rate = 8000

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def synthesize(self, text: str) -> Iterator[Samples]:
        """See the port."""
        self.spoken.append(text)
        if any(c.isalnum() for c in text):
            yield np.sin(np.arange(80 * len(text)) * (0.1 + len(text) / 100)).astype(np.float32) / 2


@pytest.fixture(autouse=True)
def _humming(monkeypatch: pytest.MonkeyPatch) -> None:
    def voice(name: str) -> speech_corpus._Voice:
        return speech_corpus._Voice(name, ((Hum(), 1.0),))

    monkeypatch.setattr(speech_corpus, "_voice", voice)


def answerer() -> Answerer:
    places, talk = Places.from_file(config_file("places.yaml")), SmallTalk.from_file(config_file("small_talk.yaml"))
    return Answerer(REGISTRY, places, LiteEngine(talk))


def make(out: Path, sentences: Sequence[Sentence] = SENTENCES, **changes: Any) -> Summary:
    arguments: dict[str, Any] = {
        "answerer": answerer(),
        "voices": ["low", "high"],
        "conditions": ["clean", "noise:20"],
        "seed": 1,
        "speaker": Speaker(Hum()),
        "progress": lambda _: None,
    }
    return converse(sentences, out, **{**arguments, **changes})


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def answers(call: ToolCall, *more: ToolCall, count: int = 400) -> list[Answer]:
    """What the same sentence is answered with another head and at another time each."""
    made = answerer()
    return [made.answer(Sentence("…", (call, *more), "command", ()), Random(number)) for number in range(count)]


def drawn(count: int, seed: int = 1) -> list[Sentence]:
    pytest.importorskip("hassil", reason="hassil is not installed (scripts/setup --extra training)")
    from lfm_voice_ros.training.corpus_generator import Generator
    from lfm_voice_ros.training.templates import read_templates

    generator = Generator(read_templates(corpus_file("templates")), "train", seed)
    return choose(generator.sentences(10 * count), count, answerer().fits)


def test_a_dataset_has_what_was_said_and_what_is_answered_with_both_sounds(tmp_path: Path) -> None:
    said: list[str] = []
    summary = make(tmp_path, progress=said.append)

    assert (summary.dataset, summary.made, summary.kept) == (tmp_path / "dataset.json", 6, 0)
    assert len(said) == 6
    examples = read_dataset(tmp_path)
    assert list(summary.examples) == examples
    assert [(one.transcript, one.kind, one.templates) for one in examples] == [
        (one.text, one.kind, one.templates) for one in SENTENCES
    ]
    assert examples[1].response == '<tool>get_time(location="Tokyo")</tool> It is {time}{place}.'
    assert re.fullmatch(r"It is \d+:\d\d [AP]M in Tokyo\.", examples[1].speech)
    assert Counter(one.speaker for one in examples) == {"low": 3, "high": 3}
    assert Counter(one.condition for one in examples) == {"clean": 3, "noise:20": 3}
    for number, one in enumerate(examples, start=1):
        assert one.audio == tmp_path / "audio" / f"{number:05d}.wav"
        assert one.response_audio == tmp_path / "audio" / f"{number:05d}.reply.wav"
        assert one.audio.stat().st_size > 44
        assert one.response_audio.stat().st_size > 44


def test_without_a_speaker_the_replies_stay_unspoken_until_they_are_spoken(tmp_path: Path) -> None:
    make(tmp_path, speaker=None)
    assert all(one.response_audio is None for one in read_dataset(tmp_path))
    assert not list(tmp_path.rglob("*.reply.wav"))

    assert conversations.speak(tmp_path, Speaker(Hum()), lambda _: None) == (6, 0)
    examples = read_dataset(tmp_path)
    assert [one.response_audio for one in examples] == [one.audio.with_suffix(".reply.wav") for one in examples]
    assert all(one.response_audio and one.response_audio.is_file() for one in examples)
    assert conversations.speak(tmp_path, Speaker(Hum()), lambda _: None) == (0, 0)


def test_every_different_reply_is_spoken_once(tmp_path: Path) -> None:
    voice, nod = Hum(), ToolCall("nod")
    sentences = [Sentence(text, (nod,), "command", ()) for text in ("Nod.", "Nod please.", "Please nod.")]
    summary = make(tmp_path, sentences, speaker=Speaker(voice))
    assert voice.spoken == ["Nodding."]
    assert summary.replies == 1
    assert len({path.read_bytes() for path in tmp_path.rglob("*.reply.wav")}) == 1


def test_the_reply_is_spoken_as_it_is_heard_with_its_fields_filled(tmp_path: Path) -> None:
    voice = Hum()
    examples = make(tmp_path, speaker=Speaker(voice)).examples
    assert {one.speech for one in examples} == set(voice.spoken)
    assert not any("{" in text or "<" in text for text in voice.spoken)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        make(tmp_path / name, seed=seed)
    first, again, other = (files(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first["dataset.json"] != other["dataset.json"]


def test_an_interrupted_run_goes_on_and_ends_with_the_same_files(tmp_path: Path) -> None:
    make(tmp_path / "whole")

    def interrupt(message: str) -> None:
        if message.startswith("3 of 6"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(out, progress=interrupt)
    assert not (out / "dataset.json").exists()
    (out / "audio" / "00003.reply.wav").unlink()
    (out / "audio" / "00004.wav.part").write_bytes(b"half a")
    kept = (out / "audio" / "00001.wav").stat().st_mtime_ns
    summary = make(out)
    assert (summary.made, summary.kept) == (3, 3)
    assert (out / "audio" / "00001.wav").stat().st_mtime_ns == kept
    assert files(out) == files(tmp_path / "whole")


def test_a_dataset_that_is_complete_keeps_what_was_done_to_it(tmp_path: Path) -> None:
    make(tmp_path)
    entries = json.loads((tmp_path / "dataset.json").read_text())
    entries[0]["review"] = "rejected"
    (tmp_path / "dataset.json").write_text(json.dumps(entries))
    before = files(tmp_path)
    summary = make(tmp_path)
    assert (summary.made, summary.kept) == (0, 6)
    assert files(tmp_path) == before


@pytest.mark.parametrize("changes", [{"seed": 2}, {"speaker": None}, {"voices": ["low"]}, {"sentences": SENTENCES[:5]}])
def test_a_dataset_of_another_run_is_not_overwritten(tmp_path: Path, changes: dict[str, Any]) -> None:
    make(tmp_path)
    before = files(tmp_path)
    with pytest.raises(ConfigurationError, match="choose another folder or delete it"):
        make(tmp_path, **changes)
    assert files(tmp_path) == before


def test_what_cant_be_spoken_is_left_out(tmp_path: Path) -> None:
    sentences = [Sentence("...", (), "talk", ()), SENTENCES[0]]
    assert [one.transcript for one in make(tmp_path, sentences).examples] == [SENTENCES[0].text]


def test_every_response_reads_as_its_calls_and_fills_completely() -> None:
    made = answerer()
    for number, sentence in enumerate(drawn(1500)):
        answer = made.answer(sentence, Random(number))
        calls, speech = read_response(answer.response)
        assert same_calls(calls, sentence.calls)
        for call in calls:
            REGISTRY.check(call)
        filled = fill(speech, answer.results)
        assert filled
        assert not set("{}<>") & set(filled)
        if calls:
            assert filled == " ".join(result["speech"] for result in answer.results if result["speech"])
            assert [result["name"] for result in answer.results] == [call.name for call in calls]
        else:
            assert not answer.results
            assert not claims_an_act(filled)


def test_at_least_28_percent_only_sound_like_commands() -> None:
    for count in (50, 300):
        chosen = drawn(count)
        assert len(chosen) == count
        assert sum(one.kind in HARD for one in chosen) >= LEAST_NEAR_MISSES * count
        assert any(one.kind == "talk" for one in chosen)
        assert any(one.calls for one in chosen)


def test_near_misses_are_added_where_the_draw_has_too_few() -> None:
    command, miss = SENTENCES[0], SENTENCES[5]
    kinds = cycle([*[command] * 9, miss])
    chosen = choose(kinds, 50, lambda _: True)
    assert Counter(one.kind for one in chosen) == {"command": 36, "near_miss": 14}
    with pytest.raises(ConfigurationError, match="28% of 50 are needed"):
        choose([*[command] * 50, *[miss] * 13], 50, lambda _: True)


def test_sentences_whose_calls_the_registry_doesnt_have_are_left_out() -> None:
    fits = Answerer(Registry(list(REGISTRY), ["nod"]), Places({}), LiteEngine(SmallTalk([], ["Hm."]))).fits
    assert choose(SENTENCES, 6, fits) == [SENTENCES[2], SENTENCES[3], SENTENCES[5]]


def test_heads_stand_anywhere_so_that_every_outcome_is_told() -> None:
    told_of = Counter(answer.response.partition("</tool> ")[2] for answer in answers(LEFT))
    done, limited = "Looking left, {moved}.", "Looking left, {moved}. I am at my limit."
    at_limit = "I can't look any further to the left. I am at my limit."
    failed = "I could not look left: {reason}."
    assert set(told_of) == {done, limited, at_limit, failed}
    assert 0.01 < told_of[failed] / 400 < 0.08
    assert told_of[at_limit] > 20


def test_a_head_that_fails_says_why_and_what_it_says_is_in_the_data() -> None:
    results = [answer.results[0] for answer in answers(LEFT) if answer.results[0]["status"] != "succeeded"]
    assert {result["status"] for result in results} == {"failed", "timed_out"}
    reasons = {result["data"]["reason"] for result in results}
    assert reasons == {"my head doesn't answer", "the head's position is unknown"}


def test_the_time_is_another_each_time() -> None:
    times = {answer.results[0]["data"]["time"] for answer in answers(ToolCall("get_time"), count=50)}
    assert len(times) > 40
    assert all(re.fullmatch(r"\d{1,2}:\d\d [AP]M", time) for time in times)


def test_a_second_call_begins_where_the_first_one_ends() -> None:
    back = ToolCall("pan_right", {"degrees": 30})
    for answer in answers(LEFT, back, count=30):
        first, second = answer.results
        if first["status"] == second["status"] == "succeeded" and not second["data"]["limited"]:
            assert second["data"]["pan_degrees"] == pytest.approx(first["data"]["pan_degrees"] - 30, abs=0.11)


def test_fields_that_two_results_have_are_filled_in_the_response() -> None:
    responses = [answer.response for answer in answers(LEFT, ToolCall("tilt_up", {"degrees": 10}))]
    assert any("Looking left, thirty degrees. Looking up, ten degrees." in response for response in responses)
    assert all(response.count("{") <= 1 for response in responses)
    # Where only one of the sentences has the field, it is clear which result is meant.
    assert any("Looking left, {moved}. I can't look any further up." in response for response in responses)


def test_fields_that_one_result_has_stay_in_the_response() -> None:
    responses = {answer.response for answer in answers(ToolCall("nod"), LEFT)}
    assert "<tool>nod</tool> <tool>pan_left(degrees=30)</tool> Nodding. Looking left, {moved}." in responses


def test_a_call_that_a_stop_supersedes_is_called_and_not_spoken_of() -> None:
    answer = answers(LEFT, ToolCall("stop"), count=1)[0]
    assert answer.response == "<tool>pan_left(degrees=30)</tool> <tool>stop</tool> Stopped."
    assert [result["status"] for result in answer.results] == ["canceled", "succeeded"]


def test_data_that_would_fill_another_results_field_is_no_mistake() -> None:
    results = [
        ToolResult(ToolCall(name), ToolStatus.SUCCEEDED, speech) for name, speech in (("a", "A."), ("b", "B 2."))
    ]
    first = Performed(ToolResult(ToolCall("a"), ToolStatus.SUCCEEDED, "A.", data={"field": 1}), "A.")
    answer = told([first, Performed(results[1], "B {field}.", {"field": "2"})])
    assert answer.response == "<tool>a</tool> <tool>b</tool> A. B 2."


def spoken_before(folder: Path, *examples: Example) -> Path:
    return write_dataset(folder, examples)


def test_responses_that_have_a_sound_are_not_spoken_again(tmp_path: Path) -> None:
    (tmp_path / "mine.wav").write_bytes(b"mine")
    voice = Hum()
    spoken_before(
        tmp_path,
        Example(tmp_path / "a.wav", "Hi.", "Hello.", tmp_path / "mine.wav"),
        Example(tmp_path / "b.wav", "Nod.", "<tool>nod</tool> Nodding."),
    )
    assert conversations.speak(tmp_path, Speaker(voice), lambda _: None) == (1, 0)
    first, second = read_dataset(tmp_path)
    assert voice.spoken == ["Nodding."]
    assert (first.response_audio, second.response_audio) == (tmp_path / "mine.wav", tmp_path / "b.reply.wav")
    assert (tmp_path / "mine.wav").read_bytes() == b"mine"


def test_a_reply_never_takes_the_place_of_another_sound(tmp_path: Path) -> None:
    spoken_before(
        tmp_path,
        Example(tmp_path / "a.wav", "Hi.", "Hello.", tmp_path / "a.reply.wav"),
        Example(tmp_path / "a.flac", "Hi.", "Hi there."),
        Example(tmp_path / "a.wav", "Hi.", "Good morning."),
    )
    conversations.speak(tmp_path, Speaker(Hum()), lambda _: None)
    names = [one.response_audio.name for one in read_dataset(tmp_path) if one.response_audio]
    assert names == ["a.reply.wav", "a-2.reply.wav", "a-3.reply.wav"]


def test_a_response_that_changed_is_spoken_anew_over_the_old_sound(tmp_path: Path) -> None:
    (tmp_path / "a.reply.wav").write_bytes(b"old")
    spoken_before(tmp_path, Example(tmp_path / "a.wav", "Hi.", "Hello."))
    conversations.speak(tmp_path, Speaker(Hum()), lambda _: None)
    assert (tmp_path / "a.reply.wav").read_bytes() != b"old"


def test_what_no_result_fills_and_what_has_no_words_stays_unspoken(tmp_path: Path) -> None:
    said: list[str] = []
    spoken_before(
        tmp_path,
        Example(tmp_path / "a.wav", "Time?", "<tool>get_time</tool> It is {time}{place}."),
        Example(tmp_path / "b.wav", "Nod.", "<tool>nod</tool>"),
    )
    assert conversations.speak(tmp_path, Speaker(Hum()), said.append) == (0, 2)
    assert "no result gives time, place" in said[0]
    assert "nothing to speak" in said[1]
    assert all(one.response_audio is None for one in read_dataset(tmp_path))


def test_what_was_spoken_before_an_interruption_is_kept(tmp_path: Path) -> None:
    spoken_before(tmp_path, *(Example(tmp_path / f"{name}.wav", "Hi.", f"Hello {name}.") for name in "abc"))

    def interrupt(message: str) -> None:
        if message.startswith("2 of 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conversations.speak(tmp_path, Speaker(Hum()), interrupt)
    assert [one.response_audio is not None for one in read_dataset(tmp_path)] == [True, True, False]


def test_a_response_that_cant_be_read_is_told_by_its_number(tmp_path: Path) -> None:
    spoken_before(tmp_path, Example(tmp_path / "a.wav", "Nod.", "<tool>nod Nodding."))
    with pytest.raises(ConfigurationError, match=r"dataset\.json, example 1: the response can't be read"):
        conversations.speak(tmp_path, Speaker(Hum()), lambda _: None)


def test_what_a_result_has_in_words_is_in_the_entry() -> None:
    entry = result_entry(ToolResult(LEFT, ToolStatus.SUCCEEDED, "…", data={"time": "13:00"}), {"time": "1:00 PM"})
    assert entry["data"] == {"time": "1:00 PM"}
    assert unfilled(fill("{time}{place}", [entry])) == ["place"]
