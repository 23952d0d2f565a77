"""Language models in GGUF files, run by llama.cpp in this process (xllamacpp), on the CPU or a GPU that it finds."""

from __future__ import annotations

import json
import math
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import ChatMessage, Completion, Json

_CONTEXT = 4096  # tokens; a tool list of LFM2-Tool has about a thousand
_TEMPLATE_TIMEOUT = 10.0  # s
#: What is said must not go to a proxy that the environment names.
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_server(path: Path, context: int, threads: int, *, special: bool = False, key: str | None = None) -> Any:
    """Load a GGUF file; takes seconds. ``special`` shows special tokens in what the model writes.

    Raises ResourceError when the file or xllamacpp is missing or unusable.
    """
    try:
        import xllamacpp
    except ImportError as exc:
        raise ResourceError("xllamacpp, which runs GGUF models, is not installed; run scripts/setup") from exc
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ResourceError(f"{path} is not a GGUF file; give the path of one")
    except OSError as exc:
        raise ResourceError(f"the language model {path} can't be read: {exc.strerror}; give a GGUF file") from exc
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.verbosity = -1
    parameters.enable_reasoning = 0
    parameters.special = special
    # The library always listens, on a free port of the loopback; without the key nobody else gets an answer.
    parameters.hostnames = ["127.0.0.1"]
    parameters.api_keys = [key or secrets.token_hex()]
    parameters.ui = False
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as exc:
        raise ResourceError(f"the language model {path} can't be loaded; give another GGUF file") from exc


class LlamaCpp:
    """The port TextModel over a GGUF file. Used from one thread at a time."""

    keeps_to_grammars = True

    def __init__(self, path: Path, threads: int) -> None:
        """Load the model; takes seconds. Raises ResourceError."""
        self.name = path.stem
        self._key = secrets.token_hex()
        self._server = open_server(path, _CONTEXT, threads, special=True, key=self._key)

    def complete(
        self, messages: Sequence[ChatMessage], stop: Sequence[str], max_tokens: int, grammar: str = ""
    ) -> Completion:
        """See the port."""
        request: dict[str, Json] = {
            "prompt": self._prompt(messages),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stop": list(stop),
            "logprobs": 1,
            "cache_prompt": True,
        }
        if grammar:
            request["grammar"] = grammar
        try:
            result = self._server.handle_completions(request)
        except RuntimeError as exc:
            raise ResourceError(f"the language model {self.name} failed: {exc}") from exc
        return _completion(self.name, result)

    def _prompt(self, messages: Sequence[ChatMessage]) -> str:
        """The chat as the model's own template writes it. llama.cpp gives that over its loopback port only."""
        body = json.dumps({"messages": [{"role": one.role, "content": one.content} for one in messages]})
        request = urllib.request.Request(  # noqa: S310 - the address is the library's own
            f"{self._server.listening_address}/apply-template",
            body.encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with _LOCAL.open(request, timeout=_TEMPLATE_TIMEOUT) as response:
                return str(json.load(response)["prompt"])
        except (urllib.error.HTTPError, ValueError, KeyError) as exc:
            raise ResourceError(f"the language model {self.name} has no usable chat template: {exc}") from exc
        except OSError as exc:
            raise ResourceError(f"the language model {self.name} doesn't answer: {exc}; start the node again") from exc


def _completion(name: str, result: Mapping[str, Any]) -> Completion:
    try:
        choice = result["choices"][0]
        text = str(choice["text"])
        finished = choice.get("finish_reason") != "length"
        logarithms = [float(token["logprob"]) for token in (choice.get("logprobs") or {}).get("content", [])]
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        reason = result.get("error", {}).get("message", "its result has no text")
        raise ResourceError(f"the language model {name} gave no answer: {reason}") from exc
    return Completion(text, sum(map(math.exp, logarithms)) / len(logarithms) if logarithms else 0.0, finished)
