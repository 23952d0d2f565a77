"""Microphone and loudspeaker, through sounddevice (PortAudio).

PortAudio's callbacks only copy. A device that goes away is told by ``check()``; to get it back, a new object is made
and started.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from lfm_voice_ros.backends.resampling import StreamResampler
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Clock, Played
from lfm_voice_ros.core.sample_clock import SampleClock
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

_SILENT_AFTER = 1.0  # s without a callback after which a device counts as lost
_OPENING = 3.0  # s for which a sound server may hesitate with a new stream
_QUEUE = 200  # blocks between the callback and the thread that delivers
_BLOCK = 0.01  # s of sound a callback
_FADE = 0.005  # s in which sound ends that is thrown away
_NOTHING = np.empty(0, np.float32)
_MISSING_LIBRARY = "PortAudio is missing; install it with: sudo apt-get install libportaudio2"


def list_devices() -> list[str]:
    """One line a device: its index, name, channels in and out, and * where it is the default.

    Raises ResourceError when PortAudio is missing or there is no device.
    """
    sounddevice = _library.load()
    _library.refresh()
    defaults = {"in": sounddevice.default.device[0], "out": sounddevice.default.device[1]}
    lines = []
    for index, device in enumerate(sounddevice.query_devices()):
        marks = [f"default {way}put" for way, default in defaults.items() if default == index]
        channels = f"{device['max_input_channels']} in, {device['max_output_channels']} out"
        lines.append(f"{index:3d}  {device['name']}  ({channels}){'  * ' + ', '.join(marks) if marks else ''}")
    if not lines:
        raise ResourceError("there is no sound device; plug one in, or start the sound server")
    return lines


class _Device(Protocol):
    """A device in use, as the library sees it."""

    def open_stream(self, sounddevice: Any) -> None:
        """Raises ResourceError."""

    def close_stream(self) -> None:
        """Raises nothing."""

    def idle(self) -> bool:
        """Whether nobody would hear that the stream is closed and opened again."""


class _Library:
    """PortAudio, which lists the devices once: to see new ones it must be ended, with all its streams, and begun again.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: list[_Device] = []

    def load(self) -> Any:
        """The module sounddevice. Raises ResourceError when PortAudio is missing."""
        try:
            import sounddevice
        except (ImportError, OSError) as exc:
            raise ResourceError(_MISSING_LIBRARY) from exc
        return sounddevice

    def open(self, device: _Device) -> None:
        """Open the device's stream, if need be after a look for new devices. Raises ResourceError."""
        with self._lock:
            sounddevice = self.load()
            try:
                device.open_stream(sounddevice)
            except ResourceError:
                if not self.refresh():
                    raise
                device.open_stream(sounddevice)
            self._open.append(device)

    def close(self, device: _Device) -> None:
        """Close the device's stream. Safe to call twice."""
        with self._lock:
            if device in self._open:
                self._open.remove(device)
                device.close_stream()

    def refresh(self) -> bool:
        """Look for new devices; False when that can't be, because sound is going through another device."""
        with self._lock:
            sounddevice = self.load()
            if not all(device.idle() for device in self._open):
                return False
            for device in self._open:
                device.close_stream()
            # Private, but there is no other way to make PortAudio look again.
            sounddevice._terminate()
            sounddevice._initialize()
            for device in self._open:
                try:
                    device.open_stream(sounddevice)
                except ResourceError:
                    continue  # its own check() tells
            return True


_library = _Library()


