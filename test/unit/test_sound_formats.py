"""Sound of other packages: whatever its numbers, channels and cuts, it becomes our mono sound; or a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from sound import tone

from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.sound_formats import from_array, from_bytes, to_int16

SOUND = tone(0.05)


@pytest.mark.parametrize(
    ("name", "kind", "scale", "middle"),
    [
        ("S8", "i1", 127, 0),
        ("U8", "u1", 127, 128),
        ("S16LE", "<i2", 32767, 0),
        ("S16BE", ">i2", 32767, 0),
        ("S32LE", "<i4", 2147483000, 0),
        ("F32LE", "<f4", 1, 0),
        ("F64BE", ">f8", 1, 0),
        ("s16le", "<i2", 32767, 0),
    ],
)
def test_bytes_become_sound(name: str, kind: str, scale: float, middle: int) -> None:
    data = (SOUND.astype(np.float64) * scale + middle).astype(kind).tobytes()

    assert from_bytes(data, name, 1) == pytest.approx(SOUND, abs=0.02 if "8" in name else 1e-4)


@pytest.mark.parametrize(
    ("flag", "kind", "scale", "middle"),
    [(1, "f4", 1, 0), (2, "i4", 2147483000, 0), (8, "i2", 32767, 0), (16, "i1", 127, 0), (32, "u1", 127, 128)],
)
def test_numbers_of_portaudio_become_sound(flag: int, kind: str, scale: float, middle: int) -> None:
    values = (SOUND.astype(np.float64) * scale + middle).astype(kind)

    assert from_array(values.tolist(), flag, 1) == pytest.approx(SOUND, abs=0.02 if "1" in kind else 1e-4)


def test_channels_are_mixed_to_one() -> None:
    left_only = np.stack((SOUND, np.zeros_like(SOUND)), axis=1)

    assert from_bytes(left_only.tobytes(), "F32LE", 2) == pytest.approx(SOUND / 2, abs=1e-6)


def test_what_goes_out_comes_back() -> None:
    assert from_bytes(to_int16(SOUND).tobytes(), "S16LE", 1) == pytest.approx(SOUND, abs=1e-4)


def test_sound_that_is_too_loud_or_no_number_stays_in_range() -> None:
    assert to_int16(np.array([2.0, -2.0, np.nan, np.inf], np.float32)).tolist() == [32767, -32767, 0, 32767]


@pytest.mark.parametrize(
    ("data", "name", "channels", "complaint"),
    [
        (b"\0\0\0", "S16LE", 1, "no whole number of samples"),
        (b"\0\0", "S16LE", 2, "no whole number of 2 channels"),
        (b"\0\0", "S16LE", 0, "0 channels"),
        (b"\0\0", "MULAW", 1, "'MULAW' can't be read; send one of: S8"),
        (b"\0\0", "", 1, "can't be read"),
    ],
)
def test_what_cannot_be_read_is_said(data: bytes, name: str, channels: int, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint):
        from_bytes(data, name, channels)


@pytest.mark.parametrize("flag", [0, 4, 0x80000001])
def test_a_format_of_portaudio_that_cannot_be_read_is_said(flag: int) -> None:
    with pytest.raises(AudioError, match=r"8 \(int16\)"):
        from_array([0], flag, 1)
