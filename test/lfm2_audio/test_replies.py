"""A model that always denies, led through tool turns: what it may say after them, by the way in which it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
from lfm_voice_ros.evaluation.denier import make_denier
from lfm_voice_ros.evaluation.replies import ReplyScore, score, tool_turns
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio


@pytest.fixture(scope="module")
def denier(tmp_path_factory: pytest.TempPathFactory) -> Lfm2Audio:
    return make_denier(tmp_path_factory.mktemp("denier"))


@pytest.fixture
def scores(denier: Lfm2Audio) -> Iterator[dict[str, ReplyScore]]:
    settings = DialogueSettings(engine="lfm2_audio", max_reply=4.0, context=2048, seed=1, system_prompt="Be true.")
    engines = {
        way: Lfm2AudioEngine(denier, dataclasses.replace(settings, grounding=way), [])
        for way in ("forced", "prefill", "context")
    }
    yield {way: score(engine, tool_turns(10), _noise) for way, engine in engines.items()}
    for engine in engines.values():
        engine.close()


def _noise(text: str) -> Samples:
    return (0.05 * np.random.default_rng(len(text)).standard_normal(SAMPLE_RATE // 2)).astype(np.float32)


@pytest.mark.timeout(400)  # thirty replies of a real model on the CPU
def test_only_forced_text_keeps_a_model_that_denies_everything_to_the_truth(scores: dict[str, ReplyScore]) -> None:
    forced, prefill, context = scores["forced"], scores["prefill"], scores["context"]

    assert (forced.contradicts, forced.says) == (0, 10)
    assert all(text == turn.result.speech for turn, text in forced.replies)
    assert all(text.startswith(turn.result.speech.split(". ")[0]) for turn, text in prefill.replies)
    assert prefill.contradicts > 0
    assert context.contradicts >= 5
    assert context.says == 0


def test_the_turns_are_the_same_for_the_same_seed_and_tell_of_successes_and_failures() -> None:
    turns = tool_turns(100, seed=4)

    assert turns == tool_turns(100, seed=4)
    assert len(turns) == 100
    assert {turn.result.status.name for turn in turns} == {"SUCCEEDED", "FAILED"}
    assert len({turn.result.speech for turn in turns}) > 40
