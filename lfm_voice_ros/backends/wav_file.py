"""Sound files, through soundfile: read and write them, listen to one, speak into a folder of them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.playback import TimedSink
from lfm_voice_ros.core.ports import Clock, Played
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from soundfile import SoundFile

_CHUNK = 512  # samples a file source delivers at once


def read_wav(path: Path) -> Samples:
    """Read a sound file of any rate, width and number of channels; give it at 16 kHz, the channels averaged.

    Of a truncated file it gives what is there. Raises AudioError for a file that is missing, empty, without samples,
    no sound, or with samples that are not numbers.
    """
    import soundfile

    if not path.is_file():
        raise AudioError(f"the sound file {path} does not exist; give the path of a WAV file")
    if path.stat().st_size == 0:
        raise AudioError(f"the sound file {path} is empty; record it again")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as exc:
        raise AudioError(f"{path} can't be read as a sound file ({exc}); convert it to WAV") from exc
    if len(samples) == 0:
        raise AudioError(f"the sound file {path} has no samples; record it again")
    if not np.isfinite(samples).all():
        raise AudioError(f"the sound file {path} has samples that are not numbers; convert it to 16 bit WAV")
    return np.clip(resample(samples.mean(axis=1, dtype=np.float32), rate, SAMPLE_RATE), -1.0, 1.0)


def seconds_of(path: Path) -> float:
    """Give the length of a sound file. Raises AudioError for one that is missing or no sound."""
    import soundfile

    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as exc:
        raise AudioError(f"{path} can't be read as a sound file ({exc}); convert it to WAV") from exc


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write mono sound at ``rate`` Hz as 16 bit WAV, clipped at full scale.

    Raises ResourceError when the file can't be written.
    """
    with _create(path, rate) as file:
        file.write(samples)


class WavSource:
    """The port AudioSource over a file: it is heard in real time, and after it endless silence."""

    def __init__(self, path: Path, now: Clock) -> None:
        """``now`` gives the time in s that sound is stamped with."""
        self.description = f"file {path}"
        self.overflows = 0
        self._path = path
        self._now = now
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, deliver: Callable[[Samples, float], None]) -> None:
        """Begin to deliver. Raises AudioError for an unusable file."""
        samples = read_wav(self._path)
        self._thread = threading.Thread(target=self._play, args=(samples, deliver), name="wav source", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """A file that was read can't be lost."""

    def stop(self) -> None:
        """End within a second. Safe to call twice."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _play(self, samples: Samples, deliver: Callable[[Samples, float], None]) -> None:
        silence = np.zeros(_CHUNK, np.float32)
        began, stamp = time.monotonic(), self._now()
        position = 0
        while True:
            chunk = samples[position : position + _CHUNK] if position < samples.size else silence
            ends = (position + chunk.size) / SAMPLE_RATE
            if self._ending.wait(max(0.0, began + ends - time.monotonic())):
                return
            deliver(chunk, stamp + position / SAMPLE_RATE)
            position += chunk.size


class WavFolderSink(TimedSink):
    """A sink that keeps each reply as FOLDER/<utterance_id>.wav: what was heard of it, in real time, and no more.

    Characters of an id that don't fit in a file name become ``_``. Used from one thread.
    """

    def __init__(self, folder: Path, clock: Clock, played: Played | None = None) -> None:
        super().__init__(clock, played)
        self.description = f"folder {folder}"
        self._folder = folder
        self._path: Path | None = None
        self._file: SoundFile | None = None
        self._waiting: list[Samples] = []
        self._rate = 0
        self._began = 0.0  # s played before this reply
        self._written = 0  # samples in the file
        self._failure: ResourceError | None = None

    def start(self) -> None:
        """Make the folder. Raises ResourceError when that can't be."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ResourceError(f"the folder {self._folder} can't be made ({exc}); choose another sink") from exc

    def stop(self) -> None:
        """Close the file of the reply that plays."""
        self.end()

    def begin(self, utterance_id: str) -> None:
        """A new file; it is made with the first sound, whose rate it takes."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", utterance_id) or "reply"
        self._path = self._folder / f"{name}.wav"
        self._began, self._written, self._waiting = super().played_seconds(), 0, []

    def write(self, samples: Samples, sample_rate: int) -> None:
        """Queue sound; all of a reply has one rate."""
        super().write(samples, sample_rate)
        self._rate = sample_rate
        self._waiting.append(samples)
        if self._file is None and self._path is not None:
            with self._failing():
                self._file = _create(self._path, sample_rate)

    def flush(self) -> None:
        """Throw away what is queued."""
        super().flush()
        self._keep(super().played_seconds())
        self._waiting = []

    def played_seconds(self) -> float:
        """Seconds of sound that have passed since the start; that much is in the files."""
        played = super().played_seconds()
        self._keep(played)
        return played

    def end(self) -> None:
        """Complete the file and close it."""
        self._keep(super().played_seconds())
        file, self._file = self._file, None
        if file is not None:
            with self._failing():
                file.close()
        self._path = None

    def check(self) -> None:
        """Raises ResourceError when a file could not be written."""
        if self._failure is not None:
            raise self._failure

    def _keep(self, played: float) -> None:
        until = round((played - self._began) * self._rate)
        while self._waiting and self._written < until:
            piece, rest = np.split(self._waiting[0], [until - self._written])
            self._waiting[:1] = [rest] if rest.size else []
            self._written += piece.size
            if self._file is not None:
                with self._failing():
                    self._file.write(piece)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong in here is kept for :meth:`check`; the reply goes on unkept."""
        try:
            yield
        except (OSError, RuntimeError, ResourceError) as exc:
            self._failure = ResourceError(f"{self._path} can't be written ({exc}); free space or choose another sink")
            # Closed here, or a deleted file would keep its space; its header is lost with the space.
            with suppress(OSError, RuntimeError):
                if self._file is not None:
                    self._file.close()
            self._file = None


def _create(path: Path, rate: int) -> SoundFile:
    import soundfile

    try:
        return soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="WAV")
    except (soundfile.SoundFileError, OSError) as exc:
        raise ResourceError(f"{path} can't be written ({exc}); choose a folder that can be written to") from exc
