"""What an LFM2-Audio was trained for, and the adapters (LoRA) that training makes.

A trained folder holds ``lfm_voice.json`` beside its weights: either an adapter of PEFT, which goes on top of the model
it was trained on, or a whole model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio.hub import first_line

TRAINED_FILE = "lfm_voice.json"
ADAPTER_FILE = "adapter_model.safetensors"

#: How calls are written: <tool>…</tool> in plain text, or with tokens of their own.
Form = Literal["lora", "special_tokens"]

#: The first and the last but one are LFM2's own.
TOOL_TOKENS = ("<|tool_call_start|>", "<|tool_name|>", "<|tool_args|>", "<|tool_call_end|>", "<|tool_result|>")


@dataclass(frozen=True)
class Trained:
    """What a model was trained for; it does so only when it is asked in the same way."""

    form: Form
    system_prompt: str
    tools: tuple[str, ...]  # that it calls
    base: str = ""  # the model that an adapter goes on top of, as it was named; empty for a whole model
    #: Sentences and what is called for them, as text, that it got right when it had been trained: its self-check.
    checks: tuple[tuple[str, str], ...] = ()

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / TRAINED_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def read_trained(folder: Path) -> Trained | None:
    """Give what the model in a folder was trained for; None where it doesn't say. Raises ResourceError."""
    path = folder / TRAINED_FILE
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text("utf-8"))
        form = fields["form"]
        if form not in ("lora", "special_tokens"):
            raise ValueError(f"unknown form {form}")
        return Trained(
            form,
            str(fields["system_prompt"]),
            tuple(map(str, fields["tools"])),
            str(fields["base"]),
            tuple((str(sentence), str(calls)) for sentence, calls in fields["checks"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ResourceError(f"{path} can't be read ({exc}); train the adapter again") from exc


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


def put_on(lfm: Any, tokenizer: Any, folder: Path, *, merge: bool) -> Trained:
    """Put the adapter in ``folder`` on a language model, in place, and give what it was trained for.

    ``lfm`` is the Lfm2Model of a loaded LFM2-Audio. Merged, the adapter is added to the weights and costs nothing
    afterwards; otherwise it is computed beside them, which is slower and exact also in bfloat16. Nothing learns then.

    Raises ResourceError when there is no adapter in the folder, or it is for another model.
    """
    trained = read_trained(folder)
    if trained is None or not (folder / ADAPTER_FILE).is_file():
        raise ResourceError(f"{folder} holds no adapter; give a folder that lfm-voice train has written")
    try:
        from peft import PeftModel
        from safetensors import SafetensorError
    except ImportError as exc:
        raise ResourceError("adapters are loaded with PEFT, which isn't installed; run scripts/setup --lfm") from exc
    if trained.form == "special_tokens":
        add_tool_tokens(lfm, tokenizer)
    try:
        wrapped = PeftModel.from_pretrained(lfm, str(folder), autocast_adapter_dtype=False)
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as exc:
        raise ResourceError(
            f"the adapter in {folder} doesn't fit the model ({first_line(exc)}); "
            f"it was trained on {trained.base or 'another model'}"
        ) from exc
    if merge:
        wrapped.merge_and_unload()
    else:
        _fix_embeddings(lfm)
    lfm.requires_grad_(False).eval()
    for parameter in lfm.parameters():
        if not torch.isfinite(parameter).all():
            raise ResourceError(f"the adapter in {folder} holds no numbers; train it again, with a lower rate")
    return trained


def _fix_embeddings(lfm: Any) -> None:
    """Have trained rows of the embeddings in the table itself: the sampler reads the table once."""
    wrapper = lfm.embed_tokens
    if hasattr(wrapper, "token_adapter"):
        table = wrapper.original_module
        table.weight.data = wrapper.weight.detach().clone()
        lfm.set_input_embeddings(table)
