"""`lfm-voice benchmark` of the whole graph; how fast that is, no test asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import Probe

from lfm_voice_ros.demo.witness import Witness
from lfm_voice_ros.msg import Audio, Playback, SpeechAudio, Transcript, Utterance
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field
from lfm_voice_ros.watching.node import watching

pytestmark = pytest.mark.timeout(400)  # the assistant is started, and talks in real time

LOUD = samples_to_field(np.full(16_000, 0.5, np.float32))


def benchmark(temporary: Path, *options: str) -> subprocess.Popen[str]:
    line = ["lfm-voice", "benchmark", *options]
    return subprocess.Popen(
        line,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(temporary: Path) -> list[str]:
    """Folders and processes that a run with this folder for temporary files has left."""
    folders = [str(path) for path in temporary.iterdir() if path.is_dir()]
    mark = f"TMPDIR={temporary}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                folders.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has ended, or is somebody else's
    return folders


def test_a_talk_is_measured_beside_the_plain_pipeline(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    data, page = tmp_path / "turns.json", tmp_path / "turns.md"

    with benchmark(temporary, "--turns", "2", "--json", str(data), "--report", str(page)) as running:
        printed, complaints = running.communicate(timeout=300)

    assert running.returncode == 0, complaints
    turns = json.loads(data.read_text())["turns"]
    assert [turn["kind"] for turn in turns] == ["command", "question"]
    for turn in turns:
        stages, plain = turn["stages_ms"], turn["plain_ms"]
        assert 0 < stages["words"] <= stages["decision"] <= stages["reply"] <= stages["first_audio"]
        # When the witness got it; topics have no order among one another.
        assert stages["utterance"] > 0
        assert 0 < plain["utterance"] < plain["words"] < plain["decision"] < plain["first_audio"]
    head = turns[0]["stages_ms"]
    assert head["decision"] < head["motion"]
    assert head["command"] > 0
    assert "first audio" in printed
    assert "cores" in page.read_text()
    assert page.with_suffix(".png").is_file()
    assert left_behind(temporary) == []


def test_an_interrupt_ends_everything_that_was_started(tmp_path: Path) -> None:
    with benchmark(tmp_path, "--turns", "2") as running:
        assert running.stderr is not None
        while "s of silence" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)

    assert running.returncode == 130
    assert left_behind(tmp_path) == []


@pytest.fixture
def witness(domain: int) -> Iterator[Witness]:
    with watching(lambda: Witness(lambda *_: None)) as node:
        yield node


def test_a_turn_is_whole_also_where_its_words_come_before_its_sound(probe: Probe, witness: Witness) -> None:
    words = Transcript(utterance_id="u1", text="Look left.")
    words.header.stamp = to_stamp(12.5)
    probe.publish("transcript", words)
    assert witness.wait(lambda: bool(witness.recording.turns), 20.0)
    probe.publish("utterance", Utterance(utterance_id="u1", speech_start=to_stamp(10.0), speech_end=to_stamp(12.0)))

    assert witness.wait(lambda: "utterance" in witness.recording.turns["u1"].times, 20.0)
    (heard,) = witness.heard()
    assert (heard.speech, heard.understood) == ((10.0, 12.0), True)
    assert heard.times["utterance"] == heard.times["words"] == 12.5


def test_what_the_loudspeaker_plays_is_heard_where_the_player_tells_it(probe: Probe, witness: Witness) -> None:
    played = Audio(sample_rate=16_000, samples=LOUD)
    played.header.stamp = to_stamp(50.0)
    probe.publish("audio/played", played)

    assert witness.wait(lambda: bool(witness.played.spans()), 20.0)
    assert witness.tapped
    assert witness.played.onset(0.0) == pytest.approx(50.0, abs=1e-3)


def test_where_the_player_does_not_tell_it_the_reply_is_laid_along_the_times_of_playback(
    probe: Probe, witness: Witness
) -> None:
    probe.publish("utterance", Utterance(utterance_id="u1"))
    assert witness.wait(lambda: "u1" in witness.recording.turns, 20.0)
    probe.publish("audio/output", SpeechAudio(utterance_id="u1", sample_rate=16_000, samples=LOUD))
    assert witness.wait(lambda: bool(witness.recording.turns["u1"].voice), 20.0)
    for at, state, heard in ((50.0, Playback.STARTED, 0.1), (50.5, Playback.INTERRUPTED, 0.5)):
        report = Playback(utterance_id="u1", state=state, heard_seconds=heard)
        report.header.stamp = to_stamp(at)
        probe.publish("playback", report)

    assert witness.wait(lambda: bool(witness.seen().cuts), 20.0)
    assert witness.played.onset(0.0) == pytest.approx(50.0, abs=1e-3)
    assert witness.played.silence(50.2) == pytest.approx(50.5, abs=1e-3)
