"""Finds tool calls by a small classifier on sentence vectors: MiniLM and a linear head, a few milliseconds a sentence.

The head says which tool a sentence asks for, ``none``, or ``several``; then each of its clauses is asked. Arguments are
read by detectors/slots.py. models/classifier/ holds the head and the record of its training.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.ports import SentenceEncoder
from lfm_voice_ros.core.types import Embeddings, ToolCall, ToolDecision, ToolSpec
from lfm_voice_ros.detectors.pattern_file import PatternFile
from lfm_voice_ros.detectors.plain_text import matched_length, plain, without_openers
from lfm_voice_ros.detectors.sentences import clauses, sentences
from lfm_voice_ros.detectors.slots import Slots

NONE, SEVERAL = "none", "several"

_LONGEST_TEXT = 600  # characters, as for language models
_MOST_CLAUSES = 12
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_TOKEN = re.compile(r"\w+|[,.?]")


@dataclass(frozen=True)
class Head:
    """A linear layer on a vector beside the presence of single words and pairs of words, hashed into ``buckets``."""

    labels: tuple[str, ...]
    weights: NDArray[np.float32]  # shape (labels, vector size + buckets)
    bias: NDArray[np.float32]  # shape (labels,)
    buckets: int

    @classmethod
    def load(cls, path: Path) -> Head:
        """Read what ``save`` wrote. Raises ConfigurationError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    tuple(str(label) for label in file["labels"]),
                    file["weights"].astype(np.float32),
                    file["bias"].astype(np.float32),
                    int(file["buckets"]),
                )
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as exc:
            raise ConfigurationError(f"{path} holds no classifier; make it with lfm-voice train-classifier") from exc

    def save(self, path: Path) -> None:
        """Write the head as an .npz file, weights in half precision."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            labels=np.array(self.labels),
            weights=self.weights.astype(np.float16),
            bias=self.bias,
            buckets=np.array(self.buckets),
        )

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take features, shape (texts, vector size + buckets); give the probability of each label, (texts, labels)."""
        logits = features @ self.weights.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


class Features:
    """Turns texts into what the head reads. The same in training and in use."""

    def __init__(self, encoder: SentenceEncoder, patterns: PatternFile) -> None:
        self._encoder = encoder
        self._patterns = patterns

    def wording(self, text: str) -> str:
        """The text as it is read: plain, lower case, without openers, every number the same."""
        shown = without_openers(plain(text, self._patterns), self._patterns)
        return _NUMBER.sub("7", shown.lower()).strip(" ,.?!")

    def __call__(self, wordings: Sequence[str], buckets: int) -> NDArray[np.float32]:
        """Give features of texts from :meth:`wording`, shape (texts, vector size + buckets). Raises ResourceError."""
        vectors: Embeddings = self._encoder.encode([wording or "." for wording in wordings])
        words = np.zeros((len(wordings), buckets), np.float32)
        for row, wording in enumerate(wordings):
            found = {zlib.crc32(gram.encode()) % buckets for gram in _grams(wording)}
            words[row, list(found)] = 1.0 / math.sqrt(len(found))
        return np.concatenate([vectors, words], axis=1)


def _grams(wording: str) -> list[str]:
    tokens = ["<", *_TOKEN.findall(wording), ">"]
    return [*tokens, *(f"{one} {other}" for one, other in itertools.pairwise(tokens))]


@dataclass(frozen=True)
class _Guess:
    """The likeliest label of a text, and the likeliest tool."""

    label: str
    probability: float
    tool: str
    tool_probability: float


class ClassifierDetector:
    """A Detector of core/ports.py. Holds no state between calls."""

    name = "classifier"

    def __init__(
        self,
        head: Head,
        encoder: SentenceEncoder,
        patterns: PatternFile,
        tools: Sequence[ToolSpec],
        threshold: float,
    ) -> None:
        """Tools below the ``threshold`` (a probability) are left alone, as are those that aren't among ``tools``.

        Raises ConfigurationError when the head doesn't fit the encoder.
        """
        if head.weights.shape[1] != encoder.size + head.buckets:
            raise ConfigurationError("the classifier was trained for another sentence encoder; train it again")
        self._head = head
        self._features = Features(encoder, patterns)
        self._patterns = patterns
        self._slots = Slots(patterns)
        self._schemas = {tool.name: tool.parameters for tool in tools}
        self._threshold = threshold

    def detect(self, text: str) -> ToolDecision:
        """Give the calls that ``text`` asks for. Raises ResourceError when the encoder fails."""
        if not text.strip() or len(text) > _LONGEST_TEXT:
            return ToolDecision((), self.name)
        said = plain(text, self._patterns)
        (guess,) = self._guesses([text])
        if guess.label == NONE:
            return ToolDecision((), self.name, guess.probability)
        if guess.label == SEVERAL:
            return self._several(said, guess)
        if guess.tool_probability < self._threshold or guess.tool not in self._schemas:
            return ToolDecision((), self.name, 1.0 - guess.tool_probability)
        return ToolDecision((self._call(guess.tool, said),), self.name, guess.tool_probability)

    def _several(self, said: str, whole: _Guess) -> ToolDecision:
        pieces = [piece.text for sentence in sentences(said) for piece in clauses(sentence)][:_MOST_CLAUSES]
        calls: list[ToolCall] = []
        sureness = [whole.probability]
        correcting = False
        for piece, guess in zip(pieces, self._guesses(pieces), strict=True):
            text = without_openers(piece, self._patterns)
            if self._patterns.cancellation.fullmatch(text):
                calls.clear()
                continue
            if (marked := matched_length(self._patterns.correction, text)) and calls:
                correcting, text = True, text[marked:].lstrip()
            if self._patterns.amount.fullmatch(text) and calls and "degrees" in self._properties(calls[-1].name):
                calls[-1] = replace(calls[-1], arguments={"degrees": self._slots.degrees(text)})
                correcting = False
            elif guess.label != NONE and guess.tool in self._schemas and guess.tool_probability >= self._threshold:
                if correcting and calls:
                    calls.pop()
                calls.append(self._call(guess.tool, text))
                correcting = False
                sureness.append(guess.tool_probability)
        if not calls:
            return ToolDecision((), self.name, 1.0 - whole.probability)
        return ToolDecision(tuple(calls), self.name, min(sureness))

    def _guesses(self, texts: Sequence[str]) -> list[_Guess]:
        if not texts:
            return []
        features = self._features([self._features.wording(text) for text in texts], self._head.buckets)
        guesses = []
        for row in self._head.probabilities(features):
            ranked = sorted(zip(row.tolist(), self._head.labels, strict=True), reverse=True)
            probability, label = ranked[0]
            tool_probability, tool = next(pair for pair in ranked if pair[1] not in (NONE, SEVERAL))
            guesses.append(_Guess(label, probability, tool, tool_probability))
        return guesses

    def _call(self, tool: str, text: str) -> ToolCall:
        return ToolCall(tool, self._slots.arguments(text, self._schemas[tool]))

    def _properties(self, tool: str) -> Sequence[str]:
        return list(self._schemas[tool].get("properties", {}))
