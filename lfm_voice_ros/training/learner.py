"""What can be trained: a network, and how its turns become batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Learner:
    """A model to be trained. Its samples are what its maker of turns gives."""

    net: Any  # a module: takes a batch, gives an output with loss, text_loss and audio_loss
    language_model: Any  # the transformers model within ``net`` that an adapter is put on
    tokenizer: Any
    device: torch.device
    base: str  # the name of the model, or its folder
    collate: Callable[[Sequence[Any]], Any]  # samples to a batch, which can be moved by ``to``
    size: Callable[[Any], int]  # of a sample: those of a batch should have nearly the same
    # A sample as another voice might have said it, with parts of its sound left out; the number is how much of the run
    # is done, 0 to 1.
    mask: Callable[[Any, torch.Generator, float], Any]
    write: Callable[[Path], None]  # the whole model into a folder; raises OSError
    # Whether its batch norms learn what sounds are like. Each batch holds sounds of one length, and what is trained
    # with the statistics of one length fails with those of all: where they already know, they stay as they are.
    hears: bool = False
