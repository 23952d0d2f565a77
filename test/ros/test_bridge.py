"""The bridge over DDS, with stand-ins for the other packages: each convention in and out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe
from rclpy.qos import DurabilityPolicy, QoSProfile
from sound import say, tone
from std_msgs.msg import Bool, Float32MultiArray

from lfm_voice_ros.core.sound_formats import to_int16
from lfm_voice_ros.msg import Audio, Interrupt, ToolCall, ToolDecision, Transcript, Utterance, VoiceActivity
from lfm_voice_ros.nodes.base import to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import samples_to_field

Start = Callable[..., NodeProcess]

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOICE = "humans/voices/anonymous_speaker"


def told(diagnostics: list[DiagnosticArray], text: str) -> bool:
    """Whether the bridge has said this of itself."""
    statuses = [status for message in diagnostics for status in message.status if status.name == "bridge"]
    return any(text in each for status in statuses for each in (status.message, *(v.value for v in status.values)))


def without_stand_ins() -> dict[str, str]:
    """The environment of a machine that has none of the packages."""
    names = ("PYTHONPATH", "AMENT_PREFIX_PATH", "LD_LIBRARY_PATH")
    return {
        name: os.pathsep.join(path for path in os.environ.get(name, "").split(os.pathsep) if "stand_ins" not in path)
        for name in names
    }


@pytest.fixture
def mgonzs13() -> dict[str, str]:
    """The environment of a machine with the audio_common_msgs of mgonzs13."""
    try:
        prefix = Path(get_package_prefix("audio_common_msgs")).parent / "audio_common_mgonzs13"
    except PackageNotFoundError:
        pytest.skip("needs the interfaces for the tests (scripts/setup --dev)")
    if not (prefix / "share" / "audio_common_msgs").is_dir():
        pytest.skip("the stand-in for the audio_common_msgs of mgonzs13 isn't built where a package of this name is")
    (packages,) = prefix.glob("lib/python3*/site-packages")
    first = {"PYTHONPATH": packages, "AMENT_PREFIX_PATH": prefix, "LD_LIBRARY_PATH": prefix / "lib"}
    return {name: f"{path}{os.pathsep}{os.environ.get(name, '')}" for name, path in first.items()}


def test_the_voice_its_words_and_what_it_asks_for_are_told_as_ros4hri_has_them(start: Start, probe: Probe) -> None:
    hri = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    intent = pytest.importorskip("hri_actions_msgs.msg", reason="needs hri_actions_msgs").Intent
    audio_data = pytest.importorskip("audio_common_msgs.msg", reason="needs audio_common_msgs").AudioData
    tracked = probe.subscribe("humans/voices/tracked", hri.IdsList)
    speaking = probe.subscribe(f"{VOICE}/is_speaking", Bool)
    speech = probe.subscribe(f"{VOICE}/speech", hri.LiveSpeech)
    sound = probe.subscribe(f"{VOICE}/audio", audio_data)
    intents = probe.subscribe("intents", intent)
    start("bridge", parameters={"ros4hri": True})
    probe.wait_for_value("bridge", "state", "active")  # the last of the subscriptions is known: the others are too

    probe.publish("voice_activity", VoiceActivity(speaking=True, utterance_id="u1"), LATCHED)
    probe.publish("audio/input", Audio(sample_rate=16_000, samples=samples_to_field(tone(0.064))))
    probe.publish("transcript", Transcript(utterance_id="u0", rejection="no speech"))
    probe.publish("transcript", Transcript(utterance_id="u1", text="Nod, then stop.", confidence=0.75, language="en"))
    calls = [
        ToolCall(name="pan_left", arguments_json='{"degrees": 30}'),
        ToolCall(name="broken", arguments_json="30"),
        ToolCall(name="stop"),
        ToolCall(name="get_time", arguments_json='{"location": "Tokyo"}'),
    ]
    probe.publish("tool_decision", ToolDecision(utterance_id="u1", calls=calls, confidence=0.5))

    probe.wait_for(lambda: len(intents) == 3 and speech and sound and speaking and tracked, what="all of it")
    assert tracked[0].ids == ["anonymous_speaker"]
    assert speaking[0].data is True
    (words,) = speech
    assert (words.final, words.confidence) == ("Nod, then stop.", 0.75)
    assert (words.locale if hasattr(words, "locale") else words.language) == "en_US"
    assert np.frombuffer(bytes(sound[0].data), "<i2") == pytest.approx(to_int16(tone(0.064)))
    assert [each.intent for each in intents] == [intent.PERFORM_MOTION, intent.STOP_ACTIVITY, "get_time"]
    assert json.loads(intents[0].data) == {"object": "pan_left", "other_data": {"degrees": 30}}
    assert json.loads(intents[2].data) == {"other_data": {"location": "Tokyo"}}
    assert {(each.source, each.modality, each.priority, each.confidence) for each in intents} == {
        ("anonymous_speaker", intent.MODALITY_SPEECH, 128, 0.5)
    }


def test_the_final_words_of_another_recognizer_become_transcripts_and_are_not_told_again(
    start: Start, probe: Probe
) -> None:
    hri = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    pytest.importorskip("hri_actions_msgs.msg", reason="needs hri_actions_msgs")
    transcripts = probe.subscribe("transcript", Transcript)
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    start("bridge", parameters={"ros4hri": True, "transcripts": "live_speech"})
    probe.wait_for_value("bridge", "state", "active")

    began = probe.now()
    probe.publish(f"{VOICE}/speech", hri.LiveSpeech(incremental="look"))
    probe.publish(f"{VOICE}/speech", hri.LiveSpeech(final="[BLANK_AUDIO]", confidence=1.0))
    for words in ("look left", "look right"):
        probe.publish(f"{VOICE}/speech", hri.LiveSpeech(final=words, confidence=0.5, locale="en_GB"))

    probe.wait_for(lambda: len(transcripts) == 2, what="two transcripts")
    assert [(each.text, each.confidence, each.language) for each in transcripts] == [
        ("look left", 0.5, "en"),
        ("look right", 0.5, "en"),
    ]
    assert len({each.utterance_id for each in transcripts} - {""}) == 2
    assert all(to_seconds(each.speech_end) >= began for each in transcripts)
    assert probe.publishers_of(f"/{VOICE}/speech") == 1, "only the recognizer speaks there"
    assert not told(diagnostics, "must not run")
    probe.publish("transcript", Transcript(utterance_id="ours"))
    probe.wait_for(lambda: told(diagnostics, "transcriber must not run"), what="a complaint about our transcriber")


def test_sound_of_ros_drivers_comes_in_and_goes_out_on_remapped_topics(start: Start, probe: Probe) -> None:
    audio = pytest.importorskip("audio_common_msgs.msg", reason="needs audio_common_msgs")
    heard = probe.subscribe("audio/external", Audio)
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    out = probe.subscribe("/play/audio", audio.AudioData)
    out_stamped = probe.subscribe("/play/audio_stamped", audio.AudioDataStamped)
    out_info = probe.subscribe("/play/audio_info", audio.AudioInfo)
    names = {"": "audio", "_stamped": "audio_stamped", "_info": "audio_info"}
    remappings = {f"audio_common/in{ours}": f"/audio/{theirs}" for ours, theirs in names.items()}
    remappings |= {f"audio_common/out{ours}": f"/play/{theirs}" for ours, theirs in names.items()}
    start("bridge", parameters={"audio_in": True, "audio_out": "input"}, remappings=remappings)
    stereo = array("B", np.repeat(to_int16(tone(0.1, 44_100)), 2).tobytes())

    # Best effort loses what is sent before the reader knows the writer: all is sent until it has come.
    def refused(words: str, info: object = None) -> bool:
        if info is not None:
            probe.publish("/audio/audio_info", info)
        probe.publish("/audio/audio", audio.AudioData(data=stereo))
        return told(diagnostics, words)

    def sent(message: Any, info: object) -> Any:
        # What was sent without a stamp before may come behind its format, and before this.
        probe.publish("/audio/audio_info", info)
        probe.publish("/audio/audio_stamped", message)
        return next((piece for piece in heard if piece.header.stamp == message.header.stamp), None)

    probe.wait_for(lambda: refused("came before its format"), what="the missing format in the diagnostics")
    info = audio.AudioInfo(channels=2, sample_rate=44_100, sample_format="S16LE", coding_format="flac")
    probe.wait_for(lambda: refused("sound coded as 'flac' can't be read", info), what="a refusal")
    info.coding_format = "wave"
    stamped = audio.AudioDataStamped(audio=audio.AudioData(data=stereo))
    stamped.header.stamp = to_stamp(123.5)
    piece = probe.wait_for(lambda: sent(stamped, info), what="sound in audio/external")

    assert piece.sample_rate == 44_100
    assert np.asarray(piece.samples) == pytest.approx(tone(0.1, 44_100), abs=1e-4)

    probe.publish("audio/input", Audio(sample_rate=16_000, samples=samples_to_field(tone(0.064))))

    probe.wait_for(lambda: out and out_stamped and out_info, what="sound for ros-drivers")
    assert bytes(out[0].data) == bytes(out_stamped[0].audio.data) == to_int16(tone(0.064)).tobytes()
    assert (out_info[0].channels, out_info[0].sample_rate, out_info[0].sample_format) == (1, 16_000, "S16LE")


def test_sound_of_mgonzs13_comes_in_in_all_its_formats_and_goes_out_at_the_pace_of_hearing(
    start: Start, probe: Probe, mgonzs13: dict[str, str]
) -> None:
    heard = probe.subscribe("audio/external", Audio)
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    start("bridge", parameters={"audio_in": True, "audio_out": "output"}, environment=mgonzs13)
    other = subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[1] / "support" / "mgonzs13_audio.py")],
        env={**os.environ, **mgonzs13},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        formats = {1, 2, 8, 16, 32}
        probe.wait_for(
            lambda: {message.header.stamp.sec for message in heard} == formats, timeout=60.0, what="all formats"
        )
        assert all(message.sample_rate == 48_000 for message in tuple(heard))
        for message in tuple(heard):  # more come meanwhile
            np.testing.assert_allclose(message.samples, tone(0.1, 48_000), rtol=0.0, atol=0.02)
        assert told(diagnostics, "mgonzs13")
        probe.wait_for(lambda: told(diagnostics, "format 4 can't be read"), what="the refusal of a format")

        say(probe, "cut", 0, tone(20.0))
        probe.publish("interrupt", Interrupt(utterance_id="cut"))
        say(probe, "cut", 1, tone(20.0), last=True)
        shown = None
        while shown is None:  # best effort loses what is sent before the other side is known
            say(probe, "reply", 0, tone(1.5, 22_050), rate=22_050, last=True)
            with suppress(subprocess.TimeoutExpired):
                shown, _ = other.communicate(timeout=5.0)
    finally:
        other.kill()
        other.wait()
    came = json.loads(shown)
    assert came["formats"] == [8]
    assert 22_050 in came["rates"], "what came after an interrupt was held up by what was cut"
    assert came["peak"] == pytest.approx(0.5 * 32767, abs=2)
    assert came["took"] > 0.4, "a second of sound came at once, which no player can keep"


def test_whisper_ros_gets_each_utterance_and_each_gets_exactly_one_transcript(start: Start, probe: Probe) -> None:
    transcription = pytest.importorskip("whisper_msgs.msg", reason="needs whisper_msgs").Transcription
    transcripts = probe.subscribe("transcript", Transcript)
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)
    start("bridge", parameters={"transcripts": "whisper_ros", "transcripts_timeout": 6.0})
    end = to_stamp(probe.now())

    def utter(name: str, seconds: float) -> None:
        sound = samples_to_field(tone(seconds))
        probe.publish("utterance", Utterance(utterance_id=name, sample_rate=16_000, samples=sound, speech_end=end))

    def answer(text: str, seconds: float) -> None:
        probe.publish("whisper/transcription", transcription(text=text, audio_time=seconds, transcription_time=0.0))

    utter("nobody listens", 1.0)
    probe.wait_for(lambda: transcripts, what="a failed transcript")
    assert transcripts[0].failed
    assert "stream:=True" in transcripts[0].rejection

    given = probe.subscribe("whisper/vad", Float32MultiArray)
    utter("heard", 1.5)
    probe.wait_for(lambda: given, what="an utterance for whisper_ros")
    assert np.asarray(given[0].data) == pytest.approx(tone(1.5), abs=1e-6)
    answer("of another microphone", 9.0)
    answer("Look left.", 1.5)
    probe.wait_for(lambda: len(transcripts) == 2, what="words")
    assert (transcripts[1].text, transcripts[1].utterance_id) == ("Look left.", "heard")
    assert transcripts[1].speech_end == end
    probe.wait_for(lambda: told(diagnostics, "belong to no utterance"), what="the stray words in the diagnostics")

    utter("silent", 0.5)
    probe.wait_for(lambda: len(given) == 2, what="the silent one at whisper_ros")
    assert len(given[1].data) > 16_000, "whisper.cpp hears nothing in less than a second"
    probe.wait_for(lambda: len(transcripts) == 3, what="the end of the wait")
    assert (transcripts[2].utterance_id, transcripts[2].failed) == ("silent", True)
    assert "no words within 6.0 s" in transcripts[2].rejection
    utter("noise", 2.0)
    probe.wait_for(lambda: len(given) == 3, what="the next one at whisper_ros")
    answer("too late", 1.0)
    answer("[BLANK_AUDIO]", 2.0)
    probe.wait_for(lambda: len(transcripts) == 4, what="the last transcript")
    assert (transcripts[3].utterance_id, transcripts[3].text, transcripts[3].failed) == ("noise", "", False)


def test_a_missing_package_ends_the_start_with_its_name(start: Start, domain: int) -> None:
    wanted = {
        "hri_actions_msgs": {"ros4hri": True},
        "hri_msgs": {"transcripts": "live_speech"},
        "whisper_msgs": {"transcripts": "whisper_ros"},
        "audio_common_msgs": {"audio_out": "output"},
    }
    nodes = {
        package: start("bridge", parameters=parameters, environment=without_stand_ins())
        for package, parameters in wanted.items()
    }
    for package, node in nodes.items():
        assert node.wait(30.0) == 2
        assert f"needs the package {package}, which isn't installed: " in node.output
        assert "Traceback" not in node.output
