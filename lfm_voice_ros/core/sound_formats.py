"""Sound as other packages send it, to ours and back. Pure; compressed sound is decoded in the backends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.types import Samples

#: PortAudio's flags of sample formats, and the numbers that each stands for.
PORTAUDIO_FORMATS = {1: "float32", 2: "int32", 8: "int16", 16: "int8", 32: "uint8"}
#: The flag of 16 bit whole numbers.
PORTAUDIO_INT16 = 8

_MOST_CHANNELS = 64
#: GStreamer's names of sample formats: numpy's type of one sample.
_GSTREAMER_TYPES = {
    "S8": "i1",
    "U8": "u1",
    "S16LE": "<i2",
    "S16BE": ">i2",
    "S32LE": "<i4",
    "S32BE": ">i4",
    "F32LE": "<f4",
    "F32BE": ">f4",
    "F64LE": "<f8",
    "F64BE": ">f8",
}


def from_bytes(data: bytes, sample_format: str, channels: int) -> Samples:
    """Uncompressed sound with GStreamer's name of its format, for example S16LE; channels are mixed to one.

    Raises AudioError for a format that isn't known and for bytes that are no whole number of samples.
    """
    name = _GSTREAMER_TYPES.get(sample_format.upper())
    if name is None:
        raise AudioError(
            f"sound in the format '{sample_format}' can't be read; send one of: {', '.join(_GSTREAMER_TYPES)}"
        )
    kind = np.dtype(name)
    if len(data) % kind.itemsize:
        raise AudioError(f"{len(data)} bytes are no whole number of samples in the format {sample_format}")
    return mono(scaled(np.frombuffer(data, kind)), channels)


def from_array(values: Any, portaudio_format: int, channels: int) -> Samples:
    """The numbers of an array message whose format is a flag of PortAudio; channels are mixed to one.

    Raises AudioError for a format that isn't known.
    """
    name = portaudio_field(portaudio_format)
    return mono(scaled(np.asarray(values, np.dtype(name))), channels)


def portaudio_field(portaudio_format: int) -> str:
    """Which kind of numbers a flag of PortAudio stands for, for example int16. Raises AudioError."""
    name = PORTAUDIO_FORMATS.get(portaudio_format)
    if name is None:
        known = ", ".join(f"{flag} ({kind})" for flag, kind in PORTAUDIO_FORMATS.items())
        raise AudioError(f"sound in PortAudio's format {portaudio_format} can't be read; send one of: {known}")
    return name


def scaled(values: NDArray[Any]) -> Samples:
    """Whole numbers of any size to full scale [-1, 1]; unsigned ones are silent in the middle. Floats stay."""
    if values.dtype.kind == "f":
        return np.asarray(values, np.float32)
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    middle = half if values.dtype.kind == "u" else 0.0
    return np.asarray((values.astype(np.float64) - middle) / half, np.float32)


def mono(samples: Samples, channels: int) -> Samples:
    """The mean of interleaved channels. Raises AudioError where they don't come out even."""
    if not 1 <= channels <= _MOST_CHANNELS:
        raise AudioError(f"sound with {channels} channels can't be read; send 1 to {_MOST_CHANNELS}")
    if samples.size % channels:
        raise AudioError(f"{samples.size} samples are no whole number of {channels} channels")
    return samples if channels == 1 else np.asarray(samples.reshape(-1, channels).mean(axis=1), np.float32)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Sound in [-1, 1] as 16 bit whole numbers; louder sound is cut, and what is no number is silent."""
    return np.asarray(np.round(np.clip(np.nan_to_num(samples), -1.0, 1.0) * 32767.0), "<i2")
