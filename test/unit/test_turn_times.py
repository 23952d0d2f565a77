"""What the benchmark makes of what was said and what came of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.evaluation.scoring import Spread
from lfm_voice_ros.evaluation.sound_times import Track
from lfm_voice_ros.evaluation.turn_picture import draw
from lfm_voice_ros.evaluation.turn_report import as_json, as_markdown, counts, goals, other_rows, stage_rows
from lfm_voice_ros.evaluation.turn_script import Line
from lfm_voice_ros.evaluation.turn_times import AtRest, Heard, Results, Said, Seen, Turn, matching, measure
from lfm_voice_ros.evaluation.yardstick import Plain

LOOK = Line("command", "Look left.", ("pan_left",))
TALK = Line("talk", "Hello.")
BREAK = Line("interruption", "Nod.", ("nod",), "voice", 1.0)
STOP = Line("stop", "Stop!", (), "motion", 0.5)
PAUSED = Line("pauses", "Look [0.6] left.", ("pan_left",))
LEFT = ToolResult(ToolCall("pan_left", {}), ToolStatus.SUCCEEDED, "Looking left, thirty degrees.")


def said(line: Line, number: int = 1, start: float = 10.0, end: float = 11.0) -> Said:
    return Said(number, line, "voice", start, end)


def heard(
    calls: tuple[str, ...] = (),
    results: tuple[ToolResult, ...] = (),
    reply: str | None = "Hello.",
    *,
    speech: tuple[float, float] = (10.1, 11.0),
    closed: bool = True,
    source: str = "tools",
) -> Heard:
    end = speech[1]
    times = {"utterance": end + 0.5, "words": end + 0.9, "decision": end + 0.91, "reply": end + 0.95}
    return Heard("u1", speech, times, True, calls, results, reply, source, closed)


def played(*spans: tuple[float, float]) -> Track:
    track = Track()
    for begin, end in spans:
        track.add(begin, 16_000, np.full(round((end - begin) * 16_000), 0.3, np.float32))
    return track


def joints(begin: float, end: float) -> list[tuple[float, float, float]]:
    """Joint states at 50 Hz from 9 s to 20 s of a head that moves in between."""
    times = 9.0 + 0.02 * np.arange(551)
    return [(float(at), float(np.clip(at, begin, end)) - begin, 0.0) for at in times]


def test_the_stages_of_a_turn_count_from_the_last_voiced_sample() -> None:
    turn = measure(
        said(LOOK),
        [heard(("pan_left",), (LEFT,), LEFT.speech)],
        Seen(played((12.2, 14.0)), joints(12.0, 13.0), [11.92]),
        20.0,
    )

    assert turn.stages == pytest.approx(
        {
            "utterance": 0.5,
            "words": 0.9,
            "decision": 0.91,
            "command": 0.92,
            "motion": 1.0,
            "reply": 0.95,
            "first_audio": 1.2,
        },
        abs=0.03,
    )
    assert turn.counts
    assert not turn.lost
    assert (turn.missed, turn.wrong) == (0, 0)
    assert not turn.contradicted


def test_what_the_robot_says_before_the_end_of_speech_is_no_answer_to_it() -> None:
    turn = measure(said(TALK), [heard()], Seen(played((9.0, 10.5), (12.0, 13.0))), 20.0)

    assert turn.stages["first_audio"] == pytest.approx(1.0, abs=0.01)


def test_what_comes_after_the_next_line_has_begun_belongs_to_that() -> None:
    turn = measure(said(TALK), [heard()], Seen(played((15.0, 16.0)), joints(15.0, 16.0), [14.9]), 14.0)

    assert math.isnan(turn.stages["first_audio"])
    assert math.isnan(turn.stages["motion"])
    assert math.isnan(turn.stages["command"])


def test_a_sentence_that_was_cut_into_two_does_not_count_for_times() -> None:
    turn = measure(said(PAUSED), [heard(), heard(("pan_left",), (LEFT,), LEFT.speech)], Seen(), 20.0)

    assert turn.utterances == 2
    assert not turn.counts


@pytest.mark.parametrize(
    ("utterances", "lost"),
    [
        ([], True),
        ([heard(closed=False)], True),
        ([heard(reply=None)], True),
        ([heard(reply="")], False),
        ([heard()], False),
    ],
)
def test_a_turn_is_lost_without_an_utterance_a_reply_or_an_end(utterances: Sequence[Heard], lost: bool) -> None:
    assert measure(said(TALK), utterances, Seen(), 20.0).lost == lost


def test_background_talk_that_nobody_answers_is_not_lost() -> None:
    assert not measure(said(Line("background", "We met her.")), [], Seen(), 20.0).lost


def test_calls_that_were_missed_and_calls_that_nobody_asked_for_are_counted() -> None:
    turn = measure(said(LOOK), [heard(("pan_right", "nod"))], Seen(), 20.0)

    assert (turn.missed, turn.wrong, turn.deaf) == (1, 2, False)


def test_a_sentence_of_which_no_word_was_understood_is_missed_but_not_lost() -> None:
    wordless = replace(heard(reply=None), understood=False)

    turn = measure(said(TALK), [wordless], Seen(), 20.0)

    assert turn.deaf
    assert not turn.lost


def test_a_stop_may_be_a_call_or_none() -> None:
    for calls in ((), ("stop",)):
        turn = measure(said(STOP), [heard(calls)], Seen(), 20.0)
        assert (turn.missed, turn.wrong) == (0, 0)


@pytest.mark.parametrize(
    ("results", "reply", "source", "contradicted"),
    [
        ((LEFT,), LEFT.speech, "tools", False),
        ((LEFT,), "Looking right, thirty degrees.", "tools", True),
        ((), "I am turning to the left.", "small_talk", True),
        ((), "I am fine, thank you.", "small_talk", False),
        ((LEFT,), "I am sorry, I don't know whether that worked.", "error", False),
    ],
)
def test_a_reply_that_says_something_else_than_was_done_contradicts_it(
    results: tuple[ToolResult, ...], reply: str, source: str, contradicted: bool
) -> None:
    turn = measure(said(LOOK), [heard((), results, reply, source=source)], Seen(), 20.0)

    assert turn.contradicted == contradicted
    assert turn.failed == (source == "error")


def test_an_interruption_counts_from_its_first_voiced_sample_to_the_robots_silence() -> None:
    turn = measure(said(BREAK), [heard(("nod",))], Seen(played((8.0, 10.3), (12.0, 13.0))), 20.0)

    assert turn.silence == pytest.approx(0.3, abs=0.01)
    assert turn.stages["first_audio"] == pytest.approx(1.0, abs=0.01)


def test_a_stop_counts_from_the_end_of_the_word_to_the_heads_rest() -> None:
    turn = measure(said(STOP), [], Seen(played((9.5, 11.4)), joints(9.2, 11.2)), 20.0)

    assert turn.rest == pytest.approx(0.2, abs=0.03)
    assert turn.hush == pytest.approx(0.4, abs=0.01)


def test_a_reply_that_was_cut_after_a_backchannel_was_cut_by_it() -> None:
    backchannel = said(Line("backchannel", "Mhm.", (), "voice", 1.0))

    assert measure(backchannel, [], Seen(cuts=[11.5]), 20.0).cut_off
    assert not measure(backchannel, [], Seen(cuts=[9.0, 15.0]), 20.0).cut_off


def test_stop_words_that_nobody_had_said_are_counted() -> None:
    seen = Seen(stops=[11.05, 40.0])
    results = Results([measure(said(STOP), [], seen, 20.0)], [], AtRest(0.0, 0.0), 0.0, stops=2)

    told = counts(results)

    assert told["stops_spotted"][1:] == (1, 1)
    assert told["false_stops"][1] == 1


def test_utterances_belong_to_the_line_that_they_overlap_most() -> None:
    first, second = said(TALK, 1, 10.0, 11.0), said(LOOK, 2, 12.0, 13.0)
    near, far = heard(speech=(11.9, 13.1)), heard(speech=(15.0, 16.0))

    found, stray = matching([first, second], [near, far])

    assert found == {1: [], 2: [near]}
    assert stray == [far]


def turn(
    line: Line, first_audio: float, *, number: int = 1, motion: float = math.nan, plain_audio: float = 2.0
) -> Turn:
    plain = Plain({"utterance": 0.5, "words": 0.9, "decision": 0.9, "reply": 0.9, "first_audio": plain_audio}, 1)
    stages = {"utterance": 0.5, "words": 0.8, "decision": 0.8, "motion": motion, "first_audio": first_audio}
    return Turn(said(line, number), 1, stages, plain=plain)


@pytest.fixture
def results() -> Results:
    """Twenty turns of 1.01 to 1.20 s behind a cold one of 3 s, and one that was cut into two."""
    turns = [turn(TALK, 3.0), *(turn(LOOK, 1.0 + n / 100, number=n + 1, motion=0.9) for n in range(1, 21))]
    cut = turn(PAUSED, 9.0, number=22)
    cut.utterances = 2
    return Results([*turns, cut], [], AtRest(400.0, 0.05), 450.0)


def test_median_and_p95_are_over_all_turns_that_count_cold_and_warm(results: Results) -> None:
    assert results.stage("first_audio") == Spread(1.11, 1.20, 21)
    assert results.cold("first_audio") == 3.0
    assert results.warm("first_audio") == Spread(1.10, 1.19, 20)


def test_the_plain_pipelines_head_is_as_quick_after_its_decision_as_ours(results: Results) -> None:
    assert results.joint_latency == pytest.approx(0.1)
    assert results.plain("motion").p50 == pytest.approx(1.0)
    assert results.head_ratio == pytest.approx(0.9)
    assert results.first_audio_ratio == pytest.approx(0.555)


def test_goals_are_met_missed_or_not_measured(results: Results) -> None:
    verdicts = {goal.name: goal.met for goal in goals(results)}

    assert verdicts == {
        "first_audio_p50": True,
        "first_audio_p95": True,
        "head_p50": True,
        "first_audio_ratio": True,
        "head_ratio": False,
        "interruption_p50": None,
        "interruption_p95": None,
        "stop_p95": None,
        "false_cut_offs": False,
        "memory": True,
        "cpu_at_rest": True,
    }


def test_what_may_not_happen_is_told_turn_by_turn(results: Results) -> None:
    assert results.unsound() == []

    results.turns[2].lost = results.turns[3].contradicted = results.turns[4].failed = True
    results.problems.append("transcriber: broken")

    assert results.unsound() == [
        "transcriber: broken",
        "turn 3, “Look left.”, was lost: it has no utterance, no decision or no reply",
        "turn 4, “Look left.”, was answered with something else than what was done",
        "turn 5, “Look left.”, was answered with an error",
    ]


def test_calls_of_background_talk_and_of_noise_are_wrong_calls(results: Results) -> None:
    results.turns.append(Turn(said(Line("background", "Look left, she said."), 23), wrong=1))
    results.stray.append(heard(("nod",)))

    told = {name: number for name, (_, number, _whole) in counts(results).items()}

    assert (told["wrong_calls"], told["background_calls"], told["stray"]) == (2, 1, 1)


def test_the_data_has_every_number_and_no_other_than_numbers(results: Results) -> None:
    data = json.loads(json.dumps(as_json(["a machine"], results), allow_nan=False))

    assert data["first_audio_ratio"] == pytest.approx(0.555)
    assert data["head_ratio"] == pytest.approx(0.9)
    assert data["stages"]["first_audio"]["all"] == {"p50": 1110.0, "p95": 1200.0, "count": 21}
    assert data["stages"]["motion"]["cold"] is None
    assert data["goals"]["stop_p95"]["met"] is None
    assert len(data["turns"]) == 22


def test_the_page_has_a_row_for_every_figure_and_the_picture(results: Results) -> None:
    page = as_markdown(["a machine"], results, "turns.png")

    assert "\n\na machine\n\n" in page
    assert page.count("\n|") == 4 + len(stage_rows(results)) + len(other_rows(results))
    assert "≤ 1200 ms: met" in page
    assert "turns.png" in page
    assert "nan" not in page


def test_what_was_done_ahead_has_rows_only_where_there_was_any(results: Results) -> None:
    assert not any("ahead" in row[0] for row in stage_rows(results))

    results.turns[1].ahead["draft"] = 0.35

    assert any("words recognized ahead (1 turns)" in row[0] for row in stage_rows(results))


def test_the_picture_is_drawn_also_of_nothing(results: Results, tmp_path: Path) -> None:
    draw(results, "a machine", tmp_path / "turns.png")
    draw(Results([], [], AtRest(0.0, 0.0), 0.0), "a machine", tmp_path / "none.png")

    assert (tmp_path / "turns.png").read_bytes()[:4] == (tmp_path / "none.png").read_bytes()[:4] == b"\x89PNG"
