"""MP3 in pieces, as audio_capture of ros-drivers sends it."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from sound import tone

from lfm_voice_ros.backends.mp3_stream import Mp3Stream
from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.types import Samples


def mp3(samples: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3")
    return file.getvalue()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
@pytest.mark.parametrize("size", [100, 1500])
def test_a_stream_is_decoded_wherever_it_is_cut(rate: int, channels: int, size: int) -> None:
    sound = tone(1.0, rate)
    data = mp3(np.repeat(sound[:, None], channels, axis=1), rate)
    stream = Mp3Stream()

    given = [stream.push(data[at : at + size]) for at in range(0, len(data), size)]

    heard = np.concatenate([samples for samples, _ in given])
    assert {told for samples, told in given if samples.size} == {rate}
    assert heard.size == pytest.approx(sound.size, abs=4000)
    assert np.sqrt(np.mean(heard[2000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_what_is_no_mp3_is_said_or_gives_nothing_and_the_next_is_decoded() -> None:
    stream = Mp3Stream()
    for piece in (b"this is no sound" * 100, bytes(5000)):
        with suppress(AudioError):
            assert stream.push(piece)[0].size == 0

    samples, rate = stream.push(mp3(tone(1.0), 16_000))

    assert rate == 16_000
    assert samples.size > 8000
