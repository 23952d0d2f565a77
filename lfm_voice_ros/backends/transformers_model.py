"""LFM2 text models run by PyTorch: LFM2-Tool by its name, or any folder that ``from_pretrained`` loads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import ChatMessage, Completion


class TransformersModel:
    """The port TextModel over transformers. Used from one thread at a time.

    The system turn, with the tool list, is read once and its cache kept: each sentence feeds only what is new.
    """

    keeps_to_grammars = False

    def __init__(self, model: str, device: str) -> None:
        """Load ``model``, a folder or a name on the Hugging Face hub, on ``device`` (cpu, cuda or auto).

        Takes seconds, and minutes where a model is downloaded. Raises ResourceError, with what to do.
        """
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging
        except ImportError as exc:
            raise ResourceError(
                f"transformers, which runs {model}, is not installed; run scripts/setup --extra transformers"
            ) from exc
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        on = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        if on == "cuda" and not torch.cuda.is_available():
            raise ResourceError("there is no CUDA device; set tool_detector's device to cpu or auto")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                model, dtype=torch.bfloat16 if on == "cuda" else torch.float32
            )
            self._model.to(on).eval()
        except Exception as exc:  # hub, file, format and memory errors have no common base
            raise ResourceError(f"{_not_there(model)} ({_first_line(exc)})") from exc
        if not self._tokenizer.chat_template:
            raise ResourceError(f"the model {model} has no chat template; give a chat or tool model")
        self._torch = torch
        self._device = on
        self._prefix: list[int] = []
        self._prefix_cache: Any = None
        self.name = Path(model).name if Path(model).exists() else model

    def complete(
        self, messages: Sequence[ChatMessage], stop: Sequence[str], max_tokens: int, grammar: str = ""
    ) -> Completion:
        """See the port; a ``grammar`` is not kept to."""
        try:
            return self._complete(messages, stop, max_tokens)
        except Exception as exc:  # those of torch, of the template and of the tokenizer have no common base
            raise ResourceError(f"the language model {self.name} failed: {_first_line(exc)}") from exc

    def _complete(self, messages: Sequence[ChatMessage], stop: Sequence[str], max_tokens: int) -> Completion:
        torch = self._torch
        stops = {self._tokenizer.eos_token_id, *self._tokenizer.convert_tokens_to_ids(list(stop))}
        with torch.inference_mode():
            logits, cache = self._read(messages)
            written: list[int] = []
            probabilities: list[float] = []
            finished = False
            while not finished and len(written) < max_tokens:
                probability, token = torch.softmax(logits.float(), -1).max(-1)
                probabilities.append(float(probability))
                finished = int(token) in stops
                if not finished:
                    written.append(int(token))
                    logits = self._forward([int(token)], cache)
        text = self._tokenizer.decode(written, skip_special_tokens=False)
        return Completion(text, sum(probabilities) / len(probabilities), finished)

    def _read(self, messages: Sequence[ChatMessage]) -> tuple[Any, Any]:
        prompt = self._encoded(messages, add_generation_prompt=True)
        prefix = self._encoded(messages[:1], add_generation_prompt=False)
        if prompt[: len(prefix)] != prefix:  # a template that writes the first turn otherwise when others follow
            return self._forward(prompt, cache := self._new_cache()), cache
        if prefix != self._prefix:
            self._prefix_cache = self._new_cache()
            self._forward(prefix, self._prefix_cache)
            self._prefix = prefix
        cache = copy.deepcopy(self._prefix_cache)
        return self._forward(prompt[len(prefix) :], cache), cache

    def _encoded(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool) -> list[int]:
        chat = [{"role": one.role, "content": one.content} for one in messages]
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)

    def _forward(self, tokens: list[int], cache: Any) -> Any:
        """Feed tokens behind what the cache holds; the logits behind the last."""
        batch = self._torch.tensor([tokens], device=self._device)
        return self._model(input_ids=batch, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _not_there(model: str) -> str:
    if Path(model).exists():
        return f"the folder {model} holds no usable language model; it needs config.json, a tokenizer and weights"
    return (
        f"the model {model} is not on this machine and could not be downloaded; with a network run once "
        f"`hf download {model}`, or set tool_detector's model to a folder, a GGUF file, or bundled"
    )
