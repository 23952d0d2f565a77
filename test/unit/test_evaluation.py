"""Corpora, scores, and the command that shows them."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfm_voice_ros import cli
from lfm_voice_ros.core.errors import AudioError, ConfigurationError
from lfm_voice_ros.core.tool_calls import same
from lfm_voice_ros.core.types import Json, ToolCall, ToolDecision
from lfm_voice_ros.evaluation.corpus import Example, read_corpus
from lfm_voice_ros.evaluation.scoring import percentile, score, wilson


class Scripted:
    """A detector that answers from a table."""

    name = "scripted"

    def __init__(self, answers: dict[str, list[ToolCall]]) -> None:
        self._answers = answers

    def detect(self, text: str) -> ToolDecision:
        return ToolDecision(tuple(self._answers.get(text, [])), self.name)


LEFT, RIGHT = ToolCall("pan_left"), ToolCall("pan_right")


def example(text: str, *calls: ToolCall) -> Example:
    return Example(1, text, None, calls)


def write(folder: Path, *lines: Json) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def test_names_and_arguments_are_counted_over_commands_and_the_rest_over_near_misses() -> None:
    detector = Scripted(
        {
            "right": [LEFT],
            "wrong amount": [ToolCall("pan_left", {"degrees": 10})],
            "wrong order": [RIGHT, LEFT],
            "false alarm": [LEFT],
        }
    )
    result = score(
        detector,
        [
            example("right", LEFT),
            example("wrong amount", LEFT),
            example("wrong order", LEFT, RIGHT),
            example("nothing found", LEFT),
            example("false alarm"),
            example("left alone"),
        ],
        lambda one: one.text,
    )
    assert (result.names_share, result.arguments_share, result.near_misses_share) == (0.5, 0.25, 0.5)
    assert [miss.text for miss in result.misses] == ["wrong amount", "wrong order", "nothing found", "false alarm"]


def test_a_recording_that_cannot_be_used_is_a_miss_with_its_reason() -> None:
    def text_of(_example: Example) -> str:
        raise AudioError("not a WAV file")

    result = score(Scripted({}), [example("", LEFT), example("")], text_of)
    assert (result.names_share, result.near_misses_share) == (0.0, 0.0)
    assert [miss.reason for miss in result.misses] == ["not a WAV file"] * 2


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"degrees": 30}, {"degrees": 30.0000001}, True),
        ({"degrees": 30}, {"degrees": 30.1}, False),
        ({"location": "tokyo"}, {"location": "Tokyo"}, True),
        ({}, {"degrees": 1}, False),
        ({"flag": True}, {"flag": 1}, False),
        ({"list": [1, "A"]}, {"list": [1.0, "a"]}, True),
    ],
)
def test_arguments_are_compared_by_meaning(one: Json, other: Json, equal: bool) -> None:
    assert same(one, other) is equal


def test_a_corpus_is_read_with_recordings_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "hi", "calls": []}, "", {"audio": "a/b.wav", "calls": [{"name": "nod"}]})
    assert read_corpus(path) == [
        Example(1, "hi", None, ()),
        Example(3, "", tmp_path / "a" / "b.wav", (ToolCall("nod"),)),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"calls": []}',
        '{"text": "hi"}',
        '{"text": 1, "calls": []}',
        '{"text": "hi", "calls": {}}',
        '{"text": "hi", "calls": [{}]}',
        '{"text": "hi", "calls": [{"name": "nod", "args": []}]}',
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, {"text": "hi", "calls": []}, line)
    with pytest.raises(ConfigurationError, match=r"corpus\.jsonl:2: "):
        read_corpus(path)


def test_the_json_is_all_of_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": [{"name": "nod", "args": {}}]}, {"text": "", "calls": []})
    assert cli.main(["evaluate", "--detector", "keywords", "--corpus", str(path), "--json"]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)["results"]["keywords"]
    assert (result["names"], result["arguments"], result["near_misses"]) == (0.0, 0.0, 1.0)
    assert result["misses"] == [
        {
            "line": 1,
            "text": "Look left.",
            "expected": [{"name": "nod", "args": {}}],
            "found": [{"name": "pan_left", "args": {}}],
            "reason": "",
        }
    ]
    assert "0 of 1" in output.err


def test_without_json_counts_and_misses_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": []}, {"text": "Nod.", "calls": [{"name": "nod"}]})
    assert cli.main(["evaluate", "--corpus", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "1 of 1 (100.0 %" in shown
    assert "pan_left()" in shown


@pytest.mark.parametrize("content", [None, "not JSON\n", ""])
def test_a_corpus_that_cannot_be_used_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "corpus.jsonl"
    if content is not None:
        path.write_text(content, "utf-8")
    assert cli.main(["evaluate", "--corpus", str(path), "--json"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert str(path) in output.err


def test_an_unknown_detector_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", "--detector", "keywords,magic", "--corpus", str(tmp_path)])
    assert end.value.code == 2
    assert "there is no detector 'magic'" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, options: list[str]) -> None:
    path = write(tmp_path, *[{"text": f"Look left {n}.", "calls": []} for n in range(500)])
    arguments = ["evaluate", "--corpus", str(path), *options]
    program = f"import sys; from lfm_voice_ros.cli import main; sys.exit(main({arguments!r}))"
    ran = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ran.stdout is not None
    assert ran.stderr is not None
    with ran:
        ran.stdout.close()
        errors = ran.stderr.read()
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors
    assert ran.returncode != 0


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_of_a_share_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    assert wilson(part, whole) == pytest.approx((low, high), abs=1e-4)


def test_times_are_told_by_nearest_rank() -> None:
    times = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert (percentile(times, 50), percentile(times, 95), percentile(times, 1)) == (3.0, 5.0, 1.0)
    assert math.isnan(percentile([], 50))


def test_what_was_taken_for_what_is_counted_by_whole_sentences() -> None:
    detector = Scripted({"a": [RIGHT], "b": [LEFT, RIGHT], "d": [LEFT]})
    examples = [example("a", LEFT), example("b", LEFT, RIGHT), example("c", LEFT), example("d")]
    confusion = score(detector, examples, lambda one: one.text).confusion
    assert confusion == {
        ("pan_left", "pan_right"): 1,
        ("several", "several"): 1,
        ("pan_left", "no tool"): 1,
        ("no tool", "pan_left"): 1,
    }


def test_a_report_has_a_table_a_picture_and_every_figure(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": [{"name": "pan_left"}]}, {"text": "Hi.", "calls": []})
    out = tmp_path / "out"
    assert cli.main(["evaluate", "--detector", "keywords,classifier", "--corpus", str(path), "--report", str(out)]) == 0
    assert "| keywords | 1 of 1 (100.0 %" in (out / "table.md").read_text("utf-8")
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((out / "scores.json").read_text("utf-8"))["results"]
    assert set(results) == {"keywords", "classifier"}
    assert results["classifier"]["memory_mb"] > results["keywords"]["memory_mb"] + 10
    assert results["keywords"]["median_ms"] <= results["keywords"]["p95_ms"]
    assert results["keywords"]["names_interval"][0] > 0.2


def test_parameters_of_the_detector_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": [{"name": "pan_left"}]})
    command = ["evaluate", "--detector", "classifier", "--corpus", str(path), "--json"]
    assert cli.main([*command, "--set", "classifier_threshold=1.0"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["classifier"]["names"] == 0.0
    with pytest.raises(SystemExit):
        cli.main([*command, "--set", "volume=11"])
    with pytest.raises(SystemExit):
        cli.main([*command, "--set", "threads=many"])


def test_a_model_that_is_missing_ends_the_evaluation_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": []})
    command = ["evaluate", "--detector", "llm", "--corpus", str(path), "--set", "model=/nowhere/x.gguf"]
    assert cli.main(command) == 2
    assert "/nowhere/x.gguf can't be read" in capsys.readouterr().err


def test_the_installed_program_measures_each_detector_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "Look left.", "calls": [{"name": "pan_left"}]})
    program = shutil.which("lfm-voice")
    assert program is not None
    command = [program, "evaluate", "--detector", "keywords", "--corpus", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout.count("keywords")) == (0, 1)
