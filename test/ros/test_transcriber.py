"""The transcriber over DDS: one transcript for each utterance, whatever is in it and whatever is missing."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe

from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.msg import Transcript, Utterance
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]


@pytest.fixture(scope="module")
def speak() -> Callable[[str], Samples]:
    """Give a sentence as sound at 16 kHz, with the silences around it that an utterance has."""
    voice = Piper("bundled", steady=True)

    def speak(text: str) -> Samples:
        spoken = soxr.resample(np.concatenate(list(voice.synthesize(text))), voice.sample_rate, SAMPLE_RATE)
        return np.pad(0.5 * spoken, (SAMPLE_RATE * 3 // 10, SAMPLE_RATE // 2)).astype(np.float32)

    return speak


def utterance(utterance_id: str, samples: Samples, sample_rate: int = SAMPLE_RATE) -> Utterance:
    return Utterance(utterance_id=utterance_id, sample_rate=sample_rate, samples=samples_to_field(samples))


def noise(seconds: float = 1.0) -> Samples:
    return (0.1 * np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def health(messages: list[DiagnosticArray]) -> tuple[int, str, dict[str, str]]:
    """The newest level, message and values of the transcriber; level -1 before there is one."""
    found = [status for message in messages for status in message.status if status.name == "transcriber"]
    if not found:
        return -1, "", {}
    return found[-1].level[0], found[-1].message, {value.key: value.value for value in found[-1].values}


def ask(probe: Probe, transcripts: list[Transcript], message: Utterance) -> Transcript:
    """Publish an utterance and wait for its transcript."""
    probe.publish("utterance", message)
    return probe.wait_for(
        lambda: next((t for t in transcripts if t.utterance_id == message.utterance_id), None), what="a transcript"
    )


def test_a_spoken_command_becomes_its_words(start: Start, probe: Probe, speak: Callable[[str], Samples]) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    transcripts = probe.subscribe("transcript", Transcript)
    node = start("transcriber")
    transcript = ask(probe, transcripts, utterance("u1", speak("What time is it?")))
    assert transcript.text.strip(" .?!").lower() == "what time is it"
    assert transcript.confidence > 0.5
    assert (transcript.language, transcript.rejection, transcript.failed) == ("en", "", False)
    assert transcript.header.stamp.sec > 0
    probe.wait_for(lambda: "transcription p50/p95 s" in health(diagnostics)[2], what="the time in the diagnostics")
    level, message, values = health(diagnostics)
    assert (level, message) == (0, "ok")
    assert values["model"] == "faster-whisper tiny.en (bundled)"
    assert "what time" not in (node.output + str(diagnostics)).lower()


def test_noise_has_an_empty_transcript_with_the_reason(start: Start, probe: Probe) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    start("transcriber")
    transcript = ask(probe, transcripts, utterance("u1", noise()))
    assert (transcript.text, transcript.failed) == ("", False)
    assert transcript.rejection.startswith("no speech")


@pytest.mark.parametrize(
    ("samples", "sample_rate", "reason"),
    [
        (np.full(16_000, np.nan, np.float32), SAMPLE_RATE, "NaN or infinite"),
        (np.full(16_000, np.inf, np.float32), SAMPLE_RATE, "NaN or infinite"),
        (np.zeros(0, np.float32), SAMPLE_RATE, "without samples"),
        (np.zeros(16_000, np.float32), 0, "sample rate of 0 Hz"),
        (np.zeros(16_000, np.float32), 44_100, "44100 Hz was dropped; send 16000 Hz"),
    ],
)
def test_an_unusable_utterance_fails_and_the_next_is_heard(
    start: Start, probe: Probe, samples: Samples, sample_rate: int, reason: str
) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    node = start("transcriber")
    broken = ask(probe, transcripts, utterance("broken", samples, sample_rate))
    assert (broken.text, broken.failed) == ("", True)
    assert reason in broken.rejection
    assert not ask(probe, transcripts, utterance("noise", noise())).failed
    assert [t.utterance_id for t in transcripts] == ["broken", "noise"]
    assert "Traceback" not in node.output


@pytest.mark.parametrize("backend", ["faster_whisper", "openai_whisper"])
def test_a_missing_model_is_one_sentence_and_the_node_lives(
    start: Start, probe: Probe, tmp_path: Path, backend: str
) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    transcripts = probe.subscribe("transcript", Transcript)
    missing = str(tmp_path / "none")
    node = start("transcriber", parameters={"model": missing, "backend": backend})
    probe.wait_for(lambda: health(diagnostics)[0] == 2, what="an error in the diagnostics")
    sentence = health(diagnostics)[1]
    assert f"{missing} isn't there" in sentence or "scripts/setup --extra openai-whisper" in sentence
    for name in ("u1", "u2"):
        transcript = ask(probe, transcripts, utterance(name, noise()))
        assert (transcript.text, transcript.rejection, transcript.failed) == ("", sentence, True)
    assert node.output.count(sentence) == 1
    assert "Traceback" not in node.output
    assert node.stop() == 0


@pytest.fixture
def silent_hub(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A hub that takes connections and says nothing, and the environment that leads a download to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, {"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}", "HF_HOME": str(tmp_path)}


def test_the_diagnostics_say_that_the_model_is_loading(
    start: Start, probe: Probe, silent_hub: tuple[socket.socket, dict[str, str]]
) -> None:
    server, environment = silent_hub
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    transcripts = probe.subscribe("transcript", Transcript)
    node = start("transcriber", parameters={"model": "tiny.en"}, environment=environment)
    probe.wait_for(lambda: health(diagnostics)[0] >= 0, what="diagnostics")
    assert health(diagnostics)[:2] == (1, "loading the Whisper model tiny.en")
    probe.publish("utterance", utterance("early", noise()))
    server.close()
    probe.wait_for(lambda: health(diagnostics)[0] == 2, what="an error in the diagnostics")
    assert "the Whisper model 'tiny.en' can't be downloaded" in health(diagnostics)[1]
    probe.wait_for(lambda: transcripts, what="the transcript of what was said while the model was loading")
    assert (transcripts[0].utterance_id, transcripts[0].failed) == ("early", True)
    assert "Traceback" not in node.output


def test_utterances_that_find_no_room_are_answered_too(start: Start, probe: Probe) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    start("transcriber", parameters={"queue": 1})
    assert ask(probe, transcripts, utterance("first", noise())).rejection
    names = [f"u{index}" for index in range(8)]
    for name in names:
        probe.publish("utterance", utterance(name, noise(5.0)))
    probe.wait_for(lambda: len(transcripts) == len(names) + 1, what="a transcript for each utterance")
    assert sorted(t.utterance_id for t in transcripts) == sorted([*names, "first"])
    busy = [t for t in transcripts if t.failed]
    assert busy
    assert all("busy" in t.rejection for t in busy)
    assert len(busy) < len(names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_two_seconds_while_it_transcribes(start: Start, probe: Probe, number: signal.Signals) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    node = start("transcriber", parameters={"beam_size": 20})
    ask(probe, transcripts, utterance("first", noise()))
    for index in range(4):
        probe.publish("utterance", utterance(f"u{index}", noise(20.0)))
    assert node.stop(number, timeout=2.0) == 0
    assert "Traceback" not in node.output


def test_it_ends_within_two_seconds_while_it_loads(
    start: Start, probe: Probe, silent_hub: tuple[socket.socket, dict[str, str]]
) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    node = start("transcriber", parameters={"model": "tiny.en"}, environment=silent_hub[1])
    probe.wait_for(lambda: "loading" in health(diagnostics)[1], what="diagnostics")
    assert node.stop(timeout=2.0) == 0
    assert "Traceback" not in node.output


def test_a_wrong_parameter_ends_the_node_with_a_sentence(start: Start) -> None:
    node = start("transcriber", parameters={"beams": 3})
    assert node.wait() == 2
    assert "transcriber has no parameter 'beams'" in node.output
    assert "Traceback" not in node.output
