"""Datasets of conversations, with the real voices and the real Whisper that listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfm_voice_ros import cli
from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.dataset.format import read_dataset

pytest.importorskip("hassil", reason="hassil is not installed (scripts/setup --extra training)")


def words(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum() or c == " ")


def test_a_dataset_is_made_in_one_command_and_its_replies_say_their_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--examples", "6", "--voices", "piper", "--noise", "clean,noise:20", "--split", "dev"]
    assert cli.main(["data", "synthesize", "--output", str(tmp_path), "--no-reply-audio", *options]) == 0
    assert "6 examples" in capsys.readouterr().out
    assert cli.main(["data", "speak", str(tmp_path)]) == 0
    assert "6 responses spoken" in capsys.readouterr().out

    whisper = load_transcriber(TranscriberSettings())
    examples = read_dataset(tmp_path)
    assert len(examples) == 6
    talked = next(one for one in examples if not one.calls)
    assert talked.response_audio is not None
    assert words(whisper.transcribe(read_wav(talked.response_audio)).text) == words(talked.speech)


def test_the_replies_of_one_run_are_spoken_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--examples", "4", "--voices", "piper", "--noise", "clean"]
    assert cli.main(["data", "synthesize", "--output", str(tmp_path), *options]) == 0
    told = capsys.readouterr()
    assert "4 recordings made" in told.out
    assert "4 of 4: 00004.wav, piper, clean" in told.err
    assert all(one.response_audio and read_wav(one.response_audio).size for one in read_dataset(tmp_path))
