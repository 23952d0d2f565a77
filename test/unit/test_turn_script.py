"""The script of the benchmark."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolServerSettings
from lfm_voice_ros.evaluation.turn_script import KINDS, Line, read_script, shortened
from lfm_voice_ros.tools.registry import Registry


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return read_script(config_file("benchmark.yaml"))


def test_the_script_has_more_than_fifty_turns_of_every_kind(lines: list[Line]) -> None:
    kinds = Counter(line.kind for line in lines)

    assert set(kinds) == set(KINDS)
    assert sum(line.answered for line in lines) >= 50


def test_the_script_asks_only_for_tools_that_there_are(lines: list[Line]) -> None:
    tools = {tool.name for tool in Registry.from_file(config_file("tools.yaml"), ToolServerSettings().allowed).specs()}

    assert {call for line in lines for call in line.calls} <= tools


def test_every_sentence_of_the_kind_pauses_has_one(lines: list[Line]) -> None:
    for line in lines:
        pauses = [part for part in line.parts() if isinstance(part, float)]
        assert bool(pauses) == (line.kind == "pauses"), line.text


def test_a_sentence_is_spoken_in_parts_with_the_pauses_between_them() -> None:
    line = Line("pauses", "Look to the, [0.7] uhm, [1] left.")

    assert list(line.parts()) == ["Look to the,", 0.7, "uhm,", 1.0, "left."]
    assert line.words == "Look to the, uhm, left."


def test_a_shortened_script_keeps_what_belongs_to_its_last_turn(lines: list[Line]) -> None:
    talk, interruption = Line("talk", "What can you do?"), Line("interruption", "Nod.", ("nod",), "voice", 1.0)
    command = Line("command", "Look left.", ("pan_left",))

    assert shortened([command, talk, interruption, command], 2) == [command, talk, interruption]
    assert shortened([command, talk, interruption, command], 3) == [command, talk, interruption]
    assert shortened(lines, None) == lines


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "needs a list `turns`"),
        ("turns: []", "needs a list `turns`"),
        ("turns: [{say: Hello.}]", "turn 1 must have `kind` and `say`"),
        ("turns: [{kind: talk, say: Hello., loud: true}]", "turn 1 must have"),
        ("turns: [{kind: shout, say: Hello.}]", "kind is 'shout'; it must be one of: command"),
        ("turns: [{kind: talk, say: Hello., when: noon}]", "when is 'noon'; it must be one of: rest, voice, motion"),
        ("turns: [{kind: talk, say: '[0.5]'}]", "`say` must be a sentence"),
        ("turns: [{kind: talk, say: Hello., calls: nod}]", "`calls` must be a list"),
        ("turns: [{kind: talk, say: Hello., after: -1}]", "`after` must be a number of seconds"),
        ("turns: [{kind: hush, say: Stop!, when: voice}]", "the first turn can't wait for the robot's voice"),
    ],
)
def test_a_wrong_script_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "script.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match=complaint):
        read_script(file)
