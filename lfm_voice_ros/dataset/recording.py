"""Recordings: each turn as an example of a dataset, with its sound, and with its messages in an MCAP file.

    ROOT/2026-10-07/dataset.json        the turns of a day (local time), see format.py
    ROOT/2026-10-07/audio/ID.wav        what the person said, 16 kHz
    ROOT/2026-10-07/audio/ID.reply.wav  what was heard of the robot
    ROOT/2026-10-07/mcap/ID.mcap        all messages of the turn

A turn is in ``dataset.json`` once all of its files are complete, so whatever is listed is there. docs/recording.md.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import Writer

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.errors import ResourceError, VoiceError
from lfm_voice_ros.core.types import SAMPLE_RATE, Json, Samples, ToolCall, ToolResult, Utterance
from lfm_voice_ros.dataset.changes import locked, read_list, write_list
from lfm_voice_ros.dataset.format import (
    DATASET_FILE,
    Example,
    replace_file,
    result_entry,
    to_entry,
    write_response,
)
from lfm_voice_ros.dataset.message_definitions import definition

_LONGEST_NAME = 100  # characters of an id that a file's name takes
_DAY = re.compile(r"\d{4}-\d\d-\d\d")

#: The beginning of the names of folders that are being deleted.
DELETED = ".deleted-"


@dataclass(frozen=True)
class RecordedMessage:
    """A ROS message as it came."""

    topic: str  # the full name
    type: str  # for example lfm_voice_ros/msg/Reply
    received: int  # ns since 1970
    cdr: bytes


@dataclass(frozen=True)
class RecordedTurn:
    """What a person said, and what became of it."""

    utterance: Utterance
    transcript: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]  # in the order of the calls
    reply: str
    reply_sound: Samples | None  # what was heard of it; None where nothing was
    reply_rate: int  # Hz
    kind: str  # empty, or why the reply is no example to follow: interrupted, error
    recorded: datetime  # with its time zone; its date says in which folder the turn goes
    messages: tuple[RecordedMessage, ...]


@dataclass(frozen=True)
class TurnFiles:
    """Where the files of a turn lie; nothing in an id leads out of the folder."""

    day: Path
    utterance_id: str

    @property
    def audio(self) -> Path:
        """The person's sound."""
        return self.day / "audio" / f"{self._stem}.wav"

    @property
    def reply(self) -> Path:
        """The robot's sound."""
        return self.day / "audio" / f"{self._stem}.reply.wav"

    @property
    def messages(self) -> Path:
        """The messages."""
        return self.day / "mcap" / f"{self._stem}.mcap"

    def all(self) -> list[Path]:
        """Every file that a turn can have, with those that are still being written."""
        files = [self.audio, self.reply, self.messages]
        return files + [path.with_name(path.name + ".part") for path in files]

    @property
    def _stem(self) -> str:
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", self.utterance_id)[:_LONGEST_NAME]
        if safe == self.utterance_id:
            return safe
        return f"{safe}-{hashlib.sha256(self.utterance_id.encode()).hexdigest()[:8]}"


