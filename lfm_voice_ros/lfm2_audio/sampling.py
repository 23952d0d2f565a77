"""Choosing the next text token."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How tokens and frames are chosen. A temperature of 0, or a top-k of 1, takes the likeliest; a top-k of 0 all.

    The defaults for sound are those that LFM2-Audio's authors give for conversations.
    """

    text_temperature: float = 0.0
    text_top_k: int = 0
    audio_temperature: float = 1.0
    audio_top_k: int = 4
    seed: int | None = None


class TextSampler:
    """Chooses text tokens from hidden states."""

    def __init__(self, embedding: torch.Tensor, sampling: Sampling) -> None:
        """``embedding``, shape (vocabulary, hidden), is also the output layer, as in every LFM2."""
        self._embedding = embedding
        self._temperature = sampling.text_temperature
        self._top_k = sampling.text_top_k
        self._generator = torch.Generator(embedding.device)
        if sampling.seed is None:
            self._generator.seed()  # a generator begins with the same numbers in every process
        else:
            self._generator.manual_seed(sampling.seed)

    def sample(self, hidden: torch.Tensor) -> int:
        """Take the hidden state, shape (hidden,); give the next token."""
        logits = torch.nn.functional.linear(hidden, self._embedding).float()
        if self._temperature <= 0 or self._top_k == 1:
            return int(logits.argmax())
        if self._top_k:
            least = logits.topk(min(self._top_k, len(logits))).values[-1]
            logits = logits.masked_fill(logits < least, -torch.inf)
        probabilities = (logits / self._temperature).softmax(-1)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))
