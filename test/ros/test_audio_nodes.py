"""audio_capture and audio_player as processes over DDS, with real speech and the real voice activity detector."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile
from sound import in_state, say, spoken, tone

from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.msg import (
    Audio,
    EndOfTurn,
    Interrupt,
    Playback,
    SpeechAudio,
    Transcript,
    Utterance,
    VoiceActivity,
)
from lfm_voice_ros.nodes.base import to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]
LATCHED = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SILENCE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="session")
def speech() -> Samples:
    return spoken("Please look left by thirty degrees.")


@pytest.fixture
def launch(start: Start, probe: Probe) -> Start:
    """Like start, but returns when the node has discovered all subscriptions that the probe has made until now."""

    def launch_node(executable: str, **options: Any) -> NodeProcess:
        # Subscriptions are discovered in the order in which they were made; this one is the last.
        received = probe.subscribe("/diagnostics", DiagnosticArray)
        node = start(executable, **options)
        probe.wait_for(
            lambda: any(message.status[0].name == executable for message in received), what=f"a word of {executable}"
        )
        if executable == "audio_capture":
            node.wait_for_output("listening to")
        return node

    return launch_node


@pytest.fixture
def diagnostics(probe: Probe) -> Callable[[str, str], dict[str, str]]:
    """Wait until a node's diagnostics hold a text, or for "ok" are well; give their values and the level."""
    received = probe.subscribe("/diagnostics", DiagnosticArray)

    def wait(node: str, text: str) -> dict[str, str]:
        def found() -> dict[str, str] | None:
            for message in reversed(received):
                status = message.status[0]
                if status.name == node:
                    values = {pair.key: pair.value for pair in status.values}
                    shown = f"{status.message} {values}"
                    return {**values, "LEVEL": str(status.level[0])} if text in shown else None
            return None

        return probe.wait_for(found, what=f"'{text}' in the diagnostics of {node}") or {}

    return wait


def send(probe: Probe, samples: Samples, rate: int = 16_000, at: float | None = None) -> float:
    """Send sound to audio/external in pieces of 0.1 s, as if it had been recorded; give the time of its end."""
    at = probe.now() if at is None else at
    for piece in np.array_split(samples, max(1, samples.size * 10 // rate)):
        message = Audio(sample_rate=rate, samples=samples_to_field(piece))
        message.header.stamp = to_stamp(at)
        probe.publish("audio/external", message)
        at += piece.size / rate
    return at


# audio_capture


def test_a_file_gives_exactly_one_utterance_with_its_speech(
    start: Start, probe: Probe, tmp_path: Path, speech: Samples
) -> None:
    write_wav(tmp_path / "said.wav", np.concatenate((SILENCE, speech)), 16_000)
    utterances = probe.subscribe("utterance", Utterance)
    activities = probe.subscribe("voice_activity", VoiceActivity, LATCHED)
    heard = probe.subscribe("audio/input", Audio)
    start("audio_capture", parameters={"source": f"wav:{tmp_path / 'said.wav'}"})
    probe.wait_for(lambda: utterances, what="an utterance")
    (utterance,) = utterances
    # Two seconds of silence more, in which nothing else may come.
    end = probe.now() + 2.0
    probe.wait_for(lambda: heard and to_seconds(heard[-1].header.stamp) > end, what="the silence after it")
    assert len(utterances) == 1
    seconds = speech.size / 16_000
    began, ended = to_seconds(utterance.speech_start), to_seconds(utterance.speech_end)
    assert ended - began == pytest.approx(seconds, abs=0.3)
    assert began - to_seconds(utterance.header.stamp) == pytest.approx(0.3, abs=0.001)
    assert len(utterance.samples) / 16_000 == pytest.approx(0.3 + (ended - began) + 0.6, abs=0.05)
    said = np.asarray(utterance.samples, np.float32)
    shift = np.argmax(np.correlate(said, speech, "valid"))
    assert np.abs(said[shift : shift + speech.size] - speech).max() < 1e-3, "a part of the sentence is missing"
    assert all(512 <= len(m.samples) <= 1600 and m.sample_rate == 16_000 for m in heard)
    speaking = [activity for activity in activities if activity.speaking]
    assert {activity.utterance_id for activity in speaking} == {utterance.utterance_id}
    assert not activities[-1].speaking


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"no sound at all, just words", "can't be read as a sound file"),
        (b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80>\x00\x00\x00}\x00\x00\x02\x00\x10\x00"
         b"data\x00\x00\x00\x00", "has no samples"),
    ],
    ids=["missing", "empty", "not a WAV", "truncated to nothing"],
)  # fmt: skip
def test_an_unusable_file_is_told_once_and_the_node_lives_until_it_is_usable(
    start: Start,
    probe: Probe,
    tmp_path: Path,
    speech: Samples,
    diagnostics: Callable[[str, str], dict[str, str]],
    content: bytes | None,
    words: str,
) -> None:
    path = tmp_path / "said.wav"
    if content is not None:
        path.write_bytes(content)
    utterances = probe.subscribe("utterance", Utterance)
    node = start("audio_capture", parameters={"source": f"wav:{path}", "reconnect_period": 0.2})
    assert diagnostics("audio_capture", words)["LEVEL"] == "2"
    write_wav(path.with_suffix(".new"), speech, 16_000)
    path.with_suffix(".new").rename(path)
    probe.wait_for(lambda: utterances, what="an utterance")
    node.wait_for_output(words)
    assert node.output.count(words) == 1
    assert "Traceback" not in node.output
    assert diagnostics("audio_capture", "ok")["LEVEL"] == "0"


