"""The whole assistant: spoken to over real DDS, it moves its head and answers; in one process, and in a namespace."""

from __future__ import annotations

import json
import math
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe, activate

from lfm_voice_ros.backends import load_synthesizer, load_transcriber
from lfm_voice_ros.backends.wav_file import read_wav, write_wav
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import HeadState, Reply, ToolDecision, TurnMetrics

Start = Callable[..., NodeProcess]
Speak = Callable[..., Path]

#: s of silence before a sentence; in this time the nodes and the probe have found each other.
LEAD = 6.0


@pytest.fixture(scope="module")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Speak:
    """Speak a sentence into a WAV file, after ``lead`` seconds of silence."""
    voice = load_synthesizer("piper", "bundled", steady=True)
    folder = tmp_path_factory.mktemp("spoken")

    def spoken(text: str, lead: float = 0.0) -> Path:
        path = folder / f"{abs(hash(text))}.wav"
        sound = soxr.resample(np.concatenate(list(voice.synthesize(text))), voice.sample_rate, SAMPLE_RATE)
        write_wav(path, np.pad(sound, (round(lead * SAMPLE_RATE), 0)), SAMPLE_RATE)
        return path

    return spoken


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["lfm-voice", "demo", "--output", str(folder), "--json", str(folder / "turns.json"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def test_recordings_in_head_motion_and_spoken_answers_out(speak: Speak, tmp_path: Path) -> None:
    click = tmp_path / "click.wav"
    slam = np.zeros(SAMPLE_RATE, np.float32)
    slam[8000:8200] = np.random.default_rng(1).uniform(-0.9, 0.9, 200)
    write_wav(click, slam, SAMPLE_RATE)
    said = [
        speak("Turn left thirty degrees."),
        speak("What time is it in Tokyo?"),
        click,
        speak("I left my keys on the right side of the table."),
    ]

    run = demo(tmp_path, "--wav", *[str(path) for path in said])

    assert run.returncode == 0, run.stderr
    turns = json.loads((tmp_path / "turns.json").read_text())["turns"]
    understood = [turn for turn in turns if turn["transcript"]]
    assert [turn["calls"] for turn in understood] == [
        [{"name": "pan_left", "arguments": {"degrees": 30.0}}],
        [{"name": "get_time", "arguments": {"location": "Tokyo"}}],
        [],
    ]
    assert [turn["head"]["pan_degrees"] for turn in understood] == [pytest.approx(30.0, abs=0.5)] * 3
    assert understood[0]["reply"] == "Looking left, thirty degrees."
    assert understood[0]["latency_ms"]["head"] > 0
    transcriber = load_transcriber(TranscriberSettings())
    spoken = [
        transcriber.transcribe(read_wav(tmp_path / "replies" / f"{turn['utterance_id']}.wav")).text
        for turn in understood
    ]
    assert "left" in spoken[0]
    assert "Tokyo" in spoken[1]
    assert (tmp_path / "demo.png").stat().st_size > 10_000
    assert "data:image/png;base64" in (tmp_path / "demo.html").read_text()


def test_recordings_that_cannot_be_used_are_named_and_the_others_are_played(speak: Speak, tmp_path: Path) -> None:
    empty, text, missing = tmp_path / "empty.wav", tmp_path / "text.wav", tmp_path / "missing.wav"
    empty.touch()
    text.write_text("this is no sound")
    stereo = tmp_path / "stereo.wav"
    sound, rate = soundfile.read(speak("What is the date today?"))
    resampled = soxr.resample(sound, rate, 44_100)
    soundfile.write(stereo, np.stack([resampled, resampled], axis=1), 44_100, subtype="PCM_U8")

    run = demo(tmp_path, "--wav", *[str(path) for path in (empty, text, missing, stereo)])

    assert run.returncode == 0, run.stderr
    for path in (empty, text, missing):
        assert str(path) in run.stderr
    assert "Traceback" not in run.stderr + run.stdout
    (turn,) = json.loads((tmp_path / "turns.json").read_text())["turns"]
    assert [call["name"] for call in turn["calls"]] == ["get_date"]


def test_a_recording_without_speech_gives_no_turn(domain: int, tmp_path: Path) -> None:
    noise = tmp_path / "noise.wav"
    write_wav(noise, np.random.default_rng(1).uniform(-0.05, 0.05, 2 * SAMPLE_RATE).astype(np.float32), SAMPLE_RATE)

    run = demo(tmp_path, "--wav", str(noise))

    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "turns.json").read_text()) == {"turns": []}
    assert "nothing that begins and ends like speech" in run.stdout


