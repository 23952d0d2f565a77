"""Templates, and the labelled sentences that are drawn from them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from lfm_voice_ros import cli
from lfm_voice_ros.core.call_syntax import write_calls
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.tool_calls import argument_problem
from lfm_voice_ros.tools.registry import Registry

pytest.importorskip("hassil", reason="hassil is not installed (scripts/setup --extra training)")

from lfm_voice_ros.training.corpus_generator import SPLITS, Generator, Sentence
from lfm_voice_ros.training.templates import Labelled, Template, Templates, read_templates

ROOT = Path(__file__).parents[2]
SHIPPED = read_templates(ROOT / "corpus" / "templates")
LISTS = {
    "side": lambda random: random.choice([("left", "left"), ("right", "right")]),
    "number": lambda _: ("thirty", "30"),
    "sign": lambda _: ("right", "-"),
    "city": lambda _: ("St. John's", "St. John's"),
}


def drawn(text: str, *labels: str) -> set[tuple[str, str]]:
    """Sentences of a template, with their calls as LFM2-Tool writes them."""
    one = Labelled(Template(text, LISTS), labels, imperative=True)
    random = Random(1)
    phrases = [one.template.draw(random) for _ in range(60)]
    return {(phrase.text, write_calls(one.calls(phrase))) for phrase in phrases}


@pytest.fixture(scope="module")
def splits() -> Mapping[str, list[Sentence]]:
    """Some sentences of each split of the shipped templates."""
    return {split: list(Generator(SHIPPED, split, 1).sentences(1500)) for split in SPLITS}


def test_choices_and_slots_give_sentences_with_their_labels() -> None:
    assert drawn("(look|turn) [over] {side}", "pan_{side}()") == {
        (f"{verb}{over} {side}", f"[pan_{side}()]")
        for verb in ("look", "turn")
        for over in ("", " over")
        for side in ("left", "right")
    }


def test_an_argument_that_was_not_said_is_left_out() -> None:
    assert drawn("left [by {number:degrees}]", "pan_left(degrees={degrees})") == {
        ("left", "[pan_left()]"),
        ("left by thirty", "[pan_left(degrees=30)]"),
    }


def test_signs_texts_and_several_calls_are_filled_in() -> None:
    assert drawn(
        "at {number:pan} {sign}, time in {city}", "look_at(pan_degrees={sign}{pan})", 'get_time(location="{city}")'
    ) == {("at thirty right, time in St. John's", '[look_at(pan_degrees=-30), get_time(location="St. John\'s")]')}


@pytest.mark.parametrize("text", ["look (left", "{colour}", "look {nothing:here}"])
def test_a_wrong_template_is_told(text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        Template(text, LISTS)


def test_a_label_that_is_no_call_is_told() -> None:
    with pytest.raises(ConfigurationError, match="pan left"):
        drawn("left", "pan left")


def test_every_call_is_one_that_the_robot_can_do(splits: Mapping[str, list[Sentence]]) -> None:
    registry = Registry.from_file(ROOT / "config" / "tools.yaml")
    parameters = {tool.name: tool.parameters for tool in registry}
    for sentence in splits["train"] + splits["test"]:
        for call in sentence.calls:
            assert argument_problem(parameters[call.name], call) is None, sentence


def test_all_tools_are_asked_for_and_near_misses_are_at_least_as_many_as_commands(
    splits: Mapping[str, list[Sentence]],
) -> None:
    tools = {tool.name for tool in Registry.from_file(ROOT / "config" / "tools.yaml")}
    for split, sentences in splits.items():
        if split != "dev":  # it has few templates
            assert {call.name for one in sentences for call in one.calls} == tools
        commands = sum(bool(one.calls) for one in sentences)
        near_misses = sum(not one.calls and one.kind != "talk" for one in sentences)
        assert near_misses >= commands


def test_no_template_of_a_test_sentence_was_trained_on(splits: Mapping[str, list[Sentence]]) -> None:
    used = {split: {text for one in sentences for text in one.templates} for split, sentences in splits.items()}
    assert used["train"]
    assert not used["train"] & used["test"]
    assert not used["train"] & used["dev"]
    assert not used["dev"] & used["test"]


def test_every_sentence_is_new_and_the_seed_decides_which(splits: Mapping[str, list[Sentence]]) -> None:
    texts = [re.sub(r"\W+", " ", one.text.lower()).strip() for one in splits["train"]]
    assert len(set(texts)) == len(texts) == 1500
    again = list(Generator(SHIPPED, "train", 1).sentences(100))
    other = list(Generator(SHIPPED, "train", 2).sentences(100))
    assert again == splits["train"][:100]
    assert other != again


def test_a_correction_counts_and_what_is_unwanted_does_not(splits: Mapping[str, list[Sentence]]) -> None:
    for one in splits["train"]:
        if one.kind in ("unwanted", "canceled", "near_miss", "talk"):
            assert one.calls == ()
        if one.kind == "corrected":
            assert one.calls
    assert {one.kind for one in splits["train"]} >= {"command", "joined", "corrected", "canceled", "unwanted", "talk"}


def test_a_split_without_templates_is_told() -> None:
    few = Templates(SHIPPED.commands[:1], SHIPPED.near_misses, SHIPPED.talk, SHIPPED.frames, SHIPPED.decorations)
    with pytest.raises(ConfigurationError, match="commands"):
        Generator(few, "test", 1)


def test_the_command_writes_a_file_for_each_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate-corpus", "--output", str(tmp_path), "--train", "50", "--dev", "20", "--test", "10"]
    assert cli.main([*command, "--templates", str(ROOT / "corpus" / "templates")]) == 0
    lines = {split: (tmp_path / f"{split}.jsonl").read_text("utf-8").splitlines() for split in SPLITS}
    assert [len(lines[split]) for split in SPLITS] == [50, 20, 10]
    assert set(json.loads(lines["train"][0])) == {"text", "calls", "kind", "templates"}
    assert "50 sentences" in capsys.readouterr().out


def test_a_folder_without_templates_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate-corpus", "--output", str(tmp_path), "--templates", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
