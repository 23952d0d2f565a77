"""Sound from and to both packages named audio_common_msgs, that of ros-drivers and that of mgonzs13."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time

from lfm_voice_ros.backends.mp3_stream import Mp3Stream
from lfm_voice_ros.core.errors import AudioError, ConfigurationError, ResourceError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.sound_formats import PORTAUDIO_INT16, from_array, from_bytes, portaudio_field, to_int16
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.msg import Audio, Interrupt, SpeechAudio
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.bridges.packages import fields, messages
from lfm_voice_ros.nodes.conversions import samples_to_field

_PACKAGE = "audio_common_msgs"
_IN = "audio_common/in"
_OUT = "audio_common/out"
_BACKLOG = 400  # pieces of sound that may wait to be decoded
_PIECE = 0.1  # s of the robot's voice in a message
_LEAD = 0.2  # s by which the robot's voice is ahead of the time at which it is heard
_PIECES = 1200  # that may wait to be sent: two minutes
_INFO_PERIOD = 5.0  # s between repetitions of the format


class Kind(Enum):
    """Whose package it is."""

    ROS_DRIVERS = "ros-drivers"
    MGONZS13 = "mgonzs13"


def kind_of(package: Any) -> Kind:
    """Tell the packages apart by their fields. Raises ConfigurationError for a third one."""
    if "data" in fields(package.AudioData):
        return Kind.ROS_DRIVERS
    if hasattr(package, "AudioStamped") and "audio_data" in fields(package.Audio):
        return Kind.MGONZS13
    raise ConfigurationError(
        f"the installed {_PACKAGE} is neither that of ros-drivers (AudioData.data) nor that of mgonzs13 "
        "(AudioStamped.audio.audio_data)"
    )


def bytes_field(samples: np.ndarray[Any, Any]) -> array[int]:
    """Numbers to a uint8[] field, without a Python number for each byte."""
    return array("B", samples.tobytes())


class SoundIn:
    """Takes sound from ``audio_common/in`` and gives it to ``audio/external``."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        """Make the topics of the package that is installed. Raises ConfigurationError."""
        package = messages(_PACKAGE, "bridge.audio_in")
        self._node = node
        self._info: Any = None
        self._mp3: Mp3Stream | None = None
        self._dropped: Counter[str] = Counter()
        self._external = node.create_publisher(Audio, "audio/external", qos.AUDIO)
        self._work = node.add_worker("incoming sound", _call, _BACKLOG)
        kind = kind_of(package)
        node.health.value("audio_common_msgs", kind.value)
        if kind is Kind.MGONZS13:
            self._subscribe(package.AudioStamped, _IN, self._take_stamped_array)
            return
        self._subscribe(package.AudioData, _IN, self._take_bytes)
        self._subscribe(package.AudioDataStamped, f"{_IN}_stamped", self._take_stamped_bytes)
        node.listen(package.AudioInfo, f"{_IN}_info", self._on_info, qos.SOUND_OF_OTHERS)

    def _subscribe(self, message_type: Any, topic: str, take: Callable[[Any], None]) -> None:
        self._node.listen(
            message_type, topic, lambda msg: self._work.put(partial(self._try, take, msg)), qos.SOUND_OF_OTHERS
        )

    def _on_info(self, msg: Any) -> None:
        self._info = msg

    # What follows runs in the worker.

    def _try(self, take: Callable[[Any], None], msg: Any) -> None:
        try:
            take(msg)
        except VoiceError as exc:
            level = Level.ERROR if isinstance(exc, ResourceError) else Level.WARN
            self._dropped["all"] += 1
            self._node.health.value("incoming sound unusable", self._dropped["all"])
            self._node.trouble("incoming sound", f"{_IN}: {exc}", level)
        else:
            self._node.well("incoming sound")

    def _take_bytes(self, msg: Any, stamp: Time | None = None) -> None:
        info = self._info
        if info is None:
            raise AudioError(
                f"sound came before its format; it is told on {_IN}_info, which must be the driver's audio_info"
            )
        data = bytes(msg.data)
        coding = info.coding_format.lower()
        if coding == "mp3":
            self._mp3 = self._mp3 or Mp3Stream()
            self._give(*self._mp3.push(data), stamp)
        elif coding in ("wave", ""):
            self._give(from_bytes(data, info.sample_format, info.channels), info.sample_rate, stamp)
        else:
            raise AudioError(f"sound coded as '{info.coding_format}' can't be read; send wave or mp3")

    def _take_stamped_bytes(self, msg: Any) -> None:
        self._take_bytes(msg.audio, msg.header.stamp)

    def _take_stamped_array(self, msg: Any) -> None:
        info = msg.audio.info
        values = getattr(msg.audio.audio_data, f"{portaudio_field(info.format)}_data")
        self._give(from_array(values, info.format, info.channels), info.rate, msg.header.stamp)

    def _give(self, samples: Samples, rate: int, stamp: Time | None) -> None:
        if not samples.size:
            return  # the decoder has not got a whole frame yet
        if rate <= 0:
            raise AudioError(f"sound with a sample rate of {rate} Hz was dropped")
        msg = Audio(sample_rate=rate, samples=samples_to_field(samples))
        if stamp is not None:
            msg.header.stamp = stamp
        self._external.publish(msg)


class SoundOut:
    """Gives ``audio/input`` or, at the pace at which it is heard, ``audio/output`` to ``audio_common/out``."""

    def __init__(self, node: VoiceNode[Any], which: str) -> None:
        """``which`` is input or output. Raises ConfigurationError."""
        package = messages(_PACKAGE, "bridge.audio_out")
        self._node = node
        self._package = package
        self._rate = 0
        self._cut = ""  # the reply that was cut last
        self._due = 0.0  # s, monotonic; when the next piece of the robot's voice is heard
        kind = kind_of(package)
        node.health.value("audio_common_msgs", kind.value)
        if kind is Kind.MGONZS13:
            self._plain = node.create_publisher(package.AudioStamped, _OUT, qos.AUDIO)
            self._send: Callable[[Samples, int], None] = self._send_array
        else:
            self._plain = node.create_publisher(package.AudioData, _OUT, qos.AUDIO)
            self._stamped = node.create_publisher(package.AudioDataStamped, f"{_OUT}_stamped", qos.AUDIO)
            self._info = node.create_publisher(package.AudioInfo, f"{_OUT}_info", qos.STATE)
            self._send = self._send_bytes
            node.every(_INFO_PERIOD, self._tell_format)
        if which == "input":
            node.listen(Audio, "audio/input", self._on_input, qos.AUDIO)
            return
        self._pieces = node.add_worker("outgoing sound", self._pace, _PIECES)
        node.listen(SpeechAudio, "audio/output", self._on_output, qos.AUDIO)
        node.listen(Interrupt, "interrupt", self._on_interrupt, qos.EVENT)

    def _on_input(self, msg: Audio) -> None:
        self._send(np.asarray(msg.samples, np.float32), msg.sample_rate)

    def _on_output(self, msg: SpeechAudio) -> None:
        if msg.utterance_id == self._cut or not msg.samples or not msg.sample_rate:
            return
        samples = np.asarray(msg.samples, np.float32)
        size = max(1, round(_PIECE * msg.sample_rate))
        for begin in range(0, samples.size, size):
            self._pieces.put((msg.utterance_id, samples[begin : begin + size], msg.sample_rate))

    def _on_interrupt(self, msg: Interrupt) -> None:
        for piece in self._pieces.clear():
            if msg.utterance_id in ("", piece[0]):
                self._cut = piece[0]
            else:
                self._pieces.put(piece)
        self._cut = msg.utterance_id or self._cut

    def _pace(self, piece: tuple[str, Samples, int]) -> None:
        """In the worker: send a piece shortly before it is to be heard."""
        _, samples, rate = piece
        self._due = max(self._due, time.monotonic())
        _wait(self._due - time.monotonic() - _LEAD)
        self._send(samples, rate)
        self._due += samples.size / rate

    def _send_array(self, samples: Samples, rate: int) -> None:
        msg = self._package.AudioStamped(header=self._node.header())
        msg.audio.audio_data.int16_data = array("h", to_int16(samples).tobytes())
        msg.audio.info.format = PORTAUDIO_INT16
        msg.audio.info.channels = 1
        msg.audio.info.rate = rate
        msg.audio.info.chunk = samples.size
        self._plain.publish(msg)

    def _send_bytes(self, samples: Samples, rate: int) -> None:
        if rate != self._rate:
            self._rate = rate
            self._tell_format()
        msg = self._package.AudioData(data=bytes_field(to_int16(samples)))
        self._plain.publish(msg)
        self._stamped.publish(self._package.AudioDataStamped(header=self._node.header(), audio=msg))

    def _tell_format(self) -> None:
        if self._rate:
            self._info.publish(
                self._package.AudioInfo(
                    channels=1,
                    sample_rate=self._rate,
                    sample_format="S16LE",
                    bitrate=16 * self._rate,
                    coding_format="wave",
                )
            )


def _wait(seconds: float) -> None:
    if seconds > 0:
        threading.Event().wait(seconds)


def _call(job: Callable[[], None]) -> None:
    job()
