"""The classifier: labels to calls, arguments by the shared slots, and clause by clause where several are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import Embeddings, Json, ToolSpec
from lfm_voice_ros.detectors import pattern_file
from lfm_voice_ros.detectors.classifier import ClassifierDetector, Features, Head
from lfm_voice_ros.tools.registry import Registry

ROOT = Path(__file__).parents[2]
PATTERNS = pattern_file.read(ROOT / "config" / "keywords.yaml", [])
TOOLS = Registry.from_file(ROOT / "config" / "tools.yaml").specs()

#: The words by which the head below knows a label; a sentence with none of them is ``none``.
WORDS = {
    "left": "pan_left",
    "right": "pan_right",
    "up": "tilt_up",
    "time": "get_time",
    "at": "look_at",
    "and": "several",
}


class WordEncoder:
    """A SentenceEncoder whose vectors say which of the known words a text has."""

    name = "words"
    size = len(WORDS) + 1

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """See the port."""
        rows = [[float(word in re.findall(r"\w+", text.lower())) for word in WORDS] + [1.0] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.size)


def head(strength: float = 20.0) -> Head:
    labels = ("none", *WORDS.values())
    weights = np.zeros((len(labels), WordEncoder.size + 8), np.float32)
    weights[0, len(WORDS)] = strength / 2
    for row, word in enumerate(WORDS, start=1):
        weights[row, row - 1] = strength * (2 if word in ("and", "at") else 1)
    return Head(labels, weights, np.zeros(len(labels), np.float32), 8)


def detector(strength: float = 20.0, tools: Sequence[ToolSpec] = TOOLS) -> ClassifierDetector:
    return ClassifierDetector(head(strength), WordEncoder(), PATTERNS, tools, 0.5)


def calls(text: str) -> list[tuple[str, dict[str, Json]]]:
    return [(call.name, dict(call.arguments)) for call in detector().detect(text).calls]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shift left", [("pan_left", {})]),
        ("shift left thirty degrees", [("pan_left", {"degrees": 30})]),
        ("shift a tiny bit left", [("pan_left", {"degrees": 5})]),
        ("shift left by 12.5 degrees", [("pan_left", {"degrees": 12.5})]),
        ("the time in New York", [("get_time", {"location": "New York"})]),
        ("Current time in Lisbon.", [("get_time", {"location": "Lisbon"})]),
        ("the time please", [("get_time", {})]),
        ("gaze at twenty degrees right", [("look_at", {"pan_degrees": -20})]),
        ("gaze at pan minus ten, tilt 5", [("look_at", {"pan_degrees": -10, "tilt_degrees": 5})]),
        ("gaze at 15 degrees to the left", [("look_at", {"pan_degrees": 15})]),
        ("hello there", []),
    ],
)
def test_a_label_becomes_a_call_with_the_arguments_that_were_said(
    text: str, expected: list[tuple[str, dict[str, Json]]]
) -> None:
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go left and then up ten degrees", [("pan_left", {}), ("tilt_up", {"degrees": 10})]),
        ("go left and, no, right", [("pan_right", {})]),
        ("go left ten and, no, twenty degrees", [("pan_left", {"degrees": 20})]),
        ("go left and right, never mind", []),
        ("go left and sing", [("pan_left", {})]),
        ("sing and dance", []),
    ],
)
def test_several_are_read_clause_by_clause(text: str, expected: list[tuple[str, dict[str, Json]]]) -> None:
    assert calls(text) == expected


def test_below_the_threshold_a_sentence_is_left_alone_and_the_doubt_is_told() -> None:
    decision = detector(strength=0.1).detect("shift left")
    assert decision.calls == ()
    assert decision.confidence < 0.9


def test_a_tool_that_the_robot_does_not_have_is_never_called() -> None:
    without = [tool for tool in TOOLS if tool.name != "pan_left"]
    assert detector(tools=without).detect("shift left").calls == ()
    assert detector(tools=without).detect("go left and up").calls[0].name == "tilt_up"


@pytest.mark.parametrize("text", ["", "   ", "left " * 3000, "\x00\x01", "左を見て", "!!!", "<|im_end|>"])
def test_what_nobody_says_is_no_command(text: str) -> None:
    assert detector().detect(text).calls == ()


@given(st.text(max_size=200))
def test_any_text_gives_a_decision_with_a_probability(text: str) -> None:
    assert 0.0 <= detector().detect(text).confidence <= 1.0


def test_a_head_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    head().save(tmp_path / "x" / "head.npz")
    back = Head.load(tmp_path / "x" / "head.npz")
    assert back.labels == head().labels
    assert np.array_equal(back.weights, head().weights)


def test_a_file_that_is_no_head_is_told(tmp_path: Path) -> None:
    (tmp_path / "head.npz").write_text("no")
    for path in (tmp_path / "head.npz", tmp_path / "missing.npz"):
        with pytest.raises(ConfigurationError, match="lfm-voice train-classifier"):
            Head.load(path)


def test_a_head_of_another_encoder_is_refused() -> None:
    wrong = Head(("none",), np.zeros((1, 3), np.float32), np.zeros(1, np.float32), 8)
    with pytest.raises(ConfigurationError, match="another sentence encoder"):
        ClassifierDetector(wrong, WordEncoder(), PATTERNS, TOOLS, 0.5)


def test_numbers_and_openers_make_no_difference_to_what_the_head_reads() -> None:
    features = Features(WordEncoder(), PATTERNS)
    assert features.wording("Hey robot, um, turn thirty degrees left!") == features.wording("turn 45 degrees left")
