"""Tokens with which a model marks a tool call inside its own text."""

from __future__ import annotations

from pathlib import Path

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio.adapter import add_tool_tokens


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
