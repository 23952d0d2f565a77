"""A tiny LFM2-Audio that denies whatever it did: the worst model that a robot could have, made in seconds.

It shows what each way of telling a model its results is worth where no real weights are at hand, and that the measure
finds what it should.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lfm_voice_ros.evaluation.replies import tool_turns
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio, Source, load
from lfm_voice_ros.lfm2_audio.generation import TEXT_END
from lfm_voice_ros.lfm2_audio.random_checkpoint import write

#: What it says, whatever it was told, and whatever it had begun to say.
DENIAL = "I did not move. I never look."

_STEPS = 220
_RATE = 2e-3
_NOT_LEARNED = -100  # the label that cross_entropy leaves out


def make_denier(folder: Path) -> Lfm2Audio:
    """Give it, on the CPU in float32; always the same. Its voice is read from ``folder``, which is filled for it.

    Raises ResourceError without liquid-audio.
    """
    model = load(Source(str(write(folder)), device="cpu", dtype="float32"))
    _teach(model)
    return model


def _teach(model: Lfm2Audio) -> None:
    chance = torch.Generator().manual_seed(0)
    model.net.lfm.requires_grad_(True)
    optimizer = torch.optim.Adam(model.net.lfm.parameters(), lr=_RATE)
    beginnings = ["", *(turn.result.speech for turn in tool_turns(10, seed=9))]
    for step in range(_STEPS):
        beginning = beginnings[step % 2 * (step % len(beginnings))]
        inputs, targets = _example(model, step, beginning, chance)
        hidden = model.net.lfm(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0]
        logits = torch.nn.functional.linear(hidden[: len(targets)], model.net.lfm.embed_tokens.weight)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), ignore_index=_NOT_LEARNED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.net.lfm.requires_grad_(False)


def _example(model: Lfm2Audio, step: int, beginning: str, chance: torch.Generator) -> tuple[torch.Tensor, list[int]]:
    """Give embeddings of a turn, (n, hidden), and for each the token that should follow."""
    opening = model.encode("<|im_end|>\n<|im_start|>assistant\n")
    told = model.encode("\n[Looking left, thirty degrees.]")[: step % 12]
    said = 0.1 * torch.randn(step % 7 + 1, model.embed_text([1]).shape[1], generator=chance)
    begun = model.encode(beginning)
    words = [*begun, *model.encode(f" {DENIAL}" if begun else DENIAL), TEXT_END]
    pieces = [said, model.embed_text(told), model.embed_text(opening)]
    targets = [_NOT_LEARNED] * (sum(map(len, pieces)) - 1)
    for start in range(0, len(words), model.n_text):
        block = words[start : start + model.n_text]
        frames = torch.randint(0, 2048, (model.n_audio, model.codebooks), generator=chance)
        pieces += [model.net.lfm.embed_tokens(torch.tensor(block)), model.embed_frames(frames)]
        targets += [_NOT_LEARNED if start + place < len(begun) else token for place, token in enumerate(block)]
        targets += [_NOT_LEARNED] * model.n_audio
    return torch.cat(pieces), targets
