"""LFM2-Audio over DDS, on a tiny model with random weights: speech in, streamed speech out, true and interruptible."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import NodeProcess, Probe
from talk import Talk

from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import Interrupt, Playback, ToolCall, ToolDecision, Transcript, Utterance
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field
from lfm_voice_ros.srv import ReloadAdapter

pytest.importorskip("liquid_audio", reason="needs scripts/setup --lfm")

from lfm_voice_ros.lfm2_audio.random_checkpoint import write

Start = Callable[..., NodeProcess]

pytestmark = pytest.mark.timeout(400)  # loading, twenty turns, and others work beside them

NAMESPACE = "speech_to_speech"
LOADING = 90.0  # s; PyTorch and liquid-audio take ten on a quiet machine
RESULT = "Looking left, thirty degrees."


@pytest.fixture(scope="session")
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that a node can load: a tiny one, or that of --real-weights."""
    real: Path | None = request.config.getoption("--real-weights")
    return real if real is not None else write(tmp_path_factory.mktemp("lfm2_audio") / "tiny")


@pytest.fixture(scope="module")
def node(domain: int, tiny: Path) -> Iterator[NodeProcess]:
    """One dialogue node with the tiny model for the tests that talk to it: importing PyTorch takes it ten seconds."""
    # In a namespace of its own: the nodes of other tests must not hear what it is told.
    with NodeProcess("dialogue", parameters=_parameters(tiny), remappings={"__ns": f"/{NAMESPACE}"}) as process:
        yield process


@pytest.fixture
def talk(probe: Probe) -> Talk:
    return Talk(probe)


@pytest.fixture
def ready(node: NodeProcess) -> Iterator[Talk]:
    """A talk with the node, once it has loaded its model."""
    probe = Probe(namespace=f"/{NAMESPACE}")
    talk = Talk(probe, f"{NAMESPACE}/dialogue")
    talk.ready(LOADING)
    yield talk
    probe.close()


def _parameters(model: Path | str, **changes: object) -> dict[str, object]:
    values = {"engine": "lfm2_audio", "model": str(model), "device": "auto", "context": 2048, "seed": 1}
    return {**values, **changes}


def say(talk: Talk, utterance_id: str, seconds: float = 0.6) -> None:
    """A person speaks."""
    noise = (0.1 * np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)
    now = talk.probe.now()
    talk.probe.publish(
        "utterance",
        Utterance(
            utterance_id=utterance_id,
            speech_end=to_stamp(now),
            sample_rate=SAMPLE_RATE,
            samples=samples_to_field(noise),
        ),
    )


def spoken_turn(talk: Talk, utterance_id: str, *results: str) -> None:
    """A person speaks, it is understood, tools run, and the player reports that the reply was heard."""
    say(talk, utterance_id)
    talk.probe.publish("transcript", Transcript(utterance_id=utterance_id, text="look left", confidence=1.0))
    talk.decided(utterance_id, *results)
    talk.reply(utterance_id)
    talk.spoken(utterance_id)
    talk.probe.publish("playback", Playback(utterance_id=utterance_id, state=Playback.FINISHED, heard_text="…"))
    talk.closed(utterance_id)


def test_speech_is_answered_in_streamed_speech_that_tells_the_result(ready: Talk) -> None:
    spoken_turn(ready, "u1", RESULT)

    assert ready.reply("u1").text == RESULT
    assert ready.reply("u1").source == "tools"
    chunks = [chunk for chunk in ready.chunks if chunk.utterance_id == "u1"]
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.sample_rate for chunk in chunks} == {24_000}
    assert " ".join(chunk.text for chunk in chunks if chunk.text) == RESULT
    sounds = [len(chunk.samples) for chunk in chunks if chunk.samples]
    assert sounds[0] <= 2 * 1920
    assert sum(sounds) >= 0.5 * 24_000


def test_twenty_turns_are_answered_truly(ready: Talk) -> None:
    for number in range(20):
        spoken_turn(ready, f"t{number}", f"{number + 5} degrees.")

    assert [reply.text for reply in ready.replies] == [f"{number + 5} degrees." for number in range(20)]


def test_an_interrupt_cuts_the_speech_and_the_next_turn_is_answered(ready: Talk) -> None:
    say(ready, "i1")
    ready.probe.publish("transcript", Transcript(utterance_id="i1", text="talk", confidence=1.0))
    ready.decided("i1", " ".join(["This is a very long answer."] * 40))
    ready.probe.wait_for(lambda: any(chunk.samples for chunk in ready.chunks), what="the first sound")

    ready.probe.publish("interrupt", Interrupt(utterance_id="i1", reason="test"))
    ready.probe.publish("playback", Playback(utterance_id="i1", state=Playback.INTERRUPTED, heard_seconds=0.3))
    assert ready.closed("i1").interrupted
    spoken_turn(ready, "i2", RESULT)

    assert ready.reply("i2").text == RESULT
    first = [chunk for chunk in ready.chunks if chunk.utterance_id == "i1"]
    assert not any(chunk.last for chunk in first)


def test_noise_without_words_leaves_the_talk_as_it_was(ready: Talk) -> None:
    say(ready, "noise")
    ready.probe.publish("transcript", Transcript(utterance_id="noise", text="", rejection="no words"))
    ready.closed("noise")

    spoken_turn(ready, "n1", RESULT)

    assert [reply.utterance_id for reply in ready.replies] == ["n1"]


