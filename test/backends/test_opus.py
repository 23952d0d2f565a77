"""Opus through PyAV: speech comes through at its length and in its place; what is lost is concealed without a click."""

from __future__ import annotations

import numpy as np
import pytest
from sound import spoken, tone

from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.backends.opus import OpusDecoder, OpusEncoder, compress, restore
from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.core.wire import PACKET, PRE_SKIP, RATE


@pytest.fixture(scope="module")
def speech() -> Samples:
    return spoken("Turn left thirty degrees and then nod.")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_sound_comes_back_as_long_as_it_was_and_in_its_place(rate: int) -> None:
    sound = resample(spoken("Hello there."), SAMPLE_RATE, rate)
    packets, samples = compress(sound, rate, 32_000)
    back = restore(packets, samples, rate)

    assert abs(back.size - sound.size) <= 1
    low, low_back = (resample(each, rate, 8_000)[: sound.size * 8_000 // rate - 1] for each in (sound, back))
    lags = {lag: float(np.dot(low[100:-100], np.roll(low_back, lag)[100:-100])) for lag in range(-40, 41)}
    best = max(lags.items(), key=lambda item: item[1])[0]
    assert abs(best) <= 2  # a quarter of a millisecond


def test_a_command_is_understood_after_it_was_compressed(speech: Samples) -> None:
    packets, samples = compress(speech, SAMPLE_RATE, 24_000)

    size = sum(len(packet) for packet in packets)
    assert size * 8 / (samples / RATE) < 40_000  # bit/s
    words = load_transcriber(TranscriberSettings()).transcribe(restore(packets, samples, SAMPLE_RATE)).text.lower()
    assert "turn left" in words
    assert "nod" in words


def test_a_stream_in_pieces_is_the_same_as_the_whole(speech: Samples) -> None:
    encoder = OpusEncoder(SAMPLE_RATE, 24_000)
    packets = [packet for piece in np.array_split(speech, 17) for packet in encoder.push(piece)]
    packets += encoder.push(np.empty(0, np.float32), last=True)

    assert (packets, encoder.samples) == compress(speech, SAMPLE_RATE, 24_000)


def test_nothing_compresses_to_nothing() -> None:
    assert compress(np.empty(0, np.float32), SAMPLE_RATE, 24_000) == ([], 0)


def test_lost_packets_are_concealed_at_full_length_and_without_a_click() -> None:
    packets, _ = compress(tone(1.0, 24_000, 220.0), 24_000, 32_000)
    decoder = OpusDecoder()
    whole = np.concatenate([decoder.decode(packet) for packet in packets])
    decoder = OpusDecoder()
    lossy = np.concatenate([decoder.decode(None if number in (20, 21, 22) else p) for number, p in enumerate(packets)])

    assert lossy.size == whole.size
    gap = slice(20 * PACKET, 23 * PACKET)
    assert np.sqrt(np.mean(lossy[gap] ** 2)) > 0.3 * np.sqrt(np.mean(whole[gap] ** 2))  # it isn't just silence
    step = np.abs(np.diff(whole[PRE_SKIP + PACKET : -2 * PACKET])).max()
    assert np.abs(np.diff(lossy[PRE_SKIP + PACKET : -2 * PACKET])).max() < 2 * step


def test_a_loss_before_the_first_packet_is_silence() -> None:
    decoder = OpusDecoder()

    assert not decoder.decode(None).any()
    assert decoder.unusable == 0


def test_what_is_no_packet_is_concealed_and_counted() -> None:
    packets, _ = compress(tone(0.5), SAMPLE_RATE, 24_000)
    decoder = OpusDecoder()
    sound = [decoder.decode(packet) for packet in (*packets[:5], b"", b"\xff" * 2000, b"\x03", *packets[5:])]

    assert all(each.size == PACKET for each in sound)
    assert decoder.unusable == 3


def test_an_utterance_without_a_usable_packet_is_refused() -> None:
    with pytest.raises(AudioError, match="usable packet"):
        restore([b"\x03"], 960, SAMPLE_RATE)
    with pytest.raises(AudioError, match="usable packet"):
        restore([], 0, SAMPLE_RATE)
