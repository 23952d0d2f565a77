"""Teaches a new language model to read, before it listens: what to call, by the words of sentences that nobody spoke.

A call stands in one turn of three, and few sounds teach it slowly; sentences cost nothing. They are written as an
encoder gives them that has learned the words (see hearing): with pauses between the tokens, and some of them wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.training import tool_turns
from lfm_voice_ros.training.corpus_generator import Sentence
from lfm_voice_ros.training.learner import Learner
from lfm_voice_ros.training.tool_turns import NOT_LEARNED, ToolTurn
from lfm_voice_ros.training.turns import TurnMaker

#: The token of a position in which no new word is heard: <|pad|>.
PAUSE = 0
_PAUSES = 3  # at most, in front of each token; sound has more of them, which take time and teach nothing
_MISHEARD = 0.1  # of the tokens


def words(tokenizer: Any, text: str) -> torch.Tensor:
    """Give the tokens of what can be heard of a text, (tokens,): no capitals, no marks."""
    heard = re.sub(r"[^\w' ]+", " ", speakable(text).lower()).split()
    return torch.tensor(tokenizer.encode("".join(f" {word}" for word in heard), add_special_tokens=False))


def read(maker: TurnMaker, tokenizer: Any, sentences: Iterable[Sentence], seed: int) -> list[ToolTurn]:
    """Give the turns in which the sentences are read, without those that have no words."""
    generator = torch.Generator().manual_seed(seed)
    turns = []
    for sentence in sentences:
        said = words(tokenizer, sentence.text)
        if len(said):
            tokens, learned = maker.make_read(_as_heard(said, generator), sentence.calls)
            turns.append(ToolTurn(tokens, torch.where(learned, tokens, NOT_LEARNED)))
    return turns


def _as_heard(tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Give the tokens with pauses, and some in the place of others."""
    others = tokens[torch.randint(len(tokens), tokens.shape, generator=generator)]
    heard = torch.where(torch.rand(tokens.shape, generator=generator) < _MISHEARD, others, tokens)
    pauses = torch.randint(_PAUSES + 1, tokens.shape, generator=generator)
    row = torch.full((len(tokens) + int(pauses.sum()),), PAUSE)
    row[(pauses + 1).cumsum(0) - 1] = heard
    return row


def learner(model: Lfm2Audio) -> Learner:
    """Give the language model of a loaded LFM2-Audio as what is trained, on turns that are read. It is its own."""
    from transformers import Lfm2ForCausalLM

    reader = Lfm2ForCausalLM(model.net.lfm.config)
    reader.model = model.net.lfm
    reader.lm_head.weight = model.net.lfm.embed_tokens.weight  # LFM2-Audio writes text by its embeddings
    return tool_turns.learner(reader.to(model.device), model.tokenizer, model.source.model)
