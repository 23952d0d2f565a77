"""recorder over DDS: what was said is kept where that was switched on, whole, and everybody can see that it is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from harness import NodeProcess, Probe
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from recorded import recorded_turn, tone

from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.dataset.format import read_dataset
from lfm_voice_ros.dataset.recording import Recordings, TurnFiles, day_folders
from lfm_voice_ros.msg import (
    Playback,
    Reply,
    SpeechAudio,
    ToolCall,
    ToolDecision,
    ToolResult,
    Transcript,
    TurnMetrics,
    Utterance,
)
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]

RATE = 22_050


class Person:
    """Says and hears the messages of turns, as the other nodes would publish them."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.recorder = "recorder"  # whose diagnostics are looked at
        self.diagnostics: list[DiagnosticArray] = probe.subscribe("/diagnostics", DiagnosticArray)

    def turn(self, utterance_id: str, *, heard: float | None = None, text: str = "Look left.") -> list[tuple[str, Any]]:
        """Publish a turn with a call, up to its metrics; ``heard`` seconds of the reply, or all. Gives the messages."""
        messages = list(_turn(utterance_id, to_stamp(self.probe.now()), heard, text))
        for topic, message in messages:
            self.probe.publish(topic, message)
        return messages

    def status(self) -> DiagnosticStatus | None:
        """The newest that the recorder has said of itself."""
        found = [status for message in self.diagnostics for status in message.status if status.name == self.recorder]
        return found[-1] if found else None

    def values(self) -> dict[str, str]:
        status = self.status()
        return {value.key: value.value for value in status.values} if status else {}

    def wait_for(self, key: str, value: str) -> None:
        self.probe.wait_for(lambda: self.values().get(key) == value, what=f"{key} being {value}")


def _turn(utterance_id: str, now: Any, heard: float | None, text: str) -> Iterator[tuple[str, Any]]:
    mine = {"utterance_id": utterance_id}
    call = ToolCall(name="pan_left", arguments_json='{"degrees": 30}')
    said = samples_to_field(tone(0.5))
    yield "utterance", Utterance(**mine, speech_end=now, sample_rate=SAMPLE_RATE, samples=said)
    yield "transcript", Transcript(**mine, text=text, confidence=0.5)
    yield "tool_decision", ToolDecision(**mine, calls=[call], detector="keywords")
    done = '{"pan_degrees": 30.0}'
    yield "tool_result", ToolResult(**mine, call=call, total=1, result_json=done, speech="Looking left.")
    yield "reply", Reply(**mine, text="Looking left.", source="tools")
    sound = samples_to_field(tone(0.4, RATE))
    yield "audio/output", SpeechAudio(**mine, sample_rate=RATE, samples=sound, text="Looking left.")
    if heard is None:
        yield "audio/output", SpeechAudio(**mine, sequence=1, last=True, sample_rate=RATE)
        yield "playback", Playback(**mine, state=Playback.FINISHED)
    else:
        yield "playback", Playback(**mine, state=Playback.INTERRUPTED, heard_seconds=heard)
    yield "turn_metrics", TurnMetrics(**mine, speech_end=now, calls=1, interrupted=heard is not None)


@pytest.fixture
def person(probe: Probe) -> Person:
    return Person(probe)


def record(start: Start, folder: Path, **parameters: object) -> NodeProcess:
    return start("recorder", parameters={"enabled": True, "folder": str(folder), **parameters})


def only_day(root: Path) -> Path:
    (folder,) = day_folders(root).values()
    return folder


