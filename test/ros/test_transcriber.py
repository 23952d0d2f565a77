"""The transcriber over DDS: one transcript for each utterance, whatever is in it and whatever is missing."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

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


def utterance(
    utterance_id: str, samples: Samples, sample_rate: int = SAMPLE_RATE, speech_end: int | None = None
) -> Utterance:
    """An utterance as a message; ``speech_end`` in s, later than all its sound, so that none of it is left out."""
    return Utterance(
        utterance_id=utterance_id,
        sample_rate=sample_rate,
        samples=samples_to_field(samples),
        speech_end=Time(sec=speech_end or 0),
    )


def noise(seconds: float = 1.0) -> Samples:
    return (0.1 * np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def health(messages: list[DiagnosticArray]) -> tuple[int, str, dict[str, str]]:
    """The newest level, message and values of the transcriber; level -1 before there is one."""
    found = [status for message in messages for status in message.status if status.name == "transcriber"]
    if not found:
        return -1, "", {}
    return found[-1].level[0], found[-1].message, {value.key: value.value for value in found[-1].values}


def start_ready(start: Start) -> NodeProcess:
    """Start the node with its model loaded."""
    node = start("transcriber")
    node.wait_for_output("is ready")
    return node


def ask(probe: Probe, transcripts: list[Transcript], message: Utterance) -> Transcript:
    """Publish an utterance and wait for its transcript."""
    probe.publish("utterance", message)
    return probe.wait_for(
        lambda: next((t for t in transcripts if t.utterance_id == message.utterance_id), None), what="a transcript"
    )


def test_a_spoken_command_becomes_its_words(start: Start, probe: Probe, speak: Callable[[str], Samples]) -> None:
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    transcripts = probe.subscribe("transcript", Transcript)
    node = start_ready(start)
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


def draft(probe: Probe, drafts: list[Transcript], message: Utterance) -> Transcript:
    """Publish a draft and wait for its transcript."""
    probe.publish("utterance/draft", message)
    return probe.wait_for(
        lambda: next(
            (t for t in drafts if (t.utterance_id, t.speech_end) == (message.utterance_id, message.speech_end)), None
        ),
        what="the transcript of a draft",
    )


def words(transcript: Transcript) -> str:
    return str(transcript.text).strip(" .?!").lower()


def test_an_utterance_takes_the_words_of_the_draft_of_its_pause(
    start: Start, probe: Probe, speak: Callable[[str], Samples]
) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    drafts = probe.subscribe("transcript/draft", Transcript)
    start("transcriber")
    ahead = draft(probe, drafts, utterance("u1", speak("What time is it?"), speech_end=100))
    assert words(ahead) == "what time is it"
    assert not transcripts
    # Its sound is another one: its words can only be those of the draft.
    real = ask(probe, transcripts, utterance("u1", noise(), speech_end=100))
    assert (real.text, real.speech_end, real.confidence) == (ahead.text, ahead.speech_end, ahead.confidence)
    assert len(transcripts) == 1
    probe.wait_for_value("transcriber", "drafts used/thrown away", "1/0")


def test_a_draft_of_an_earlier_pause_or_of_another_utterance_is_not_taken(
    start: Start, probe: Probe, speak: Callable[[str], Samples]
) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    drafts = probe.subscribe("transcript/draft", Transcript)
    start("transcriber")
    draft(probe, drafts, utterance("u1", speak("Look left."), speech_end=100))
    assert (
        words(ask(probe, transcripts, utterance("u1", speak("What time is it?"), speech_end=101))) == "what time is it"
    )
    draft(probe, drafts, utterance("u2", speak("Look left."), speech_end=102))
    assert words(ask(probe, transcripts, utterance("u3", speak("Stop."), speech_end=102))) == "stop"
    assert [t.utterance_id for t in transcripts] == ["u1", "u3"]
    probe.wait_for_value("transcriber", "drafts used/thrown away", "0/1")


def test_a_draft_that_comes_after_its_utterance_is_not_begun(
    start: Start, probe: Probe, speak: Callable[[str], Samples]
) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    drafts = probe.subscribe("transcript/draft", Transcript)
    start_ready(start)
    late = utterance("u1", speak("Look left."), speech_end=100)
    ask(probe, transcripts, late)
    probe.publish("utterance/draft", late)
    probe.wait_for_value("transcriber", "drafts used/thrown away", "0/1")
    assert not drafts
    assert len(transcripts) == 1


def test_a_draft_fails_without_a_word_and_its_utterance_tells(start: Start, probe: Probe) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    drafts = probe.subscribe("transcript/draft", Transcript)
    node = start_ready(start)
    ask(probe, transcripts, utterance("first", noise()))
    probe.publish("utterance/draft", utterance("u1", noise(), 44_100, speech_end=100))
    probe.wait_for_value("transcriber", "drafts used/thrown away", "0/1")
    assert "44100" not in node.output
    failed = ask(probe, transcripts, utterance("u1", noise(), 44_100, speech_end=100))
    assert failed.failed
    assert "44100 Hz was dropped" in failed.rejection
    assert not drafts


def test_an_inactive_node_forgets_its_drafts(start: Start, probe: Probe, speak: Callable[[str], Samples]) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    drafts = probe.subscribe("transcript/draft", Transcript)
    start("transcriber")
    draft(probe, drafts, utterance("u1", speak("Look left."), speech_end=100))
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert probe.call("transcriber/change_state", ChangeState, request).success
    assert words(ask(probe, transcripts, utterance("u1", speak("Stop."), speech_end=100))) == "stop"
    probe.wait_for_value("transcriber", "drafts used/thrown away", "0/1")


def test_noise_has_an_empty_transcript_with_the_reason(start: Start, probe: Probe) -> None:
    transcripts = probe.subscribe("transcript", Transcript)
    start_ready(start)
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
    node = start_ready(start)
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
    node.wait_for_output(sentence)
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
    start("transcriber", parameters={"queue": 1}).wait_for_output("is ready")  # its loading waits in the queue too
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
