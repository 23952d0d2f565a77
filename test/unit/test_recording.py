"""Recordings: whole turns or none, in files that others read."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import deserialize_message
from recorded import RESULT, WHEN, message, recorded_turn, tone

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.dataset.changes import LOCK_FILE, locked
from lfm_voice_ros.dataset.format import Example, dataset_file, read_dataset, write_dataset
from lfm_voice_ros.dataset.message_definitions import definition
from lfm_voice_ros.dataset.recording import Recordings, TurnFiles, mcap_bytes
from lfm_voice_ros.msg import (
    Playback,
    Reply,
    SpeechAudio,
    ToolDecision,
    ToolResult,
    Transcript,
    TurnMetrics,
    Utterance,
)
from lfm_voice_ros.msg import ToolCall as ToolCallMsg

DAY = "2026-10-08"


def check_whole(day: Path) -> list[Example]:
    """Every listed file is there and can be read; gives the examples."""
    examples = read_dataset(day)
    for example in examples:
        assert soundfile.info(example.audio).frames > 0
        assert example.response_audio is not None
        assert soundfile.info(example.response_audio).frames > 0
        assert len(messages_of(TurnFiles(day, example.id).messages)) == 2
    return examples


def messages_of(path: Path) -> list[tuple[str, str, bytes]]:
    with path.open("rb") as file:
        return [
            (channel.topic, schema.name, each.data)
            for schema, channel, each in make_reader(file).iter_messages()
            if schema
        ]


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_turn_becomes_an_example_of_its_local_day(tmp_path: Path) -> None:
    Recordings(tmp_path, speaker="Ada").add(recorded_turn())

    assert files_of(tmp_path) == {
        f"{DAY}/dataset.json",
        f"{DAY}/audio/u1.wav",
        f"{DAY}/audio/u1.reply.wav",
        f"{DAY}/mcap/u1.mcap",
    }
    (example,) = read_dataset(tmp_path / DAY)
    assert example.transcript == "Look left."
    assert example.response == "<tool>pan_left(degrees=30)</tool> Looking left, thirty degrees."
    assert example.calls == (RESULT.call,)
    assert example.results == (
        {
            "name": "pan_left",
            "arguments": {"degrees": 30},
            "status": "succeeded",
            "data": {"pan_degrees": 30.0},
            "speech": "Looking left, thirty degrees.",
        },
    )
    assert (example.id, example.speaker, example.recorded) == ("u1", "Ada", "2026-10-08T01:30:00.000+09:00")


def test_what_the_person_said_is_kept_at_16_khz_and_the_reply_at_its_own_rate(tmp_path: Path) -> None:
    turn = recorded_turn()
    fast = replace(turn.utterance, samples=tone(0.5, 48_000), sample_rate=48_000)

    Recordings(tmp_path).add(replace(turn, utterance=fast))

    (example,) = read_dataset(tmp_path / DAY)
    said, rate = soundfile.read(example.audio)
    assert (rate, len(said)) == (16_000, 8_000)
    reply, rate = soundfile.read(example.response_audio)
    assert rate == 22_050
    np.testing.assert_allclose(reply, tone(0.25, 22_050), atol=1e-4)


def test_a_reply_that_nobody_heard_has_no_sound(tmp_path: Path) -> None:
    Recordings(tmp_path).add(recorded_turn(reply_sound=None, kind="interrupted"))

    (example,) = read_dataset(tmp_path / DAY)
    assert (example.response_audio, example.kind) == (None, "interrupted")


def test_turns_of_a_day_are_added_and_what_others_have_changed_stays(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn("u1"))
    write_dataset(tmp_path / DAY, [replace(example, review="accepted") for example in read_dataset(tmp_path / DAY)])

    recordings.add(recorded_turn("u2"))
    recordings.add(recorded_turn("u3", recorded=WHEN + timedelta(days=1)))

    assert [(example.id, example.review) for example in check_whole(tmp_path / DAY)] == [("u1", "accepted"), ("u2", "")]
    assert [example.id for example in check_whole(tmp_path / "2026-10-09")] == ["u3"]


def test_a_turn_that_comes_again_replaces_the_first(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn(transcript="Look life."))
    recordings.add(recorded_turn(transcript="Look left."))

    assert [example.transcript for example in check_whole(tmp_path / DAY)] == ["Look left."]


@pytest.mark.parametrize("utterance_id", ["../../outside", "/etc/passwd", "a/b", ".", "ü" * 300, "a b\n"])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, utterance_id: str) -> None:
    root = tmp_path / "root"

    Recordings(root).add(recorded_turn(utterance_id))

    assert len(files_of(root)) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"root"}
    assert [example.id for example in check_whole(root / DAY)] == [utterance_id]


def test_ids_that_differ_only_in_what_no_file_name_takes_have_different_files(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    for utterance_id in ("a/b", "a.b", "a_b"):
        recordings.add(recorded_turn(utterance_id))

    assert len({example.audio for example in check_whole(tmp_path / DAY)}) == 3


def test_only_the_owner_sees_the_folder(tmp_path: Path) -> None:
    Recordings(tmp_path / "new").prepare()

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def contents() -> list[tuple[str, Any]]:
    call = ToolCallMsg(name="pan_left", arguments_json='{"degrees": 30}')
    metrics = TurnMetrics(utterance_id="u1", endpoint=0.5, calls=1)
    metrics.header.stamp.sec = 7
    return [
        ("utterance", Utterance(utterance_id="u1", sample_rate=16_000, samples=[0.25, -0.5, 1.0])),
        ("transcript", Transcript(utterance_id="u1", text="Look left, please: ä.", confidence=0.5)),
        ("tool_decision", ToolDecision(utterance_id="u1", calls=[call, call], detector="keywords")),
        ("tool_result", ToolResult(utterance_id="u1", call=call, index=0, total=2, result_json="{}")),
        ("tool_result", ToolResult(utterance_id="u1", call=call, index=1, total=2, status=ToolResult.CANCELED)),
        ("reply", Reply(utterance_id="u1", text="Looking left.", source="tools")),
        ("audio/output", SpeechAudio(utterance_id="u1", sequence=3, last=True, samples=[0.125] * 5)),
        ("playback", Playback(utterance_id="u1", state=Playback.FINISHED, heard_seconds=1.5)),
        ("turn_metrics", metrics),
    ]


def test_an_mcap_file_holds_the_messages_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    path = tmp_path / "turn.mcap"
    sent = [message(topic, content, received) for received, (topic, content) in enumerate(contents(), start=1)]

    path.write_bytes(mcap_bytes(sent[::-1]))

    read = messages_of(path)
    assert read == [(each.topic, each.type, each.cdr) for each in sent]
    types = {type(content).__name__: type(content) for _, content in contents()}
    back = [deserialize_message(cdr, types[name.rpartition("/")[2]]) for _, name, cdr in read]
    assert back == [content for _, content in contents()]


def test_a_reader_without_this_package_understands_the_messages(tmp_path: Path) -> None:
    path = tmp_path / "turn.mcap"
    path.write_bytes(mcap_bytes([message(topic, content) for topic, content in contents()]))

    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        read = [(channel.topic, decoded) for _, channel, _, decoded in reader.iter_decoded_messages()]

    for (topic, decoded), (sent_topic, sent) in zip(read, contents(), strict=True):
        assert topic == f"/{sent_topic}"
        assert_same(decoded, sent)


def assert_same(decoded: Any, sent: Any) -> None:
    """The fields of a message that was decoded by its schema alone are those of ours."""
    for name in sent.get_fields_and_field_types():
        value, expected = getattr(decoded, name), getattr(sent, name)
        if hasattr(expected, "get_fields_and_field_types"):
            assert_same(value, expected)
        elif isinstance(expected, list):
            for one, other in zip(value, expected, strict=True):
                assert_same(one, other)
        elif not isinstance(expected, str | int) and hasattr(expected, "__len__"):
            assert list(value) == list(expected)
        else:
            assert value == expected


def test_a_definition_brings_all_types_that_are_in_it_once() -> None:
    text = definition("lfm_voice_ros/msg/ToolDecision")

    assert [line for line in text.splitlines() if line.startswith("MSG: ")] == [
        "MSG: std_msgs/msg/Header",
        "MSG: builtin_interfaces/msg/Time",
        "MSG: lfm_voice_ros/msg/ToolCall",
    ]


def test_an_unknown_message_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="install nowhere_msgs"):
        definition("nowhere_msgs/msg/Thing")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Files of which the name has one of these endings find no space; nothing is in it at first."""
    endings: set[str] = set()
    fsync = os.fsync

    def no_space(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if any(name.endswith(f"{ending}.part") for ending in endings):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", no_space)
    return endings


@pytest.mark.parametrize("ending", ["u2.wav", "u2.reply.wav", "u2.mcap", "dataset.json"])
def test_a_full_disk_drops_the_turn_whole_and_leaves_what_was_there(
    tmp_path: Path, full: set[str], ending: str
) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn("u1"))
    before = files_of(tmp_path)

    full.add(ending)
    with pytest.raises(ResourceError, match=r"No space left on device.*free space.*forget.*recorder\.folder"):
        recordings.add(recorded_turn("u2"))

    assert files_of(tmp_path) == before
    full.clear()
    recordings.add(recorded_turn("u3"))
    assert [example.id for example in check_whole(tmp_path / DAY)] == ["u1", "u3"]