def test_no_usable_recording_ends_with_a_sentence(domain: int, tmp_path: Path) -> None:
    run = demo(tmp_path, "--wav", str(tmp_path / "missing.wav"))

    assert run.returncode == 2
    assert "none of the recordings can be used" in run.stderr
    assert "Traceback" not in run.stderr


def test_all_nodes_in_one_process_hear_a_file_and_answer(
    start: Start, probe: Probe, speak: Speak, tmp_path: Path
) -> None:
    states = probe.subscribe("robot/head/state", HeadState)
    replies = probe.subscribe("robot/reply", Reply)
    metrics = probe.subscribe("robot/turn_metrics", TurnMetrics)
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(
        f"/**/audio_capture:\n  ros__parameters:\n    source: 'wav:{speak('Turn right twenty degrees.', 1.0)}'\n"
        "    autostart: false\n"
        "/**/audio_player:\n  ros__parameters:\n    sink: none\n"
    )
    assistant = start("assistant", arguments=["--ros-args", "--params-file", str(parameters), "-r", "__ns:=/robot"])

    assistant.wait_for_output("is ready")
    activate(probe, "robot/audio_capture")
    probe.wait_for(lambda: replies, what="a reply")
    probe.wait_for(lambda: metrics, what="the end of the turn")

    assert replies[0].text == "Looking right, twenty degrees."
    assert metrics[0].calls == 1
    assert 0 < max(metrics[0].endpoint, metrics[0].transcript) < metrics[0].reply < metrics[0].end
    probe.wait_for(
        lambda: not states[-1].moving and abs(math.degrees(states[-1].pan) + 20) < 0.5, what="the head to the right"
    )
    assert assistant.stop(signal.SIGINT, timeout=3.0) == 0
    assert "Traceback" not in assistant.output


def test_a_transcriber_without_its_model_is_spoken_of_and_shown(
    start: Start, probe: Probe, speak: Speak, tmp_path: Path
) -> None:
    replies = probe.subscribe("reply", Reply)
    decisions = probe.subscribe("tool_decision", ToolDecision)
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    assistant = start(
        "assistant",
        parameters={
            "audio_capture:source": f"wav:{speak('Look left.', LEAD)}",
            "audio_player:sink": f"wav:{tmp_path}",
            "transcriber:model": "/nowhere/model",
        },
    )

    probe.wait_for(lambda: replies, timeout=60.0, what="a reply")

    assert replies[0].source == "error"
    assert "can't understand speech" in replies[0].text
    probe.wait_for(lambda: decisions, what="the decision")
    assert [list(decision.calls) for decision in decisions] == [[]]
    errors = [status.message for message in diagnostics for status in message.status if status.level == b"\x02"]
    assert any("/nowhere/model" in message for message in errors)
    assert "Traceback" not in assistant.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--head", "none"], "invalid choice"),
        (["--ros-args", "-p", "transcriber:modle:=tiny"], "no parameter 'modle'"),
        (["--ros-args", "--params-file", "/nowhere.yaml"], "can't be used"),
        (["--ros-args", "-p", "pan_tilt:pan_sign:=0.5"], "pan_sign"),
    ],
)
def test_a_wrong_command_line_ends_with_a_sentence(
    start: Start, domain: int, arguments: list[str], complaint: str
) -> None:
    assistant = start("assistant", arguments=arguments)

    assert assistant.wait(30.0) == 2
    assert complaint in assistant.output
    assert "Traceback" not in assistant.output
