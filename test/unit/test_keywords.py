"""What the keywords detector understands, and what it leaves alone."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import Json, ToolCall
from lfm_voice_ros.detectors.keywords import KeywordDetector
from lfm_voice_ros.evaluation.corpus import read_corpus
from lfm_voice_ros.evaluation.scoring import Score, score

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "keywords.yaml"
DETECTOR = KeywordDetector.from_file(SHIPPED)


def calls(text: str) -> list[tuple[str, dict[str, Json]]]:
    return [(call.name, dict(call.arguments)) for call in DETECTOR.detect(text).calls]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look left.", [("pan_left", {})]),
        ("could you please turn your head to the right, robot?", [("pan_right", {})]),
        ("Would you mind looking up?", [("tilt_up", {})]),
        ("uh, can you um lower your head", [("tilt_down", {})]),
        ("Look thirty degrees to the left.", [("pan_left", {"degrees": 30})]),
        ("pan right by 45", [("pan_right", {"degrees": 45})]),
        ("Tilt up 12.5°", [("tilt_up", {"degrees": 12.5})]),
        ("look slightly down", [("tilt_down", {"degrees": 10})]),
        ("Move the camera left half a degree.", [("pan_left", {"degrees": 0.5})]),
        ("Look straight ahead.", [("center", {})]),
        ("Look at pan 20 tilt minus 10.", [("look_at", {"pan_degrees": 20, "tilt_degrees": -10})]),
        ("Look at thirty degrees right and ten up", [("look_at", {"pan_degrees": -30, "tilt_degrees": -10})]),
        ("Set pan to 45 degrees.", [("look_at", {"pan_degrees": 45})]),
        ("Scan the room.", [("look_around", {})]),
        ("nod your head", [("nod", {})]),
        ("Shake your head no.", [("shake_head", {})]),
        ("Don't move!", [("stop", {})]),
        ("Which way are you facing?", [("get_head_position", {})]),
        ("What time is it?", [("get_time", {})]),
        ("what's the time in New York right now", [("get_time", {"location": "New York"})]),
        ("What day is it today?", [("get_date", {})]),
    ],
)
def test_a_command_is_understood(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Look left, then up ten degrees and tell me the time.",
            [("pan_left", {}), ("tilt_up", {"degrees": 10}), ("get_time", {})],
        ),
        ("turn left and then right", [("pan_left", {}), ("pan_right", {})]),
        ("look left 30 and up 10", [("pan_left", {"degrees": 30}), ("tilt_up", {"degrees": 10})]),
        ("look left look right", [("pan_left", {}), ("pan_right", {})]),
        ("Stop. Stop! Don't move.", [("stop", {})]),
        ("look left, look left", [("pan_left", {}), ("pan_left", {})]),
        ("Look left before you nod.", [("pan_left", {}), ("nod", {})]),
        ("What time is it in London and in Tokyo?", [("get_time", {"location": x}) for x in ("London", "Tokyo")]),
    ],
)
def test_several_commands_come_in_spoken_order(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Look left, no, right.", [("pan_right", {})]),
        ("Look left. Wait, I mean look up.", [("tilt_up", {})]),
        ("pan left ten degrees, no, twenty degrees", [("pan_left", {"degrees": 20})]),
        ("Look left, thirty degrees.", [("pan_left", {"degrees": 30})]),
        ("Look left. Actually, never mind.", []),
        ("look right, no, don't", []),
        ("No, look right.", [("pan_right", {})]),
    ],
)
def test_a_correction_replaces_what_was_said(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't look left or right.", []),
        ("don't look left and nod", []),
        ("Don't look left, look right.", [("pan_right", {})]),
        ("not left, right", [("pan_right", {})]),
        ("Look right instead of left.", [("pan_right", {})]),
        ("don't stop", []),
        ("Can you look left or right?", []),
    ],
)
def test_what_is_not_wanted_is_not_done(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "She told me to look left.",
        "Did you look left?",
        "If I said look left, what would you do?",
        "I want to sit down, look up, and relax.",
        "Before you cross the street, look left and right.",
        "I left my keys on the right side of the table.",
        "Look up the word.",
        "Look up and down the street.",
        "Turn left and right the ship.",
        "Look left before the bus arrives.",
        "What's up?",
        "You're right.",
        "turn down the volume",
        "Turn the light to the left.",
        "I have to stop by the store.",
        "It was a nod to history.",
        "the right one",
        "Four left.",
        "Time for lunch.",
        "You looked left, right?",
    ],
)
def test_talk_is_left_alone(text: str) -> None:
    assert calls(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Turn your head, let me think, to the right.", [("pan_right", {})]),
        ("check your like surroundings", [("look_around", {})]),
        ("Tell me the local, I mean, time in Rome.", [("get_time", {"location": "Rome"})]),
        ("look how do I say this up", [("tilt_up", {})]),
        ("Halt right there and, well, nod.", [("stop", {}), ("nod", {})]),
    ],
)
def test_a_hesitation_is_passed_over_wherever_it_stands(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My mum wants a picture, so look up.", [("tilt_up", {})]),
        ("The ball rolled away, look down.", [("tilt_down", {})]),
        ("I think we're recording now, could you nod?", [("nod", {})]),
        ("Priya is here, shake your head.", [("shake_head", {})]),
        ("Look left, the plant is in the frame.", [("pan_left", {})]),
        ("Nod so everyone can see it.", [("nod", {})]),
        ("Turn your head a bit to the right for my students.", [("pan_right", {"degrees": 10})]),
        ("If it's not too much trouble, look left.", [("pan_left", {})]),
        ("by the way sweetie nod pretty please", [("nod", {})]),
        ("Right, look left.", [("pan_left", {})]),
    ],
)
def test_a_reason_or_politeness_beside_a_command_does_no_harm(
    text: str, expected: list[tuple[str, dict[str, Json]]]
) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yaw the camera to the left.", [("pan_left", {})]),
        ("Pitch up fifteen degrees.", [("tilt_up", {"degrees": 15})]),
        ("Tip your head back.", [("tilt_up", {})]),
        ("You should be looking down.", [("tilt_down", {})]),
        ("Your pan must be at minus forty degrees.", [("look_at", {"pan_degrees": -40})]),
        ("Set your head to 26 right and 15 up.", [("look_at", {"pan_degrees": -26, "tilt_degrees": -15})]),
        ("A quick look to the left, please.", [("pan_left", {})]),
        ("How about a little nod?", [("nod", {})]),
        ("One shake of the head, please.", [("shake_head", {})]),
        ("Chicago time, please.", [("get_time", {"location": "Chicago"})]),
        ("I need to call my aunt in Porto, what time is it there?", [("get_time", {"location": "Porto"})]),
        ("Show me what's around you.", [("look_around", {})]),
        ("Pause the movement.", [("stop", {})]),
        ("Is your head turned up or down?", [("get_head_position", {})]),
        ("Is it Saturday today?", [("get_date", {})]),
    ],
)
def test_one_wish_has_many_wordings(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nod and when that's done look left", [("nod", {}), ("pan_left", {})]),
        ("Look up, and when you're done, swing the camera down.", [("tilt_up", {}), ("tilt_down", {})]),
        ("Start with this, nod, then look left.", [("nod", {}), ("pan_left", {})]),
        ("Look right, then left and straight ahead.", [("pan_right", {}), ("pan_left", {}), ("center", {})]),
        ("Raise and then lower your head.", [("tilt_up", {}), ("tilt_down", {})]),
        ("Would you mind looking left and then all around?", [("pan_left", {}), ("look_around", {})]),
    ],
)
def test_joiners_and_shared_verbs_keep_the_spoken_order(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slew the head to the left that's wrong look up", [("tilt_up", {})]),
        ("Turn 45 degrees left and 45 down. Sorry, I wanted to say nod.", [("nod", {})]),
        ("Look left and up, no, down.", [("pan_left", {}), ("tilt_down", {})]),
        ("pan left thirty sorry forty degrees", [("pan_left", {"degrees": 40})]),
        ("Look up, actually turn left instead.", [("pan_left", {})]),
        ("don't look up look down five degrees", [("tilt_down", {"degrees": 5})]),
        ("rather than look left please nod", [("nod", {})]),
        ("What time is it in Rome, sorry, I meant Athens?", [("get_time", {"location": "Athens"})]),
        ("look left no wait I take that back", []),
        ("Nod, just kidding.", []),
        ("Look up. Forget it, robot.", []),
    ],
)
def test_a_correction_needs_no_commas(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The teacher said, so look left.",
        "The lyrics are simple, look left, look right.",
        "The door is open, so go right ahead.",
        "My friend can't look left because of the accident.",
        "I want to sit down, look up, and relax.",
        "At the old mill, turn left.",
        "To the left, to the left, she sings.",
        "Don't raise your head to the left.",
        "Don't move your head eighty to the right.",
        "Whatever you do, don't look up.",
        "Don't look left, then to the right.",
        "Cock your head to the left, please.",
        "Can you see what is on the left?",
        "Next time, please.",
        "Look me in the eye and tell me the truth.",
        "Let's go home.",
    ],
)
def test_what_only_resembles_the_new_wordings_is_left_alone(text: str) -> None:
    assert calls(text) == []


def test_the_shipped_patterns_keep_their_score_on_the_development_corpus() -> None:
    result = scored("commands.dev.jsonl")
    assert result.names_share >= 0.97
    assert result.arguments_share >= 0.95
    assert result.near_misses_share >= 0.99


def test_the_shipped_patterns_keep_their_score_on_sentences_they_were_not_made_for() -> None:
    result = scored("commands.heldout.jsonl")
    assert result.names_share >= 0.9
    assert result.arguments_share >= 0.85
    assert result.near_misses_share >= 0.98


def test_a_third_of_the_development_corpus_asks_for_nothing() -> None:
    examples = read_corpus(ROOT / "corpus" / "commands.dev.jsonl")
    assert len(examples) >= 320
    assert 3 * sum(not example.calls for example in examples) >= len(examples)


def scored(corpus: str) -> Score:
    return score(DETECTOR, read_corpus(ROOT / "corpus" / corpus), lambda example: example.text)


@given(st.text(max_size=300))
def test_no_text_makes_it_raise(text: str) -> None:
    DETECTOR.detect(text)


VOCABULARY = (
    "look left right up down turn your head 30 ° degrees a bit and then , . ; ? no wait don't stop to the in Tokyo"
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(VOCABULARY.split()), max_size=60))
def test_arguments_fit_their_tools_whatever_is_said(words: list[str]) -> None:
    for name, arguments in calls(" ".join(words)):
        assert set(arguments) <= {
            "look_at": {"pan_degrees", "tilt_degrees"},
            "get_time": {"location"},
            **{key: {"degrees"} for key in ("pan_left", "pan_right", "tilt_up", "tilt_down")},
        }.get(name, set())
        assert name != "look_at" or arguments


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\x1b[0m", "左を見て", "Посмотри налево", "🙂" * 50, "\ud800", "%s {} \\1", "-" * 500]
)
def test_strange_text_asks_for_nothing(text: str) -> None:
    assert calls(text) == []


@pytest.mark.parametrize(
    "unit",
    [
        "look left, ",
        "look lef, ",
        "look left ",
        "look to the a the your ",
        "a hundred and ",
        "9.",
        "no, ",
        "', ",
        "um, ",
        "turn left or go and look up the ",
        "can you please ",
        "what time is it in a ",
        "light left ",
        "nodding ",
        "so the cat is ",
        "i think my friend so ",
        "no no wait sorry ",
        "don't look up ",
        "rather than turning your head ",
        "your like i mean the ",
        "and when you're done ",
        "a quick little look for the ",
        "in york time ",
    ],
)
def test_ten_thousand_characters_take_no_time_that_anybody_notices(unit: str) -> None:
    text = (unit * 10_000)[:10_000]
    DETECTOR.detect(text[:100])
    start = time.process_time()
    DETECTOR.detect(text)
    # A hundredth of what catastrophic backtracking needs, and many times what a busy machine does.
    assert time.process_time() - start < 1.0


# ── Files of patterns ──────────────────────────────────────────────────────────────────────────────────────────────


def edited(folder: Path, old: str, new: str) -> tuple[Path, int]:
    """Change the shipped file; give the copy and the line of the change."""
    text = SHIPPED.read_text("utf-8")
    assert old in text
    path = folder / "keywords.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path, text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('pattern: "(?:a )?nod"', 'pattern: "(?:a )?(nod"', "missing ), unterminated subpattern"),
        ('pattern: "(?:a )?nod"', 'pattern: "nod {nothing}"', "there is no part '{nothing}'"),
        ('pattern: "(?:a )?nod"', 'pattern: "nod (?P<speed>fast)"', "there is no group 'speed'"),
        ("tool: nod", "tool: dance", "there is no tool 'dance'"),
        ("{tool: nod, pattern", "{tol: nod, pattern", "unknown key 'tol'"),
        ("poison:", "poisson:", "unknown key 'poisson'"),
        ("fillers: ", "fillers: [", "this is not YAML"),
        ("'(?:just )?a degree': 1", "'(?:just )?a degree': one", "'one' is not a number"),
        ("  look: ", "  look: '{look}' #", "without end"),
        ("'what are'", "'what \\7'", "invalid group reference"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path, line = edited(tmp_path, old, new)
    with pytest.raises(ConfigurationError) as error:
        KeywordDetector.from_file(path)
    assert reason in str(error.value)
    told = re.match(rf"{re.escape(str(path))}:(\d+): ", str(error.value))
    assert told
    if reason != "this is not YAML":
        assert int(told[1]) == line


@pytest.mark.parametrize("content", ["", "- a list\n", "amounts: {}\n", "\ttabs: 1\n"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match=re.escape(str(path))):
        KeywordDetector.from_file(path)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        KeywordDetector.from_file(tmp_path / "nothing.yaml")


def test_every_built_in_tool_can_be_asked_for() -> None:
    corpus = (ROOT / "corpus" / "commands.dev.jsonl").read_text("utf-8").splitlines()
    names = {call["name"] for line in corpus for call in json.loads(line)["calls"]}
    assert len(names) == 13


def test_a_robots_own_tool_is_found_by_its_own_pattern(tmp_path: Path) -> None:
    path = tmp_path / "keywords.yaml"
    path.write_text(SHIPPED.read_text("utf-8") + '  - {tool: wave, pattern: "wave(?: (?:at|to) me)?"}\n', "utf-8")

    detector = KeywordDetector.from_file(path, own_tools=["wave"])

    assert [call.name for call in detector.detect("Look left and please wave at me.").calls] == ["pan_left", "wave"]


def test_an_amount_that_nobody_knows_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "keywords.yaml"
    own = '  - {tool: pan_left, pattern: "swing left (?P<degrees>a smidgeon)"}\n'
    path.write_text(SHIPPED.read_text("utf-8") + own, "utf-8")

    assert KeywordDetector.from_file(path).detect("Swing left a smidgeon.").calls == (ToolCall("pan_left"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pan left 12.5 degrees for the calibration run.", [("pan_left", {"degrees": 12.5})]),
        ("Hold still for a second while I clean your lens.", [("stop", {})]),
        ("Give me a little nod before I start playing.", [("nod", {})]),
        ("Could you turn a bit to the left so the board is in frame?", [("pan_left", {"degrees": 10})]),
        ("For the camera, please look up seventeen degrees.", [("tilt_up", {"degrees": 17})]),
        ("Let's begin: look left, then right, then nod.", [("pan_left", {}), ("pan_right", {}), ("nod", {})]),
        ("Please tell our guest what the date is today.", [("get_date", {})]),
    ],
)
def test_what_for_and_when_may_be_said_beside_a_command(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Look left before you cross the road.",
        "Turn right for the airport.",
        "Look up for the word of the day.",
        "While I look left he looks right.",
    ],
)
def test_what_only_sounds_like_a_purpose_makes_no_command(text: str) -> None:
    assert calls(text) == []