def test_an_adapter_is_swapped_while_the_robot_talks_and_one_that_fails_changes_nothing(
    ready: Talk, tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="needs scripts/setup --lfm")
    pytest.importorskip("tensorboard", reason="needs scripts/setup --extra training")
    from melodies import write_melodies

    from lfm_voice_ros.lfm2_audio.adapter import Trained
    from lfm_voice_ros.lfm2_audio.checkpoint import Source, load
    from lfm_voice_ros.training.finetune import Finetuning, TrainSettings
    from lfm_voice_ros.training.turns import STOCK_PROMPT, TurnMaker, learner, make_turns

    model = load(Source(str(tiny), device="cpu", dtype="float32"))
    run = Finetuning(learner(model), TrainSettings(steps=2, batch=2), tmp_path)
    run.run(make_turns(TurnMaker(model, "lora", STOCK_PROMPT), write_melodies(tmp_path / "data", replies=False)), [])
    run.save(Trained("lora", STOCK_PROMPT, ("pan_left",), str(tiny)))
    service = f"/{NAMESPACE}/reload_adapter"

    refused = ready.probe.call(service, ReloadAdapter, ReloadAdapter.Request(adapter=str(tmp_path / "data")), 60.0)
    spoken_turn(ready, "a1", RESULT)
    swapped = ready.probe.call(service, ReloadAdapter, ReloadAdapter.Request(adapter=str(tmp_path)), 60.0)
    spoken_turn(ready, "a2", RESULT)

    assert not refused.success
    assert "holds no adapter" in refused.message
    assert swapped.success, swapped.message
    assert ready.reply("a1").text == ready.reply("a2").text == RESULT


def test_an_utterance_that_cannot_be_heard_is_answered_by_its_words(ready: Talk) -> None:
    ready.turn("w1", "look left", RESULT)  # its utterance has no samples

    assert ready.reply("w1").text == RESULT
    assert ready.spoken("w1")


def test_a_model_that_loads_late_answers_as_text_first_then_calls_tools_by_itself_and_ends_while_it_speaks(
    start: Start, talk: Talk, tiny: Path
) -> None:
    node = start("dialogue", parameters=_parameters(tiny, calls="lora", decision_timeout=5.0))
    own: list[ToolDecision] = talk.probe.subscribe("own_calls", ToolDecision)
    talk.turn("early", "look left", RESULT)
    assert talk.reply("early").text == RESULT

    talk.ready(LOADING)
    talk.probe.publish("transcript", Transcript(utterance_id="u1", text="look left", confidence=1.0))
    say(talk, "u1")
    talk.probe.wait_for(lambda: own, what="the model's own calls")
    assert own[0].utterance_id == "u1"
    assert "could not decide" in talk.reply("u1").text
    assert talk.spoken("u1")

    talk.turn("u2", "talk", " ".join(["This is a very long answer."] * 40))
    talk.probe.wait_for(lambda: any(chunk.utterance_id == "u2" for chunk in talk.chunks), what="the first sound")
    assert node.stop(signal.SIGTERM, timeout=2.0) == 0
    assert "failed" not in node.output
    assert "Traceback" not in node.output


def test_with_auto_a_missing_model_leaves_the_lite_engine_which_the_diagnostics_say(start: Start, talk: Talk) -> None:
    node = start("dialogue", parameters=_parameters("/nowhere/at/all", engine="auto"))
    talk.probe.wait_for(lambda: "lite engine" in (talk.status() or (0, ""))[1], LOADING, what="the fall back")

    talk.turn("u1", "hello")

    assert talk.reply("u1").source == "small_talk"
    assert talk.spoken("u1")
    status = talk.status()
    assert status is not None
    assert status[0] == 1
    assert "/nowhere/at/all" in status[1]
    assert "Traceback" not in node.output


def test_a_missing_model_that_was_asked_for_is_told_in_one_sentence_and_results_still_are(
    start: Start, talk: Talk
) -> None:
    node = start("dialogue", parameters=_parameters("/nowhere/at/all"))
    talk.probe.wait_for(lambda: (talk.status() or (0, ""))[0] == 2, LOADING, what="an error in the diagnostics")

    talk.turn("u1", "look left", RESULT)

    assert talk.reply("u1").text == RESULT
    assert "Traceback" not in node.output


def test_the_detector_decides_by_the_dialogues_own_text(start: Start, probe: Probe) -> None:
    start("tool_detector", parameters={"detector": "lora", "model": "dialogue", "own_text_timeout": 10.0})
    decisions: list[ToolDecision] = probe.subscribe("tool_decision", ToolDecision)
    call = ToolCall(name="pan_left", arguments_json='{"degrees": 30}')

    probe.publish("own_calls", ToolDecision(utterance_id="u1", calls=[call], detector="lfm2_audio"))
    probe.publish("transcript", Transcript(utterance_id="u1", text="what was that", confidence=1.0))

    probe.wait_for(lambda: decisions, what="a decision")
    assert decisions[0].detector == "lora"
    assert [one.name for one in decisions[0].calls] == ["pan_left"]


def test_without_own_text_in_time_keywords_decide(start: Start, probe: Probe) -> None:
    start("tool_detector", parameters={"detector": "lora", "model": "dialogue", "own_text_timeout": 0.2})
    decisions: list[ToolDecision] = probe.subscribe("tool_decision", ToolDecision)

    probe.publish("transcript", Transcript(utterance_id="u1", text="look left", confidence=1.0))

    probe.wait_for(lambda: decisions, what="a decision")
    assert decisions[0].detector == "keywords"
    assert [one.name for one in decisions[0].calls] == ["pan_left"]


def test_own_text_goes_with_a_way_of_writing_calls_only(start: Start) -> None:
    node = start("tool_detector", parameters={"detector": "keywords", "model": "dialogue"})

    assert node.wait() == 2
    assert "which goes with the detectors" in node.output