def test_a_turn_is_kept_with_its_sound_and_its_messages(start: Start, person: Person, tmp_path: Path) -> None:
    record(start, tmp_path, speaker="Ada")

    sent = person.turn("u1")
    person.wait_for("recorded turns", "1")

    (example,) = read_dataset(only_day(tmp_path))
    assert example.transcript == "Look left."
    assert example.response == "<tool>pan_left(degrees=30)</tool> Looking left."
    assert example.results[0]["data"] == {"pan_degrees": 30.0}
    assert (example.id, example.speaker, example.kind) == ("u1", "Ada", "")
    assert date.fromisoformat(only_day(tmp_path).name) == datetime.fromisoformat(example.recorded).date()
    said, rate = soundfile.read(example.audio, dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(said, tone(0.5), atol=1e-4)
    reply, rate = soundfile.read(example.response_audio, dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(reply, tone(0.4, RATE), atol=1e-4)
    with TurnFiles(only_day(tmp_path), "u1").messages.open("rb") as file:
        decoded = [
            (channel.topic, message)
            for _, channel, _, message in make_reader(
                file, decoder_factories=[DecoderFactory()]
            ).iter_decoded_messages()
        ]
    assert sorted(topic for topic, _ in decoded) == sorted(f"/{topic}" for topic, _ in sent)
    for topic, message in sent:
        kept = [each for name, each in decoded if name == f"/{topic}"]
        assert any(_same(each, message) for each in kept), f"{topic} is not as it was sent"


def _same(kept: Any, sent: Any) -> bool:
    """Whether a message that was decoded by its schema alone has the values of ours."""
    if hasattr(sent, "get_fields_and_field_types"):
        return all(_same(getattr(kept, name), getattr(sent, name)) for name in sent.get_fields_and_field_types())
    if isinstance(sent, str | int | float):
        return bool(kept == sent or (kept != kept and sent != sent))
    return len(kept) == len(sent) and all(map(_same, kept, sent))


def test_everybody_sees_that_it_records(start: Start, person: Person, tmp_path: Path) -> None:
    node = record(start, tmp_path, keep_days=7)

    person.wait_for("recorded turns", "0")

    status = person.status()
    assert status is not None
    assert status.level == DiagnosticStatus.WARN
    assert status.message == f"recording what people say into {tmp_path}"
    node.wait_for_output("turns are kept for 7 days")
    assert node.output.count("recording what people say") == 1


def test_while_it_is_off_it_hears_and_keeps_nothing(start: Start, person: Person, tmp_path: Path) -> None:
    start("recorder", parameters={"folder": str(tmp_path / "off")})
    person.probe.wait_for(person.status, what="the recorder's diagnostics")
    status = person.status()
    assert status is not None
    assert (status.level, status.message) == (DiagnosticStatus.OK, "off")

    # Another one says when such a node has heard the turn.
    start("recorder", parameters={"enabled": True, "folder": str(tmp_path / "on")}, remappings={"__node": "witness"})
    person.turn("u1")
    person.recorder = "witness"
    person.wait_for("recorded turns", "1")

    assert {path.name for path in tmp_path.iterdir()} == {"on"}
    person.recorder = "recorder"
    assert (person.status() or status).message == "off"
    assert "recorded turns" not in person.values()


def test_nothing_is_kept_of_sound_without_words(start: Start, person: Person, tmp_path: Path) -> None:
    record(start, tmp_path)

    person.turn("noise", text="")
    person.turn("u1")
    person.wait_for("recorded turns", "1")

    assert [example.id for example in read_dataset(only_day(tmp_path))] == ["u1"]
    assert person.values()["dropped turns"] == "0"


def test_of_an_interrupted_reply_what_was_heard_is_kept(start: Start, person: Person, tmp_path: Path) -> None:
    record(start, tmp_path)

    person.turn("u1", heard=0.1)
    person.wait_for("recorded turns", "1")

    (example,) = read_dataset(only_day(tmp_path))
    assert example.kind == "interrupted"
    assert example.response_audio is not None
    assert soundfile.info(example.response_audio).frames == round(0.1 * RATE)


def test_messages_that_make_no_sense_cost_their_turn_and_are_told(start: Start, person: Person, tmp_path: Path) -> None:
    node = record(start, tmp_path)

    person.probe.publish(
        "tool_decision", ToolDecision(utterance_id="bad", calls=[ToolCall(name="nod", arguments_json="{")])
    )
    person.wait_for("dropped turns", "1")
    status = person.status()
    assert status is not None
    assert "a turn was not recorded: the arguments of 'nod' are not JSON" in status.message
    person.turn("u1")
    person.wait_for("recorded turns", "1")

    assert "not recorded" not in (person.status() or status).message
    assert "Traceback" not in node.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_turn_that_has_ended_is_written_when_the_node_ends(
    start: Start, person: Person, tmp_path: Path, number: signal.Signals
) -> None:
    node = record(start, tmp_path)

    person.turn("first")
    person.wait_for("recorded turns", "1")
    person.turn("second")  # its grace has only begun
    # It has taken the last message when it answers what came after that one.
    person.probe.publish(
        "tool_decision", ToolDecision(utterance_id="x", calls=[ToolCall(name="x", arguments_json="{")])
    )
    person.wait_for("dropped turns", "1")

    assert node.stop(number, timeout=3.0) == 0
    assert [example.id for example in read_dataset(only_day(tmp_path))] == ["first", "second"]
    assert "Traceback" not in node.output


def test_days_that_are_too_old_are_deleted_at_the_start(start: Start, person: Person, tmp_path: Path) -> None:
    today = datetime.now(UTC).astimezone()
    Recordings(tmp_path).add(recorded_turn("today", recorded=today))
    Recordings(tmp_path).add(recorded_turn("old", recorded=today.replace(year=today.year - 1, day=1)))
    (tmp_path / "notes").mkdir()

    node = record(start, tmp_path, keep_days=30)
    node.wait_for_output("forgot 1 turns")

    assert {path.name for path in tmp_path.iterdir()} == {today.date().isoformat(), "notes"}


@dataclass(frozen=True)
class Disk:
    """A small file system."""

    folder: Path

    def fill(self) -> None:
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def free(self) -> None:
        (self.folder / "filler").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


def test_a_full_disk_is_told_once_and_recording_goes_on_when_there_is_space(
    start: Start, person: Person, disk: Disk
) -> None:
    root = disk.folder / "recordings"
    node = record(start, root)
    person.turn("u1")
    person.wait_for("recorded turns", "1")

    disk.fill()
    person.turn("u2")
    person.turn("u3")
    person.wait_for("dropped turns", "2")

    status = person.status()
    assert status is not None
    assert status.level == DiagnosticStatus.ERROR
    assert "No space left on device" in status.message
    assert "lfm-voice data forget" in status.message
    node.wait_for_output("No space left on device")
    assert node.output.count("No space left on device") == 1
    disk.free()
    person.turn("u4")
    person.wait_for("recorded turns", "2")
    person.probe.wait_for(lambda: (person.status() or status).level == DiagnosticStatus.WARN, what="the lamp alone")
    assert [example.id for example in read_dataset(only_day(root))] == ["u1", "u4"]
    assert len([path for path in only_day(root).rglob("*.*") if path.is_file()]) == 2 * 3 + 2  # the dataset, its lock
    assert "Traceback" not in node.output


def test_a_folder_that_cannot_be_made_is_told_at_once(start: Start, person: Person, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    node = record(start, tmp_path / "file" / "recordings")
    person.probe.wait_for(
        lambda: person.status() and person.status().level == DiagnosticStatus.ERROR,  # type: ignore[union-attr]
        what="an error in the diagnostics",
    )

    node.wait_for_output("choose another recorder.folder")
    assert "Traceback" not in node.output


def test_a_wrong_parameter_ends_the_start_with_a_sentence(start: Start, domain: int) -> None:
    node = start("recorder", parameters={"enabled": True, "folder": ""})

    assert node.wait(30.0) == 2
    assert "recorder.folder is empty" in node.output
    assert "Traceback" not in node.output
