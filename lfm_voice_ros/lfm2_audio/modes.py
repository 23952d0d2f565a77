"""The model's two other modes: a recording to its words, and a sentence to its sound."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio.cache import Context, Mark
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO, FrameSampler
from lfm_voice_ros.lfm2_audio.generation import AUDIO_START, TURN_END
from lfm_voice_ros.lfm2_audio.sampling import Sampling
from lfm_voice_ros.lfm2_audio.vocoder import make_vocoder

_START = "<|startoftext|>"
_CLOSE = "<|im_end|>\n"
#: Frames decoded in one call; the first are decoded alone, so that sound begins soon.
_BATCHES = (1, 2, 4)
#: At least 2 s, and 6 characters a second, which nobody speaks more slowly.
_FRAMES_AT_LEAST, _FRAMES_PER_CHARACTER = 25, 2


class _Mode:
    """One question after the other, each behind the same system prompt, which is read once."""

    def __init__(self, model: Lfm2Audio, system: str, window: int) -> None:
        self._model = model
        self._context = Context(model, window)
        self._context.feed(self._text(f"{_START}<|im_start|>system\n{system}{_CLOSE}<|im_start|>user\n"))
        self._asked: Mark = self._context.mark()

    def _ask(self, question: torch.Tensor) -> torch.Tensor:
        """Forget the last question; read this one, shape (n, hidden). Gives the hidden state of the answer's begin."""
        self._context.back_to(self._asked)
        return self._context.feed(torch.cat([question, self._text(f"{_CLOSE}<|im_start|>assistant\n")]))

    def _text(self, text: str) -> torch.Tensor:
        return self._model.embed_text(self._model.encode(text))


class Recognition(_Mode):
    """Speech to text. For one thread."""

    def recognize(self, samples: Samples, most_tokens: int) -> tuple[str, list[float]]:
        """Take speech at 16 kHz; give its words and the probability of each token, the likeliest each time.

        Stops after ``most_tokens``. Raises AudioError for sound that can't be heard, ResourceError when there is no
        room for it.
        """
        hidden = self._ask(self._model.embed_speech(samples))
        tokens: list[int] = []
        probabilities: list[float] = []
        while len(tokens) < most_tokens:
            logits = torch.nn.functional.linear(hidden, self._model.net.lfm.embed_tokens.weight)
            probability, token = logits.float().softmax(-1).max(-1)
            if int(token) == TURN_END:
                break
            tokens.append(int(token))
            probabilities.append(float(probability))
            hidden = self._context.feed(self._model.embed_text(tokens[-1:]))
        return self._model.decode(tokens).strip(), probabilities


class Speech(_Mode):
    """Text to speech. For one thread."""

    def __init__(self, model: Lfm2Audio, system: str, window: int, sampling: Sampling) -> None:
        """``sampling`` is for the sound."""
        super().__init__(model, system, window)
        self._frames = FrameSampler(
            model.net, temperature=sampling.audio_temperature, top_k=sampling.audio_top_k, seed=sampling.seed
        )
        with model.lock:  # making it may capture a CUDA graph, beside which nobody may use the GPU
            self._vocoder = make_vocoder(model.detokenizer_kind, model.load_detokenizer())

    def speak(self, text: str) -> Iterator[Samples]:
        """Take a sentence; give its sound in pieces, float32 at 24 kHz. Raises ResourceError."""
        self._vocoder.reset()
        waiting: list[torch.Tensor] = []
        batches = iter(_BATCHES)
        size = next(batches)
        for codes in self._codes(text):
            waiting.append(codes)
            if len(waiting) >= size:
                yield self._vocoder.decode(torch.stack(waiting))
                waiting.clear()
                size = next(batches, size)
        if waiting:
            yield self._vocoder.decode(torch.stack(waiting))
        yield self._vocoder.finish()

    def _codes(self, text: str) -> Iterator[torch.Tensor]:
        hidden = self._ask(self._text(text))
        # The model opens its answer with this token, and nothing else is wanted of it.
        hidden = self._context.feed(self._model.embed_text([AUDIO_START]))
        room = self._context.window - self._context.length
        most = min(room, _FRAMES_AT_LEAST + _FRAMES_PER_CHARACTER * len(text))
        for number in range(most):
            with self._model.lock:
                codes = self._frames.sample(hidden, may_end=number > 0).clone()
            if int(codes[0]) == END_OF_AUDIO:
                return
            yield codes
            hidden = self._context.feed(self._model.embed_frames(codes[None]))