class Recordings:
    """The recordings in a folder. For one thread; other processes may use the folder at the same time."""

    def __init__(self, root: Path, speaker: str = "") -> None:
        """``speaker`` says who the person is; it goes into each example."""
        self._root = root.absolute()
        self._speaker = speaker

    def prepare(self) -> None:
        """Make the folder, for its owner alone, and remove what a crash has left of turns that are in no dataset.

        Raises ResourceError when the folder can't be written to, ConfigurationError when a dataset in it is broken.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        for folder in self._root.glob(f"{DELETED}*"):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in day_folders(self._root).values():
            if (folder / DATASET_FILE).is_file():
                with locked(folder):
                    for path in _remains(folder):
                        path.unlink(missing_ok=True)

    def add(self, turn: RecordedTurn) -> None:
        """Write a turn; one with the same id on the same day is replaced.

        Raises ResourceError when it can't be written, for example to a full disk; nothing of it is then left, and what
        was written before is whole. Raises ConfigurationError when the day's dataset was broken by others.
        """
        files = TurnFiles(self._root / turn.recorded.date().isoformat(), turn.utterance.utterance_id)
        try:
            with locked(files.day):
                self._write(turn, files)
        except ResourceError as exc:
            if isinstance(exc.__cause__, OSError):
                raise self._unwritable(exc.__cause__) from exc
            raise

    def _write(self, turn: RecordedTurn, files: TurnFiles) -> None:
        known = read_list(files.day)
        others = [entry for entry in known if entry.get("id") != files.utterance_id]
        try:
            said = resample(turn.utterance.samples, turn.utterance.sample_rate, SAMPLE_RATE)
            replace_file(files.audio, wav_bytes(said, SAMPLE_RATE))
            if turn.reply_sound is None:
                files.reply.unlink(missing_ok=True)
            else:
                replace_file(files.reply, wav_bytes(turn.reply_sound, turn.reply_rate))
            replace_file(files.messages, mcap_bytes(turn.messages))
            write_list(files.day, [*others, self._entry(turn, files)])
        except VoiceError:
            if len(others) == len(known):
                for path in files.all():
                    path.unlink(missing_ok=True)
            raise

    def _entry(self, turn: RecordedTurn, files: TurnFiles) -> dict[str, Json]:
        example = Example(
            audio=files.audio,
            transcript=turn.transcript,
            response=write_response(turn.calls, turn.reply),
            response_audio=None if turn.reply_sound is None else files.reply,
            results=tuple(map(result_entry, turn.results)),
            id=files.utterance_id,
            speaker=self._speaker,
            kind=turn.kind,
            recorded=turn.recorded.isoformat(timespec="milliseconds"),
        )
        return to_entry(example, files.day)

    def _unwritable(self, reason: OSError) -> ResourceError:
        # It doesn't name the file: the node says a thing once, and each turn has other files.
        return ResourceError(
            f"turns can't be recorded in {self._root} ({reason.strerror}); free space there, forget old turns with "
            "`lfm-voice data forget`, or choose another recorder.folder"
        )


def day_folders(root: Path) -> dict[date, Path]:
    """The folders of days in a folder of recordings, oldest first; links and whatever else is there are left out."""
    found: dict[date, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if _DAY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            try:
                found[date.fromisoformat(path.name)] = path
            except ValueError:
                continue
    return found


def named_files(day: Path, entries: Iterable[Mapping[str, Json]]) -> set[Path]:
    """The sound files that entries of a day's dataset name."""
    names = [entry.get(name) for entry in entries for name in ("audio", "response_audio")]
    return {Path(os.path.normpath(day / str(name))) for name in names if name}


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """A WAV file of mono sound at ``rate`` Hz: 16 bit, clipped at full scale."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def mcap_bytes(messages: Sequence[RecordedMessage]) -> bytes:
    """An MCAP file of messages that rosbag2 and Foxglove read; readers give them in the order of their times.

    Raises ConfigurationError where the definition of a message isn't installed.
    """
    buffer = io.BytesIO()
    writer = Writer(buffer)
    writer.start(profile="ros2", library="lfm_voice_ros")
    schemas: dict[str, int] = {}
    channels: dict[str, int] = {}
    for message in messages:
        if message.type not in schemas:
            text = definition(message.type).encode()
            schemas[message.type] = writer.register_schema(message.type, SchemaEncoding.ROS2, text)
        if message.topic not in channels:
            channels[message.topic] = writer.register_channel(message.topic, MessageEncoding.CDR, schemas[message.type])
        writer.add_message(channels[message.topic], message.received, message.cdr, message.received)
    writer.finish()  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def _remains(day: Path) -> Iterator[Path]:
    """Files in the form of a recorded turn's that no example names."""
    entries = read_list(day)
    named = named_files(day, entries) | {TurnFiles(day, str(entry.get("id", ""))).messages for entry in entries}
    for pattern in ("audio/*.wav", "mcap/*.mcap", "audio/*.part", "mcap/*.part", f"{DATASET_FILE}.part"):
        yield from (path for path in day.glob(pattern) if path not in named)
