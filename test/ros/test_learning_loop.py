"""From the robot's own conversations to calls of its own: recorded, trained on, compared, deployed, the head moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from harness import NodeProcess, Probe, activate, deactivate
from sound import in_state, spoken
from talk import Talk

from lfm_voice_ros.backends.wav_file import read_wav, write_wav
from lfm_voice_ros.cli import main
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.dataset.format import DATASET_FILE, Example, read_dataset
from lfm_voice_ros.dataset.recording import day_folders
from lfm_voice_ros.msg import HeadState, Playback, Reply, ToolDecision, Transcript, TurnMetrics, Utterance
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

pytest.importorskip("liquid_audio", reason="needs scripts/setup --lfm")
pytest.importorskip("peft", reason="needs scripts/setup --lfm --extra training")
pytest.importorskip("tensorboard", reason="needs scripts/setup --lfm --extra training")

from lfm_voice_ros.lfm2_audio.random_checkpoint import write

Start = Callable[..., NodeProcess]

SAID = ("Look to the left.", "Look up, please.", "How are you today?", "I left my keys at home.")
CALLS = [["pan_left"], ["tilt_up"], [], []]
LOADING = 90.0  # s
TURN = 60.0  # s, of which an idle machine needs six
STEPS = 150
#: What a busy machine is waited for.
LATE = {"decision_timeout": 60.0, "result_timeout": 60.0}
#: What the keywords find nothing in: a head that moves moves by the adapter's own call.
MISHEARD = "Hm, hm, hm."


@pytest.mark.timeout(500)  # it trains for half a minute, and others work beside it
def test_a_robot_that_knew_keywords_moves_its_head_by_a_call_that_it_has_learned_from_its_own_conversation(
    start: Start, probe: Probe, tmp_path: Path
) -> None:
    recorded = converse(start, probe, tmp_path)
    examples = read_dataset(recorded)
    assert [[call.name for call in example.calls] for example in examples] == CALLS
    assert main(["data", "check", str(recorded)]) == 0

    model = write(tmp_path / "tiny", mimi=True)
    adapter = tmp_path / "adapter"
    shape = ["--steps", str(STEPS), "--batch", "4", "--learning-rate", "0.01", "--validate-every", str(STEPS)]
    train = ["train", "--model", str(model), "--data", str(recorded), "--dev", str(recorded), "--output", str(adapter)]
    assert main([*train, *shape, "--device", "cpu", "--threads", "1"]) == 0
    (_, before), (_, after) = json.loads((adapter / "run_card.json").read_text())["history"]["dev"]
    assert after < before / 2

    assert main(["evaluate", "--model-adapter", str(adapter), "--corpus", str(recorded), "--replies", "0"]) == 0
    scores = json.loads((adapter / "evaluation.json").read_text())
    assert (scores["before"]["exact"], scores["after"]["exact"], scores["after"]["with_calls"]) == (0, 2, 2)

    assert_head_follows(start, probe, model, adapter, examples[0])


def converse(start: Start, probe: Probe, folder: Path) -> Path:
    """Have a conversation with a robot of keywords that records, and give the dataset that it has kept."""
    metrics: list[TurnMetrics] = probe.subscribe("teacher/turn_metrics", TurnMetrics)
    playbacks: list[Playback] = probe.subscribe("teacher/playback", Playback)
    said, kept = folder / "said.wav", folder / "recordings"
    parameters = folder / "parameters.yaml"
    parameters.write_text(
        f"/**/audio_capture:\n  ros__parameters:\n    source: 'wav:{said}'\n    autostart: false\n"
        "/**/audio_player:\n  ros__parameters:\n    sink: none\n"
        "/**/tool_server:\n  ros__parameters:\n    max_age: 60.0\n"
        "/**/dialogue:\n  ros__parameters:\n    decision_timeout: 60.0\n    result_timeout: 60.0\n"
        f"/**/recorder:\n  ros__parameters:\n    enabled: true\n    folder: '{kept}'\n"
    )
    robot = start("assistant", arguments=["--ros-args", "--params-file", str(parameters), "-r", "__ns:=/teacher"])
    robot.wait_for_output("is ready", LOADING)
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for turn, text in enumerate(SAID, start=1):
        write_wav(said, np.concatenate((silence, spoken(text), silence)), SAMPLE_RATE)
        activate(probe, "teacher/audio_capture")
        probe.wait_for(lambda: len(metrics) == turn, TURN, f"the end of turn {turn}")  # noqa: B023
        # What is said while the robot speaks isn't heard.
        finished = partial(in_state, playbacks, metrics[-1].utterance_id, Playback.FINISHED)
        probe.wait_for(finished, TURN, f"the end of reply {turn}")
        deactivate(probe, "teacher/audio_capture")
    probe.wait_for(lambda: len(turns(kept)) == len(SAID), TURN, "a recording of all turns")
    robot.stop()
    (day,) = day_folders(kept).values()
    return day


def turns(root: Path) -> list[Example]:
    complete = [day for day in day_folders(root).values() if (day / DATASET_FILE).exists()]
    return [example for day in complete for example in read_dataset(day)]


def assert_head_follows(start: Start, probe: Probe, model: Path, adapter: Path, example: Example) -> None:
    """Say the sentence of a recorded turn to a robot with the adapter, which hears no words by other means."""
    space = {"__ns": "/pupil"}
    own = {"engine": "lfm2_audio", "model": str(model), "adapter": str(adapter), "calls": "lora", "device": "cpu"}
    start("dialogue", parameters={**own, "context": 2048, "seed": 1, **LATE}, remappings=space)
    start(
        "tool_detector",
        parameters={"detector": "lora", "model": "dialogue", "own_text_timeout": 20.0},
        remappings=space,
    )
    for executable in ("tool_server", "pan_tilt", "pan_tilt_sim"):
        start(executable, remappings=space)
    states: list[HeadState] = probe.subscribe("pupil/head/state", HeadState)
    decisions: list[ToolDecision] = probe.subscribe("pupil/tool_decision", ToolDecision)
    replies: list[Reply] = probe.subscribe("pupil/reply", Reply)
    Talk(probe, "pupil/dialogue").ready(LOADING)
    probe.wait_for(lambda: states, what="a head that stands")
    assert states[-1].pan == pytest.approx(0.0, abs=1e-3)

    heard = Utterance(
        utterance_id="p1",
        speech_end=to_stamp(probe.now()),
        sample_rate=SAMPLE_RATE,
        samples=samples_to_field(read_wav(example.audio)),
    )
    probe.publish("pupil/utterance", heard)
    probe.publish("pupil/transcript", Transcript(utterance_id="p1", text=MISHEARD, confidence=1.0))

    probe.wait_for(lambda: decisions, timeout=30.0, what="a decision")
    assert decisions[0].detector == "lora"
    assert [call.name for call in decisions[0].calls] == ["pan_left"]
    probe.wait_for(lambda: states[-1].pan > 0.1, timeout=20.0, what="a head that turns left")
    probe.wait_for(lambda: replies, timeout=20.0, what="a reply")
    assert replies[0].text == example.speech
