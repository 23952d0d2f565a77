"""Settings: checked, and the same in the code and in config/assistant.yaml."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import yaml

from lfm_voice_ros.core import settings
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import AudioCaptureSettings, ToolServerSettings, TranscriberSettings, build

ALL = {
    "audio_capture": settings.AudioCaptureSettings,
    "transcriber": settings.TranscriberSettings,
    "tool_detector": settings.ToolDetectorSettings,
    "tool_server": settings.ToolServerSettings,
    "pan_tilt": settings.PanTiltSettings,
    "pan_tilt_sim": settings.PanTiltSimSettings,
    "dialogue": settings.DialogueSettings,
    "voice": settings.VoiceSettings,
    "audio_player": settings.AudioPlayerSettings,
    "recorder": settings.RecorderSettings,
    "bridge": settings.BridgeSettings,
    "markers": settings.MarkersSettings,
    "tracing": settings.TracingSettings,
    "link_guard": settings.LinkGuardSettings,
    "link_beacon": settings.LinkBeaconSettings,
    "robot_codec": settings.RobotCodecSettings,
    "brain_codec": settings.BrainCodecSettings,
}


def test_what_is_not_given_keeps_its_default() -> None:
    given = build(AudioCaptureSettings, {"silence_window": 0.7}, "audio_capture")

    assert given == AudioCaptureSettings(silence_window=0.7)


def test_a_whole_number_serves_for_a_float() -> None:
    assert build(AudioCaptureSettings, {"silence_window": 1}, "audio_capture").silence_window == 1.0


@pytest.mark.parametrize(
    ("settings_type", "values", "complaint"),
    [
        (AudioCaptureSettings, {"silence_windw": 0.7}, "no parameter 'silence_windw'.*silence_window"),
        (AudioCaptureSettings, {"silence_window": "long"}, "must be a float"),
        (AudioCaptureSettings, {"silence_window": 99.0}, "between 0.1 and 5.0"),
        (AudioCaptureSettings, {"silence_window": float("nan")}, "between 0.1 and 5.0"),
        (AudioCaptureSettings, {"barge_in": 1}, "must be a bool"),
        (TranscriberSettings, {"threads": True}, "must be a int"),
        (TranscriberSettings, {"threads": 2.5}, "must be a int"),
        (TranscriberSettings, {"backend": "siri"}, "one of: faster_whisper, openai_whisper"),
        (ToolServerSettings, {"allowed": "nod"}, "must be a list"),
        (ToolServerSettings, {"allowed": [1, 2]}, "a list of names"),
    ],
)
def test_wrong_settings_are_refused_with_what_would_be_right(
    settings_type: type, values: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        build(settings_type, values, "node")


def test_every_settings_class_has_its_node() -> None:
    classes = {kind for name, kind in inspect.getmembers(settings, inspect.isclass) if name.endswith("Settings")}

    assert classes - {settings.Settings} == set(ALL.values())


@pytest.mark.parametrize("node", ALL)
def test_the_parameter_file_repeats_the_defaults(node: str) -> None:
    file = yaml.safe_load(config_file("assistant.yaml").read_text(encoding="utf-8"))

    assert file[f"/**/{node}"]["ros__parameters"] == dataclasses.asdict(ALL[node]())


def test_the_parameter_file_has_no_other_nodes() -> None:
    file = yaml.safe_load(config_file("assistant.yaml").read_text(encoding="utf-8"))

    assert set(file) == {f"/**/{node}" for node in ALL}
