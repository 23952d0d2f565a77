"""Stop words and the wake word over DDS, with real speech: past every gate but that of privacy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import NodeProcess, Probe
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sound import spoken
from std_msgs.msg import Empty
from std_srvs.srv import SetBool

from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.msg import (
    Audio,
    HeadState,
    Interrupt,
    Keyword,
    Playback,
    SpeechAudio,
    ToolCall,
    ToolDecision,
    ToolResult,
    Utterance,
)
from lfm_voice_ros.nodes.base import to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEFORE, AFTER = np.zeros(8_000, np.float32), np.zeros(16_000, np.float32)


@pytest.fixture(scope="session")
def stop() -> Samples:
    return np.concatenate((BEFORE, spoken("No, stop!"), AFTER))


@pytest.fixture(scope="session")
def talk() -> Samples:
    return np.concatenate((BEFORE, spoken("What time is it?"), AFTER))


class Mouth:
    """Speaks into the microphone, faster than a person could, and returns when all of it was taken."""

    def __init__(self, probe: Probe) -> None:
        self.at = probe.now()  # s, of the next sample
        self._probe = probe
        self._taken = probe.subscribe("audio/input", Audio)

    def __call__(self, samples: Samples) -> float:
        """Give the time (s) of the first sample."""
        began = self.at
        for piece in np.array_split(samples, samples.size // 1600):
            message = Audio(sample_rate=16_000, samples=samples_to_field(piece))
            message.header.stamp = to_stamp(self.at)
            self._probe.publish("audio/external", message)
            self.at += piece.size / 16_000
        taken = self._taken
        self._probe.wait_for(
            lambda: taken and to_seconds(taken[-1].header.stamp) > self.at - 0.3, what="the sound taken"
        )
        return began


@pytest.fixture
def hear(start: Start, probe: Probe) -> Callable[..., Mouth]:
    """Start audio_capture; gives what speaks into its microphone."""

    def begin(**parameters: Any) -> Mouth:
        start("audio_capture", parameters={"source": "topic", **parameters}).wait_for_output("listening to", 60.0)
        return Mouth(probe)

    return begin


def decision(utterance_id: str, speech_end: float, *names: str) -> ToolDecision:
    calls = [ToolCall(name=name, arguments_json="{}") for name in names]
    return ToolDecision(utterance_id=utterance_id, speech_end=to_stamp(speech_end), calls=calls, detector="test")


def stop_word(at: float) -> Keyword:
    word = Keyword(kind=Keyword.STOP, word="stop", confidence=1.0)
    word.header.stamp = to_stamp(at)
    return word


def test_a_stop_word_reaches_the_head_the_player_and_all_others_at_once(
    hear: Callable[..., Mouth], probe: Probe, stop: Samples
) -> None:
    keywords = probe.subscribe("keyword", Keyword)
    stops = probe.subscribe("head/stop", Empty)
    interrupts = probe.subscribe("interrupt", Interrupt)
    began = hear()(stop)
    probe.wait_for(lambda: keywords and stops and interrupts, what="a stop")
    assert (keywords[0].kind, keywords[0].word) == (Keyword.STOP, "stop")
    end = began + (stop.size - AFTER.size) / 16_000
    assert to_seconds(keywords[0].header.stamp) == pytest.approx(end, abs=0.3)
    assert (interrupts[0].utterance_id, interrupts[0].reason) == ("", "stop word")


def test_a_stop_word_is_heard_while_the_robot_speaks_but_not_its_own(
    hear: Callable[..., Mouth], probe: Probe, stop: Samples
) -> None:
    keywords = probe.subscribe("keyword", Keyword)
    utterances = probe.subscribe("utterance", Utterance)
    speak = hear()

    def reply(utterance_id: str, text: str) -> float:
        chunk = SpeechAudio(utterance_id=utterance_id, last=True, sample_rate=16_000, text=text)
        chunk.samples = samples_to_field(np.zeros(16_000, np.float32))
        probe.publish("audio/output", chunk)
        state = Playback(utterance_id=utterance_id, state=Playback.PLAYING)
        state.header.stamp = to_stamp(speak.at)
        with probe.repeating("playback", state):
            # Topics have no order among one another: an answer says that the node has taken what came before.
            probe.call("audio_capture/get_parameters", GetParameters, GetParameters.Request(names=["barge_in"]))
            return speak(stop)

    reply("own", "Stop.")
    probe.wait_for_value("audio_capture", "stop words of the robot itself", "1")
    second = reply("other", "It is a quarter past ten.")
    probe.wait_for(lambda: keywords, what="a stop")
    assert len(keywords) == 1
    assert to_seconds(keywords[0].header.stamp) > second
    assert not utterances, "it is half-duplex"


def test_who_told_the_robot_not_to_listen_is_not_listened_to(
    hear: Callable[..., Mouth], probe: Probe, stop: Samples
) -> None:
    keywords = probe.subscribe("keyword", Keyword)
    speak = hear()
    assert probe.call("listen", SetBool, SetBool.Request(data=False)).success
    speak(stop)
    assert probe.call("listen", SetBool, SetBool.Request(data=True)).success
    speak(stop)
    probe.wait_for(lambda: keywords, what="a stop")
    assert len(keywords) == 1


def test_without_stop_words_nothing_is_spotted(hear: Callable[..., Mouth], probe: Probe, stop: Samples) -> None:
    keywords = probe.subscribe("keyword", Keyword)
    utterances = probe.subscribe("utterance", Utterance)
    hear(stop_words=[""])(stop)
    probe.wait_for(lambda: utterances, what="the utterance")
    assert not keywords


def test_the_button_can_be_pressed_by_a_service(hear: Callable[..., Mouth], probe: Probe, talk: Samples) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    speak = hear(push_to_talk=True)
    speak(talk)
    assert not utterances
    answer = probe.call("push_to_talk/press", SetBool, SetBool.Request(data=True))
    assert (answer.success, answer.message) == (True, "yes")
    speak(talk[: -AFTER.size])
    probe.call("push_to_talk/press", SetBool, SetBool.Request(data=False))
    probe.wait_for(lambda: utterances, what="the utterance, at the button's end")


def test_with_a_wake_word_only_what_is_said_to_the_robot_becomes_an_utterance(
    hear: Callable[..., Mouth], probe: Probe, talk: Samples
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    keywords = probe.subscribe("keyword", Keyword)
    speak = hear(wake_word="okay_nabu")
    speak(talk)
    probe.wait_for_value("audio_capture", "utterances not for the robot", "1")
    speak(np.concatenate((BEFORE, spoken("Okay Nabu."), AFTER)))
    probe.wait_for(lambda: keywords, what="the wake word")
    began = speak(talk)
    probe.wait_for(lambda: utterances, what="the utterance")
    assert [(word.kind, word.word) for word in keywords] == [(Keyword.WAKE, "okay_nabu")]
    assert [to_seconds(utterance.speech_start) > began for utterance in utterances] == [True]


def test_a_stop_word_gives_up_what_runs_and_what_was_decided_before_it(start: Start, probe: Probe) -> None:
    head = probe.subscribe("head/state", HeadState)
    results = probe.subscribe("tool_result", ToolResult)
    start("pan_tilt", parameters={"joint_states_timeout": 2.0})
    start("pan_tilt_sim")
    start("tool_server", parameters={"max_age": 60.0})
    probe.wait_for_value("tool_server", "state", "active")
    probe.wait_for(lambda: head and not head[-1].stale, what="a head that knows where it is")
    probe.publish("tool_decision", decision("before", probe.now(), "look_around"))
    probe.wait_for(lambda: head[-1].moving, what="a moving head")
    said = probe.now()

    probe.publish("keyword", stop_word(said))

    probe.wait_for(lambda: not head[-1].moving, what="a head at rest")
    target = (head[-1].target_pan, head[-1].target_tilt)
    probe.publish("tool_decision", decision("late", said - 1.0, "pan_left"))
    probe.publish("tool_decision", decision("the word itself", said + 0.1, "stop"))
    probe.publish("tool_decision", decision("after", said + 0.5, "get_time"))
    probe.wait_for(lambda: any(r.utterance_id == "after" for r in results), what="the last result")
    became = {result.utterance_id: result.status for result in results}
    assert became["late"] == ToolResult.CANCELED
    assert became["the word itself"] == ToolResult.SUCCEEDED
    assert became["after"] == ToolResult.SUCCEEDED
    assert (head[-1].target_pan, head[-1].target_tilt) == pytest.approx(target, abs=1e-3)


def test_a_stop_word_is_no_result(start: Start, probe: Probe) -> None:
    results = probe.subscribe("tool_result", ToolResult)
    start("tool_server")
    probe.wait_for(lambda: probe.publishers_of("tool_result") == 1, what="tool_server")
    probe.publish("keyword", stop_word(probe.now()))
    probe.publish("tool_decision", decision("next", probe.now() + 1.0, "get_time"))
    probe.wait_for(lambda: results, what="the result")
    assert [result.utterance_id for result in results] == ["next"]
