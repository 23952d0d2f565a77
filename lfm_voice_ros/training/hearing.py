"""Teaches a new encoder to hear, before the whole model learns to answer: it writes down what it hears.

The answers to many sentences are alike, and a model that has never heard speech first learns what is mostly answered;
to its ears that gives no direction. So it writes down each sound of speech, and then each word. The loss sums over all
ways in which they can lie in time (CTC, Graves et al. 2006).

Phonemes need every sound, and unlike letters they are written as they sound. An encoder has one position in 80 ms, in
which more than one may be spoken: each position gives several. The layer that writes them is only for this.

Words are tokens of the language model's. What leads from the encoder into it learns meanwhile to give the embeddings
of what is written, so that the language model hears what it has read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lfm_voice_ros.backends.piper import pronounced
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.training import turns
from lfm_voice_ros.training.learner import Learner

#: Of American English in IPA; a diphthong or an affricate is two. What is rarer isn't written down.
_PHONEMES = "abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒθᵻ"
_A_POSITION = 2  # phonemes at most: 25 a second
_NONE = 0  # the symbol between others
_TEMPO = 0.15  # by which a voice is faster or slower
# Of the run: with parts left out, a new encoder finds no beginning; without, it later learns its sounds by heart.
_GAPS_FROM = 0.5


@dataclass(frozen=True)
class Heard:
    """What one learns to write down."""

    audio_in: torch.Tensor  # [128 mels, frames], normalised
    written: torch.Tensor  # [symbols]: numbers of phonemes from 1, or tokens of words


@dataclass(frozen=True)
class _Batch:
    mels: torch.Tensor  # [examples, 128, frames], padded with 0
    frames: torch.Tensor  # [examples]
    written: torch.Tensor  # of all examples, one after the other
    counts: torch.Tensor  # [examples]

    def to(self, device: torch.device) -> _Batch:
        return _Batch(self.mels.to(device), self.frames.to(device), self.written.to(device), self.counts.to(device))


@dataclass(frozen=True)
class _Output:
    loss: torch.Tensor  # a symbol, and the distance of what is given from the embeddings of what is written
    text_loss: torch.Tensor
    audio_loss: torch.Tensor  # the distance, squared


class _PhonemeWriter(nn.Module):  # type: ignore[misc]
    """An encoder with a layer that gives phonemes."""

    def __init__(self, encoder: Any, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.phonemes = nn.Linear(width, _A_POSITION * (1 + len(_PHONEMES)))
        nn.init.zeros_(self.phonemes.weight)
        nn.init.zeros_(self.phonemes.bias)

    def forward(self, batch: _Batch) -> _Output:
        encoded, positions = self.encoder(batch.mels, batch.frames)
        written = self.phonemes(encoded.mT).unflatten(2, (_A_POSITION, -1)).flatten(1, 2)
        return _loss(written, positions * _A_POSITION, batch)


class _WordWriter(nn.Module):  # type: ignore[misc]
    """An encoder with a layer that gives words, and with what leads from it into the language model."""

    def __init__(self, net: Any, width: int) -> None:
        super().__init__()
        self.encoder = net.conformer
        self.adapter = net.audio_adapter
        self._embeddings = net.lfm.embed_tokens.weight.detach()
        self.words = nn.Linear(width, len(self._embeddings))
        nn.init.zeros_(self.words.weight)
        nn.init.zeros_(self.words.bias)

    def forward(self, batch: _Batch) -> _Output:
        encoded, positions = self.encoder(batch.mels, batch.frames)
        written = self.words(encoded.mT)
        output = _loss(written, positions, batch)
        read = written.detach().softmax(-1) @ self._embeddings
        apart = (self.adapter(encoded.mT) - read).square().sum(-1)
        within = torch.arange(apart.shape[1], device=apart.device) < positions[:, None]
        distance = apart[within].mean()
        return replace(output, loss=output.loss + distance, audio_loss=distance.detach())


def _loss(written: torch.Tensor, positions: torch.Tensor, batch: _Batch) -> _Output:
    """Give the loss of what was ``written``: logits, (examples, positions, symbols), 0 being none."""
    loss = nn.functional.ctc_loss(
        written.log_softmax(-1).transpose(0, 1),
        batch.written,
        positions,
        batch.counts,
        blank=_NONE,
        zero_infinity=True,  # what was spoken faster than can be written teaches nothing
    )
    return _Output(loss, loss.detach(), torch.zeros(()))


def sounds(text: str) -> torch.Tensor:
    """Give the numbers of the phonemes of a text. Raises ResourceError without piper-tts, whose pronunciation it is."""
    return torch.tensor([1 + _PHONEMES.index(one) for one in pronounced(text) if one in _PHONEMES], dtype=torch.long)


def heard(samples: Sequence[Any], written: Sequence[torch.Tensor]) -> list[Heard]:
    """Give what is to be written down of turns (see turns.TurnMaker), without those in which nothing was said."""
    return [Heard(sample.audio_in, symbols) for sample, symbols in zip(samples, written, strict=True) if len(symbols)]


def phoneme_learner(model: Lfm2Audio) -> Learner:
    """Give the encoder of a loaded LFM2-Audio as what is trained, on phonemes. It is the model's own."""
    return _learner(model, _PhonemeWriter(model.net.conformer, _width(model)))


def word_learner(model: Lfm2Audio) -> Learner:
    """Give the encoder of a loaded LFM2-Audio as what is trained, on words (see reading). It is the model's own."""
    return _learner(model, _WordWriter(model.net, _width(model)))


def _width(model: Lfm2Audio) -> int:
    return int(model.net.conformer.pre_encode.out.out_features)


def _learner(model: Lfm2Audio, net: nn.Module) -> Learner:
    return replace(
        turns.learner(model),
        net=net,
        collate=_collate,
        mask=_varied,
        size=lambda one: int(one.audio_in.shape[1]),
        hears=True,
    )


def _varied(one: Heard, generator: torch.Generator, done: float) -> Heard:
    mel = turns.revoiced(one.audio_in, generator, _TEMPO)
    return replace(one, audio_in=turns.with_gaps(mel, generator) if done >= _GAPS_FROM else mel)


def _collate(examples: Sequence[Heard]) -> _Batch:
    rows = nn.utils.rnn.pad_sequence([one.audio_in.mT for one in examples], batch_first=True)
    return _Batch(
        rows.mT,
        torch.tensor([one.audio_in.shape[1] for one in examples]),
        torch.cat([one.written for one in examples]),
        torch.tensor([len(one.written) for one in examples]),
    )
