"""Codes to sound beside generation: a thread that decodes while the next frames are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from threading import Condition, Thread

import numpy as np
import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio.vocoder import Vocoder

#: Takes words that begin here with no sound, or sound with no words.
Emit = Callable[[str, Samples], None]

#: Frames that a reply's first, second … chunk waits for while more are made. The first ones come alone, so that sound
#: begins soon; the later ones together, since Mimi takes a quarter of the time for each of four frames.
_LEAST = (1, 1, 2, 4)
_MOST = 8  # frames in a chunk
_CAPACITY = 4096  # frames and words that may wait: more than the longest reply has
_FULL = 10.0  # s to wait for room among them
_LOOK = 1.0  # s after which a waiting thread looks again by itself
_NOTHING = np.zeros(0, np.float32)


@dataclass
class _Reply:
    emit: Emit
    canceled: Callable[[], bool]
    waiting: deque[str | torch.Tensor] = field(default_factory=deque)
    fresh: bool = True  # the vocoder has still to be reset
    chunks: int = 0  # decoded so far
    complete: bool = False  # nothing more is put in
    over: bool = False  # nothing more is emitted
    error: Exception | None = None

    def ready(self) -> bool:
        """Whether there is something to do now."""
        least = _LEAST[min(self.chunks, len(_LEAST) - 1)]
        frames = self.frames()
        return self.fresh or self.complete or frames >= least or frames < len(self.waiting)

    def frames(self) -> int:
        """How many frames, up to a full chunk, stand before the next words."""
        first = islice(self.waiting, _MOST)
        return sum(1 for _ in takewhile(lambda item: not isinstance(item, str), first))

    def take(self) -> str | list[torch.Tensor]:
        """Take what comes next: words, or a chunk of frames."""
        if isinstance(self.waiting[0], str):
            return self.waiting.popleft()
        self.chunks += 1
        return [self.waiting.popleft() for _ in range(self.frames())]


class Decoder:
    """One thread around a vocoder, for one reply after the other.

    ``begin``, ``text``, ``frame``, ``finish`` belong to one thread; ``close`` may be called from any. What is emitted
    comes from the decoder's own thread, in order, in chunks of up to eight frames; words stand between chunks. Outside
    of a reply, and when it is over, words and frames are dropped.
    """

    def __init__(self, vocoder: Vocoder, name: str = "lfm2_audio.decoder") -> None:
        """Start the thread ``name``; ``vocoder`` is used by it alone from now on."""
        self._vocoder = vocoder
        self._changed = Condition()
        self._reply = _Reply(lambda words, samples: None, lambda: False, over=True)
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, emit: Emit, canceled: Callable[[], bool]) -> None:
        """A new reply begins; what is left of the one before is dropped.

        ``emit`` must not wait. ``canceled`` is asked before each emit; once it is true nothing is emitted any more.
        Both are called from the decoder's thread. Raises ResourceError when the decoder is closed.
        """
        with self._changed:
            self._must_be_open()
            self._reply.over = True
            self._reply = _Reply(emit, canceled)
            self._changed.notify_all()

    def text(self, words: str) -> None:
        """Words that begin here: emitted after the sound of the frames before, at once where none wait."""
        self._put(words)

    def frame(self, codes: torch.Tensor) -> None:
        """The next frame, shape (8,), int64, on any device.

        Raises ResourceError when thousands of them wait and none is decoded for ten seconds.
        """
        self._put(codes)

    def finish(self, timeout: float) -> None:
        """Return when all the sound of this reply was emitted, or when it was canceled.

        Raises what ``emit`` or the vocoder raised (ModelOutputError for wrong codes), and ResourceError when it isn't
        done after ``timeout`` seconds or the decoder was closed; what is left is dropped then, but for what is being
        emitted at that moment.
        """
        with self._changed:
            reply = self._reply
            reply.complete = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: reply.over or self._closed, timeout)
            if reply.error is not None:
                raise reply.error
            if reply.over:
                return
            reply.over = True
            self._must_be_open()
            raise ResourceError(
                f"decoding the reply's sound was not done after {timeout:g} s; the computer is too busy or too slow"
            )

    def close(self) -> None:
        """End the thread within a second; only a call that the vocoder is busy with may outlast it. Safe to repeat."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def _must_be_open(self) -> None:
        if self._closed:
            raise ResourceError("the decoder of the sound is closed")

    def _put(self, item: str | torch.Tensor) -> None:
        with self._changed:
            reply = self._reply
            if not self._changed.wait_for(lambda: len(reply.waiting) < _CAPACITY or reply.over or self._closed, _FULL):
                raise ResourceError("the reply's sound is not decoded any more; start the program again")
            if not (reply.over or self._closed):
                reply.waiting.append(item)
                self._changed.notify_all()

    def _run(self) -> None:
        while (reply := self._next()) is not None:
            try:
                self._work(reply)
            except Exception as exc:  # the thread outlives any reply
                self._end(reply, exc)

    def _next(self) -> _Reply | None:
        """Wait until there is something to do, and give its reply; None when the decoder is closed."""
        with self._changed:
            while not self._closed:
                if not self._reply.over and self._reply.ready():
                    return self._reply
                self._changed.wait(_LOOK)
        return None

    def _work(self, reply: _Reply) -> None:
        if reply.canceled():
            self._end(reply)
        elif reply.fresh:
            self._vocoder.reset()
            reply.fresh = False
        elif not reply.waiting:
            self._emit(reply, "", self._vocoder.finish())
            self._end(reply)
        else:
            with self._changed:
                next_ = reply.take()
                self._changed.notify_all()
            if isinstance(next_, str):
                self._emit(reply, next_, _NOTHING)
            else:
                self._emit(reply, "", self._vocoder.decode(torch.stack(next_)))

    def _emit(self, reply: _Reply, words: str, samples: Samples) -> None:
        if reply.over or self._closed or not (words or samples.size):
            return
        if reply.canceled():
            self._end(reply)
        else:
            reply.emit(words, samples)

    def _end(self, reply: _Reply, error: Exception | None = None) -> None:
        with self._changed:
            reply.over = True
            reply.error = error
            self._changed.notify_all()
