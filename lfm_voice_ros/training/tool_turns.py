"""Examples of a dataset as LFM2-Tool learns them: from the words of a person to the list of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lfm_voice_ros.core import prompts
from lfm_voice_ros.core.call_syntax import write_calls
from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError
from lfm_voice_ros.core.types import ToolSpec
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.detectors.language_model import asked
from lfm_voice_ros.training.learner import Learner

#: The label that the loss leaves out.
NOT_LEARNED = -100


@dataclass(frozen=True)
class ToolTurn:
    """Tokens and labels, shape (length,) each."""

    tokens: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class _Batch:
    tokens: torch.Tensor  # (turns, length)
    labels: torch.Tensor

    def to(self, device: torch.device) -> _Batch:
        return _Batch(self.tokens.to(device), self.labels.to(device))


@dataclass(frozen=True)
class _Output:
    loss: torch.Tensor
    text_loss: torch.Tensor
    audio_loss: torch.Tensor


class _Net(torch.nn.Module):  # type: ignore[misc]
    """A language model that takes batches as LFM2-Audio does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: _Batch) -> _Output:
        # What pads a turn stands behind it, where nothing before it sees it.
        loss = self.model(input_ids=batch.tokens, labels=batch.labels, use_cache=False).loss
        return _Output(loss, loss, torch.zeros_like(loss))


class ToolTurnMaker:
    """Makes what the model learns of an example, in the prompt with which tool_detector asks it."""

    def __init__(self, tokenizer: Any, tools: Sequence[ToolSpec]) -> None:
        self._tokenizer = tokenizer
        self._system = prompts.system("llm", tools)

    def make(self, example: Example) -> ToolTurn:
        """Give the turn; without calls the model learns to write nothing. Raises ConfigurationError."""
        try:
            calls = example.calls
        except ModelOutputError as exc:
            raise ConfigurationError(f"the response to {example.audio} can't be read: {exc}") from exc
        chat = [
            {"role": self._system.role, "content": self._system.content},
            {"role": "user", "content": asked(example.transcript)},
        ]
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        answer = f"{prompts.TOOL_CALL_START}{write_calls(calls)}{prompts.TOOL_CALL_END}" if calls else ""
        before = self._tokenizer.encode(text, add_special_tokens=False)
        after = self._tokenizer.encode(f"{answer}{prompts.TURN_END}", add_special_tokens=False)
        return ToolTurn(torch.tensor([*before, *after]), torch.tensor([NOT_LEARNED] * len(before) + after))


def load_tool_model(base: str, device: str) -> tuple[Any, Any]:
    """Load a language model that is to be trained, and its tokenizer; ``device`` is cpu, cuda or auto.

    Raises ResourceError, with what to do.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as exc:
        raise ResourceError("LFM2-Tool is trained with transformers; run scripts/setup --lfm --extra training") from exc
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ResourceError("there is no CUDA device; set --device to cpu or auto")
    on = "cuda" if available and device != "cpu" else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        dtype = torch.bfloat16 if on == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype).to(on)
    except Exception as exc:  # hub, file, format and memory errors have no common base
        raise ResourceError(f"{base} holds no language model that transformers can load: {exc}") from exc
    return model.requires_grad_(False).eval(), tokenizer


def learner(model: Any, tokenizer: Any, base: str) -> Learner:
    """Give a loaded language model as what is trained."""

    def collate(turns: Sequence[ToolTurn]) -> _Batch:
        pad = torch.nn.utils.rnn.pad_sequence
        return _Batch(
            pad([turn.tokens for turn in turns], batch_first=True, padding_value=tokenizer.pad_token_id or 0),
            pad([turn.labels for turn in turns], batch_first=True, padding_value=NOT_LEARNED),
        )

    def write(folder: Path) -> None:
        model.save_pretrained(str(folder))

    return Learner(
        net=_Net(model),
        language_model=model,
        tokenizer=tokenizer,
        device=model.device,
        base=base,
        collate=collate,
        size=lambda turn: len(turn.tokens),
        mask=lambda turn, generator, done: turn,
        write=write,
    )
