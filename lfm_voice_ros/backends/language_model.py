"""Small talk by a language model in a GGUF file, run on the CPU by llama.cpp (xllamacpp)."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lfm_voice_ros.backends.llama_cpp import open_server
from lfm_voice_ros.core.errors import ResourceError

_CONTEXT = 2048  # tokens
_HISTORY = 1200  # characters of earlier turns that are shown; they are read again whenever the oldest is dropped
_THREADS = 2
_SENTENCES = 2
_TEMPLATE_KEY = b"tokenizer.chat_template"
_METADATA = 64 * 2**20  # bytes at the head of a file in which its metadata ends, also with a vocabulary of 262 000


class LanguageModel:
    """Answers in one or two sentences, always the same to the same question. Used from one thread at a time.

    A model that was tuned for chats is asked through its own template; any other continues a written dialogue.
    """

    def __init__(self, path: Path) -> None:
        """Load the GGUF file; takes seconds. Raises ResourceError when it or xllamacpp is missing or unusable."""
        self._server = open_server(path, _CONTEXT, _THREADS)
        self._is_chat = _has_chat_template(path)
        self.name = path.stem

    def answer(self, system: str, turns: Sequence[tuple[str, str]], text: str, max_tokens: int) -> str:
        """Answer ``text``: at most two sentences on one line and ``max_tokens`` tokens, empty when it says nothing.

        ``system`` says who answers and how; ``turns`` are what the person said and what was answered, oldest first.
        Raises ResourceError when the model fails.
        """
        shown = _newest(turns)
        options = {"max_tokens": max_tokens, "temperature": 0.0}
        try:
            if self._is_chat:
                result = self._server.handle_chat_completions({"messages": _messages(system, shown, text), **options})
            else:
                prompt = _dialogue(system, shown, text)
                result = self._server.handle_completions({"prompt": prompt, "stop": ["\n", "Person:"], **options})
        except RuntimeError as exc:
            raise ResourceError(f"the language model {self.name} failed: {exc}") from exc
        return first_sentences(_content(self.name, result, self._is_chat), _SENTENCES)


def first_sentences(text: str, count: int) -> str:
    """The first ``count`` sentences of the first line; a last one that was cut off is dropped unless it is the only."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", line) if s][:count]
    if len(sentences) > 1 and not sentences[-1].endswith((".", "!", "?")):
        sentences.pop()
    return " ".join(sentences)


def _has_chat_template(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as head:
        return head.find(_TEMPLATE_KEY, 0, _METADATA) >= 0


def _newest(turns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    room = _HISTORY
    for said, answered in reversed(turns):
        room -= len(said) + len(answered)
        if room < 0:
            break
        kept.insert(0, (said, answered))
    return kept


def _messages(system: str, turns: Sequence[tuple[str, str]], text: str) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": system}]
    for said, answered in turns:
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]
    return [*messages, {"role": "user", "content": text}]


def _dialogue(system: str, turns: Sequence[tuple[str, str]], text: str) -> str:
    lines = [_one_line(system)]
    for said, answered in turns:
        lines += [f"Person: {_one_line(said)}", f"Robot: {_one_line(answered)}"]
    return "\n".join([*lines, f"Person: {_one_line(text)}", "Robot:"])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _content(name: str, result: dict[str, Any], is_chat: bool) -> str:
    try:
        choice = result["choices"][0]
        return str(choice["message"]["content"] or "") if is_chat else str(choice["text"])
    except (KeyError, IndexError, TypeError) as exc:
        reason = result.get("error", {}).get("message", "its result has no text")
        raise ResourceError(f"the language model {name} gave no answer: {reason}") from exc
