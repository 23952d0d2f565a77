"""Trains the head of the stop words on embeddings, and chooses its thresholds by voices that taught it nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.backends.open_wake_word import BLOCK, Head
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.training.stop_word_speech import Clip
from lfm_voice_ros.training.stop_words import WORDS

#: s between a word's end and the end of the sound that the head takes for the word, earliest and latest.
_LABEL = (-0.01, 0.21)
#: The same where the word's end is only estimated: the head of a first pass finds it in between.
_LOOSE = (-0.35, 0.26)
_FOUND = 0.3  # its probability
_IGNORED = (-0.32, 0.5)  # s from a word's end in which anything else isn't asked for
_DEAF = 0.8  # s for which the spotter is deaf after a word
_EARLY = 0.3  # s before a word's end from which it counts as spotted
_THRESHOLDS = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.99)
_WORDS, _NONE, _HARD = 96, 320, 160  # examples of a step: of a word, of none by lot, of the hardest none
_HARDEST = 0.04  # of none
_SORTED_EACH = 400  # steps


@dataclass(frozen=True)
class Settings:
    """How the head is trained."""

    steps: int = 2000
    look: int = 3  # embeddings that it sees at once
    hidden: int = 96
    dropout: float = 0.5
    noise: float = 0.5  # of the embeddings, in standard deviations
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    false_per_hour: float = 350.0  # by the voices held back, which the thresholds allow
    seed: int = 0


def join(vectors: NDArray[np.float32], look: int) -> NDArray[np.float32]:
    """Put each embedding behind those before it: shape (n, SIZE) to (n, look * SIZE)."""
    padded = np.concatenate((np.repeat(vectors[:1], look - 1, axis=0), vectors))
    return np.concatenate([padded[shift : shift + len(vectors)] for shift in range(look)], axis=1)


def labels(clip: Clip, first: Head | None = None) -> NDArray[np.int64]:
    """What the head shall say at the times of a clip: 0 for no word, 1 for the first; -1 where nothing is asked for.

    Where a word's end is only estimated, ``first`` finds it; without it nothing is asked for around there.
    """
    if not clip.word:
        return np.zeros(clip.times.size, np.int64)
    word = WORDS.index(clip.word)
    found = np.where((clip.times >= _IGNORED[0]) & (clip.times <= _IGNORED[1]), -1, 0)
    if clip.exact:
        found[(clip.times >= _LABEL[0]) & (clip.times <= _LABEL[1])] = word + 1
    else:
        found[(clip.times >= _LOOSE[0]) & (clip.times <= _LOOSE[1])] = -1
        if first is not None:
            sure = first.probabilities(join(clip.vectors, first.look))[:, word] >= _FOUND
            found[(found == -1) & sure] = word + 1
    return found


def fit(clips: Sequence[Clip], settings: Settings) -> Head:
    """Train on the clips that aren't held back, in two passes; the thresholds are 0.5. Raises ResourceError."""
    taught = [clip for clip in clips if not clip.held_back]
    first = _fit(taught, replace(settings, steps=max(1, settings.steps // 3)), None)
    return _fit(taught, settings, first)


def _fit(clips: Sequence[Clip], settings: Settings, first: Head | None) -> Head:
    try:
        import torch
    except ImportError as exc:
        raise ResourceError("the stop words are trained with PyTorch; run scripts/setup --extra transformers") from exc
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    x = np.concatenate([join(clip.vectors, settings.look) for clip in clips])
    y = np.concatenate([labels(clip, first) for clip in clips])
    x, y = x[y >= 0], y[y >= 0]
    mean, scale = x.mean(axis=0), x.std(axis=0) + np.float32(1e-3)
    data, target = torch.from_numpy((x - mean) / scale), torch.from_numpy(y)
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], settings.hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(settings.dropout),
        torch.nn.Linear(settings.hidden, 1 + len(WORDS)),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    said = [np.flatnonzero(y == 1 + word) for word in range(len(WORDS))]
    none = hardest = np.flatnonzero(y == 0)
    for step in range(settings.steps):
        if step and step % _SORTED_EACH == 0:
            with torch.no_grad():
                network.eval()
                sure = network(data[none]).softmax(1)[:, 0].numpy()
                network.train()
            hardest = none[np.argsort(sure)[: max(1, round(_HARDEST * none.size))]]
        parts = [random.choice(some, _WORDS // len(WORDS)) for some in said if some.size]
        batch = np.concatenate((*parts, random.choice(none, _NONE), random.choice(hardest, _HARD)))
        # All numbers are disturbed, so that the head relies on no single one of them.
        noisy = data[batch] + settings.noise * torch.randn(batch.size, x.shape[1])
        loss = torch.nn.functional.cross_entropy(network(noisy), target[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    def layer(module: torch.nn.Module) -> NDArray[np.float32]:
        weight, bias = (parameter.detach().numpy() for parameter in module.parameters())
        return np.asarray(np.concatenate((weight.T, bias[None])), np.float32)

    thresholds = np.full(len(WORDS), 0.5, np.float32)
    return Head(WORDS, thresholds, mean, scale, layer(network[0]), layer(network[3]))


@dataclass(frozen=True)
class Point:
    """What the voices that were held back say to a threshold."""

    threshold: float
    said: int
    missed: int
    false: int
    false_per_hour: float
    delay_p95: float  # s after a word's end, of those whose end is exact


def points(head: Head, clips: Sequence[Clip]) -> list[Point]:
    """Give what each of the thresholds from 0.05 to 0.99 makes of the clips that were held back."""
    heard = [(clip, head.probabilities(join(clip.vectors, head.look)).max(axis=1)) for clip in clips if clip.held_back]
    return [_point(threshold, heard) for threshold in _THRESHOLDS]


def choose(found: Sequence[Point], false_per_hour: float) -> Point:
    """Give the lowest threshold with no more false stops an hour than allowed, or else the highest."""
    return next((point for point in found if point.false_per_hour <= false_per_hour), found[-1])


def _point(threshold: float, heard: Sequence[tuple[Clip, NDArray[np.float32]]]) -> Point:
    said = missed = false = 0
    seconds, delays = 0.0, []
    for clip, sure in heard:
        over = clip.times[sure >= threshold]
        if clip.word:
            said += 1
            known = over[over >= -_EARLY]
            missed += not known.size
            if known.size and clip.exact:
                delays.append(known[0])
        else:
            seconds += clip.times.size * BLOCK / SAMPLE_RATE
            deaf_until = -np.inf
            for time in over:
                if time >= deaf_until:
                    false, deaf_until = false + 1, time + _DEAF
    delay = float(np.percentile(delays, 95)) if delays else np.nan
    return Point(threshold, said, missed, false, 3600.0 * false / seconds if seconds else 0.0, delay)
