"""The model's own loop of text and sound: six text tokens, twelve frames, and so on, with the text free or fixed.

A step is always read back into the context before it is given out, so that a mark taken then lies right behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from lfm_voice_ros.core.call_stream import CallStream
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.lfm2_audio.cache import Context, Mark
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO, FrameSampler
from lfm_voice_ros.lfm2_audio.sampling import TextSampler

TURN_END = 7  # <|im_end|>
AUDIO_START = 128  # <|audio_start|>
TEXT_END = 130  # <|text_end|>

_MOST_TOKENS = 400  # of one reply
_MOST_PREFIX = 96  # tokens in which calls must be closed; nothing else is done meanwhile
#: Frames of a fixed text: a second, and as many as the slowest speaker needs, at two and a half tokens a second.
_FRAMES_AT_LEAST, _FRAMES_PER_TOKEN = 13, 5


def most_frames(tokens: int) -> int:
    """How many frames a fixed text of so many tokens has at most."""
    return _FRAMES_AT_LEAST + _FRAMES_PER_TOKEN * tokens


@dataclass(frozen=True)
class Text:
    """Text tokens that the reply goes on with."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """80 ms of sound: one code per codebook, shape (codebooks,), int64. ``ends`` says that it is the end-of-audio."""

    codes: torch.Tensor
    ends: bool


Step = Text | Frame


@dataclass(frozen=True)
class Place:
    """A point in a reply: what was read, and the hidden state behind it."""

    mark: Mark
    hidden: torch.Tensor


class Generator:
    """Makes one reply after the other in a context. For one thread."""

    def __init__(self, model: Lfm2Audio, text: TextSampler, frames: FrameSampler, max_frames: int) -> None:
        """``max_frames`` is the most that a free reply may have, 80 ms each; a fixed text is always said to its end."""
        self._model = model
        self._context: Context | None = None
        self._text = text
        self._frames = frames
        self._max_frames = max_frames
        self._hidden: torch.Tensor | None = None

    def begin(self, context: Context, hidden: torch.Tensor) -> None:
        """The next reply is made in ``context``; ``hidden`` is the state behind the opening of the robot's turn."""
        self._context, self._hidden = context, hidden

    def place(self) -> Place:
        """Where the reply is now."""
        context, hidden = self._state()
        return Place(context.mark(), hidden)

    def back_to(self, place: Place) -> None:
        """Forget what was generated since."""
        context, _ = self._state()
        context.back_to(place.mark)
        self._hidden = place.hidden

    def calls(
        self, stream: CallStream, canceled: Callable[[], bool]
    ) -> tuple[tuple[int, ...], str, tuple[ToolCall, ...]]:
        """Write the text before the speech, in which calls stand; no sound is made.

        Gives the tokens, what of them is already speech, and the calls. With calls the context ends right behind the
        last one, so that any reply can follow.
        """
        tokens: list[int] = []
        calls: list[ToolCall] = []
        speech = ""
        closed = self.place(), 0
        detokenizer = Detokenizer(self._model)
        while len(tokens) < _MOST_PREFIX and not canceled():
            token = self._sample_text()
            if token in (TURN_END, TEXT_END):
                break
            tokens.append(token)
            self._read_text([token])
            piece = stream.feed(detokenizer.push([token]))
            calls += piece.calls
            speech += piece.speech
            if speech:
                break
            if not stream.holding:
                closed = self.place(), len(tokens)
        if not calls and not speech:
            last = stream.finish()
            calls, speech = [*last.calls], last.speech
            closed = closed if speech else (self.place(), len(tokens))
        if calls:
            self.back_to(closed[0])
            return tuple(tokens[: closed[1]]), "", tuple(calls)
        return tuple(tokens), speech, ()

    def interleave(
        self,
        fixed: Sequence[int],
        *,
        free: bool,
        already: int = 0,
        holding: Callable[[], bool] = lambda: False,
    ) -> Iterator[Step]:
        """Speak: first the ``fixed`` tokens, then, if ``free``, what the model likes.

        Not free, the text is closed behind ``fixed`` and no frame may end the sound before. ``already`` text tokens of
        the first six were written before. While ``holding``, no sound is made. It ends early where the context is full.
        """
        script = deque(fixed if free else [*fixed, TEXT_END])
        most = self._max_frames if free else most_frames(len(fixed))
        left = max(self._model.n_text - already, 0)
        written = frames = 0
        text_done = sound_done = False
        while not (text_done and sound_done):
            while not text_done and (left > 0 or sound_done or holding()):
                block = self._next_text(script, max(left, 1))
                if block == [TURN_END] or self._is_full(len(block)):
                    return
                left -= len(block)
                written += len(block)
                text_done = block[-1] == TEXT_END
                self._read_text(block)
                yield Text(tuple(block))
                if written >= _MOST_TOKENS:
                    return
            sound = self._model.n_audio
            while not sound_done and (sound > 0 or text_done):
                if frames >= most or self._is_full(1):
                    return
                frame = self._next_frame(may_end=not script and (free or text_done))
                sound_done = frame.ends
                frames += 1
                sound -= 1
                yield frame
            left = self._model.n_text

    def _next_text(self, script: deque[int], most: int) -> list[int]:
        if script:
            return [script.popleft() for _ in range(min(most, len(script)))]
        return [self._sample_text()]

    def _next_frame(self, *, may_end: bool) -> Frame:
        context, hidden = self._state()
        with self._model.lock:
            codes = self._frames.sample(hidden, may_end).clone()
        ends = may_end and int(codes[0]) == END_OF_AUDIO
        self._hidden = context.feed(self._model.embed_frames(codes[None]))
        return Frame(codes, ends)

    def _is_full(self, more: int) -> bool:
        """Whether there is no room for ``more`` positions, and the end-of-audio behind them."""
        context, _ = self._state()
        return context.length + more >= context.window

    def _sample_text(self) -> int:
        _, hidden = self._state()
        token: int = self._text.sample(hidden)
        return token

    def _read_text(self, tokens: Sequence[int]) -> None:
        self._hidden = self._state()[0].feed(self._model.embed_text(tokens))

    def _state(self) -> tuple[Context, torch.Tensor]:
        if self._context is None or self._hidden is None:
            raise RuntimeError("begin() comes first")
        return self._context, self._hidden


class Detokenizer:
    """Text from tokens as they come; half a character waits for its other half."""

    def __init__(self, model: Lfm2Audio) -> None:
        self._model = model
        self._tokens: list[int] = []
        self._given = 0

    def push(self, tokens: Sequence[int]) -> str:
        """Take the next tokens; give the text that they add. ``<|text_end|>`` adds none."""
        self._tokens += [token for token in tokens if token != TEXT_END]
        text = self._model.decode(self._tokens)
        if text.endswith("�"):
            return ""
        new, self._given = text[self._given :], len(text)
        return new


class Words:
    """Whole words from a text that comes in pieces of any length."""

    def __init__(self) -> None:
        self._rest = ""

    def push(self, text: str) -> str:
        """Take more text; give the words that are complete."""
        text = self._rest + text
        cut = max((index + 1 for index, char in enumerate(text) if char.isspace()), default=0)
        self._rest = text[cut:]
        return text[:cut].strip()

    def finish(self) -> str:
        """The last word."""
        rest, self._rest = self._rest.strip(), ""
        return rest