def test_what_a_full_disk_says_is_the_same_for_every_turn(tmp_path: Path, full: set[str]) -> None:
    full.add(".wav")
    said = set()
    for utterance_id in ("u1", "u2"):
        with pytest.raises(ResourceError) as caught:
            Recordings(tmp_path).add(recorded_turn(utterance_id))
        said.add(str(caught.value))

    assert len(said) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)  # noqa: S607


def test_on_a_disk_that_is_really_full_all_that_is_listed_is_whole_and_it_recovers(small_disk: Path) -> None:
    recordings = Recordings(small_disk / "recordings")
    written = 0
    refused = ""
    while not refused:
        try:
            recordings.add(recorded_turn(f"u{written}"))
            written += 1
        except ResourceError as exc:
            refused = str(exc)

    assert "No space left" in refused
    assert written > 5
    assert len(check_whole(small_disk / "recordings" / DAY)) == written
    recordings.prepare()
    TurnFiles(small_disk / "recordings" / DAY, "u0").audio.unlink()
    TurnFiles(small_disk / "recordings" / DAY, "u1").audio.unlink()
    recordings.add(recorded_turn("last", utterance=replace(recorded_turn("last").utterance, samples=tone(0.1))))
    assert read_dataset(small_disk / "recordings" / DAY)[-1].id == "last"


