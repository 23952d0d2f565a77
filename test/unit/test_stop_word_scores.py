"""How the spotting of stop words is scored, and the head that is shipped."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros.backends.open_wake_word import SIZE, Head
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import model_file
from lfm_voice_ros.core.types import Samples, Spot
from lfm_voice_ros.evaluation.stop_words import Recording, score, together
from lfm_voice_ros.training.stop_words import WORDS


class Scripted:
    """A KeywordSpotter that spots a word whenever the stream passes one of these times (s)."""

    name = "scripted"

    def __init__(self, *times: float) -> None:
        self._times = list(times)

    def push(self, samples: Samples, at: float) -> list[Spot]:
        end = at + samples.size / 16_000
        due = [when for when in self._times if when < end]
        self._times = [when for when in self._times if when >= end]
        return [Spot("stop", when, 1.0) for when in due]

    def reset(self) -> None:
        pass


def recording(word_end: float = math.nan) -> Recording:
    """Two seconds, with a stop word that ends then, or none."""
    word = "" if math.isnan(word_end) else "stop"
    return Recording(np.zeros(32_000, np.float32), "voice", "clean", "text", word, word_end)


def test_a_word_that_is_known_soon_after_its_end_has_a_delay() -> None:
    (one,) = score(Scripted(1.2), [recording(1.0)]).values()
    assert (one.said, one.missed, one.wrong) == (1, 0, 0)
    assert one.delays == [pytest.approx(0.2, abs=0.011)]


@pytest.mark.parametrize("when", [0.5, 9.0])
def test_a_word_that_is_known_at_another_time_or_never_is_missed(when: float) -> None:
    (one,) = score(Scripted(when), [recording(1.0)]).values()
    assert (one.said, one.missed, one.delays) == (1, 1, [])


def test_what_is_spotted_in_other_speech_is_a_false_stop_and_counted_by_the_hour() -> None:
    (one,) = score(Scripted(2.5, 3.5), [recording(), recording()]).values()
    assert one.false == 2
    assert one.false_per_hour == pytest.approx(2 / 4 * 3600)


def test_scores_add_up() -> None:
    (one,) = score(Scripted(1.2), [recording(1.0)]).values()
    (other,) = score(Scripted(1.0), [recording()]).values()
    total = together([one, other])
    assert (total.said, total.missed, total.false, total.other_seconds) == (1, 0, 1, 2.0)


def test_the_head_that_is_shipped_knows_the_words_and_gives_probabilities() -> None:
    head = Head.load(model_file("stop_words/head.npz"))
    assert head.words == WORDS
    found = head.probabilities(np.zeros((5, head.look * SIZE), np.float32))
    assert found.shape == (5, 3)
    assert np.all(found >= 0)
    assert np.all(found.sum(axis=1) <= 1)


def test_a_head_is_what_was_saved_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    head = Head.load(model_file("stop_words/head.npz"))
    head.save(tmp_path / "head.npz")
    again = Head.load(tmp_path / "head.npz")
    assert np.array_equal(again.first, head.first)
    (tmp_path / "other.npz").write_bytes(b"no head")
    with pytest.raises(ConfigurationError, match="holds no spotter"):
        Head.load(tmp_path / "other.npz")
