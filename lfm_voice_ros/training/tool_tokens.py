"""Tokens with which a model marks a tool call inside its own text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lfm_voice_ros.core.errors import ResourceError

#: The first and the last but one are LFM2's own.
TOOL_TOKENS = ("<|tool_call_start|>", "<|tool_name|>", "<|tool_args|>", "<|tool_call_end|>", "<|tool_result|>")


def add_tool_tokens(model: Any, tokenizer: Any) -> list[str]:
    """Add the tokens that the tokenizer lacks, and rows for them to the model's embeddings; give those added.

    A new row begins as the mean of the others, which is no likelier than any token until it is trained.
    ``model`` is a transformers model, ``tokenizer`` its tokenizer; both are changed in place.
    """
    missing = [token for token in TOOL_TOKENS if token not in tokenizer.get_vocab()]
    if missing:
        tokenizer.add_tokens(missing, special_tokens=True)
        rows = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > rows:  # some models have spare rows
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            weights = model.get_input_embeddings().weight.data
            weights[rows:] = weights[:rows].mean(0)
    return missing


def extend(source: str, out: Path) -> list[str]:
    """Load a model (a folder or a hub's name), add the tokens, and save model and tokenizer into ``out``.

    Gives the tokens that were added. Raises ResourceError when the model or transformers are missing.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as exc:
        raise ResourceError(
            "models are changed with transformers, which isn't installed; run scripts/setup --extra transformers"
        ) from exc
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source)
    except Exception as exc:  # hub, file and format errors have no common base
        raise ResourceError(f"{source} holds no language model that transformers can load: {exc}") from exc
    added = add_tool_tokens(model, tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return added
