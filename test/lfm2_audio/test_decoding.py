"""The decoder beside generation: in order, in chunks, silent when canceled, alive after errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lfm_voice_ros.core.errors import ModelOutputError, ResourceError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio import decoding
from lfm_voice_ros.lfm2_audio.decoding import Decoder

TIMEOUT = 10.0
NAME = "decoder under test"
HELD_BACK = 99
WRONG = 2048


class FakeVocoder:
    """Makes one sample of a frame, its first code. Waits in ``decode`` while it is held."""

    name = "fake"

    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.resets: list[str] = []  # the names of the threads
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.broken = False

    def reset(self) -> None:
        self.resets.append(threading.current_thread().name)
        if self.broken:
            raise RuntimeError("broken")

    def decode(self, frames: torch.Tensor) -> Samples:
        self.chunks.append(len(frames))
        self.begun.set()
        assert self.free.wait(TIMEOUT)
        if WRONG in frames:
            raise ModelOutputError("wrong codes")
        return np.array(frames[:, 0], np.float32)

    def finish(self) -> Samples:
        return np.array([HELD_BACK], np.float32)


class Listener:
    """Keeps what is emitted: words, and the numbers of the frames."""

    def __init__(self) -> None:
        self.heard: list[str | int] = []
        self.canceled = False
        self._changed = threading.Condition()

    def emit(self, words: str, samples: Samples) -> None:
        with self._changed:
            self.heard += [words] if words else []
            self.heard += [int(sample) for sample in samples]
            self._changed.notify_all()

    def is_canceled(self) -> bool:
        return self.canceled

    def wait_for(self, *heard: str | int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.heard == list(heard), TIMEOUT), self.heard


class Watch:
    """Knows when the decoder's thread has looked at what there is and waits for more."""

    def __init__(self) -> None:
        self._looks = 0  # of the decoder's thread
        self._seen = 0  # of these, those before the last change
        self._looked = threading.Condition()

    def condition(self) -> threading.Condition:
        """Give the condition that the decoder uses. Both of these are called with its lock held."""
        watch = self

        class Watched(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                if threading.current_thread().name == NAME:
                    assert timeout is not None
                    watch.look()
                return super().wait(timeout)

            def notify_all(self) -> None:
                if threading.current_thread().name != NAME:
                    watch.change()
                super().notify_all()

        return Watched()

    def look(self) -> None:
        with self._looked:
            self._looks += 1
            self._looked.notify_all()

    def change(self) -> None:
        self._seen = self._looks

    def settle(self) -> None:
        """Return when the last change was seen, and all that it allows was done."""
        with self._looked:
            assert self._looked.wait_for(lambda: self._looks > self._seen, TIMEOUT)


@pytest.fixture
def vocoder() -> FakeVocoder:
    return FakeVocoder()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def decoder(vocoder: FakeVocoder, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoder]:
    monkeypatch.setattr(decoding, "Condition", watch.condition)
    decoder = Decoder(vocoder, NAME)
    yield decoder
    vocoder.free.set()
    decoder.close()
    assert not own_threads()


@pytest.fixture
def listener(decoder: Decoder) -> Listener:
    """Give the listener to a reply that has begun."""
    return begin(decoder)


def begin(decoder: Decoder) -> Listener:
    listener = Listener()
    decoder.begin(listener.emit, listener.is_canceled)
    return listener


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def frame(number: int) -> torch.Tensor:
    return torch.full((8,), number)


def hold(decoder: Decoder, vocoder: FakeVocoder, number: int) -> None:
    """Give a frame, and keep the vocoder busy with it."""
    vocoder.begun.clear()
    vocoder.free.clear()
    decoder.frame(frame(number))
    assert vocoder.begun.wait(TIMEOUT)


def test_words_and_sound_come_in_order(decoder: Decoder, listener: Listener) -> None:
    expected: list[str | int] = []
    for number in range(100):
        if number % 12 == 0:
            decoder.text(f"word {number}")
            expected.append(f"word {number}")
        decoder.frame(frame(number))
        expected.append(number)

    decoder.finish(TIMEOUT)

    assert listener.heard == [*expected, HELD_BACK]


def test_words_come_at_once_where_no_frames_wait(decoder: Decoder, listener: Listener) -> None:
    decoder.text("Looking")
    listener.wait_for("Looking")
    decoder.text(" left")
    listener.wait_for("Looking", " left")


def test_sound_begins_with_single_frames_and_goes_on_with_more(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, watch: Watch
) -> None:
    for number in range(12):
        decoder.frame(frame(number))
        watch.settle()

    listener.wait_for(*range(12))

    assert vocoder.chunks == [1, 1, 2, 4, 4]


def test_a_slow_vocoder_is_given_all_that_waits_up_to_eight(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder
) -> None:
    hold(decoder, vocoder, 0)
    for number in range(1, 21):
        decoder.frame(frame(number))
    vocoder.free.set()

    listener.wait_for(*range(21))

    assert vocoder.chunks == [1, 8, 8, 4]


def test_a_chunk_ends_where_words_stand(decoder: Decoder, listener: Listener, vocoder: FakeVocoder) -> None:
    hold(decoder, vocoder, 0)
    for number in (1, 2):
        decoder.frame(frame(number))
    decoder.text("here")
    for number in (3, 4, 5):
        decoder.frame(frame(number))
    vocoder.free.set()

    listener.wait_for(0, 1, 2, "here", 3, 4, 5)

    assert vocoder.chunks == [1, 2, 3]


def test_frames_before_words_wait_for_no_others(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, watch: Watch
) -> None:
    for number in range(9):
        decoder.frame(frame(number))
        watch.settle()
    listener.wait_for(*range(8))

    decoder.text("here")

    listener.wait_for(*range(9), "here")


def test_the_last_frames_wait_for_no_others(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, watch: Watch
) -> None:
    for number in range(11):
        decoder.frame(frame(number))
        watch.settle()

    decoder.finish(TIMEOUT)

    assert listener.heard == [*range(11), HELD_BACK]
    assert vocoder.chunks == [1, 1, 2, 4, 3]


def test_one_reply_follows_the_other(decoder: Decoder, vocoder: FakeVocoder) -> None:
    for first in (0, 10):
        listener = begin(decoder)
        for number in range(first, first + 3):
            decoder.frame(frame(number))
        decoder.finish(TIMEOUT)
        assert listener.heard == [first, first + 1, first + 2, HELD_BACK]
    assert vocoder.resets == [NAME, NAME]


def test_a_reply_without_anything_ends(decoder: Decoder, listener: Listener) -> None:
    decoder.finish(TIMEOUT)
    decoder.finish(TIMEOUT)
    assert listener.heard == [HELD_BACK]


def test_nothing_is_taken_outside_of_a_reply(decoder: Decoder, vocoder: FakeVocoder) -> None:
    decoder.frame(frame(0))
    decoder.finish(TIMEOUT)
    listener = begin(decoder)
    decoder.finish(TIMEOUT)
    decoder.frame(frame(1))
    begin(decoder)
    decoder.finish(TIMEOUT)
    assert listener.heard == [HELD_BACK]
    assert vocoder.chunks == []


def test_a_canceled_reply_is_silent_at_once(decoder: Decoder, listener: Listener, vocoder: FakeVocoder) -> None:
    decoder.text("Looking")
    hold(decoder, vocoder, 0)
    for number in range(1, 5):
        decoder.frame(frame(number))
    decoder.text(" left")

    listener.canceled = True
    vocoder.free.set()
    decoder.finish(TIMEOUT)

    assert listener.heard == ["Looking"]
    assert vocoder.chunks == [1]


def test_a_canceled_reply_stays_canceled(decoder: Decoder, vocoder: FakeVocoder) -> None:
    heard = Listener()
    answers = iter([False, False, True])  # at the reset, before decoding, before emitting
    decoder.begin(heard.emit, lambda: next(answers, False))
    decoder.frame(frame(0))
    decoder.text("left")
    decoder.finish(TIMEOUT)
    assert heard.heard == []
    assert vocoder.chunks == [1]


@pytest.mark.parametrize("wrong", [0, 3])
def test_an_error_ends_the_reply_and_not_the_thread(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, wrong: int
) -> None:
    for number in range(6):
        decoder.text(f"word {number}")
        decoder.frame(frame(WRONG if number == wrong else number))

    for _ in range(2):
        with pytest.raises(ModelOutputError, match="wrong codes"):
            decoder.finish(TIMEOUT)

    before = [item for number in range(wrong) for item in (f"word {number}", number)]
    assert listener.heard == [*before, f"word {wrong}"]
    listener = begin(decoder)
    decoder.frame(frame(7))
    decoder.finish(TIMEOUT)
    assert listener.heard == [7, HELD_BACK]


def test_a_listener_that_fails_ends_the_reply(decoder: Decoder) -> None:
    def emit(words: str, samples: Samples) -> None:
        raise ValueError("no player")

    decoder.begin(emit, lambda: False)
    decoder.text("Looking")
    with pytest.raises(ValueError, match="no player"):
        decoder.finish(TIMEOUT)


def test_a_vocoder_that_cant_be_reset_ends_the_reply(decoder: Decoder, vocoder: FakeVocoder) -> None:
    vocoder.broken = True
    begin(decoder)
    with pytest.raises(RuntimeError, match="broken"):
        decoder.finish(TIMEOUT)


def test_a_reply_that_takes_too_long_is_given_up(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, watch: Watch
) -> None:
    hold(decoder, vocoder, 0)
    with pytest.raises(ResourceError, match=r"not done after 0\.01 s"):
        decoder.finish(0.01)

    vocoder.free.set()
    watch.settle()

    assert listener.heard == []


def test_a_new_reply_takes_the_place_of_an_unfinished_one(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder
) -> None:
    hold(decoder, vocoder, 0)
    decoder.frame(frame(1))

    second = begin(decoder)
    decoder.frame(frame(2))
    vocoder.free.set()
    decoder.finish(TIMEOUT)

    assert listener.heard == []
    assert second.heard == [2, HELD_BACK]


def test_more_than_can_wait_is_refused(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_CAPACITY", 2)
    monkeypatch.setattr(decoding, "_FULL", 0.01)
    hold(decoder, vocoder, 0)
    for number in (1, 2):
        decoder.frame(frame(number))
    with pytest.raises(ResourceError, match="not decoded any more"):
        decoder.frame(frame(3))


def test_a_full_queue_is_waited_for(
    decoder: Decoder, listener: Listener, vocoder: FakeVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_CAPACITY", 4)
    hold(decoder, vocoder, 0)
    for number in range(1, 5):
        decoder.frame(frame(number))
    freeing = threading.Timer(0.05, vocoder.free.set)
    freeing.start()

    begun = time.monotonic()
    decoder.frame(frame(5))
    assert time.monotonic() - begun < 5.0

    decoder.finish(TIMEOUT)
    assert listener.heard == [*range(6), HELD_BACK]
    freeing.join(TIMEOUT)


def test_it_closes_while_it_waits(decoder: Decoder, listener: Listener) -> None:
    begun = time.monotonic()
    decoder.close()
    decoder.close()
    assert time.monotonic() - begun < 0.9
    assert not own_threads()


def test_it_closes_while_it_is_busy(decoder: Decoder, listener: Listener, vocoder: FakeVocoder) -> None:
    hold(decoder, vocoder, 0)
    (thread,) = own_threads()

    begun = time.monotonic()
    decoder.close()
    assert time.monotonic() - begun < 2.0

    vocoder.free.set()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert listener.heard == []


def test_who_waits_is_told_that_it_was_closed(decoder: Decoder, listener: Listener, vocoder: FakeVocoder) -> None:
    hold(decoder, vocoder, 0)
    closing = threading.Timer(0.05, decoder.close)
    closing.start()

    with pytest.raises(ResourceError, match="closed"):
        decoder.finish(TIMEOUT)

    decoder.frame(frame(1))
    with pytest.raises(ResourceError, match="closed"):
        begin(decoder)
    vocoder.free.set()
    closing.join(TIMEOUT)
