"""What is counted in a dataset, and how it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lfm_voice_ros import cli
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.dataset.format import Example, write_dataset
from lfm_voice_ros.dataset.stats import as_json, collect, draw
from lfm_voice_ros.evaluation.scoring import wilson


def sound(path: Path, seconds: float, rate: int) -> Path:
    soundfile.write(path, np.zeros(round(seconds * rate), np.float32), rate)
    return path


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """Seven examples: 2 with calls, one that can't be read, 2 near-misses, 1 talk, 1 rejected."""
    person = [sound(tmp_path / f"{number}.wav", number, 16_000) for number in (1, 2, 3)]
    reply = sound(tmp_path / "reply.wav", 1.5, 24_000)
    return [
        Example(person[0], "left, nod", "<tool>pan_left</tool> <tool>nod</tool> Left.", reply, (), speaker="anna"),
        Example(person[1], "nod", "<tool>nod</tool> Nodding.", reply, speaker="ben", kind="command", review="accepted"),
        Example(tmp_path / "none.wav", "nod", "<tool>nod Nodding.", None, speaker="ben", condition="clean"),
        Example(person[2], "a nod", "Was it.", None, speaker="anna", kind="near_miss"),
        Example(person[2], "a note", "Was it.", None, speaker="anna"),
        Example(person[2], "hello", "Hello.", None, speaker="anna", kind="talk"),
        Example(person[2], "hello", "<tool>stop</tool> Hello.", reply, speaker="carl", kind="x", review="rejected"),
    ]


def test_examples_are_counted_without_the_rejected_ones(examples: list[Example]) -> None:
    stats = as_json(collect(examples, wilson))
    low, high = wilson(2, 6)
    assert stats == {
        "examples": 6,
        "with_calls": 2,
        "near_misses": 2,
        "near_miss_share": 0.3333,
        "near_miss_interval": [round(low, 4), round(high, 4)],
        "unreadable_responses": 1,
        "calls_per_tool": {"nod": 2, "pan_left": 1},
        "kinds": {"": 3, "command": 1, "near_miss": 1, "talk": 1},
        "speakers": {"anna": 4, "ben": 2},
        "speakers_by_kind": {"anna": {"": 2, "near_miss": 1, "talk": 1}, "ben": {"command": 1, "": 1}},
        "conditions": {"": 5, "clean": 1},
        "reviews": {"": 5, "accepted": 1, "rejected": 1},
        "person_seconds": {"files": 5, "total": 12.0, "p5": 1.2, "p50": 3.0, "p95": 3.0},
        "reply_seconds": {"files": 2, "total": 3.0, "p5": 1.5, "p50": 1.5, "p95": 1.5},
        "unspoken_replies": 4,
        "unreadable_sounds": 1,
    }


def test_nothing_can_be_counted_too(tmp_path: Path) -> None:
    stats = collect([], wilson)
    assert as_json(stats)["person_seconds"] == {"files": 0, "total": 0, "p5": None, "p50": None, "p95": None}
    assert stats.near_miss_share == 0.0
    draw(stats, tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(b"\x89PNG")


def test_many_speakers_kinds_and_names_of_any_characters_are_drawn(tmp_path: Path, examples: list[Example]) -> None:
    odd = ["$x$", "\ud800", "_hidden", "a\nb", "\x1b[31m", "x" * 500, "all others"]
    many = [
        replace(examples[3 + number % 3], speaker=f"{odd[number % 7]}{number % 40}", kind=f"{odd[number % 7]}{number}")
        for number in range(80)
    ]
    draw(collect(many, wilson), tmp_path / "new" / "many.png")
    assert (tmp_path / "new" / "many.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["file/picture.png", "picture.unknown"])
def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ResourceError, match="can't be written"):
        draw(collect([], wilson), tmp_path / name)


def test_the_command_prints_tables_and_writes_a_picture_and_the_numbers(
    tmp_path: Path, examples: list[Example], capsys: pytest.CaptureFixture[str]
) -> None:
    examples += [replace(examples[5], speaker=f"[red]s{number}", condition="\x1b[31m") for number in range(30)]
    write_dataset(tmp_path, examples)
    picture, numbers = tmp_path / "stats.png", tmp_path / "stats.json"
    assert cli.main(["data", "stats", str(tmp_path), "--picture", str(picture), "--json", str(numbers)]) == 0
    out = capsys.readouterr().out
    for words in ("2 (5.6 %), 95 % interval 1.5–18.1", "1.7 min; p5", "files: see lfm-voice data check", "[red]s0"):
        assert words in out
    assert "all others" in out  # of the 32 speakers
    assert "\x1b" not in out
    assert json.loads(numbers.read_text("utf-8"))["examples"] == 36
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_needs_a_dataset_that_fits_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dataset.json").write_text('[{"audio": 1}]', "utf-8")
    assert cli.main(["data", "stats", str(tmp_path)]) == 2
    assert "example 1" in capsys.readouterr().err