class Microphone:
    """The port AudioSource over an input device: one channel, or the mean of two, or the first of more."""

    def __init__(self, device: str, now: Clock) -> None:
        """``device`` is a name, a part of one, an index, or empty for the default; ``now`` gives s for the stamps."""
        self.description = f"microphone {device or '(default)'}"
        self.overflows = 0
        self._device = device
        self._now = now
        self._stream: Any = None
        self._rate = 0
        self._blocks: queue.Queue[tuple[Samples, float]] = queue.Queue(_QUEUE)
        self._opened_at = 0.0  # s, monotonic
        self._heard_at = 0.0  # s, monotonic: the newest callback
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, deliver: Callable[[Samples, float], None]) -> None:
        """Open the device and begin to deliver. Raises ResourceError."""
        _library.open(self)
        self._thread = threading.Thread(target=self._run, args=(deliver,), name="microphone", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises ResourceError when the device is gone or has given nothing for a second."""
        if _lost(self._stream, self._opened_at, self._heard_at):
            raise ResourceError(f"{self.description} gives no sound any more; plug it in again or choose another")

    def stop(self) -> None:
        """End within a second. Safe to call twice."""
        self._ending.set()
        _library.close(self)
        if self._thread is not None:
            self._thread.join(0.5)

    def idle(self) -> bool:
        """A microphone always listens."""
        return False

    def open_stream(self, sounddevice: Any) -> None:
        """Open at 16 kHz, or at the device's own rate. Raises ResourceError."""
        info = _find(sounddevice, self._device, "input")
        channels = _accepted_channels(sounddevice.check_input_settings, info, sounddevice.PortAudioError)
        rate = _accepted_rate(sounddevice.check_input_settings, info, channels, sounddevice.PortAudioError)
        self._rate = rate
        self.description = f"microphone {info['name']}"
        self._stream = _started(
            sounddevice,
            sounddevice.InputStream,
            f"{self.description} can't be opened",
            device=info["index"],
            channels=channels,
            samplerate=rate,
            latency="low",
            callback=self._callback,
        )
        self._opened_at = time.monotonic()

    def close_stream(self) -> None:
        """Close at once."""
        _closed(self._stream)

    def _callback(self, indata: Samples, frames: int, times: Any, status: Any) -> None:
        self._heard_at = time.monotonic()
        if status.input_overflow:
            self.overflows += 1
        delay = min(max(times.currentTime - times.inputBufferAdcTime, frames / self._rate), 0.5)
        try:
            self._blocks.put_nowait((indata.copy(), self._heard_at - delay))
        except queue.Full:
            self.overflows += 1

    def _run(self, deliver: Callable[[Samples, float], None]) -> None:
        resampler = StreamResampler(self._rate, SAMPLE_RATE)
        clock = SampleClock(self._rate)
        while not self._ending.is_set():
            try:
                block, captured = self._blocks.get(timeout=0.1)
            except queue.Empty:
                continue
            mono = block.mean(axis=1, dtype=np.float32) if block.shape[1] <= 2 else block[:, 0]
            began = clock.stamp(mono.size, self._now() - (time.monotonic() - captured)) - resampler.held_seconds
            if (samples := resampler.push(mono)).size:
                deliver(np.clip(samples, -1.0, 1.0), began)


class Speaker:
    """The port AudioSink over an output device; every method may be called from any thread."""

    def __init__(self, device: str, latency: float = 0.03, played: Played | None = None) -> None:
        """``device`` is a name, a part of one, an index, or empty for the default; ``latency`` (s) is asked of it.

        ``played`` is told what the device plays, a block or two before it is audible.
        """
        self.description = f"speaker {device or '(default)'}"
        self.underflows = 0
        self.latency = 0.0  # s, from the newest block until it is audible, as PortAudio says
        self._device = device
        self._wanted = latency
        self._tell = played
        self._clock = SampleClock(SAMPLE_RATE)
        self._sounding = False  # the newest block was sound to its end
        self._stream: Any = None
        self._rate = 0
        self._lock = threading.Lock()
        self._pieces: deque[Samples] = deque()  # at the device's rate
        self._waiting = 0  # samples in the pieces
        self._handed = 0  # samples given to the device
        self._audible_until = 0.0  # s, monotonic: when the last of them leaves the device
        self._resampler: StreamResampler | None = None
        self._opened_at = 0.0  # s, monotonic
        self._called_at = 0.0  # s, monotonic: the newest callback

    def start(self) -> None:
        """Open the device. Raises ResourceError."""
        _library.open(self)

    def stop(self) -> None:
        """Close at once. Safe to call twice."""
        self.flush()
        _library.close(self)

    def begin(self, utterance_id: str) -> None:
        """All replies go to the same device."""

    def end(self) -> None:
        """Nothing is kept."""

    def check(self) -> None:
        """Raises ResourceError when the device is gone or has taken nothing for a second."""
        if _lost(self._stream, self._opened_at, self._called_at):
            raise ResourceError(f"{self.description} takes no sound any more; plug it in again or choose another")

    def write(self, samples: Samples, sample_rate: int) -> None:
        """Queue sound behind what is queued already."""
        with self._lock:
            if self._resampler is None or self._resampler.from_rate != sample_rate:
                self._release()
                self._resampler = StreamResampler(sample_rate, self._rate)
            self._queue(self._resampler.push(samples))

    def finish(self) -> None:
        """Let the resampler hold back nothing."""
        with self._lock:
            self._release()

    def flush(self) -> None:
        """Throw away what is queued but for 5 ms, in which it fades; the device has a few blocks already."""
        with self._lock:
            rest = np.concatenate(self._pieces) if self._pieces and self._sounding else np.empty(0, np.float32)
            rest = rest[: round(_FADE * self._rate)]
            self._pieces.clear()
            self._waiting = 0
            self._resampler = None
            self._queue(rest * np.linspace(1.0, 0.0, rest.size, endpoint=False, dtype=np.float32))

    def played_seconds(self) -> float:
        """Seconds of sound that have left the device since the start; silence doesn't count."""
        with self._lock:
            return max(0.0, self._handed / self._rate - self._in_device())

    def queued_seconds(self) -> float:
        """Seconds of sound that wait here, in the resampler, or in the device."""
        with self._lock:
            held = self._resampler.held_seconds if self._resampler is not None else 0.0
            return self._waiting / self._rate + max(0.0, held) + self._in_device()

    def idle(self) -> bool:
        """Whether nothing plays or waits."""
        return self.queued_seconds() == 0

    def open_stream(self, sounddevice: Any) -> None:
        """Open at the device's own rate. Raises ResourceError."""
        info = _find(sounddevice, self._device, "output")
        channels = _accepted_channels(sounddevice.check_output_settings, info, sounddevice.PortAudioError)
        self._rate = int(info["default_samplerate"])
        self.description = f"speaker {info['name']}"
        self._stream = _started(
            sounddevice,
            sounddevice.OutputStream,
            f"{self.description} can't be opened",
            device=info["index"],
            channels=channels,
            samplerate=self._rate,
            latency=self._wanted,
            blocksize=round(_BLOCK * self._rate),
            callback=self._callback,
        )
        self._opened_at = time.monotonic()
        self._clock = SampleClock(self._rate)

    def close_stream(self) -> None:
        """Close at once."""
        _closed(self._stream)

    def _callback(self, outdata: Samples, frames: int, times: Any, status: Any) -> None:
        now = time.monotonic()
        self._called_at = now
        if status.output_underflow:
            self._clock.reset()
        self.latency = delay = min(max(times.outputBufferDacTime - times.currentTime, 0.0), 0.5)
        audible = self._clock.stamp(frames, now + delay)
        outdata.fill(0)
        with self._lock:
            filled = 0
            while self._pieces and filled < frames:
                piece = self._pieces.popleft()
                part = piece[: frames - filled]
                if part.size < piece.size:
                    self._pieces.appendleft(piece[part.size :])
                outdata[filled : filled + part.size] = part[:, np.newaxis]
                if self._tell is not None:
                    self._tell(part, self._rate, audible + filled / self._rate)
                filled += part.size
            if self._tell is not None and filled < frames and (filled or self._sounding):
                self._tell(_NOTHING, self._rate, audible + filled / self._rate)
            self._sounding = filled == frames
            if filled:
                self._waiting -= filled
                self._handed += filled
                self._audible_until = now + delay + filled / self._rate
                if status.output_underflow:
                    self.underflows += 1

    def _queue(self, samples: Samples) -> None:
        if samples.size:
            self._pieces.append(np.clip(samples, -1.0, 1.0))
            self._waiting += samples.size

    def _release(self) -> None:
        if self._resampler is not None:
            self._queue(self._resampler.push(np.empty(0, np.float32), last=True))
            self._resampler = None

    def _in_device(self) -> float:
        return min(max(0.0, self._audible_until - time.monotonic()), self._handed / self._rate)


def _find(sounddevice: Any, device: str, kind: str) -> Any:
    noun = "microphone" if kind == "input" else "speaker"
    try:
        return sounddevice.query_devices(int(device) if device.isdecimal() else device or None, kind)
    except (ValueError, sounddevice.PortAudioError) as exc:
        if device:
            raise ResourceError(f"there is no single {noun} '{device}'; lfm-voice devices lists them") from exc
        raise ResourceError(f"no {noun} was found; plug one in (lfm-voice devices lists them)") from exc


def _accepted_channels(check: Callable[..., None], info: Any, refused: type[Exception]) -> int:
    most = max(info["max_input_channels"], info["max_output_channels"])
    for channels in (1, 2):
        try:
            check(device=info["index"], channels=channels, dtype="float32", samplerate=info["default_samplerate"])
        except refused:
            continue
        return channels
    return int(most)


def _accepted_rate(check: Callable[..., None], info: Any, channels: int, refused: type[Exception]) -> int:
    try:
        check(device=info["index"], channels=channels, dtype="float32", samplerate=SAMPLE_RATE)
    except refused:
        return int(info["default_samplerate"])
    return SAMPLE_RATE


def _started(sounddevice: Any, stream_type: Any, failure: str, **options: Any) -> Any:
    try:
        stream = stream_type(dtype="float32", **options)
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as exc:
        raise ResourceError(f"{failure} ({exc}); close the program that uses it or choose another") from exc
    return stream


def _lost(stream: Any, opened_at: float, called_at: float) -> bool:
    now = time.monotonic()
    patience = _SILENT_AFTER if now - opened_at > _OPENING else _OPENING
    return stream is None or not stream.active or now - max(opened_at, called_at) > patience


def _closed(stream: Any) -> None:
    if stream is not None:
        stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)
