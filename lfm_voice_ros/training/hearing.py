"""Teaches a new encoder to hear, before the whole model learns to answer: it spells what it hears, letter by letter.

The answers to many sentences are alike, and a model that has never heard speech first learns what is mostly answered;
to its ears that gives no direction. Spelling needs every sound. The loss sums over all ways in which the letters can
lie in time (CTC, Graves et al. 2006). An encoder has one position in 80 ms, in which more than one letter is spoken:
each position gives several. The layer that spells is only for this; what stays is the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.training import turns
from lfm_voice_ros.training.learner import Learner

_LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789'"
_A_POSITION = 3  # letters at most: 37 a second
_NONE = 0  # the symbol between letters


@dataclass(frozen=True)
class Heard:
    """What one learns to spell."""

    audio_in: torch.Tensor  # [128 mels, frames], normalised
    letters: torch.Tensor  # [letters], numbers from 1


@dataclass(frozen=True)
class _Batch:
    mels: torch.Tensor  # [examples, 128, frames], padded with 0
    frames: torch.Tensor  # [examples]
    letters: torch.Tensor  # of all examples, one after the other
    counts: torch.Tensor  # [examples]

    def to(self, device: torch.device) -> _Batch:
        return _Batch(self.mels.to(device), self.frames.to(device), self.letters.to(device), self.counts.to(device))


@dataclass(frozen=True)
class _Output:
    loss: torch.Tensor  # a letter
    text_loss: torch.Tensor
    audio_loss: torch.Tensor


class _Speller(nn.Module):  # type: ignore[misc]
    """An encoder with a layer that gives letters."""

    def __init__(self, encoder: Any, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.letters = nn.Linear(width, _A_POSITION * (1 + len(_LETTERS)))
        nn.init.zeros_(self.letters.weight)
        nn.init.zeros_(self.letters.bias)

    def forward(self, batch: _Batch) -> _Output:
        encoded, positions = self.encoder(batch.mels, batch.frames)
        spelled = self.letters(encoded.mT).unflatten(2, (_A_POSITION, -1)).flatten(1, 2)
        loss = nn.functional.ctc_loss(
            spelled.log_softmax(-1).transpose(0, 1),
            batch.letters,
            positions * _A_POSITION,
            batch.counts,
            blank=_NONE,
            zero_infinity=True,  # what was spoken faster than can be spelled teaches nothing
        )
        return _Output(loss, loss.detach(), torch.zeros(()))


def spelled(text: str) -> torch.Tensor:
    """Give the numbers of a text's letters; what isn't a letter or a digit stands between words."""
    words = "".join(letter if letter in _LETTERS else " " for letter in text.lower().replace("’", "'")).split()
    return torch.tensor([1 + _LETTERS.index(letter) for letter in " ".join(words)], dtype=torch.long)


def heard(samples: Sequence[Any], transcripts: Sequence[str]) -> list[Heard]:
    """Give what is to be spelled of turns (see turns.TurnMaker) and what was said in them; silence is left out."""
    pairs = [(sample.audio_in, spelled(text)) for sample, text in zip(samples, transcripts, strict=True)]
    return [Heard(mels, letters) for mels, letters in pairs if len(letters)]


def learner(model: Lfm2Audio) -> Learner:
    """Give the encoder of a loaded LFM2-Audio as what is trained, on Heard. It is the model's own."""
    width = model.net.conformer.pre_encode.out.out_features
    return replace(
        turns.learner(model),
        net=_Speller(model.net.conformer, width),
        collate=_collate,
        # What is masked can't be spelled, and a new encoder then finds no beginning.
        mask=lambda one, generator: one,
        size=lambda one: int(one.audio_in.shape[1]),
    )


def _collate(examples: Sequence[Heard]) -> _Batch:
    rows = nn.utils.rnn.pad_sequence([one.audio_in.mT for one in examples], batch_first=True)
    return _Batch(
        rows.mT,
        torch.tensor([one.audio_in.shape[1] for one in examples]),
        torch.cat([one.letters for one in examples]),
        torch.tensor([len(one.letters) for one in examples]),
    )
