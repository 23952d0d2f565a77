"""What the head of the stop words is taught, and by whom; a tiny training with real voices."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros.backends.open_wake_word import SIZE, Head
from lfm_voice_ros.cli import main
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.training import stop_word_training
from lfm_voice_ros.training.stop_word_head import Point, Settings, choose, fit, join, labels, points
from lfm_voice_ros.training.stop_word_speech import ALIKE, ALIKE_FRAMES, HELD_BACK, VOICES, Clip, Recipe, other_texts
from lfm_voice_ros.training.stop_words import EVALUATION_VOICES, NEAR_WORDS, WORDS

pytest.importorskip("torch", reason="torch is not installed (scripts/setup --extra transformers)")

TIMES = np.arange(-8, 8) * 0.08
#: Of the command: six recordings of stop words, eight seconds of other speech.
TINY = ("--scale", "0.006", "--steps", "20", "--voices", "flite:slt", "espeak:en-us", "--held-back", "flite:kal16")


def clip(word: str = "", *, exact: bool = True, held_back: bool = False, seed: int = 0) -> Clip:
    """Sixteen embeddings; those right after the end of a word carry it in one of their numbers."""
    vectors = np.random.default_rng(seed).standard_normal((TIMES.size, SIZE)).astype(np.float32)
    if word:
        vectors[(TIMES >= 0.0) & (TIMES <= 0.2), WORDS.index(word)] += 12.0
    return Clip(vectors, TIMES, word, exact, held_back, "text", "voice")


def lesson(held_back: bool = False) -> list[Clip]:
    words = [clip(word, held_back=held_back, seed=seed) for seed in range(20) for word in WORDS]
    return words + [clip(held_back=held_back, seed=seed) for seed in range(100, 140)]


def test_the_voices_that_evaluate_teach_nothing_and_choose_no_threshold() -> None:
    assert not set(EVALUATION_VOICES) & {*VOICES, *HELD_BACK}
    assert not set(VOICES) & set(HELD_BACK)
    with pytest.raises(ConfigurationError, match="may not teach"):
        Recipe([], voices=("flite:awb",))


def test_other_speech_has_no_stop_word_in_it_and_no_sentence_of_the_evaluation() -> None:
    texts = other_texts(Recipe(["Look left.", "Do not stop.", "It froze."]), held_back=False)
    drawn = {next(texts) for _ in range(300)}
    assert "Look left." in drawn
    assert not [text for text in drawn if any(word in text.casefold() for word in (*WORDS, "froze"))]
    assert not drawn & set(NEAR_WORDS)
    assert len(ALIKE) == len(WORDS)
    assert all("{}" in frame for frame in ALIKE_FRAMES)


def test_the_head_is_asked_for_the_word_right_after_its_end_and_not_asked_around_that() -> None:
    taught = labels(clip("halt"))
    assert set(TIMES[taught == WORDS.index("halt") + 1]) == {time for time in TIMES if 0 <= time <= 0.21}
    assert set(TIMES[taught == 0]) == {time for time in TIMES if time < -0.32 or time > 0.5}
    assert not labels(clip()).any()


def test_where_the_end_of_a_word_is_only_estimated_a_first_head_finds_it() -> None:
    vague = clip("stop", exact=False, seed=77)
    assert not (labels(vague) > 0).any()
    first = fit(lesson(), Settings(steps=150, look=2))
    found = set(TIMES[labels(vague, first) == 1])
    assert found
    assert found <= {time for time in TIMES if 0 <= time <= 0.2}


def test_the_head_sees_each_embedding_behind_those_before_it() -> None:
    vectors = np.arange(3, dtype=np.float32)[:, None] * np.ones((1, SIZE), np.float32)
    looked = join(vectors, 2)
    assert looked.shape == (3, 2 * SIZE)
    assert [(look[0], look[SIZE]) for look in looked] == [(0, 0), (0, 1), (1, 2)]


def test_a_training_is_the_same_for_a_seed_and_another_for_another() -> None:
    settings = Settings(steps=20, hidden=8)
    one, same, other = (fit(lesson(), replace(settings, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.first, same.first)
    assert np.array_equal(one.second, same.second)
    assert not np.array_equal(one.first, other.first)


def test_what_is_trained_spots_its_words_in_what_was_held_back() -> None:
    clips = lesson() + lesson(held_back=True)
    head = fit(clips, Settings(steps=150))
    half = next(point for point in points(head, clips) if point.threshold == 0.5)
    assert (half.said, half.missed, half.false) == (60, 0, 0)
    assert half.delay_p95 < 0.1


def test_clips_that_are_held_back_teach_nothing() -> None:
    settings = Settings(steps=20, hidden=8)
    assert np.array_equal(fit(lesson(), settings).first, fit(lesson() + lesson(held_back=True), settings).first)


def test_the_threshold_is_the_lowest_with_no_more_false_stops_than_allowed_or_the_highest() -> None:
    found = [Point(threshold, 10, 0, 0, rate, math.nan) for threshold, rate in ((0.1, 90.0), (0.5, 40.0), (0.9, 20.0))]
    assert choose(found, 50.0).threshold == 0.5
    assert choose(found, 5.0).threshold == 0.9


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """The command with next to no speech, whose first head is hardly trained."""
    monkeypatch.setattr(stop_word_training, "_FIRST", Settings(steps=3))
    return lambda output: main(["train-stop-words", "--output", str(output), *TINY])


def test_the_command_writes_a_head_and_its_record_and_for_the_same_seed_the_same(
    tmp_path: Path, train: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "one") == 0
    assert "false stops an hour" in capsys.readouterr().out
    record = json.loads((tmp_path / "one/record.json").read_text("utf-8"))
    assert record["taught"]["recordings"] == {"freeze": 2, "halt": 2, "stop": 2}
    head = Head.load(tmp_path / "one/head.npz")
    assert set(head.thresholds) == {np.float32(record["threshold"])}

    assert train(tmp_path / "two") == 0
    assert np.array_equal(Head.load(tmp_path / "two/head.npz").first, head.first)
    assert (tmp_path / "two/record.json").read_text("utf-8") == (tmp_path / "one/record.json").read_text("utf-8")


def test_what_was_spoken_for_a_training_is_not_spoken_again_for_the_next(
    tmp_path: Path, train: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(tmp_path) == 0
    before = Head.load(tmp_path / "head.npz")
    monkeypatch.setattr(stop_word_training, "listen", lambda *_: pytest.fail("it speaks"))
    assert train(tmp_path) == 0
    assert np.array_equal(Head.load(tmp_path / "head.npz").first, before.first)


def test_a_voice_that_evaluates_and_a_scale_of_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-stop-words", "--output", str(tmp_path), "--voices", "piper"]) == 2
    assert main(["train-stop-words", "--output", str(tmp_path), "--scale", "0"]) == 2
    assert main(["train-stop-words", "--output", str(tmp_path), "--steps", "0"]) == 2
    assert not list(tmp_path.iterdir())
    assert "--scale must be" in capsys.readouterr().err
