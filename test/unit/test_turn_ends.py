"""The end of turns in simulated time, and the corpus of sentences with pauses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros.core.end_of_turn import Ending
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import corpus_file
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import Utterance
from lfm_voice_ros.evaluation.turn_ends import Frame, Judge, Outcome, Summary, outcome, turn_ends
from lfm_voice_ros.training.paused_speech import read_paused

FRAME = np.zeros(1600, np.float32)  # 0.1 s
SETTINGS = AudioCaptureSettings(
    draft_silence=0.1,
    complete_window=0.3,
    silence_window=0.4,
    unclear_window=0.5,
    unfinished_window=1.0,
    min_speech=0.1,
)


def play(sound: str, judge: Judge) -> list[float]:
    """Play frames of 0.1 s, "x" with speech in them; give when turns were ended."""
    return turn_ends([Frame(FRAME, 0.9 if letter == "x" else 0.0) for letter in sound], SETTINGS, judge)


def always(ending: Ending, seconds: float) -> Judge:
    return lambda _draft: (ending, seconds)


@pytest.mark.parametrize(
    ("ending", "seconds", "end"),
    [
        (Ending.UNCLEAR, 0.0, 0.8),
        (Ending.COMPLETE, 0.0, 0.6),
        (Ending.UNFINISHED, 0.0, 1.3),
        (Ending.COMPLETE, 0.25, 0.65),
        (Ending.UNFINISHED, 0.6, 0.8),
    ],
    ids=["unclear", "complete", "unfinished", "complete, late", "unfinished, too late"],
)
def test_a_judgement_counts_from_when_it_is_known(ending: Ending, seconds: float, end: float) -> None:
    assert play("xxx................", always(ending, seconds)) == pytest.approx([end])


def test_each_pause_is_judged_by_what_was_said_until_then() -> None:
    drafts: list[float] = []

    def judge(draft: Utterance) -> tuple[Ending, float]:
        drafts.append(draft.speech_end)
        return (Ending.UNFINISHED if len(drafts) == 1 else Ending.COMPLETE), 0.0

    assert play("xx.......xx......", judge) == pytest.approx([1.4])
    assert drafts == pytest.approx([0.2, 1.1])


def test_a_turn_that_ends_before_its_last_piece_was_cut_off() -> None:
    assert outcome("talk", True, [0.9, 2.0], 1.0, 1.5).cut_off
    late = outcome("talk", True, [2.0], 1.0, 1.5)
    assert (late.cut_off, late.wait) == (False, 0.5)
    assert math.isnan(outcome("talk", True, [], 1.0, 1.5).wait)


def test_the_summary_counts_cut_offs_among_sentences_with_pauses_and_waits_by_kind() -> None:
    summary = Summary.of(
        [
            Outcome("command", True, True, math.nan),
            Outcome("command", True, False, 0.4),
            Outcome("question", False, False, 0.3),
            Outcome("talk", False, False, 0.6),
            Outcome("talk", False, False, math.nan),
        ]
    )
    assert (summary.paused, summary.cut_off, summary.unheard) == (2, 1, 1)
    assert (summary.asked.p50, summary.asked.p95, summary.told.p50) == (0.3, 0.4, 0.6)


def test_the_corpus_has_a_part_to_learn_from_and_another_one_to_measure() -> None:
    sentences = read_paused(corpus_file("pauses.jsonl"))
    paused = [one for one in sentences if one.pauses]
    assert len(paused) >= 150
    assert all(0.3 <= pause <= 1.2 for one in paused for pause in one.pauses)
    texts = {part: {one.text.lower() for one in paused if one.part == part} for part in ("dev", "test")}
    assert not texts["dev"] & texts["test"]


def write(path: Path, **fields: object) -> Path:
    path.write_text(json.dumps(fields) + "\n")
    return path


def test_a_sentence_is_read_in_pieces_and_pauses(tmp_path: Path) -> None:
    (one,) = read_paused(
        write(tmp_path / "c.jsonl", text="Look [0.5] to the, uhm, [1] left.", kind="command", part="dev")
    )
    assert one.pieces == ("Look", "to the, uhm,", "left.")
    assert one.pauses == (0.5, 1.0)
    assert one.text == "Look to the, uhm, left."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": "Look.", "kind": "command"}, '"part" is needed'),
        ({"text": "Look.", "kind": "song", "part": "dev"}, "kind must be one of"),
        ({"text": "Look. [0.5]", "kind": "talk", "part": "dev"}, "between words"),
        ({"text": "Look [99] left.", "kind": "talk", "part": "dev"}, "at most 5 s"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(tmp_path: Path, fields: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"c\.jsonl:1: .*{words}"):
        read_paused(write(tmp_path / "c.jsonl", **fields))
