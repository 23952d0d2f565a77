"""What a new model learns before it can learn from turns: to hear, to read, and that what it hears is what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lfm_voice_ros.core.resources import corpus_file
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.training import hearing, reading
from lfm_voice_ros.training.corpus_generator import Generator, Sentence
from lfm_voice_ros.training.learner import Learner
from lfm_voice_ros.training.templates import read_templates
from lfm_voice_ros.training.turns import TurnMaker


@dataclass(frozen=True)
class Turns:
    """Examples, and the turns that were made of them (see turns.TurnMaker)."""

    examples: Sequence[Example]
    made: Sequence[Any]


@dataclass(frozen=True)
class Lesson:
    """What is trained, and on what."""

    learner: Learner
    train: Sequence[Any]
    dev: Sequence[Any]


@dataclass(frozen=True)
class Pupil:
    """A loaded model that is new, and all that it can learn from; with ``sentences`` that are read."""

    model: Lfm2Audio
    maker: TurnMaker
    train: Turns
    dev: Turns
    sentences: int
    seed: int


def _phonemes(pupil: Pupil) -> Lesson:
    learner = hearing.phoneme_learner(pupil.model)
    return Lesson(learner, _heard(pupil.train, hearing.sounds), _heard(pupil.dev, hearing.sounds))


def _reading(pupil: Pupil) -> Lesson:
    generator = Generator(read_templates(corpus_file("templates")), "train", pupil.seed)
    held_out = [Sentence(one.transcript, tuple(one.calls), one.kind, ()) for one in pupil.dev.examples]
    train, dev = (
        reading.read(pupil.maker, pupil.model.tokenizer, sentences, pupil.seed)
        for sentences in (generator.sentences(pupil.sentences), held_out)
    )
    return Lesson(reading.learner(pupil.model), train, dev)


def _words(pupil: Pupil) -> Lesson:
    def tokens(text: str) -> torch.Tensor:
        return reading.words(pupil.model.tokenizer, text)

    return Lesson(hearing.word_learner(pupil.model), _heard(pupil.train, tokens), _heard(pupil.dev, tokens))


def _heard(turns: Turns, write: Callable[[str], torch.Tensor]) -> list[hearing.Heard]:
    return hearing.heard(turns.made, [write(example.transcript) for example in turns.examples])


#: By name, in the order in which they are taught.
LESSONS: Mapping[str, Callable[[Pupil], Lesson]] = {"hearing": _phonemes, "reading": _reading, "words": _words}
