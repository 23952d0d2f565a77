"""Replies as they come over the wire: in order, whole, and what is lost made up for."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.core.wire import PACKET, PRE_SKIP, Heard, Piece, ReplyStream

CONCEALED = 0.5


def decode(packet: bytes | None) -> Samples:
    return np.full(PACKET, CONCEALED if packet is None else packet[0], np.float32)


def packets(first: int, count: int) -> tuple[bytes, ...]:
    return tuple(bytes([number % 256]) for number in range(first, first + count))


def piece(first: int, count: int = 1, text: str = "") -> Piece:
    return Piece(first, packets(first, count), text)


def end(count: int, samples: int | None = None) -> Piece:
    return Piece(count, (), last=True, samples=count * PACKET - PRE_SKIP if samples is None else samples)


def numbers(*heard: Heard | None) -> list[float]:
    """What each packet's worth of sound holds, the first short of the pre-skip."""
    samples = np.concatenate([np.zeros(PRE_SKIP), *(each.samples for each in heard if each)])
    return [float(each) for each in samples[PACKET - 1 :: PACKET]]


def test_what_comes_in_order_is_given_at_once() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(piece(0, 3, "hello"), 0.0)
    first = stream.pop(0.0)
    stream.add(piece(3, 2), 0.06)
    second = stream.pop(0.06)
    stream.add(end(5), 0.06)
    third = stream.pop(0.06)

    assert numbers(first, second) == [0, 1, 2, 3, 4]
    assert first is not None
    assert first.text == "hello"
    assert third == Heard(third.samples, last=True) if third else False
    assert stream.ended
    assert (stream.lost, stream.late) == (0, 0)


def test_what_comes_out_of_order_is_put_in_order() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(piece(2), 0.0)
    assert stream.pop(0.05) is None
    stream.add(piece(1), 0.05)
    stream.add(piece(0, text="hello"), 0.06)
    heard = stream.pop(0.06)

    assert numbers(heard) == [0, 1, 2]
    assert stream.lost == 0


def test_what_stays_out_is_concealed_after_the_patience_and_comes_too_late_then() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(piece(0), 0.0)
    first = stream.pop(0.0)
    stream.add(piece(3), 0.02)
    assert stream.pop(0.11) is None
    second = stream.pop(0.13)
    stream.add(piece(1, 2), 0.14)

    assert numbers(first, second) == [0, CONCEALED, CONCEALED, 3]
    assert stream.pop(0.2) is None
    assert (stream.lost, stream.late) == (2, 2)


def test_a_lost_end_of_sound_is_concealed_when_the_end_is_told() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(piece(0), 0.0)
    first = stream.pop(0.0)
    stream.add(end(3), 0.0)
    assert stream.pop(0.05) is None
    second = stream.pop(0.1)

    assert numbers(first, second) == [0, CONCEALED, CONCEALED]
    assert stream.ended


def test_a_gap_of_more_than_a_second_is_cut() -> None:
    stream = ReplyStream(decode, patience=0.0)
    stream.add(piece(120), 0.0)
    stream.add(end(121), 0.0)
    heard = stream.pop(0.0)

    assert numbers(heard) == [CONCEALED] * 50 + [120]
    assert stream.ended
    assert stream.lost == 120


def test_an_end_that_never_comes_can_be_made_up() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(piece(0), 10.0)
    stream.pop(10.0)

    assert stream.silent_for(13.5) == 3.5
    assert stream.finish().last
    assert stream.ended


def test_a_reply_without_sound_ends() -> None:
    stream = ReplyStream(decode, patience=0.1)
    stream.add(end(0, samples=0), 0.0)
    heard = stream.pop(0.0)

    assert heard is not None
    assert heard.last
    assert heard.samples.size == 0


def test_a_number_that_no_reply_reaches_is_not_believed() -> None:
    stream = ReplyStream(decode, patience=0.0)
    stream.add(piece(4_000_000_000), 0.0)

    assert stream.pop(1.0) is None


@given(st.integers(1, 40), st.floats(0.0, 0.9), st.integers(0, 2**32 - 1), st.integers(0, PACKET - PRE_SKIP - 1))
def test_whatever_is_lost_doubled_or_shuffled_the_length_stays(count: int, loss: float, seed: int, short: int) -> None:
    chance = random.Random(seed)
    samples = count * PACKET - PRE_SKIP - short
    pieces = [piece(number) for number in range(count - 1) if chance.random() >= loss]
    pieces += chance.sample(pieces, len(pieces) // 2)
    pieces.append(Piece(count - 1, packets(count - 1, 1), last=True, samples=samples))
    chance.shuffle(pieces)
    stream = ReplyStream(decode, patience=0.1)
    heard: list[Heard] = []
    for step in range(len(pieces) + 10):
        now = step * 0.02
        if step < len(pieces):
            stream.add(pieces[step], now)
        heard += [each] if (each := stream.pop(now)) else []

    assert [each.last for each in heard][-1]
    assert sum(each.samples.size for each in heard) == samples
