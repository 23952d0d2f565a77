"""A language model of LFM2's kind as the language model of a new LFM2-Audio, which has tokens of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lfm_voice_ros.core.errors import ResourceError

_EMBEDDINGS = "embed_tokens.weight"
_HEAD = "model."  # in front of the names of the weights of a language model that writes


@dataclass(frozen=True)
class LanguagePart:
    """What a new LFM2-Audio takes over."""

    tokenizer: Any  # a PreTrainedTokenizerFast
    config: Mapping[str, Any]  # of config.json
    weights: Mapping[str, torch.Tensor]  # of an Lfm2Model


def read(folder: Path, reserved: Mapping[int, str]) -> LanguagePart:
    """Read an Lfm2ForCausalLM from a folder and make room for tokens: ``reserved`` are their ids and names.

    What stood there and behind moves up by as many. The rows of the new tokens are the mean of the others. Raises
    ResourceError.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        written = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        config = json.loads((folder / "config.json").read_text("utf-8"))
        stored = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as exc:
        raise ResourceError(f"{folder} holds no language model of LFM2's kind ({exc}); give another folder") from exc
    weights = {name.removeprefix(_HEAD): value for name, value in stored.items() if name.startswith(_HEAD)}
    first, count = min(reserved), len(reserved)
    rows = weights[_EMBEDDINGS]
    weights[_EMBEDDINGS] = torch.cat([rows[:first], rows.mean(0).expand(count, -1), rows[first:]])
    config["vocab_size"] = len(rows) + count
    return LanguagePart(_with_room(written, reserved), config, weights)


def _with_room(written: dict[str, Any], reserved: Mapping[int, str]) -> Any:
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    first, count = min(reserved), len(reserved)

    def moved(number: int) -> int:
        return number + count if number >= first else number

    vocabulary = {token: moved(number) for token, number in written["model"]["vocab"].items()}
    written["model"]["vocab"] = vocabulary | {name: number for number, name in reserved.items()}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    added = [{**one, "id": moved(one["id"])} for one in written["added_tokens"]]
    added += [{"id": number, "content": name, **plain} for number, name in reserved.items()]
    written["added_tokens"] = sorted(added, key=lambda one: int(one["id"]))
    tokenizer = Tokenizer.from_str(json.dumps(written))
    start, end, pad = "<|startoftext|>", "<|im_end|>", "<|pad|>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", pair=f"{start} $A $B", special_tokens=[(start, vocabulary[start])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        pad_token=pad,
        clean_up_tokenization_spaces=False,
    )