@pytest.mark.parametrize("kind", ["8 bit", "stereo 44.1 kHz", "truncated"])
def test_an_unusual_file_is_heard(start: Start, probe: Probe, tmp_path: Path, speech: Samples, kind: str) -> None:
    path = tmp_path / "said.wav"
    if kind == "8 bit":
        soundfile.write(path, speech, 16_000, subtype="PCM_U8")
    elif kind == "stereo 44.1 kHz":
        other = resample(speech, 16_000, 44_100)
        soundfile.write(path, np.stack((other, other), axis=1), 44_100)
    else:
        write_wav(path, np.concatenate((speech, SILENCE)), 16_000)
        path.write_bytes(path.read_bytes()[: 44 + 2 * speech.size])
    utterances = probe.subscribe("utterance", Utterance)
    start("audio_capture", parameters={"source": f"wav:{path}"})
    (utterance,) = probe.wait_for(lambda: utterances, what="an utterance")
    spoken = to_seconds(utterance.speech_end) - to_seconds(utterance.speech_start)
    assert spoken == pytest.approx(speech.size / 16_000, abs=0.4)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_external_sound_of_any_rate_is_heard_at_the_time_of_its_stamps(
    launch: Start, probe: Probe, speech: Samples, rate: int
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    launch("audio_capture", parameters={"source": "topic"})
    sound = resample(np.concatenate((SILENCE, speech, SILENCE)), 16_000, rate)
    began = probe.now()
    send(probe, sound, rate, at=began)
    probe.wait_for(lambda: utterances, what="an utterance")
    (utterance,) = utterances
    assert to_seconds(utterance.speech_start) == pytest.approx(began + 1.0, abs=0.2)
    assert to_seconds(utterance.speech_end) == pytest.approx(began + 1.0 + speech.size / 16_000, abs=0.2)
    assert utterance.sample_rate == 16_000


def test_unusable_external_sound_is_dropped_counted_and_told_once_of_each_kind(
    launch: Start, probe: Probe, speech: Samples, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    node = launch("audio_capture", parameters={"source": "topic"})
    at = send(probe, SILENCE, at=1_000.0)
    for _ in range(3):
        for rate, samples in ((16_000, np.full(160, np.nan, np.float32)), (7, SILENCE), (16_000, SILENCE[:0])):
            message = Audio(sample_rate=rate, samples=samples_to_field(samples))
            message.header.stamp = to_stamp(at)
            probe.publish("audio/external", message)
    send(probe, np.concatenate((speech, SILENCE)), at=at)
    probe.wait_for(lambda: utterances, what="an utterance")
    values = diagnostics("audio_capture", "no samples': '3'")
    dropped = {key.partition(": ")[2]: value for key, value in values.items() if "external sound dropped: " in key}
    assert dropped == {"not a number": "3", "wrong rate": "3", "no samples": "3"}
    assert values["LEVEL"] == "1"
    for words in ("NaN", "7 Hz", "without samples"):
        node.wait_for_output(words)
        assert node.output.count(words) == 1
    assert "Traceback" not in node.output


def test_a_jump_in_the_stamps_ends_the_utterance(launch: Start, probe: Probe, speech: Samples) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    launch("audio_capture", parameters={"source": "topic"})
    began = probe.now()
    send(probe, np.concatenate((SILENCE, speech)), at=began)
    send(probe, np.concatenate((SILENCE, speech, SILENCE)), at=began + 30.0)
    probe.wait_for(lambda: len(utterances) == 2, what="the second utterance")
    assert [round(to_seconds(utterance.speech_start) - began, -1) for utterance in utterances] == [0, 30]


def test_old_sound_that_is_sent_faster_than_it_was_spoken_stays_where_its_beginning_was_put(
    launch: Start, probe: Probe, speech: Samples
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    launch("audio_capture", parameters={"source": "topic"})
    began = probe.now()
    # The first piece is too old to be taken as it is; in the middle of the words they no longer are.
    send(probe, np.concatenate((SILENCE, speech, SILENCE)), at=began - 6.5)
    probe.wait_for(lambda: utterances, what="an utterance")
    (utterance,) = utterances
    seconds = to_seconds(utterance.speech_end) - to_seconds(utterance.speech_start)
    assert seconds == pytest.approx(speech.size / 16_000, abs=0.2)
    assert to_seconds(utterance.speech_start) > began


def test_external_sound_that_stops_in_the_middle_of_speech_ends_the_utterance(
    launch: Start, probe: Probe, speech: Samples
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    launch("audio_capture", parameters={"source": "topic"})
    send(probe, np.concatenate((SILENCE, speech)))
    probe.wait_for(lambda: utterances, what="an utterance")


def playback(probe: Probe, state: int, reply: str = "reply") -> None:
    probe.publish("playback", Playback(utterance_id=reply, state=state))


def test_half_duplex_hears_nothing_while_the_robot_speaks_and_hears_again_after_it(
    launch: Start, probe: Probe, speech: Samples
) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    heard = probe.subscribe("audio/input", Audio)
    interrupts = probe.subscribe("interrupt", Interrupt)
    launch("audio_capture", parameters={"source": "topic"})
    playback(probe, Playback.STARTED)
    # Topics have no order among one another: an answer says that the node has taken what came before.
    probe.call("audio_capture/get_parameters", GetParameters, GetParameters.Request(names=["barge_in"]))
    with probe.repeating("playback", Playback(utterance_id="reply", state=Playback.PLAYING)):
        # Sound at once, so that no time-out ends the silence in between.
        at = send(probe, np.concatenate((SILENCE, speech, SILENCE)))
        probe.wait_for(lambda: heard and to_seconds(heard[-1].header.stamp) > at - 0.2, what="the sound")
    assert utterances == []
    # FINISHED is lost: the robot counts as silent a second after its last sign.
    probe.wait_for_value("audio_capture", "listening", "yes")
    at = probe.now() + 30.0
    send(probe, np.concatenate((SILENCE, speech, SILENCE)), at=at)
    probe.wait_for(lambda: utterances, what="an utterance")
    assert to_seconds(utterances[0].header.stamp) > at
    assert interrupts == []


def test_each_utterance_into_a_reply_interrupts_it_once(launch: Start, probe: Probe, speech: Samples) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    interrupts = probe.subscribe("interrupt", Interrupt)
    launch("audio_capture", parameters={"source": "topic", "barge_in": True})
    playback(probe, Playback.STARTED)
    probe.call("audio_capture/get_parameters", GetParameters, GetParameters.Request(names=["barge_in"]))
    began = probe.now()
    with probe.repeating("playback", Playback(utterance_id="reply", state=Playback.PLAYING)):
        at = send(probe, np.concatenate((SILENCE, speech, SILENCE)), at=began)
        send(probe, np.concatenate((speech, SILENCE)), at=at)
        probe.wait_for(lambda: len(utterances) == len(interrupts) == 2, what="two utterances, each an interruption")
    assert [(i.utterance_id, i.reason) for i in interrupts] == [("reply", "barge-in")] * 2
    assert [i.by for i in interrupts] == [utterance.utterance_id for utterance in utterances]
    assert to_seconds(interrupts[0].header.stamp) == pytest.approx(began + 1.0, abs=0.2)


def test_speech_while_nothing_plays_interrupts_nothing(launch: Start, probe: Probe, speech: Samples) -> None:
    utterances = probe.subscribe("utterance", Utterance)
    interrupts = probe.subscribe("interrupt", Interrupt)
    launch("audio_capture", parameters={"source": "topic", "barge_in": True})
    playback(probe, Playback.STARTED)
    playback(probe, Playback.FINISHED)
    send(probe, np.concatenate((SILENCE, speech, SILENCE)), at=1_000.0)
    probe.wait_for(lambda: utterances, what="an utterance")
    assert interrupts == []


def test_where_nobody_takes_drafts_the_silence_window_ends_the_utterance(
    start: Start, probe: Probe, tmp_path: Path, speech: Samples
) -> None:
    write_wav(tmp_path / "said.wav", np.concatenate((SILENCE, speech, np.zeros(72_000, np.float32))), 16_000)
    utterances = probe.subscribe("utterance", Utterance)
    windows = {"silence_window": 0.5, "unclear_window": 8.0, "unfinished_window": 8.0}
    start("audio_capture", parameters={"source": f"wav:{tmp_path / 'said.wav'}", **windows})
    probe.wait_for(lambda: utterances, 60.0, "an utterance")
    ended = utterances[0]
    assert len(ended.samples) / 16_000 < speech.size / 16_000 + 2.0


@pytest.mark.parametrize("ending", [EndOfTurn.COMPLETE, EndOfTurn.UNFINISHED], ids=["complete", "unfinished"])
def test_what_was_said_decides_whether_a_pause_ends_the_utterance(
    start: Start, probe: Probe, tmp_path: Path, speech: Samples, ending: int
) -> None:
    pause = np.zeros(96_000, np.float32)  # 6 s
    write_wav(tmp_path / "said.wav", np.concatenate((SILENCE, speech, pause, speech)), 16_000)
    drafts, utterances = probe.subscribe("utterance/draft", Utterance), probe.subscribe("utterance", Utterance)
    windows = {"complete_window": 0.3, "unclear_window": 5.0, "unfinished_window": 10.0}
    start("audio_capture", parameters={"source": f"wav:{tmp_path / 'said.wav'}", **windows})
    probe.publish("end_of_turn", EndOfTurn(utterance_id="another"))
    probe.wait_for(lambda: drafts, 60.0, "a draft")
    draft = drafts[-1]
    probe.publish(
        "end_of_turn",
        EndOfTurn(utterance_id=draft.utterance_id, speech_end=draft.speech_end, ending=ending),
    )
    probe.wait_for(lambda: utterances, 30.0, "an utterance")
    utterance = utterances[0]
    assert utterance.utterance_id == draft.utterance_id
    seconds = len(utterance.samples) / 16_000
    if ending == EndOfTurn.COMPLETE:
        assert utterance.speech_end == draft.speech_end
        assert seconds < 0.3 + speech.size / 16_000 + 5.0
    else:
        assert seconds > 2 * speech.size / 16_000 + 6.0
        assert to_seconds(drafts[-1].speech_end) > to_seconds(draft.speech_end)


@pytest.mark.parametrize(
    ("executable", "parameters", "words"),
    [
        ("audio_capture", {"source": "gramophone"}, "source is 'gramophone'"),
        ("audio_capture", {"speech_threshold": 0.2}, "silence_threshold"),
        ("audio_capture", {"complete_window": 1.2}, "unclear_window"),
        ("audio_player", {"sink": "wav:"}, "sink is 'wav:'"),
    ],
)
def test_wrong_settings_end_the_start(start: Start, executable: str, parameters: dict[str, object], words: str) -> None:
    node = start(executable, parameters=parameters)
    assert node.wait() == 2
    assert words in node.output
    assert "Traceback" not in node.output


# audio_player


def test_the_folder_gets_what_was_sent_and_the_file_is_complete_when_the_end_is_told(
    launch: Start, probe: Probe, tmp_path: Path
) -> None:
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    node.wait_for_output("speaking into")
    sound = tone(0.8, 22_050)
    began = probe.now()
    say(probe, "reply-1", 0, sound[:10_000], text="Hello.", rate=22_050)
    say(probe, "reply-1", 1, sound[10_000:], text="Bye.", rate=22_050)
    say(probe, "reply-1", 2, sound[:0], last=True, rate=22_050)
    finished = probe.wait_for(lambda: in_state(states, "reply-1", Playback.FINISHED), what="the end")
    samples, rate = soundfile.read(tmp_path / "reply-1.wav", dtype="float32")
    assert rate == 22_050
    assert samples == pytest.approx(sound, abs=1e-4)
    assert finished.heard_seconds == pytest.approx(0.8, abs=1e-3)
    assert finished.heard_text == "Hello. Bye."
    assert [state.state for state in states[:2]] == [Playback.STARTED, Playback.PLAYING]
    started = to_seconds(states[0].header.stamp)
    assert 0 <= started - began < 5.0
    assert 0.8 <= to_seconds(finished.header.stamp) - started < 5.0


def test_an_interrupt_cuts_at_once_and_no_stale_sound_comes_after_it(
    launch: Start, probe: Probe, tmp_path: Path, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    node.wait_for_output("speaking into")
    say(probe, "old", 0, tone(20.0), text="A long story.")
    probe.wait_for(lambda: in_state(states, "old", Playback.PLAYING), what="the old reply")
    at = probe.now()
    probe.publish("interrupt", Interrupt(reason="test"))
    cut = probe.wait_for(lambda: in_state(states, "old", Playback.INTERRUPTED), what="the cut")
    assert to_seconds(cut.header.stamp) - at < 5.0
    say(probe, "old", 1, tone(5.0), last=True, text="It goes on.")
    say(probe, "new", 0, tone(0.3), last=True, text="Yes?")
    finished = probe.wait_for(lambda: in_state(states, "new", Playback.FINISHED), what="the new reply")
    assert finished.heard_text == "Yes?"
    assert cut.heard_text == "A long story."
    assert 0 < cut.heard_seconds < 15.0
    kept = soundfile.info(tmp_path / "old.wav").frames / 16_000
    assert kept == pytest.approx(cut.heard_seconds, abs=1e-3)
    assert states[-1].utterance_id == "new"
    assert diagnostics("audio_player", "chunks dropped: late")["chunks dropped: late"] == "1"


def _spoken_into(probe: Probe, states: list[Any], reply: str, by: str) -> None:
    """A person begins to speak; returns when the reply is paused."""
    probe.publish("interrupt", Interrupt(utterance_id=reply, reason=Interrupt.BARGE_IN, by=by))
    probe.wait_for(lambda: in_state(states, reply, Playback.PAUSED), what="the pause")


@pytest.mark.parametrize(
    ("topic", "transcript", "end"),
    [
        ("transcript", {"text": "Mhm."}, Playback.FINISHED),
        ("transcript", {"rejection": "no speech"}, Playback.FINISHED),
        ("transcript/draft", {"text": "Yeah, okay."}, Playback.FINISHED),
        ("transcript/draft", {"text": "No, look"}, Playback.INTERRUPTED),
        ("transcript", {"text": "Look left."}, Playback.INTERRUPTED),
        ("transcript", {"failed": True, "rejection": "the model is missing"}, Playback.INTERRUPTED),
    ],
)
def test_the_words_say_whether_a_reply_that_was_spoken_into_goes_on(
    launch: Start, probe: Probe, tmp_path: Path, topic: str, transcript: dict[str, Any], end: int
) -> None:
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    node.wait_for_output("speaking into")
    sound = np.linspace(0.1, 0.9, 80_000, dtype=np.float32)
    say(probe, "reply", 0, sound, last=True, text="A sentence.")
    probe.wait_for(lambda: in_state(states, "reply", Playback.PLAYING), what="the reply")
    _spoken_into(probe, states, "reply", "u1")
    probe.publish(topic, Transcript(utterance_id="u1", **transcript))
    ended = probe.wait_for(lambda: in_state(states, "reply", end), what="the end")
    kept, _ = soundfile.read(tmp_path / "reply.wav", dtype="float32")
    if end == Playback.FINISHED:
        # All of it was heard, some of it twice.
        assert ended.heard_seconds == pytest.approx(5.0, abs=1e-3)
        assert kept.size >= sound.size
        assert kept[-8_000:] == pytest.approx(sound[-8_000:], abs=1e-4)
    else:
        assert kept.size / 16_000 == pytest.approx(ended.heard_seconds, abs=1e-3)
        assert ended.heard_text == "A sentence."


def test_without_any_words_the_reply_goes_on_by_itself(launch: Start, probe: Probe) -> None:
    states = probe.subscribe("playback", Playback)
    launch("audio_player", parameters={"sink": "none"})
    say(probe, "reply", 0, tone(5.0), last=True)
    probe.wait_for(lambda: in_state(states, "reply", Playback.PLAYING), what="the reply")
    _spoken_into(probe, states, "reply", "u1")
    probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")


def test_a_reply_that_must_be_heard_does_not_even_pause(launch: Start, probe: Probe) -> None:
    states = probe.subscribe("playback", Playback)
    launch("audio_player", parameters={"sink": "none"})
    chunk = SpeechAudio(
        utterance_id="reply", last=True, sample_rate=16_000, samples=samples_to_field(tone(1.0)), uninterruptible=True
    )
    probe.publish("audio/output", chunk)
    probe.wait_for(lambda: in_state(states, "reply", Playback.PLAYING), what="the reply")
    probe.publish("interrupt", Interrupt(utterance_id="reply", reason=Interrupt.BARGE_IN, by="u1"))
    probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")
    assert in_state(states, "reply", Playback.PAUSED) is None


def test_twenty_interruptions_at_random_moments_lose_and_double_nothing(
    launch: Start, probe: Probe, tmp_path: Path
) -> None:
    chance = random.Random(7)
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    node.wait_for_output("speaking into")
    ends: dict[str, int] = {}
    for number in range(20):
        reply, by = f"reply-{number}", f"u{number}"
        actions: list[Callable[[], None]] = [
            partial(say, probe, reply, sequence, tone(0.1), last=sequence == 2) for sequence in range(3)
        ]
        barge_in = Interrupt(utterance_id=reply, reason=Interrupt.BARGE_IN, by=by)
        actions.insert(chance.randint(1, 3), partial(probe.publish, "interrupt", barge_in))
        for action in actions:
            action()
            moment = time.monotonic() + chance.uniform(0.0, 0.08)
            probe.wait_for(lambda moment=moment: time.monotonic() >= moment, what="a moment")  # type: ignore[misc]
        words = chance.choice(("Mhm.", "Stop it."))
        probe.publish("transcript", Transcript(utterance_id=by, text=words))
        ended = probe.wait_for(
            lambda reply=reply: (
                in_state(states, reply, Playback.FINISHED)  # type: ignore[misc]
                or in_state(states, reply, Playback.INTERRUPTED)
            ),
            what=f"the end of {reply}",
        )
        ends[reply] = ended.state
        was_paused = in_state(states, reply, Playback.PAUSED) is not None
        assert ended.state == (Playback.INTERRUPTED if was_paused and words != "Mhm." else Playback.FINISHED)
    over = [m.utterance_id for m in states if m.state in (Playback.FINISHED, Playback.INTERRUPTED)]
    assert sorted(over) == sorted(ends)
    assert "Traceback" not in node.output


def test_what_is_played_is_published_with_the_times_at_which_it_is_heard(launch: Start, probe: Probe) -> None:
    played = probe.subscribe("audio/played", Audio)
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": "none"})
    node.wait_for_output("speaking into")
    sound = tone(0.5, 22_050)
    say(probe, "reply", 0, sound, last=True, rate=22_050)
    probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")
    probe.wait_for(lambda: sum(len(m.samples) for m in played) >= 7_990, what="what was played")
    heard = np.concatenate([np.asarray(m.samples, np.float32) for m in played])
    assert {m.sample_rate for m in played} == {16_000}
    assert heard[: 8_000 - 50] == pytest.approx(tone(0.5)[: 8_000 - 50], abs=0.05)
    began = to_seconds(in_state(states, "reply", Playback.STARTED).header.stamp)
    assert to_seconds(played[0].header.stamp) == pytest.approx(began, abs=0.2)
    for one, other in itertools.pairwise(played):
        ends = to_seconds(one.header.stamp) + len(one.samples) / 16_000
        assert to_seconds(other.header.stamp) == pytest.approx(ends, abs=0.005)


def test_unusable_chunks_are_dropped_and_counted_and_the_reply_still_ends(
    launch: Start, probe: Probe, tmp_path: Path, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    node.wait_for_output("speaking into")
    say(probe, "reply", 0, tone(0.2))
    say(probe, "reply", 0, tone(0.2))
    say(probe, "reply", 1, np.full(100, np.nan, np.float32))
    say(probe, "reply", 2, tone(0.1), rate=3)
    say(probe, "reply", 3, tone(0.1)[:0])
    say(probe, "reply", 5, tone(0.2))
    say(probe, "reply", 6, np.full(100, np.inf, np.float32), last=True)
    finished = probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")
    assert finished.heard_seconds == pytest.approx(0.4, abs=1e-3)
    values = diagnostics("audio_player", "chunks dropped: missing")
    assert values["chunks dropped: unusable"] == "4"
    assert values["chunks dropped: out of order"] == "1"
    assert values["chunks dropped: missing"] == "1"
    assert values["LEVEL"] == "1"
    assert "Traceback" not in node.output


def test_without_a_speaker_replies_pass_unheard_and_still_end(
    launch: Start, probe: Probe, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    states = probe.subscribe("playback", Playback)
    node = launch("audio_player", parameters={"sink": "sound_card:no such speaker"})
    assert diagnostics("audio_player", "no such speaker")["LEVEL"] == "2"
    say(probe, "reply", 0, tone(0.3), last=True)
    probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")
    node.wait_for_output("no such speaker")
    assert node.output.count("no such speaker") == 1
    assert "Traceback" not in node.output


def test_without_a_microphone_the_node_lives_and_says_so_once(
    start: Start, probe: Probe, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    node = start("audio_capture", parameters={"source": "sound_card:no such microphone", "reconnect_period": 0.1})
    assert diagnostics("audio_capture", "no such microphone")["LEVEL"] == "2"
    later = probe.subscribe("/diagnostics", DiagnosticArray)
    probe.wait_for(lambda: len(later) >= 2, what="diagnostics after it has tried again and again")
    assert node.running
    node.wait_for_output("no such microphone")
    assert node.output.count("no such microphone") == 1
    assert "Traceback" not in node.output


def test_a_folder_that_cannot_be_made_is_told_and_replies_still_end(
    launch: Start, probe: Probe, tmp_path: Path, diagnostics: Callable[[str, str], dict[str, str]]
) -> None:
    (tmp_path / "file").write_text("in the way")
    states = probe.subscribe("playback", Playback)
    launch("audio_player", parameters={"sink": f"wav:{tmp_path / 'file' / 'folder'}"})
    assert diagnostics("audio_player", "can't be made")["LEVEL"] == "2"
    say(probe, "reply", 0, tone(0.1), last=True)
    probe.wait_for(lambda: in_state(states, "reply", Playback.FINISHED), what="the end")


def test_both_nodes_end_within_two_seconds_of_sigterm_and_the_file_is_complete(
    launch: Start, probe: Probe, tmp_path: Path, speech: Samples
) -> None:
    write_wav(tmp_path / "said.wav", speech, 16_000)
    states = probe.subscribe("playback", Playback)
    capture = launch("audio_capture", parameters={"source": f"wav:{tmp_path / 'said.wav'}"})
    player = launch("audio_player", parameters={"sink": f"wav:{tmp_path}"})
    player.wait_for_output("speaking into")
    say(probe, "reply", 0, tone(60.0))
    probe.wait_for(lambda: in_state(states, "reply", Playback.PLAYING), what="the reply")
    for node in (capture, player):
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 2.0
        assert "Traceback" not in node.output
    assert 0 < soundfile.info(tmp_path / "reply.wav").frames < 960_000
