"""A model that always denies, led through tool turns: what it may say after them, by the way in which it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
from lfm_voice_ros.evaluation.replies import ReplyScore, score, tool_turns
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio, Source, load

DENIAL = "I did not move. I never look."


@pytest.fixture(scope="module")
def liar(tiny: Path) -> Lfm2Audio:
    """A tiny model that was trained to say DENIAL, whatever it was told, and whatever it had begun to say."""
    model = load(Source(str(tiny), device="cpu", dtype="float32"))
    torch.manual_seed(0)
    model.net.lfm.requires_grad_(True)
    optimizer = torch.optim.Adam(model.net.lfm.parameters(), lr=2e-3)
    beginnings = ["", *(turn.result.speech for turn in tool_turns(10, seed=9))]
    for step in range(220):
        beginning = model.encode(beginnings[step % 2 * (step % len(beginnings))])
        words = [*beginning, *model.encode(f" {DENIAL}" if beginning else DENIAL), 130]
        opening = model.encode("<|im_end|>\n<|im_start|>assistant\n")
        told = model.encode("\n[Looking left, thirty degrees.]")[: step % 12]
        before = torch.cat([0.1 * torch.randn(step % 7 + 1, model.embed_text([1]).shape[1]), model.embed_text(told)])
        pieces, targets = [before, model.embed_text(opening)], [-100] * (len(before) + len(opening) - 1)
        for start in range(0, len(words), model.n_text):
            block = words[start : start + model.n_text]
            frames = torch.randint(0, 2048, (model.n_audio, model.codebooks))
            pieces += [model.net.lfm.embed_tokens(torch.tensor(block)), model.embed_frames(frames)]
            block = [-100 if start + place < len(beginning) else token for place, token in enumerate(block)]
            targets += [*block, *[-100] * model.n_audio]
        hidden = model.net.lfm(inputs_embeds=torch.cat(pieces)[None], use_cache=False).last_hidden_state[0]
        logits = torch.nn.functional.linear(hidden[: len(targets)], model.net.lfm.embed_tokens.weight)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.net.lfm.requires_grad_(False)
    return model


@pytest.fixture
def scores(liar: Lfm2Audio) -> Iterator[dict[str, ReplyScore]]:
    settings = DialogueSettings(engine="lfm2_audio", max_reply=4.0, context=2048, seed=1, system_prompt="Be true.")
    engines = {
        way: Lfm2AudioEngine(liar, dataclasses.replace(settings, grounding=way), [])
        for way in ("forced", "prefill", "context")
    }
    yield {way: score(engine, tool_turns(10), _noise) for way, engine in engines.items()}
    for engine in engines.values():
        engine.close()


def _noise(text: str) -> Samples:
    return (0.05 * np.random.default_rng(len(text)).standard_normal(SAMPLE_RATE // 2)).astype(np.float32)


def test_only_forced_text_keeps_a_model_that_denies_everything_to_the_truth(scores: dict[str, ReplyScore]) -> None:
    forced, prefill, context = scores["forced"], scores["prefill"], scores["context"]

    assert (forced.contradicts, forced.says) == (0, 10)
    assert all(text == turn.result.speech for turn, text in forced.replies)
    assert all(text.startswith(turn.result.speech.split(". ")[0]) for turn, text in prefill.replies)
    assert prefill.contradicts > 0
    assert context.contradicts >= 5
    assert context.says == 0
    assert any(DENIAL in text for _, text in context.replies)


def test_the_turns_are_the_same_for_the_same_seed_and_tell_of_successes_and_failures() -> None:
    turns = tool_turns(100, seed=4)

    assert turns == tool_turns(100, seed=4)
    assert len(turns) == 100
    assert {turn.result.status.name for turn in turns} == {"SUCCEEDED", "FAILED"}
    assert len({turn.result.speech for turn in turns}) > 40