_ENDLESS = """
import sys
from pathlib import Path
from recorded import record
record(Path(sys.argv[1]), 0, 100_000, tell=True)
"""


@pytest.mark.parametrize("turns", [1, 7, 20])
def test_after_kill_9_all_that_is_listed_is_whole_and_the_rest_is_removed(tmp_path: Path, turns: int) -> None:
    support = str(Path(__file__).parents[1] / "support")
    environment = {**os.environ, "PYTHONPATH": f"{support}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", _ENDLESS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        for _ in range(turns):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)

    examples = check_whole(tmp_path / DAY)
    assert len(examples) >= turns
    Recordings(tmp_path).prepare()
    assert len(files_of(tmp_path)) == 1 + 3 * len(examples)
    Recordings(tmp_path).add(recorded_turn("next"))
    assert len(check_whole(tmp_path / DAY)) == len(examples) + 1


def test_what_a_crash_has_left_is_removed_and_what_examples_name_is_not(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn("u1"))
    day = tmp_path / DAY
    (day / "audio" / "spoken.wav").write_bytes(b"anew")
    (example,) = read_dataset(day)
    write_dataset(day, [replace(example, response_audio=day / "audio" / "spoken.wav")])
    kept = files_of(tmp_path) - {f"{DAY}/audio/u1.reply.wav"}
    for left in ("audio/u2.wav", "audio/u2.reply.wav.part", "mcap/u2.mcap", "mcap/u3.mcap.part", "dataset.json.part"):
        (day / left).write_bytes(b"left")
    (day / "notes.txt").write_text("of a person")
    (tmp_path / ".deleted-2026-01-01-1").mkdir()

    recordings.prepare()

    assert files_of(tmp_path) == kept | {f"{DAY}/notes.txt"}
    assert {path.name for path in tmp_path.iterdir()} == {DAY}


def test_a_broken_dataset_is_left_alone_and_named(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn("u1"))
    before = files_of(tmp_path)
    dataset_file(tmp_path / DAY).write_text('{"a": 1}')

    with pytest.raises(ConfigurationError, match=r"dataset\.json is no list of examples; repair it"):
        recordings.add(recorded_turn("u2"))
    with pytest.raises(ConfigurationError, match=r"dataset\.json is no list"):
        recordings.prepare()

    assert files_of(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ResourceError, match=r"file/recordings .*choose another recorder\.folder"):
        Recordings(tmp_path / "file" / "recordings").prepare()
    with pytest.raises(ResourceError, match=r"file/recordings .*choose another recorder\.folder"):
        Recordings(tmp_path / "file" / "recordings").add(recorded_turn())


def test_who_waits_for_a_dataset_in_vain_is_told(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ResourceError, match="another program kept"), locked(tmp_path, timeout=0.0):
        pass

    with locked(tmp_path, timeout=0.0):
        pass


def test_a_lock_of_a_folder_that_was_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "day"
    removed: list[Path] = []

    def remove_first(*_: object) -> None:
        if not removed:
            removed.append(folder.rename(tmp_path / "gone"))

    monkeypatch.setattr(fcntl, "flock", remove_first)

    with locked(folder):
        assert (folder / LOCK_FILE).exists()


def test_a_call_without_arguments_and_a_reply_without_calls_are_responses(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.add(recorded_turn("u1", calls=(ToolCall("nod"),), results=(), reply="Nodding."))
    recordings.add(recorded_turn("u2", calls=(), results=(), reply="Hello!"))

    assert [example.response for example in read_dataset(tmp_path / DAY)] == ["<tool>nod</tool> Nodding.", "Hello!"]
