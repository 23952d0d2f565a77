"""Other nodes use the voice: the actions say and ask, listening or not, and push-to-talk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from harness import NodeProcess, Probe
from rcl_interfaces.srv import GetParameters
from sound import in_state, spoken
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from lfm_voice_ros.action import Ask, Say
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.msg import Asking, Audio, Interrupt, Playback, Reply, ToolDecision, Transcript, Utterance
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

NS = "spoken"
CHUNK = 1024  # samples of a message
_AT_ONCE = 10  # pieces, that none is lost on its way to a node that has little of a busy machine
SILENCE = np.zeros(SAMPLE_RATE, np.float32)
STORY = "I will now tell you a very long story about a robot and its head."


@pytest.fixture(scope="module")
def nodes(domain: int) -> Iterator[dict[str, NodeProcess]]:
    started: dict[str, NodeProcess] = {}
    settings: dict[str, dict[str, Any]] = {
        "voice": {"polite": 0.5},
        "audio_player": {"sink": "none"},
        "tool_detector": {},
        "dialogue": {},
    }
    for name, parameters in settings.items():
        started[name] = NodeProcess(name, parameters=parameters, remappings={"__ns": f"/{NS}"})
    yield started
    for node in started.values():
        node.kill()
        print(f"--- {node.executable} wrote:\n{node.output}")


@pytest.fixture
def talk(nodes: dict[str, NodeProcess], domain: int) -> Iterator[Probe]:
    probe = Probe(namespace=NS)
    yield probe
    probe.close()


def test_say_tells_what_was_really_heard(talk: Probe) -> None:
    feedback: list[Any] = []
    goal = talk.send_goal("say", Say, Say.Goal(text="Dinner is ready. Please come."), feedback)

    result = goal.result()

    assert result.state == Say.Result.FINISHED
    assert result.heard_text == "Dinner is ready. Please come."
    assert 1.0 < result.heard_seconds < 5.0
    assert feedback


def test_two_goals_never_talk_over_each_other(talk: Probe) -> None:
    playbacks = talk.subscribe("playback", Playback)
    first = talk.send_goal("say", Say, Say.Goal(text="This is the first sentence."))
    second = talk.send_goal("say", Say, Say.Goal(text="And this is the second."))

    assert [first.result().state, second.result().state] == [Say.Result.FINISHED] * 2

    playing = [p.utterance_id for p in playbacks if p.state in (Playback.STARTED, Playback.PLAYING)]
    assert sum(one != other for one, other in pairwise(playing)) == 1


def test_an_urgent_goal_cuts_what_is_being_said(talk: Probe) -> None:
    playbacks = talk.subscribe("playback", Playback)
    long = talk.send_goal("say", Say, Say.Goal(text=STORY))
    talk.wait_for(lambda: [p for p in playbacks if p.state == Playback.PLAYING], what="the story")

    urgent = talk.send_goal("say", Say, Say.Goal(text="Fire!", priority=Say.Goal.URGENT))

    assert urgent.result().state == Say.Result.FINISHED
    cut = long.result()
    assert cut.state == Say.Result.INTERRUPTED
    assert "urgent" in cut.message


def test_a_person_who_speaks_cuts_what_is_interruptible_and_nothing_else(talk: Probe) -> None:
    playbacks = talk.subscribe("playback", Playback)

    def begun(text: str, *, interruptible: bool) -> tuple[Any, str]:
        del playbacks[:]
        goal = talk.send_goal("say", Say, Say.Goal(text=text, interruptible=interruptible))
        playing = talk.wait_for(lambda: [p for p in playbacks if p.state == Playback.PLAYING], what="the sentence")
        talk.publish(
            "interrupt", Interrupt(utterance_id=playing[0].utterance_id, reason=Interrupt.BARGE_IN), receivers=2
        )
        return goal, playing[0].utterance_id

    cut, reply = begun(STORY, interruptible=True)
    assert cut.result().state == Say.Result.INTERRUPTED
    talk.wait_for(lambda: in_state(playbacks, reply, Playback.INTERRUPTED), what="the end of the playback")
    whole, _ = begun("This is to be heard.", interruptible=False)
    assert whole.result().state == Say.Result.FINISHED


def test_a_goal_can_be_canceled(talk: Probe) -> None:
    playbacks = talk.subscribe("playback", Playback)
    goal = talk.send_goal("say", Say, Say.Goal(text=STORY))
    talk.wait_for(lambda: [p for p in playbacks if p.state == Playback.PLAYING], what="the story")

    goal.cancel()

    assert goal.result().state == Say.Result.INTERRUPTED
    assert goal.status() == "canceled"


def test_what_cannot_be_said_fails_with_the_reason(talk: Probe) -> None:
    empty = talk.send_goal("say", Say, Say.Goal(text=" … "))
    no_voice = talk.send_goal("say", Say, Say.Goal(text="Hello.", voice="/nowhere.onnx"))

    assert (empty.result().state, empty.status()) == (Say.Result.FAILED, "aborted")
    assert "no words" in empty.result().message
    assert no_voice.result().state == Say.Result.FAILED
    assert "/nowhere.onnx" in no_voice.result().message


def answer(talk: Probe, text: str, utterance_id: str) -> None:
    """A person says something, as audio_capture and transcriber tell it."""
    end = to_stamp(talk.now())
    talk.publish("utterance", Utterance(utterance_id=utterance_id, speech_end=end, sample_rate=SAMPLE_RATE))
    said = Transcript(utterance_id=utterance_id, speech_end=end, text=text, confidence=0.9)
    talk.publish("transcript", said, receivers=3)


def test_an_answer_goes_to_the_asker_and_calls_no_tool(talk: Probe) -> None:
    decisions, replies = talk.subscribe("tool_decision", ToolDecision), talk.subscribe("reply", Reply)
    asking = talk.subscribe("asking", Asking, qos.STATE)
    goal = talk.send_goal("ask", Ask, Ask.Goal(question="Shall I look left?", answers=["look left", "no"]))
    talk.wait_for(lambda: asking and asking[-1].open, what="the robot waiting for an answer")
    for node in ("tool_detector", "dialogue"):  # an answer says that the node has taken what came before
        talk.call(f"{node}/get_parameters", GetParameters, GetParameters.Request(names=["queue"]))

    answer(talk, "Yes, look left.", "answer-1")

    result = goal.result()
    assert (result.state, result.answer, result.transcript) == (Ask.Result.ANSWERED, 0, "Yes, look left.")
    talk.wait_for(lambda: decisions and replies, what="the decision and the reply")
    assert [(d.utterance_id, d.detector, len(d.calls)) for d in decisions] == [("answer-1", "ask", 0)]
    assert [(r.utterance_id, r.source, r.text) for r in replies] == [("answer-1", "ask", "")]

    # The end of the question and a transcript are on two topics, which have no order among one another.
    while decisions[-1].detector == "ask":
        known = len(decisions)
        answer(talk, "look left", f"command-{known}")
        talk.wait_for(lambda: len(decisions) > known, what="the next decision")  # noqa: B023
    assert [call.name for call in decisions[-1].calls] == ["pan_left"]


def test_an_answer_that_is_not_expected_is_told_and_a_stop_stops_even_then(talk: Probe) -> None:
    decisions, asking = talk.subscribe("tool_decision", ToolDecision), talk.subscribe("asking", Asking, qos.STATE)
    goal = talk.send_goal("ask", Ask, Ask.Goal(question="Tea or coffee?", answers=["tea", "coffee"]))
    talk.wait_for(lambda: asking and asking[-1].open, what="the robot waiting for an answer")

    answer(talk, "Stop!", "answer-2")

    assert (goal.result().state, goal.result().answer) == (Ask.Result.UNEXPECTED, -1)
    talk.wait_for(lambda: decisions, what="the decision")
    assert [call.name for call in decisions[0].calls] == ["stop"]


def test_a_question_that_nobody_answers_times_out(talk: Probe) -> None:
    asking = talk.subscribe("asking", Asking, qos.STATE)
    result = talk.send_goal("ask", Ask, Ask.Goal(question="Anybody here?", timeout=0.5)).result()

    assert result.state == Ask.Result.TIMED_OUT
    talk.wait_for(lambda: asking and not asking[-1].open, what="the end of the question")


class Person:
    """Speaks into audio/external, and waits until it was listened to."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._at = probe.now()
        probe.wait_for_value("audio_capture", "source", "topic audio/external")
        self._listened = probe.subscribe("audio/input", Audio)
        self.heard = probe.subscribe("utterance", Utterance)

    def say(self, sound: Samples) -> None:
        before = len(self._listened)
        for number, begin in enumerate(range(0, sound.size, CHUNK)):
            piece = sound[begin : begin + CHUNK]
            message = Audio(sample_rate=SAMPLE_RATE, samples=samples_to_field(piece))
            message.header.stamp = to_stamp(self._at)
            self._at += piece.size / SAMPLE_RATE
            self._probe.publish("audio/external", message)
            if number % _AT_ONCE == _AT_ONCE - 1:
                self._await(before + number)
        self._await(before + sound.size // CHUNK - 1)

    def _await(self, pieces: int) -> None:
        self._probe.wait_for(lambda: len(self._listened) >= pieces, what="the sound being listened to")


def test_a_node_that_is_told_not_to_listen_is_deaf_until_it_is_told_to(
    start: Callable[..., NodeProcess], probe: Probe
) -> None:
    start("audio_capture", parameters={"source": "topic", "stop_words": [""]})
    person, sentence = Person(probe), spoken("Look to the left.")

    assert probe.call("listen", SetBool, SetBool.Request(data=False)).success
    person.say(np.concatenate((sentence, SILENCE)))
    assert probe.call("listen", SetBool, SetBool.Request(data=True)).success
    person.say(np.concatenate((sentence, SILENCE)))

    probe.wait_for(lambda: person.heard, what="the sentence that was to be heard")
    assert len(person.heard) == 1


def test_with_push_to_talk_the_button_is_what_is_heard_and_its_release_ends_the_utterance(
    start: Callable[..., NodeProcess], probe: Probe
) -> None:
    start("audio_capture", parameters={"source": "topic", "push_to_talk": True, "stop_words": [""]})
    person, sentence = Person(probe), spoken("Look to the left.")

    person.say(np.concatenate((sentence, SILENCE)))
    probe.publish("push_to_talk", Bool(data=True))
    probe.wait_for_value("audio_capture", "listening", "yes")
    person.say(sentence)
    assert not person.heard
    probe.publish("push_to_talk", Bool(data=False))

    probe.wait_for(lambda: person.heard, what="the sentence, without a silence after it")
    assert len(person.heard) == 1
